"""What somebody deletes in MLflow is one member's fault, with a way out that works."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pytest

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.store import local_path
from crypto_pool.adapters.mlflow.version import READ, READ_IF_THERE
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.tables import PREDICTIONS
from crypto_pool.errors import ModelUnavailable, UnscoredCandidate, UntrustedModel
from crypto_pool.workflow.day_forecasts import DayForecaster
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.promotion.reconciling import reconcile, reconcile_all, shadows_of
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    RECIPE,
    REFRESHED,
    SECOND,
    noon_after,
)

MODEL = f"{MEMBER.name}_model"
OTHER = Member("AAA", Trend.DOWNTREND)


# What a hand may write that can be read, and is nothing that the tag can be.
OF_ANOTHER_FORM = (
    *(("decision_threshold", text) for text in ("-3", "NaN", "1.5", '"0.5"')),
    *(("prediction_window_days", text) for text in ("5.5", "0", "1000000000")),
    *(("target", "moon"), ("target_pct", "Infinity"), ("target_pct", "-0.05")),
    *(("as_of", "2999-01-01"), ("trained_through", "0001-01-01"), ("chosen_through", "9999-12-31")),
    *(("skill_interval", text) for text in ("7", "[1]", "[1, 2, 3]", "{}")),
    *(("metrics", "[]"), ("metrics", '{"brier_score": "x"}'), ("effective_sample_size", "[]")),
    *(("model_sha256", "[1]"), ("model_sha256", "null"), ("feature_names", "5")),
    *(("feature_importance", "[]"), ("reference_importance", "{}"), ("synthetic", "1")),
    *(("time_period", "x"), ("candidates_tried", "many"), ("added_points", "[]")),
)


def forecast(pool, bar_date, *members, shadows=MappingProxyType({})):
    made = DayForecaster(
        pool.store,
        pool.registry,
        members or [MEMBER],
        pool.recipe,
        noon_after,
        stamp={"dagster_run_id": "run", "synthetic": True},
        abstain_beyond_widths=None,
        frames=FrameCache(pool.store),
    )
    vars(made)["shadows"] = shadows
    return made.forecast_day(bar_date)


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


def test_a_deleted_registered_model_is_made_again(pool):
    pool.registry.client.delete_registered_model(MODEL)
    assert "there is none" in pool.champion.fault
    pool.train(FIRST)
    pool.appoint(FIRST)
    assert pool.champion.fault == ""
    assert pool.aliases["champion"] == "1"


def test_another_model_under_the_number_that_serves_is_no_champion(pool):
    """Numbers begin anew where a registered model was deleted; the ledger knows the files."""
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


def assert_it_does_not_serve(pool, why):
    """The member abstains, its row of champions goes, and no rollback takes the version."""
    assert reconcile_all(pool.store, pool.registry, [MEMBER]) == {}
    assert not pool.store.exists("champions", MEMBER.partition_key)
    result = forecast(pool, SECOND)
    [row] = result.made
    assert (row["status"], row["signal"]) == ("abstain", False)
    assert why in row["abstain_reason"]
    assert list(result.failures) == [MEMBER.name]
    with pytest.raises(ModelUnavailable, match=re.escape(f"version 1 cannot be read: {why}")):
        roll_back(pool.store, pool.registry, MEMBER, "1", SECOND, noon_after(SECOND))


def test_a_tag_that_a_hand_has_taken_away_or_changed_is_a_fault_in_words(pool):
    """Whatever the tag; of one of each kind all that rests on it says so too."""
    version, client = pool.champion.version, pool.registry.client
    texts = ("classifier", "code_version", "data_hash")
    spoilt = [(name, None) for name in READ]
    spoilt += [(name, "{half") for name in (*READ, *READ_IF_THERE) if name not in texts]
    for name, value in [*spoilt, *OF_ANOTHER_FORM]:
        if value is None:
            client.delete_model_version_tag(MODEL, version.version, name)
        else:
            client.set_model_version_tag(MODEL, version.version, name, value)
        what = "is gone" if value is None else f"is {value!r}"
        said = f"of the tags of {MODEL} version 1 in MLflow {name} {what}"
        serves = f"version 1 serves by the ledger and cannot be read: {said}; train it with"
        assert serves in pool.champion.fault
        if (name, value) in (spoilt[0], spoilt[-1], *OF_ANOTHER_FORM[::4]):
            assert_it_does_not_serve(pool, said)
        client.set_model_version_tag(MODEL, version.version, name, version.tags.get(name, "{}"))
        assert pool.champion.fault == ""
    assert reconcile_all(pool.store, pool.registry, [MEMBER]) == {}
    assert pool.aliases["champion"] == "1"
    assert pool.store.exists("champions", MEMBER.partition_key)


def test_a_training_mends_the_tags_of_the_version_that_it_finds(pool):
    pool.registry.client.delete_model_version_tag(MODEL, "1", "classifier")
    pool.train(FIRST)
    pool.appoint(FIRST)
    assert pool.champion.fault == ""
    assert [row["status"] for row in forecast(replace(pool), SECOND).made] == ["active"]


def test_a_version_with_such_a_tag_stops_no_member_from_its_shadow(pool):
    pool.appoint(SECOND)
    champion, client = pool.champion, pool.registry.client
    [shadow] = shadows_of(pool.registry, champion)
    for name, value in OF_ANOTHER_FORM:
        client.set_model_version_tag(MODEL, shadow.version, name, value)
        assert shadows_of(pool.registry, champion) == []
        client.set_model_version_tag(MODEL, shadow.version, name, shadow.tags[name])
    assert shadows_of(pool.registry, champion) == [shadow]


@pytest.mark.parametrize("name", ["as_of", "settings", "model_sha256", "decision_threshold"])
def test_a_run_whose_tag_is_lost_is_trained_again_and_says_so_where_it_is_asked_for(pool, name):
    run_id, client = pool.champion.version.run_id, pool.registry.client
    client.set_tag(run_id, name, "{half")
    pool.train(FIRST)
    pool.appoint(FIRST)
    assert pool.champion.fault == ""
    if name != "model_sha256":
        client.delete_tag(run_id, name)
        with pytest.raises(UntrustedModel, match=f"{run_id} is not as it was logged.*{name}"):
            pool.registry.runs.get(run_id)


def remove(path):
    path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def dangle(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def replace_by_foreign_rows(path):
    pd.DataFrame({"x": [1.0]}).to_parquet(path)


@pytest.mark.parametrize("spoil", [remove, make_folder, dangle, replace_by_foreign_rows])
@pytest.mark.parametrize("what", ["snapshot", "model"])
def test_a_file_that_the_champion_rests_on_is_its_fault_and_any_training_mends_it(
    pool, what, spoil
):
    version = pool.champion.version
    file = Path(pool.store.path("training_snapshots", version.tags["data_hash"]))
    if what == "model":
        [file] = (local_path(version.location) / "artifacts").glob("estimator*")
    spoil(file)
    result = forecast(pool, SECOND)
    [row] = result.made
    assert (row["status"], row["signal"]) == ("abstain", False)
    assert result.failures[MEMBER.name] in row["abstain_reason"]
    decision = pool.appoint(SECOND)
    assert decision.decision == "replaced"
    assert pool.serving == "2"
    assert forecast(replace(pool), SECOND).failures == {}


def test_a_rollback_refuses_a_version_without_the_rows_of_its_training(pool):
    pool.appoint(SECOND, REFRESHED)
    before = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    pool.store.remove("training_snapshots", before.tags["data_hash"])
    with pytest.raises(ModelUnavailable, match="version 1 lacks the rows of its training"):
        roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    assert pool.serving == "2"


def test_lost_training_rows_come_back_with_the_training_that_they_were_of(pool):
    pool.store.remove("training_snapshots", pool.champion.version.tags["data_hash"])
    assert pool.appoint(FIRST).decision == "serves"
    [row] = forecast(pool, SECOND).made
    assert row["status"] == "active"


def test_a_damaged_version_in_the_shadow_is_named_and_fails_no_day(pool):
    pool.appoint(SECOND, REFRESHED)
    shadow = pool.registry.versions.get(MEMBER.name, pool.champion.standing.previous)
    (local_path(shadow.location) / "artifacts" / "calibration.json").write_bytes(b"")
    result = forecast(pool, SECOND, shadows={MEMBER: [shadow]})
    assert (len(result.made), result.shadows, result.failures) == (1, [], {})
    assert "calibration.json is not what was logged" in result.without_shadow[MEMBER.name]


def test_a_damaged_ledger_leaves_the_stored_row_and_is_named(pool):
    assert [row["status"] for row in forecast(pool, SECOND).made] == ["active"]
    [key] = pool.store.keys("promotions")
    Path(pool.store.path("promotions", key)).write_bytes(b"half")
    result = forecast(pool, SECOND)
    assert f"promotions/{MEMBER.partition_key}".replace("|", "%7C") in result.failures[MEMBER.name]
    [row] = stored_rows(pool.store, PREDICTIONS, SECOND.isoformat())
    assert (row["status"], row["model_version"]) == ("active", "1")
    assert [row["status"] for row in forecast(pool, FIRST).made] == ["baseline"]


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
