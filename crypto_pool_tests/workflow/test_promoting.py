"""A champion is promoted, kept, refreshed, and what kills a promotion half-way changes nothing."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from crypto_pool.adapters.charts import BAR_FILE, BEESWARM_FILE, JUDGEMENT_FILE
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.defs.assets.models import shown_champion
from crypto_pool.defs.pictures import price_picture
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.tables import CANDIDATE_SCORES, CHAMPIONS
from crypto_pool.domain.training import data_hash
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import ModelUnavailable, UnscoredCandidate
from crypto_pool.settings import Settings
from crypto_pool.workflow.promotion import promoting
from crypto_pool.workflow.promotion.registering import champion_row, explain_stored
from crypto_pool.workflow.training import stored_candidates
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT
from crypto_pool_tests.forking import run_forked
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    REFRESHED,
    SECOND,
    STAYS,
    killed_at,
    noon_after,
)

NEVER_TRAINED = date(2022, 7, 15)
SCORE = {"symbol": "AAA", "trend": "uptrend", "algorithm": "LightGBM", "brier_score": 0.2}


def test_the_first_winner_serves_and_its_version_says_what_was_promised(pool):
    champion = pool.champion.version
    assert pool.serving == "1"
    tags = champion.tags
    measured = json.loads(tags["metrics"])
    assert measured["precision_low"] <= float(tags["precision"]) <= measured["precision_high"]
    assert tags["candidates_tried"] == "2"
    assert json.loads(tags["effective_sample_size"]) > 0
    assert len(json.loads(tags["feature_importance"])) == 19
    assert pool.aliases == {"champion": "1"}
    hashes = json.loads(pool.decisions["model_sha256"].iloc[-1])
    assert champion.model_hashes == hashes
    run_tags = pool.registry.client.get_run(champion.run_id).data.tags
    for told in (tags, run_tags):  # what it adds and promises, by the names that all tables have
        assert json.loads(told["added_points"]) == measured["added_points"] > 0
        for name in ("promised_precision", "promised_skill_over_reference_low"):
            assert json.loads(told[name]) == measured[name]
        low, high = (
            json.loads(told[f"promised_skill_over_reference_{e}"]) for e in ("low", "high")
        )
        between = "cannot be told from the reference"
        words = between if low <= 0 <= high else f"{'better' if low > 0 else 'worse'} than the"
        assert told["promised_verdict"].startswith(words)
    assert set(hashes) == {"calibration.json", "estimator.skops"}
    assert list(pool.decisions["decision"]) == ["promoted"]
    assert json.loads(pool.decisions["challenger_metrics"][0])["promised"]["precision"] == float(
        tags["precision"]
    )


def test_the_row_of_a_champion_holds_each_figure_that_was_measured_as_it_was(pool):
    row = champion_row(pool.registry, pool.champion.version, MEMBER)
    measured = json.loads(pool.champion.version.tags["metrics"])
    figures = {name: measured[name] for name in CHAMPIONS.names if name in measured}
    del figures["effective_sample_size"]  # of the rows that the promise rests on
    assert {"skill_over_reference_low", "promised_skill_over_reference_low"} <= set(figures)
    assert {name: row[name] for name in figures} == figures


def test_who_serves_under_an_algorithms_name_has_a_weight_and_adds_something(pool):
    assert pool.serving is not None
    version = pool.champion.version
    model = pool.registry.versions.load(MEMBER.name, version.version, version.ledger_hashes)
    assert model.calibration.candidate_weight > 0
    assert json.loads(version.tags["metrics"])["added_points"] > 0
    assert any(json.loads(version.tags["feature_importance"]).values())


def test_the_champion_s_run_holds_the_pictures_of_its_explanation(pool):
    champion = pool.champion.version
    stored = {file.path for file in pool.registry.client.list_artifacts(champion.run_id)}
    assert {BEESWARM_FILE, BAR_FILE} <= stored
    assert 0 <= json.loads(champion.tags["explanation_standard_error"]) < 0.01


def test_a_winner_is_explained_on_the_latest_rows_it_was_measured_on(pool):
    task = pool.task(FIRST)
    for winner in stored_candidates(task).values():
        explained = explain_stored(pool.registry, winner, task.table, 10)
        assert list(explained.values.index) == list(winner.evaluation.index[-10:])


def test_the_same_build_again_adds_no_decision_and_no_version(pool):
    before = pool.decisions
    assert pool.appoint(FIRST).decision == "serves"
    pool.appoint(SECOND)
    pool.appoint(SECOND)
    assert len(pool.decisions) == len(before) + 1
    with pytest.raises(ModelUnavailable, match="no version 3: there are 1, 2"):
        pool.registry.versions.get(MEMBER.name, "3")


def test_of_members_each_has_its_result_and_a_failure_stops_no_other(pool):
    """Those that are settled come first."""
    tasks = [pool.task(SECOND), pool.task(FIRST), pool.task(NEVER_TRAINED)]
    made = {task.as_of: result for task, result in promoting.promote_members(WorkerPool(), tasks)}
    assert list(made) == [FIRST, SECOND, NEVER_TRAINED]
    assert [made[day].decision for day in (FIRST, SECOND)] == ["serves", "kept"]
    assert "nothing was trained on its rows of 2022-07-15" in made[NEVER_TRAINED].reason
    assert len(made[FIRST].missing) == len(CANDIDATES) - 2
    again = [result.decision for _, result in promoting.promote_members(WorkerPool(), tasks[1:2])]
    assert again == ["serves"]


def test_candidates_that_were_tried_and_could_not_be_scored_are_a_verdict(pool):
    """Tried on these very rows: those of another training, or those that were scored, are none."""
    task, table = pool.task(NEVER_TRAINED), CANDIDATE_SCORES
    for rows, status in (("other rows", "unscored"), (data_hash(task.table), "scored")):
        scores = table.frame([{**SCORE, "data_hash": rows, "status": status}])
        pool.store.write(table.store_name, MEMBER.partition_key, scores)
        with pytest.raises(UnscoredCandidate, match="nothing was trained on its rows"):
            promoting.promote(task)
    scores = table.frame([{**SCORE, "data_hash": data_hash(task.table), "status": "unscored"}])
    pool.store.write(table.store_name, MEMBER.partition_key, scores)
    assert promoting.promote(task).decision == "rejected"
    assert pool.serving == "1"


def test_a_challenger_that_is_not_better_is_kept_in_the_shadow(pool):
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "kept"
    assert pool.serving == "1"
    assert pool.aliases == {"champion": "1", "challenger": "2"}
    record = pool.decisions.iloc[-1]
    assert (record["model_version"], record["serving_version"]) == ("2", "1")
    compared = json.loads(record["champion_metrics"])["compared"]
    assert compared["slice_size"] == 60
    assert decision.serving.version == "1"


def test_a_rejection_says_once_what_the_best_candidate_lacks(pool, monkeypatch):
    monkeypatch.setattr(promoting, "Gates", lambda: Gates(positive_accuracy=0.99))
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "rejected"
    told = "it fails the gates: recall 0."
    assert decision.reason.count(told) == 1
    assert decision.reason.startswith("RandomWalk wins: LightGBM, the best of 2, ")
    assert decision.reason.endswith("it is 80 days old (refresh_after_days is 10000)")


def test_an_old_champion_gives_way(pool):
    decision = pool.appoint(SECOND, REFRESHED)
    assert decision.decision == "refreshed"
    assert "80 days old (refresh_after_days is 30)" in decision.reason
    assert "on 60 rows that neither has seen" in decision.reason
    assert pool.serving == "2"
    assert pool.aliases["previous"] == "1"
    assert "challenger" not in pool.aliases


def test_an_old_champion_stands_down_where_the_winner_fails_the_gates(pool, monkeypatch):
    monkeypatch.setattr(Gates, "failures", lambda gates, metrics: ("recall is too low",))
    assert pool.appoint(SECOND, STAYS).decision == "rejected"
    assert pool.serving == "1"
    decision = pool.appoint(SECOND, REFRESHED)
    assert decision.decision == "stood down"
    assert (pool.serving, decision.serving) == (None, None)
    assert pool.decisions["serving_version"].iloc[-1] is None


def test_a_champion_that_does_not_load_is_replaced(pool):
    folder = Path(pool.champion.version.location.removeprefix("file://"))
    next(folder.rglob("calibration.json")).write_text("{}")
    decision = pool.appoint(SECOND, STAYS)
    assert decision.decision == "replaced"
    assert "no longer loads" in decision.reason
    assert pool.serving == "2"


def test_an_older_build_moves_no_alias_back(pool):
    pool.appoint(SECOND, REFRESHED)
    decision = pool.appoint(FIRST, REFRESHED)
    assert decision.decision == "kept"
    assert pool.serving == "2"
    assert "challenger" not in pool.aliases


def test_an_older_build_lets_nobody_serve_where_the_champion_has_stood_down(pool, monkeypatch):
    with monkeypatch.context() as failing:
        failing.setattr(Gates, "failures", lambda gates, metrics: ("recall is too low",))
        assert pool.appoint(SECOND, REFRESHED).decision == "stood down"
    decision = pool.appoint(FIRST, REFRESHED)
    assert decision.decision == "rejected"
    assert decision.reason.startswith("nobody serves: a decision later than 2022-06-01 stands")
    assert pool.serving is None
    assert "champion" not in pool.aliases


def test_the_ledger_tells_who_served_on_a_day(pool):
    pool.appoint(SECOND, REFRESHED)
    decisions = pool.decisions
    assert Standing.of(decisions, noon_after(date(2022, 5, 1))).serving is None
    assert Standing.of(decisions, noon_after(date(2022, 7, 1))).serving == "1"
    assert Standing.of(decisions, noon_after(date(2022, 9, 1))).serving == "2"


@pytest.mark.parametrize("write", ["record", "set_aliases", "write"])
def test_killed_at_any_write_and_run_again_it_ends_the_same(pool, write):
    """Before the ledger is written the old champion serves, after it the new one."""
    target = {
        "record": "crypto_pool.adapters.ledger.Ledger.record",
        "set_aliases": "mlflow.MlflowClient.set_registered_model_alias",
        "write": "crypto_pool.adapters.frame_store.FrameStore.write",
    }[write]
    script = killed_at(
        target,
        f"""
