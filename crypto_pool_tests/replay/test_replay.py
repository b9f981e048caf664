"""A small replay on the synthetic market, as a user runs it, and what it may know."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.errors import InvalidSetting
from crypto_pool.replay.account import Costs
from crypto_pool.replay.life import PoolLife, live_together
from crypto_pool.replay.page import render_page
from crypto_pool.replay.plan import ReplayPlan, daily_run_of
from crypto_pool.replay.report import build_report, live_forecasts
from crypto_pool.replay.trainings import Trainings
from crypto_pool_tests.conftest import PATIENCE_SECONDS, PoolFolder
from crypto_pool_tests.replay.lives import FEW, START, lived_through, make_life, synthetic_bars

END = START + timedelta(days=4)
ARGUMENTS = (
    "replay", "--from", "2021-06-01", "--to", "2021-07-12", "--retrain-every-days", "40",
    "--symbols", "BTC,ETH", "--provider", "sandbox", "--algorithms", "LightGBM,KNeighbors",
)  # fmt: skip
FITS = 2 * 2 * 2 * (3 + 2)  # coins, trends, trainings; two candidates, and a baseline in one policy


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> PoolLife:
    bars = synthetic_bars(("BTC", "ETH"), END + timedelta(days=10))
    return lived_through(make_life(tmp_path_factory.mktemp("fits"), END, bars))


def stored_fits(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("candidate.json")}


def predictions(life: PoolLife) -> pd.DataFrame:
    return life.store.read_all(PREDICTIONS.store_name).set_index(list(PREDICTIONS.key))


def test_every_member_is_forecast_on_every_day_and_scored(lived: PoolLife) -> None:
    assert lived.failures == {}
    rows = predictions(lived)
    assert len(rows) == 4 * 5
    assert not rows["late"].any()
    assert not rows["in_sample"].any()
    assert rows["panel_probability"].notna().all()
    assert len(live_forecasts(lived)) == (rows["status"] != "abstain").sum()


def test_what_comes_later_changes_nothing_before(lived: PoolLife, tmp_path: Path) -> None:
    """Another future of one coin: neither its own rows, nor the other's by the panel, may move."""
    changed_from = pd.Timestamp(START) + pd.Timedelta(days=3)
    bars = {symbol: frame.copy() for symbol, frame in lived.market.bars.items()}
    bars["ETH"].loc[changed_from:] *= [1.2, 1.3, 1.1, 1.25, 4.0]
    other = lived_through(make_life(tmp_path, END, bars))
    true, changed = predictions(lived), predictions(other)
    earlier = pd.to_datetime(true.index.get_level_values(0)) < changed_from
    same = [name for name in true if name != "features"]
    pd.testing.assert_frame_equal(true.loc[earlier, same], changed.loc[earlier, same])
    assert not true.loc[~earlier, same].equals(changed.loc[~earlier, same])
    for member, ledger in lived.decisions().items():
        pd.testing.assert_frame_equal(ledger, other.decisions()[member])


def test_what_was_fitted_is_not_fitted_again(lived: PoolLife, monkeypatch) -> None:
    before = stored_fits(lived.folder)
    assert len(before) == 4 * 3
    monkeypatch.setattr("crypto_pool.domain.purged.fit_candidate", None)
    again = lived_through(PoolLife(lived.plan, lived.market, lived.recipe, lived.folder))
    assert stored_fits(lived.folder) == before
    pd.testing.assert_frame_equal(predictions(again), predictions(lived))


def test_models_are_made_of_versions_alone(lived: PoolLife, tmp_path: Path) -> None:
    recipe = replace(lived.recipe, selection="best")
    plan = replace(lived.plan, end=START + timedelta(days=1), retrain_every_days=30)
    first, again = (lived_through(PoolLife(plan, lived.market, recipe, tmp_path)) for _ in range(2))
    assert first.failures == again.failures == {}
    pd.testing.assert_frame_equal(predictions(first), predictions(again))
    assert predictions(first)["algorithm"].isin(FEW).any()
    fits, made = (
        {f"{path.parent.relative_to(tmp_path)}" for path in tmp_path.rglob(name)}
        for name in ("candidate.json", "model")
    )
    versions = first.registry.versions
    served = {run for run in fits if versions.of_run(run.partition("/")[0], run)}
    assert made - served == {run for run in fits - served if "/Panel-" in run}
    assert served <= made


def test_pools_live_side_by_side_as_each_alone_and_train_ahead(
    lived: PoolLife, tmp_path: Path
) -> None:
    plan = replace(lived.plan, end=START + timedelta(days=3), retrain_every_days=2)
    recipes = [
        Recipe.from_settings({**lived.recipe.to_settings(), "evaluation_policy": policy})
        for policy in ("purged_walk_forward", "holdout")
    ]

    def pools(folder: str) -> list[PoolLife]:
        trainings = Trainings()
        return [
            PoolLife(plan, lived.market, one, tmp_path / folder / f"{number}", trainings)
            for number, one in enumerate(recipes)
        ]

    together, alone, fits = pools("together"), pools("alone"), []
    for _ in live_together(together):
        fits.append(len(stored_fits(tmp_path / "together")))
    first, second = 2 * 4 * 2 + 4, 2 * (2 * 4 * 2 + 4)  # with the baselines of one policy
    assert fits == [first + 1, first + 1, second, second]
    for one, other in zip(together, alone, strict=True):
        lived_through(other)
        assert one.failures == other.failures == {}
        pd.testing.assert_frame_equal(predictions(one), predictions(other))


