"""A small replay on the synthetic market, as a user runs it, and what it may know."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.market import Member, Trend
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.errors import InvalidSetting
from crypto_pool.replay.history import (
    CoinHistory,
    observe_days,
    realised_labels,
    reference_column,
)
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.replay.rounds import RoundTask, play_round, read_round
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.conftest import PATIENCE_SECONDS, PoolFolder

KEYS = {
    "promised_precision",
    "realised_precision",
    "promised_brier",
    "realised_brier",
    "reference_brier",
    "base_rate_brier",
    "skill_over_reference",
    "skill_over_reference_interval",
    "n_predictions",
    "n_members_with_champion",
}
ARGUMENTS = (
    "replay", "--from", "2021-06-01", "--to", "2021-08-10", "--retrain-every-days", "40",
    "--symbols", "BTC,ETH", "--provider", "sandbox", "--algorithms", "LightGBM,KNeighbors",
)  # fmt: skip
ROUNDS = 2 * 2 * 2 * 2  # coins, trends, dates, policies


def stored_rounds(pool: PoolFolder) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in pool.data.glob("replays/*/candidates/*.parquet")
        if not path.name.startswith(".")
    }


def decisions(report: dict) -> Counter[str]:
    """How often was decided what, over all policies and members."""
    return Counter(
        decision["decision"]
        for policy in report["policies"].values()
        for member in policy["members"].values()
        for decision in member["decisions"]
    )


@pytest.mark.long
def test_a_killed_replay_goes_on_and_reports(new_pool: Callable[..., PoolFolder]) -> None:
    pool = new_pool()
    process = subprocess.Popen(
        pool.command(*ARGUMENTS),
        env=pool.environment,
        cwd=pool.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not stored_rounds(pool) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = stored_rounds(pool)
    assert 0 < len(before) < ROUNDS

    run = pool.run(*ARGUMENTS, "--output", "report.json", "--html", "report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Synthetic market" in run.stdout
    after = stored_rounds(pool)
    assert len(after) == ROUNDS
    assert before.items() <= after.items()  # nothing that was stored is played again

    report = json.loads((pool.home / "report.json").read_text())
    assert set(report["policies"]) == {"purged_walk_forward", "holdout"}
    for policy in report["policies"].values():
        assert policy["pooled"].keys() >= KEYS
        assert set(policy["members"]) == {
            f"{symbol}_{trend}" for symbol in ("BTC", "ETH") for trend in Trend
        }
        members = policy["members"].values()
        assert all(member.keys() >= KEYS for member in members)
        assert policy["pooled"]["n_predictions"] == sum(one["n_predictions"] for one in members)
    page = (pool.home / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert 'src="http' not in page

    rules = {"refresh_after_days": 1}
    strict = {f"CRYPTO_POOL_{name.upper()}": str(value) for name, value in rules.items()}
    again = pool.run(*ARGUMENTS, "--output", "strict.json", environment=strict)
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored_rounds(pool) == after
    held_to = json.loads((pool.home / "strict.json").read_text())
    assert held_to["promotion_rules"] == {
        "refresh_after_days": 1, "tolerance": 0.015, "rows_to_be_better": 150,
        "rows_to_refresh": 60, "horizon": 10,
    }  # fmt: skip
    assert decisions(held_to)["refreshed"] >= decisions(report)["refreshed"]


def test_what_comes_later_changes_no_earlier_forecast(tmp_path: Path) -> None:
    plan = ReplayPlan(
        date(2021, 6, 1),
        date(2021, 7, 15),
        60,
        algorithms=("KNeighbors",),
        recipe=Recipe(training_rows=300),
    )
    bars = SyntheticMarket().bars("BTC", date(2021, 8, 1))
    changed_from = pd.Timestamp("2021-07-01")
    other = bars.copy()
    other.loc[changed_from:] *= [3.0, 3.3, 2.7, 3.1, 9.0]
    forecasts = []
    for name, market in (("true", bars), ("other", other)):
        history = CoinHistory("BTC", market, ())
        store = FrameStore(str(tmp_path / name))
        task = RoundTask(
            key="round",
            policy="holdout",
            member=Member("BTC", Trend.UPTREND),
            as_of=plan.start,
            plan=plan,
            bars=history.known_at(plan.start),
            observed=observe_days(market, plan),
            store=store,
        )
        contenders, unscored = read_round(store, play_round(task), plan.start)
        assert unscored == []
        forecasts.append(contenders["KNeighbors"].forecasts)
    true, changed = forecasts
    assert true.index.min() == pd.Timestamp("2021-06-02")
    earlier = true.index < changed_from
    pd.testing.assert_frame_equal(true[earlier], changed[earlier])
    assert not true[~earlier].equals(changed[~earlier])


def test_a_plan_that_cannot_be_replayed_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="later --to"):
        ReplayPlan(date(2021, 1, 1), date(2021, 1, 1), 60)
    with pytest.raises(InvalidSetting, match="at least 1"):
        ReplayPlan(date(2021, 1, 1), date(2021, 2, 1), 0)
    with pytest.raises(InvalidSetting, match="Oracle"):
        ReplayPlan(date(2021, 1, 1), date(2021, 2, 1), 60, algorithms=("Oracle",))


def test_the_last_training_leaves_a_day_to_forecast() -> None:
    plan = ReplayPlan(date(2021, 1, 1), date(2021, 3, 2), 30)
    assert plan.retrain_dates == (date(2021, 1, 1), date(2021, 1, 31))


def test_the_other_target_has_its_own_labels_and_reference() -> None:
    bars = SyntheticMarket().bars("BTC", date(2021, 7, 15))
    plan = ReplayPlan(
        date(2021, 6, 1), date(2021, 7, 1), 60, recipe=Recipe(Target("forward_return"))
    )
    labels = realised_labels(bars, plan)["uptrend"]
    later = bars["close"].shift(-10) / bars["close"] - 1
    known = labels.notna()
    assert known.sum() == len(bars) - 10
    assert (labels[known] == (later[known] >= 0.05)).all()
    column = reference_column(Trend.UPTREND)
    observed = observe_days(bars, plan)
    expected = random_walk_probability(bars, "uptrend", Target("forward_return"))
    pd.testing.assert_series_equal(
        observed[column], expected.loc[observed.index], check_names=False, check_freq=False
    )