from crypto_pool_tests.workflow.small_pool import REFRESHED, SECOND, SmallPool
SmallPool(Path({str(pool.folder)!r})).appoint(SECOND, REFRESHED)
""",
        skip="'promotions' not in str(given) and 'champions' not in str(given)",
    )
    killed = run_forked(("code", script), [], os.environ, ROOT, PATIENCE_SECONDS)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert pool.registry.versions.get(MEMBER.name, "2")

    pool.appoint(SECOND, REFRESHED)
    assert pool.serving == "2"
    assert pool.aliases == {"champion": "2", "previous": "1"}
    assert list(pool.decisions["decision"]) == ["promoted", "refreshed"]


def test_two_that_choose_a_champion_at_once_register_and_decide_once(pool):
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: pool.appoint(SECOND, REFRESHED).decision, range(2)))
    assert sorted(made) == ["refreshed", "serves"]
    assert list(pool.decisions["decision"]) == ["promoted", "refreshed"]
    with pytest.raises(ModelUnavailable, match="no version 3: there are 1, 2"):
        pool.registry.versions.get(MEMBER.name, "3")


@pytest.mark.parametrize(
    ("lost", "part", "fault"),
    [
        ("picture", "calibration_roc_confusion", "ModelUnavailable"),
        ("run", "calibration_roc_confusion", "ModelUnavailable"),
        ("scores", "leaderboard", "cannot be read as Parquet"),
        ("bars", "price_with_labels", "CorruptPartition"),
    ],
)
def test_what_is_shown_of_a_champion_bears_the_loss_of_a_part(pool, lost, part, fault):
    decision = pool.appoint(FIRST)
    store, registry, key = pool.store, pool.registry, MEMBER.partition_key
    scores = [{**SCORE, "algorithm": name} for name in ("LightGBM", "RidgeClassifier")]
    store.write("candidate_scores", key, CANDIDATE_SCORES.frame(scores))
    resource = SimpleNamespace(
        store=store,
        registry=registry,
        recipe=pool.recipe,
        settings=Settings(_env_file=None),
        provider=SimpleNamespace(synthetic=True),
    )
    whole = shown_champion(resource, decision, partial(price_picture, resource))
    assert whole["calibration_roc_confusion"].value.startswith("![AAA_uptrend: version 1")
    assert whole["price_with_labels"].value.startswith("![AAA (synthetic)")
    assert len(whole["leaderboard"].records) == 2

    if lost == "run":
        decision = replace(decision, serving=replace(decision.serving, run_id="0" * 32))
    else:
        victim = {
            "picture": str(next(pool.folder.rglob(JUDGEMENT_FILE))),
            "scores": store.path("candidate_scores", key),
            "bars": store.path("daily_bars", "AAA"),
        }[lost]
        Path(victim).unlink() if lost == "picture" else Path(victim).write_text("?")
    shown = shown_champion(resource, decision, partial(price_picture, resource))
    assert (shown["decision"], shown["version"]) == ("serves", 1)
    assert fault in shown[part]
    assert shown.keys() - {part} == whole.keys() - {part}
