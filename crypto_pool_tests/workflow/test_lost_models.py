"""What somebody deletes in MLflow is one member's fault, with a way out that works."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.adapters.mlflow.version import READ
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import PREDICTIONS, SHADOW_PREDICTIONS
from crypto_pool.errors import ModelUnavailable, UnscoredCandidate
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.promotion.reconciling import reconcile
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    MODEL,
    OTHER,
    RECIPE,
    REFRESHED,
    SECOND,
    examine,
    forecast,
    noon_after,
)

FORECASTS = PREDICTIONS, SHADOW_PREDICTIONS


def delete_version(pool, version):
    pool.registry.client.delete_model_version(MODEL, version)


def test_a_deleted_version_is_its_member_s_fault_alone_and_says_the_ways_out(pool):
    other = Ledger(pool.store).of_member(MEMBER).assign(trend="downtrend")
    pool.store.write("promotions", f"{OTHER.partition_key}|1", other)
    pool.registry.client.create_registered_model(f"{OTHER.name}_model")
    version = pool.champion.version
    pool.registry.client.create_model_version(
        f"{OTHER.name}_model", version.location, version.run_id, tags=dict(version.tags)
    )
    delete_version(pool, "1")

    result = forecast(pool, SECOND, MEMBER, OTHER)

    rows = {row["trend"]: row for row in result.made}
    assert (rows["downtrend"]["status"], rows["downtrend"]["model_version"]) == ("active", "1")
    assert (rows["uptrend"]["status"], rows["uptrend"]["signal"]) == ("abstain", False)
    assert "is gone from MLflow" in rows["uptrend"]["abstain_reason"]
    said = result.failures[MEMBER.name]
    assert "version 1 serves by the ledger and is gone from MLflow" in said
    assert "crypto-pool build" in said
    assert "crypto-pool rollback AAA_uptrend --to VERSION" in said
    assert reconcile(pool.store, pool.registry, MEMBER).fault == said
    assert pool.aliases == {}
    assert not pool.store.exists("champions", MEMBER.partition_key)


def test_a_champion_that_cannot_serve_is_named_before_it_is_to_forecast(pool):
    def told():
        [(name, fault)] = examine(pool).items()
        assert name == MEMBER.name
        return fault

    assert told() == ""
    table, key = "training_snapshots", pool.champion.version.tags["data_hash"]
    rows = pool.store.read(table, key)
    pool.store.remove(table, key)
    assert told().startswith("version 1 lacks the rows of its training")
    assert "crypto-pool rollback AAA_uptrend --to VERSION" in told()
    pool.store.write(table, key, rows)
    [file] = (local_path(pool.champion.version.location) / "artifacts").glob("estimator*")
    file.write_bytes(file.read_bytes()[:100])
    assert "is not what was logged" in told()
    delete_version(pool, "1")
    assert "is gone from MLflow" in told()


def test_a_build_mends_a_deleted_version_from_its_run(pool):
    before = pool.champion.version
    delete_version(pool, "1")
    pool.train(FIRST)
    done = pool.appoint(FIRST)
    assert done.decision == "replaced"
    assert "is gone from MLflow" in done.reason
    assert pool.champion.fault == ""
    assert (pool.serving, pool.champion.version.run_id) == ("2", before.run_id)
    assert pool.aliases["champion"] == "2"
    assert forecast(pool, SECOND).failures == {}


def test_a_rollback_mends_a_deleted_version(pool):
    pool.appoint(SECOND, REFRESHED)
    delete_version(pool, "2")
    with pytest.raises(ModelUnavailable, match="no version 2: there are 1"):
        roll_back(pool.store, pool.registry, MEMBER, "2", SECOND, noon_after(SECOND))
    done = roll_back(pool.store, pool.registry, MEMBER, "1", SECOND, noon_after(SECOND))
    assert (done.before, done.after) == ("2", "1")
    assert pool.champion.fault == ""
    assert pool.aliases["champion"] == "1"
    result = forecast(pool, SECOND + timedelta(days=3))
    assert [row["model_version"] for row in result.made] == ["1"]


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_a_version_outlives_its_run_and_its_experiment(pool, what):
    version = pool.champion.version
    run = pool.registry.client.get_run(version.run_id)
    if what == "run":
        pool.registry.client.delete_run(version.run_id)
    else:
        pool.registry.client.delete_experiment(run.info.experiment_id)
    fresh = replace(pool)  # a later process
    assert len(forecast(fresh, SECOND).made) == 1
    fresh.train(FIRST)
    fresh.appoint(FIRST)
    assert fresh.champion.fault == ""


@pytest.mark.parametrize("take_away", ["delete_registered_model", "rename_registered_model"])
def test_a_registered_model_that_is_gone_is_made_again_and_no_number_given_twice(pool, take_away):
    """Forecasts and promises of a version are told by its number: another would take them over."""
    names = {"delete_registered_model": [MODEL], "rename_registered_model": [MODEL, "elsewhere"]}
    pool.appoint(SECOND, REFRESHED)
    assert pool.serving == "2"
    getattr(pool.registry.client, take_away)(*names[take_away])
    assert "there is none" in pool.champion.fault
    pool.appoint(SECOND)
    assert pool.champion.fault == ""
    assert pool.aliases["champion"] == "3"
    assert set(pool.decisions["model_version"]) == {"1", "2", "3"}


def test_another_model_under_the_number_that_serves_is_no_champion(pool):
    """Numbers begin anew where somebody else makes a model again; the ledger knows the files."""
    tags = {name: pool.champion.version.tags[name] for name in READ}
    pool.registry.client.delete_registered_model(MODEL)
    other = next(
        run
        for run in pool.registry.client.search_runs(
            [pool.registry.store.experiment_id(MEMBER.name)], "attributes.status = 'FINISHED'"
        )
        if run.data.tags["model_sha256"] != str(pool.decisions["model_sha256"].iloc[-1])
    )
    candidate = pool.registry.runs.get(other.info.run_id)
    assert pool.registry.versions.register(MEMBER.name, candidate, tags) == "1"
    assert "is another in MLflow than the ledger let serve" in pool.champion.fault
    [row] = forecast(pool, SECOND).made
    assert (row["status"], row["signal"]) == ("abstain", False)


def test_what_mlflow_says_of_a_model_s_files_does_not_count(pool):
    """Its pages ask nobody who he is; the ledger knows the files, and no parser sees others."""
    version, client = pool.champion.version, pool.registry.client
    changed = local_path(version.location) / "artifacts" / "calibration.json"
    changed.write_text(changed.read_text() + " ")
    forged = {**version.model_hashes, changed.name: sha256(changed.read_bytes()).hexdigest()}
    client.set_tag(version.run_id, "model_sha256", json.dumps(forged, sort_keys=True))
    client.delete_model_version_tag(MODEL, version.version, "model_sha256")
    fresh = replace(pool)
    assert fresh.champion.version.model_hashes == version.model_hashes
    [row] = forecast(fresh, SECOND).made
    assert row["status"] == "abstain"
    assert "calibration.json is not what was logged" in row["abstain_reason"]


def test_what_was_never_trained_is_no_verdict(pool):
    """New rows, no training: nothing is written, and the member does not count as trained."""
    before = pool.decisions
    with pytest.raises(UnscoredCandidate, match="nothing was trained on its rows of 2022-07-15"):
        pool.appoint(FIRST.replace(month=7, day=15))
    assert pool.decisions.equals(before)


def test_going_back_to_earlier_settings_brings_their_runs_back(pool):
    def runs(recipe):
        seeded = replace(pool, recipe=recipe)
        seeded.train(SECOND)
        seeded.appoint(SECOND)
        latest = seeded.registry.runs.latest(
            MEMBER.name, seeded.decisions["data_hash"].iloc[-1], recipe,
            seeded.decisions["code_version"].iloc[-1],
        )  # fmt: skip
        return {one.run_id for one in latest.values()}

    settings = pool.recipe.to_settings()
    seven, eight, again = (
        runs(Recipe.from_settings({**settings, "seed": seed})) for seed in (7, 8, 7)
    )
    assert seven == again
    assert len(seven) == len(eight) == 3  # the baseline's among them
    assert not seven & eight


@pytest.mark.parametrize(
    ("setting", "value"), [("series_type", "high"), ("time_period", 9), ("target_pct", 0.04)]
)
def test_a_champion_on_other_terms_abstains_and_says_which(pool, setting, value):
    settings = {**pool.recipe.to_settings(), setting: value}
    changed = replace(pool, recipe=Recipe.from_settings(settings))
    [row] = forecast(changed, SECOND).made
    assert (row["status"], row["signal"]) == ("abstain", False)
    assert (
        f"{setting} was {pool.recipe.to_settings()[setting]} and is {value}"
        in row["abstain_reason"]
    )


def test_a_version_on_other_terms_abstains_in_the_shadow_too(pool):
    """So it never counts against a champion whose outcomes are another target's."""
    pool.appoint(SECOND, REFRESHED)
    shadow = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    further = Recipe.from_settings({**RECIPE.to_settings(), "target_pct": 0.1})
    [row] = forecast(replace(pool, recipe=further), SECOND, shadows={MEMBER: [shadow]}).shadows
    assert (row["status"], row["target_pct"]) == ("abstain", 0.05)
    assert row["abstain_reason"] == "its terms are not the pool's: target_pct was 0.05 and is 0.1"


