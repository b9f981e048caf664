"""A champion that can serve no more gives way to whoever passes the gates, and it is said why."""

from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.workflow.forecasting import choose_forecaster, forecast, score_predictions
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.deciding import judge
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    SECOND,
    STAYS,
    SmallPool,
    noon_after,
)


def predict(pool: SmallPool) -> dict:
    chosen = choose_forecaster(pool.registry, pool.champion, pool.decisions, SECOND, pool.terms)
    return forecast(FrameCache(pool.store), pool.registry, chosen, SECOND, noon_after(SECOND), 7)


def test_the_other_target_is_trained_promoted_forecast_and_scored(tmp_path):
    """`forward_return` end to end, where tomorrow is planted in today well enough to pass."""
    pool = SmallPool(
        tmp_path,
        recipe=Recipe(Target("forward_return"), training_rows=500),
        algorithms=("LightGBM",),
        predictability=1.0,
    )
    pool.write_features()
    pool.train(SECOND)
    decision = pool.appoint(SECOND)
    assert decision.decision == "promoted", decision
    assert (pool.serving, decision.serving.tags["target"]) == ("1", "forward_return")

    row = predict(pool)
    bars = pool.store.read("daily_bars", "AAA")
    day = pd.Timestamp(SECOND)
    known = bars.loc[:day]
    reference = random_walk_probability(known, MEMBER.trend, Target("forward_return")).loc[day]
    assert row["reference_probability"] == pytest.approx(reference)
    assert (row["target"], row["status"], row["model_version"]) == ("forward_return", "active", "1")

    rose = bars["close"].loc[day + pd.Timedelta(days=10)] / bars["close"].loc[day] - 1 >= 0.05
    later = noon_after(SECOND)
    [scored], faults = score_predictions(
        FrameCache(pool.store), pd.DataFrame([row]), later, pd.DataFrame()
    )
    assert not faults
    assert scored["outcome"] == float(rose)
    assert scored["probability"] == row["probability"]


def test_another_feature_schema_replaces_the_champion(pool):
    features = pool.store.read("feature_table", "AAA")
    pool.store.write("feature_table", "AAA", features.assign(weekday=features.index.dayofweek))
    changed = replace(pool, algorithms=("LightGBM",))
    changed.train(SECOND)
    decision = changed.appoint(SECOND, STAYS)
    assert decision.decision == "replaced"
    assert "feature weekday is new" in decision.reason
    assert pool.serving == "2"
    assert predict(changed)["model_version"] == "2"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("target", "forward_return"),
        ("target_pct", 0.04),
        ("prediction_window_days", 12),
        ("time_period", 9),
        ("series_type", "high"),
        ("indicator_source", "provider"),
    ],
)
def test_a_champion_for_other_terms_cannot_serve(pool, setting, value):
    task = pool.task(SECOND)
    serving = pool.champion
    run = pool.registry.runs.get(serving.version.run_id)
    assert "cannot serve" not in judge(task, serving, run, None, "", {}).reason
    settings = task.recipe.to_settings()
    changed = replace(task, recipe=Recipe.from_settings({**settings, setting: value}))
    verdict = judge(changed, serving, run, None, "", {})
    assert verdict.replaces
    assert f"{setting} was {settings[setting]} and is {value}" in verdict.reason


def test_a_quarantined_champion_cannot_serve(pool):
    run = pool.registry.runs.get(pool.champion.version.run_id)
    entry = pool.decisions.iloc[[0]].assign(decision="quarantined", reason="far off")
    pool.store.write("promotions", f"{MEMBER.partition_key}|q", entry.assign(decided_at_utc=NOW))
    assert list(Ledger(pool.store).of_member(MEMBER)["decision"]) == ["promoted", "quarantined"]
    verdict = judge(pool.task(SECOND), pool.champion, run, None, "", {})
    assert verdict.replaces
    assert "it is quarantined (far off)" in verdict.reason


def test_a_champion_that_mlflow_lost_cannot_serve(pool):
    run = pool.registry.runs.get(pool.champion.version.run_id)
    lost = replace(pool.champion, version=None, fault="version 1 is gone from MLflow")
    verdict = judge(pool.task(SECOND), lost, run, None, "", {})
    assert verdict.replaces
    assert "version 1 is gone from MLflow" in verdict.reason


def test_where_few_rows_are_unseen_the_two_meet_on_those_of_the_training(pool):
    """If the champion's algorithm is among what was trained; its own evaluation stands for it."""
    champion, task = pool.champion, pool.task(FIRST + timedelta(days=35), PromotionRules())
    run = pool.registry.runs.get(champion.version.run_id)
    for candidates, said in (
        ({run.algorithm: run}, f"on {len(run.evaluation)} out-of-fold rows of this training"),
        ({"another": run}, "too few rows compare them"),
    ):
        verdict = judge(task, champion, run, "2", "", candidates)
        assert verdict.decision == "refreshed"
        assert said in verdict.reason
    fewer = replace(run, evaluation=run.evaluation.iloc[5:])
    reason = judge(task, champion, fewer, "2", "", {run.algorithm: run}).reason
    assert f"on {len(run.evaluation) - 5} out-of-fold rows" in reason


@pytest.mark.parametrize(("version", "decision"), [(None, "rejected"), ("2", "kept")])
def test_a_build_for_an_older_date_replaces_nobody(pool, version, decision):
    """Whether it has a winner or none."""
    task = pool.task(FIRST - timedelta(days=1))
    run = pool.registry.runs.get(pool.champion.version.run_id) if version else None
    verdict = judge(task, pool.champion, run, version, "", {})
    assert (verdict.decision, verdict.replaces) == (decision, False)
    assert f"a decision later than {FIRST - timedelta(days=1)} stands" in verdict.reason


NOW = pd.Timestamp(noon_after(SECOND)).tz_localize(None) - pd.Timedelta(days=1)
