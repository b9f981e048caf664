"""What is observed of each member: its age, its drift, its faults, whether it is quarantined."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow.runs import HASHES_TAG
from crypto_pool.adapters.mlflow.version import model_name
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.workflow import monitoring
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool_tests.decisions import a_decision
from crypto_pool_tests.workflow.reviewed_pool import (
    BAD,
    OTHER,
    TODAY,
    observe,
    review,
    write_outcomes,
)
from crypto_pool_tests.workflow.small_pool import MEMBER, SECOND, STAYS, noon_after


def test_a_fresh_member_is_observed_as_such(pool):
    state = observe(pool, date(2022, 7, 1))
    assert state.has_champion
    assert state.trained_as_of == date(2022, 6, 1)
    assert state.new_labelled_rows == 30
    assert state.fault == ""
    assert not state.code_changed
    changed = Recipe(Target(pct=0.1))
    states, _ = observe_members(
        pool.store, pool.registry, [MEMBER], changed, 240, TODAY, noon_after(TODAY)
    )
    assert "target_pct was 0.05 and is 0.1" in states[0].fault


def test_a_member_that_was_never_trained_has_no_champion_and_no_new_rows(pool):
    states, faults = observe_members(
        pool.store, pool.registry, [OTHER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    [state] = states
    assert faults == {}
    assert (state.has_champion, state.trained_as_of, state.code_changed) == (False, None, False)
    assert (state.new_labelled_rows, state.drift, state.fault) == (0, None, "")


def test_another_schema_is_a_fault_of_its_own_and_no_drift(pool):
    features = pool.store.read("feature_table", MEMBER.symbol)
    pool.store.write("feature_table", MEMBER.symbol, features.drop(columns="MACD") * 1e6)
    state = observe(pool, TODAY)
    assert (state.drift, state.drifted_feature) == (0.0, "")
    assert "MACD" in state.fault


def test_a_member_that_cannot_be_observed_stops_no_other(pool):
    Ledger(pool.store).record(a_decision(OTHER, noon_after(SECOND), decision="rolled back"))
    [key] = [key for key in pool.store.keys("promotions") if key.startswith(OTHER.partition_key)]
    Path(pool.store.path("promotions", key)).write_bytes(b"cut")
    states, faults = observe_members(
        pool.store, pool.registry, [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert [state.member for state in states] == [MEMBER]
    assert faults[OTHER.name].startswith("cannot be observed: CorruptPartition: ")


def test_a_champion_without_its_tags_is_observed_to_have_a_fault(pool):
    champion = pool.champion.version
    bare = replace(champion, member_name=OTHER.name, tags={}, ledger_hashes={})
    versions = {(one.member_name, one.version): one for one in (champion, bare)}
    registry = SimpleNamespace(versions=SimpleNamespace(get_all=lambda _: versions))
    Ledger(pool.store).record(a_decision(OTHER, noon_after(SECOND), decision="rolled back"))
    states, faults = observe_members(
        pool.store, registry, [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert faults == {}
    assert [(state.member, "as_of is gone" in state.fault) for state in states] == [
        (OTHER, True),
        (MEMBER, False),
    ]


def look(pool, as_of, **options):
    """Observe as the pool does, beside what is found where nothing was kept."""
    arguments = [MEMBER], options.pop("recipe", Recipe()), 240, as_of, noon_after(as_of)
    kept = observe_members(pool.store, pool.registry, *arguments, **options)
    if pool.store.exists("derived", "member_states"):
        pool.store.remove("derived", "member_states")
    assert kept == observe_members(pool.store, pool.registry, *arguments, **options)
    return kept[0]


def later_rows(pool, table, days=80, **changed):
    rows = pool.store.read(table, MEMBER.symbol)
    added = rows.tail(days).assign(**changed)
    added.index += pd.Timedelta(days=days)
    pool.store.write(table, MEMBER.symbol, pd.concat([rows, added]))


def test_what_is_kept_of_a_member_equals_what_is_found_anew(pool, monkeypatch):
    """Whatever changes, by whatever hand: bars, features, ledger, outcomes, day, terms, code."""
    assert look(pool, TODAY) == look(pool, TODAY)
    assert look(pool, TODAY + timedelta(days=1))
    assert "target_pct was" in look(pool, TODAY, recipe=Recipe(Target(pct=0.1)))[0].fault

    later = pool.store.read("daily_bars", MEMBER.symbol).index.max().date() + timedelta(days=120)
    before = look(pool, later)[0]
    for table in ("daily_bars", "feature_table"):
        later_rows(pool, table)
    assert look(pool, later)[0].new_labelled_rows == before.new_labelled_rows + 80
    later_rows(pool, "daily_bars", 40)
    later_rows(pool, "feature_table", 40, MACD=1e6)
    assert look(pool, later)[0].drifted_feature == "MACD"

    write_outcomes(pool, "prediction_outcomes", "1", error=BAD)
    assert look(pool, TODAY)[0].performance.rows == 200
    review(pool)
    [found] = look(pool, TODAY)
    assert "worse than the reference" in found.quarantine

    for another in ("0", "~"):
        with monkeypatch.context() as patch:
            patch.setattr(monitoring, "training_version", lambda code=another: code)
            assert look(pool, TODAY)[0].code_changed
    assert not look(pool, TODAY)[0].code_changed

    pool.appoint(SECOND, STAYS)
    [found] = look(pool, SECOND)
    assert (found.quarantine, found.trained_as_of) == ("", SECOND)


def test_an_older_day_trained_again_is_not_the_last_training(pool):
    before, kept = look(pool, TODAY)[0], {"decision": "kept", "serving_version": "1"}
    older = before.trained_as_of - timedelta(days=30)
    Ledger(pool.store).record(
        a_decision(MEMBER, noon_after(TODAY), as_of=older, model_version="2", **kept)
    )
    assert look(pool, TODAY) == [before]


def test_a_champion_that_mlflow_lost_or_changed_is_found_though_nothing_else_changed(pool):
    assert look(pool, TODAY)[0].fault == ""
    client, version = pool.registry.client, pool.champion.version
    name = model_name(MEMBER.name)
    client.set_model_version_tag(name, version.version, "target_pct", "0.1")
    assert "target_pct was 0.1 and is 0.05" in look(pool, TODAY)[0].fault
    client.set_model_version_tag(name, version.version, HASHES_TAG, '{"a": "b"}')
    assert "another in MLflow than the ledger let serve" in look(pool, TODAY)[0].fault
    client.delete_model_version(name, version.version)
    assert "gone from MLflow" in look(pool, TODAY)[0].fault


def test_what_is_decided_later_in_the_day_is_observed_then(pool):
    """A state seen before it, by a clock that was behind, is not kept for it."""
    noon = noon_after(TODAY)
    decided = a_decision(MEMBER, noon + timedelta(hours=1), decision="quarantined", reason="off")
    Ledger(pool.store).record(replace(decided, serving_version="1", model_version="1"))
    for hours, quarantine in ((0, ""), (1, "off"), (2, "off")):
        now = noon + timedelta(hours=hours)
        [state], _ = observe_members(pool.store, pool.registry, [MEMBER], Recipe(), 240, TODAY, now)
        assert state.quarantine == quarantine


def test_a_champion_whose_training_rows_are_gone_has_a_fault_and_is_trained_again(pool):
    assert observe(pool, TODAY).fault == ""
    pool.store.remove("training_snapshots", pool.champion.version.tags["data_hash"])
    states, faults = observe_members(
        pool.store, pool.registry, [MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    )
    assert faults == {}
    assert "lacks the rows of its training" in states[0].fault


def test_a_tick_observes_some_members_and_the_next_goes_on(pool):
    other = Ledger(pool.store).of_member(MEMBER).assign(trend="downtrend", serving_version=None)
    pool.store.write("promotions", f"{OTHER.partition_key}|1", other)
    arguments = [OTHER, MEMBER], Recipe(), 240, TODAY, noon_after(TODAY)
    seen = [observe_members(pool.store, pool.registry, *arguments, 1)[0] for _ in range(2)]
    assert [[state.member for state in states] for states in seen] == [[OTHER], [OTHER, MEMBER]]