def test_what_was_not_begun_is_trained_when_asked_for(lived: PoolLife, tmp_path: Path) -> None:
    plan = replace(lived.plan, retrain_every_days=1)
    life = PoolLife(plan, lived.market, lived.recipe, tmp_path)
    begun, other = (life.tasks_ahead(START + timedelta(days=ahead)) for ahead in (0, 1))
    life.trainings.begin(begun)
    for tasks in (other, begun):
        outcomes = life.trainings.outcomes(tasks)
        assert [task for task, _ in outcomes] == tasks
        assert all(isinstance(outcome, TrainedCandidate) for _, outcome in outcomes)
        assert {outcome.as_of for _, outcome in outcomes} == {tasks[0].as_of}
    before = stored_fits(tmp_path)
    life.trainings.begin(begun)
    assert len(life.trainings.outcomes(begun)) == len(begun)
    assert stored_fits(tmp_path) == before


def test_days_on_which_nobody_can_be_forecast_fail_and_end_no_replay(
    lived: PoolLife, tmp_path: Path
) -> None:
    """As after a gap, which leaves the only coin without features for weeks."""
    missing = START + timedelta(days=2)
    bars = {"BTC": lived.market.bars["BTC"].drop(pd.Timestamp(missing))}
    life = lived_through(make_life(tmp_path, END, bars))
    failed = {day for day in life.plan.days if day >= missing}
    assert set(life.failures.values()) == failed
    assert f"no forecast for {missing}" in next(iter(life.failures))
    days = predictions(life).index.get_level_values(0)
    assert set(pd.to_datetime(days).date) == set(life.plan.days) - failed


def test_days_after_the_last_bar_are_refused_before_anything_is_trained(new_pool, tmp_path) -> None:
    for symbol, last in (("BTC", END), ("ETH", START)):
        synthetic_bars((symbol,), last)[symbol].to_csv(tmp_path / f"{symbol}.csv")
    pool = new_pool(provider="directory", market_data_dir=str(tmp_path), symbols="BTC,ETH")
    asked = pool.ask("replay", "--from", f"{START}", "--to", f"{END + timedelta(days=1)}")
    assert asked.returncode == 2
    said = " ".join(asked.stderr.split())
    assert f"the last is that of BTC on {END}; give --to {END} or earlier" in said
    assert not (pool.data / "replays").exists()


def test_a_late_forecast_counts_apart(lived: PoolLife, tmp_path: Path) -> None:
    end = START + timedelta(days=1)
    plan = ReplayPlan(START, end, algorithms=lived.plan.algorithms, recipe=lived.recipe)
    life = PoolLife(plan, lived.market, lived.recipe, lived.folder)
    life.live_day(START, daily_run_of(START))
    life.live_day(end, daily_run_of(end) + timedelta(days=1))
    life.score_rest()
    assert set(live_forecasts(life)["prediction_date"]) == {START}
    report = build_report({"purged_walk_forward": life}, "sandbox", [], Costs())
    assert report.document["policies"]["purged_walk_forward"]["pooled"]["n_late"] == 4


def test_the_report_shows_pool_panel_and_candidates(lived: PoolLife) -> None:
    report = build_report({"purged_walk_forward": lived}, "sandbox", ["UNI: too short"], Costs())
    document = json.loads(json.dumps(report.document, allow_nan=False))
    found = document["policies"]["purged_walk_forward"]
    members = found["members"].values()
    assert set(found["members"]) == {
        f"{s}_{t}trend" for s in ("BTC", "ETH") for t in ("up", "down")
    }
    for name in ("n_predictions", "n_baseline_forecasts"):
        assert found["pooled"][name] == sum(one[name] for one in members)
    assert {"panel_skill", "candidates_skill", "pool_over_panel"} <= found["pooled"].keys()
    assert [row["of"] for row in document["panel"]] == ["all", "2023-H1", "BTC", "ETH"]
    assert all(one["decisions"] for one in members)
    page = render_page(report)
    assert page.count("<svg") == 3
    for told in ("Skill of the pool over the panel", "80 % range", "UNI: too short"):
        assert told in page
    assert "<script" not in page
    assert 'src="http' not in page


@pytest.mark.long
def test_without_a_grid_the_rules_of_staleness_train(lived: PoolLife) -> None:
    """Whoever has a champion of the first day is fresh; who has none waits for the cooldown."""
    later = START + timedelta(days=lived.plan.retrain.cooldown_days)
    plan = ReplayPlan(START, later, algorithms=lived.plan.algorithms, recipe=lived.recipe)
    life = lived_through(PoolLife(plan, lived.market, lived.recipe, lived.folder))
    for member, ledger in life.decisions().items():
        served = ledger["serving_version"].notna().iloc[0]
        expected = [START] if served else [START, later]
        assert list(ledger["as_of"]) == expected, member


def test_a_plan_that_cannot_be_replayed_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="later --to"):
        ReplayPlan(date(2021, 1, 1), date(2021, 1, 1), 60)
    with pytest.raises(InvalidSetting, match="at least 1"):
        ReplayPlan(date(2021, 1, 1), date(2021, 2, 1), 0)
    with pytest.raises(InvalidSetting, match="Oracle"):
        ReplayPlan(date(2021, 1, 1), date(2021, 2, 1), 60, algorithms=("Oracle",))


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
    while len(stored_fits(pool.data)) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = stored_fits(pool.data)
    assert 0 < len(before) < FITS

    run = pool.run(*ARGUMENTS, "--output", "report.json", "--html", "report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Synthetic market" in run.stdout
    after = stored_fits(pool.data)
    assert before.items() <= after.items()  # nothing that was stored is fitted again
    report = json.loads((pool.home / "report.json").read_text())
    assert set(report["policies"]) == {"purged_walk_forward", "holdout"}
    assert report["plan"]["promotion"]["refresh_after_days"] == 30
    assert "<svg" in (pool.home / "report.html").read_text()