def test_what_a_version_said_in_time_stays_where_it_cannot_speak_any_more(pool):
    """As where `predict` is tried with another target, and MLflow loses who spoke."""
    pool.appoint(SECOND, REFRESHED)
    shadow = {MEMBER: [pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)]}

    def days(one):
        done = forecast(one, SECOND, shadows=shadow)
        stored = [stored_rows(one.store, table, f"{SECOND}") for table in FORECASTS]
        return done, [[(row["status"], row["target_pct"]) for row in rows] for rows in stored]

    _, said = days(pool)
    assert said == [[("active", 0.05)], [("active", 0.05)]]
    further = Recipe.from_settings({**RECIPE.to_settings(), "target_pct": 0.1})
    tried, stored = days(replace(pool, recipe=further))
    assert (stored, tried.kept) == (said, 1)
    delete_version(pool, pool.serving)
    lost, stored = days(replace(pool))
    assert (stored, lost.without_row) == (said, {})
    assert "is gone from MLflow" in lost.failures[MEMBER.name]


def test_a_champion_whose_features_are_no_longer_made_abstains_by_the_baseline(pool):
    """The table is made anew by the new settings; nobody fails and the shadow is told."""
    pool.appoint(SECOND, REFRESHED)
    shadow = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    changed = replace(pool, recipe=Recipe.from_settings({**RECIPE.to_settings(), "time_period": 9}))
    indicators = compute_indicators(pool.store.read("daily_bars", "AAA"), time_period=9)
    pool.store.write("feature_table", "AAA", build_features(indicators, time_period=9))
    result = forecast(changed, SECOND, shadows={MEMBER: [shadow]})
    [row] = result.made
    assert (row["status"], row["algorithm"], row["signal"]) == ("abstain", "RandomWalk", False)
    assert "time_period was 7 and is 9" in row["abstain_reason"]
    assert (result.failures, result.shadows) == ({}, [])
    assert "takes other features" in result.without_shadow[MEMBER.name]
