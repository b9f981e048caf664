"""`up` says in a line each what happens in the pool while it runs."""

import pandas as pd

from crypto_pool.adapters.alerts import Alert
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.commands.happenings import Happenings
from crypto_pool.defs.alerting import pool_alerts
from crypto_pool.settings import Settings

MEMBERS = [{"symbol": "BTC", "trend": trend} for trend in ("uptrend", "downtrend")]


def forecasts(day, at):
    rows = [
        {**member, "prediction_date": day, "signal": number == 0, "predicted_at_utc": at}
        for number, member in enumerate(MEMBERS)
    ]
    return pd.DataFrame(rows).assign(status="active", probability=0.5)


def decisions(at):
    rows = [
        {**member, "decision": decision, "model_version": "2", "decided_at_utc": at}
        for member, decision in zip(MEMBERS, ("promoted", "kept"), strict=True)
    ]
    return pd.DataFrame(rows)


def test_each_publication_is_told_by_what_is_new_in_it_and_each_alert_once(tmp_path):
    now = "2024-03-02T00:20:00"
    settings = Settings(_env_file=None, dagster_home=tmp_path, simulated_now=now)
    data = settings.state_dir
    before = forecasts("2024-02-29", "2024-03-01T00:20:00")
    publish(data, {"predictions": before})
    happenings = Happenings(settings)
    assert list(happenings.look()) == []
    both = pd.concat([before, forecasts("2024-03-01", "2024-03-02T00:21:00")])
    publish(data, {"predictions": both, "promotions": decisions("2024-03-02T00:22:00")})
    pool_alerts(settings).send([Alert("a", "something is amiss")])
    assert list(happenings.look()) == [
        "champions: 1 promoted (BTC_uptrend v2), 1 kept",
        "forecast 2024-03-01: 2 members, 1 signals",
        "alert: something is amiss",
    ]
    publish(data, {"predictions": both, "promotions": decisions("2024-03-02T00:22:00")})
    assert list(happenings.look()) == []
