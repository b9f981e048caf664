"""What is published is what is answered: at once, with its age, and on whose terms."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from jinja2 import TemplateNotFound

from crypto_pool.adapters.prediction_tables import LINK_NAME, publish
from crypto_pool.serving.pages import templates
from crypto_pool_tests.pool_frames import pool_frames
from crypto_pool_tests.serving.conftest import ASKED, Served


def open_publications(data: Path) -> list[str]:
    """Files of `data` this process, and so the server in it, holds open."""
    held = {file.path for file in psutil.Process().open_files()}
    return [path for path in held if path.startswith(str(data)) and path.endswith(".duckdb")]


def test_a_publication_is_served_without_a_restart(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve(tmp_path)
    for path in ("/ready", "/models", ASKED, "/predictions", "/members/BTC_uptrend"):
        answer = served.get(path)
        assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")
        assert "crypto-pool build" in answer.json()["message"]
    assert served.get("/health").json() == {"status": "ok"}
    for probability in (0.6, 0.7, 0.8):
        publish(tmp_path, pool_frames(probability=probability))
        assert served.eventually(
            lambda wished=probability: (
                served.get(ASKED).json().get("prediction_probabilities") == wished
            )
        )
    page = served.get("/predictions?symbol=BTC&trend_type=uptrend&limit=1").json()
    assert page["predictions"][0]["probability"] == 0.8
    assert served.eventually(lambda: len(open_publications(tmp_path)) == 1)


def test_an_unreadable_publication_leaves_the_last_one_answering(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    publish(tmp_path, pool_frames())
    served = serve(tmp_path)
    broken = tmp_path / "crypto_pool-20991231T000000_000000Z.duckdb"
    broken.write_bytes(b"no database" * 1000)
    beside = tmp_path / "link"
    beside.symlink_to(broken.name)
    beside.replace(tmp_path / LINK_NAME)
    assert served.eventually(lambda: served.get("/ready").json()["fault"] is not None)
    assert broken.name in served.get("/ready").json()["fault"]
    assert served.get(ASKED).json()["prediction_probabilities"] == 0.62
    assert "crypto_pool_publication_fault 1.0" in served.get("/metrics").text


def test_an_old_forecast_says_why_it_is_stale(serve: Callable[..., Served], tmp_path: Path) -> None:
    publish(tmp_path, pool_frames())
    served = serve(tmp_path, simulated_now="2026-11-28T09:00:00Z")
    answer = served.get(ASKED).json()
    assert (answer["age_days"], answer["stale"]) == (4, True)
    assert "2026-11-23, 4 days before the last closed day 2026-11-27" in answer["stale_reason"]
    odds = served.get("/odds?symbol=BTC&move=5").json()
    assert odds["stale_reason"] == answer["stale_reason"]


def test_what_is_not_defined_is_null(serve: Callable[..., Served], tmp_path: Path) -> None:
    frames = pool_frames()
    frames["champions"] = frames["champions"].assign(precision=float("nan"), brier_score=None)
    frames["prediction_outcomes"] = frames["realised_performance"] = pd.DataFrame()
    publish(tmp_path, frames)
    served = serve(tmp_path)
    model = served.get("/models").json()[0]
    assert model["performance_metrics"]["precision"] is None
    assert model["skill_over_reference"] is None
    record = served.get("/pool").json()["record"]
    assert (record["scored"], record["realised_precision"]) == (0, None)


def test_a_champion_on_other_terms_says_so_in_the_api_and_on_its_page(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    told = "its terms are not the pool's: series_type was high and is close"
    frames = pool_frames()
    frames["champions"] = frames["champions"].assign(fault=[told, None, None])
    publish(tmp_path, frames)
    served = serve(tmp_path)
    first, *others = served.get("/models").json()
    assert first["fault"] == told
    assert {one["fault"] for one in others} == {None}
    page = served.get(f"/members/{first['symbol']}_{first['trend_type']}.html").text
    assert "The champion abstains: its terms are not the pool&#39;s: series_type was high" in page


def test_a_promise_belongs_to_the_version_that_forecast(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    frames = pool_frames()
    contributions = '[{"feature": "reference_logit", "contribution": 0.2}]'
    frames["predictions"] = frames["predictions"].assign(top_contributions=contributions)
    versions = [3, 4, 3]  # that of BTC downtrend was replaced since its forecast
    frames["champions"] = frames["champions"].assign(
        model_version=versions,
        skill_over_reference=0.0,
        precision_low=0.5,
        precision_high=0.8,
        added_points=1.8,
        promised_skill_over_reference=0.004,
        promised_skill_over_reference_low=-0.01,
        promised_skill_over_reference_high=0.02,
    )
    publish(tmp_path, frames)
    served = serve(tmp_path)
    kept = served.get(ASKED).json()
    replaced = served.get("/prediction?symbol=BTC&trend_type=downtrend").json()
    assert kept["promised_precision"] == 0.66
    assert kept["top_contributions"] == [{"feature": "reference_logit", "contribution": 0.2}]
    assert replaced["promised_precision"] is None
    assert replaced["model_version"] == 3
    assert (kept["promised_precision_low"], kept["promised_precision_high"]) == (0.5, 0.8)
    assert kept["skill_over_reference"] == 0.0
    assert (kept["added_points"], replaced["added_points"]) == (1.8, None)
    model = served.get("/models").json()[0]
    assert (model["added_points"], model["promised_skill_over_reference"]) == (1.8, 0.004)
    assert model["promised_verdict"] == "cannot be told from the reference"
    page = served.get("/members/BTC_uptrend.html").text
    assert "cannot be told from the reference</small>" in page


def test_a_server_keeps_its_own_pages_while_the_package_beneath_it_is_updated(
    pool: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads no template once it serves: the one that lies there by then fits other code."""

    def refuse(*_: object) -> None:
        raise TemplateNotFound("of another version")

    monkeypatch.setattr(templates.env.loader, "get_source", refuse)
    for path in ("/", "/members/BTC_uptrend.html", "/problems.html", "/docs"):
        assert pool.get(path).status_code == 200
