"""A tag that a hand has spoilt in MLflow is its version's fault in words, and training mends it."""

import json
import re
from dataclasses import replace

import pytest

from crypto_pool.adapters.mlflow.version import READ, READ_IF_THERE
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool.workflow.promotion.reconciling import reconcile_all, shadows_of
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    MODEL,
    SECOND,
    examine,
    forecast,
    noon_after,
)

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics", '{"promised_precision": 0.99}'),
        ("decision_threshold", "0.7"),
        ("trained_through", "2021-01-01"),
        ("code_version", "another"),
    ],
)
def test_a_tag_that_a_hand_has_changed_plausibly_is_held_against_what_was_recorded(
    pool, name, value
):
    """By `doctor`; the ledger has the promise, and the run the rest."""
    before = pool.champion.version.tags[name]
    pool.registry.client.set_model_version_tag(MODEL, "1", name, value)
    assert pool.champion.fault == ""
    fault = examine(pool)[MEMBER.name]
    if name == "metrics":
        name, value = "promised_precision of metrics", 0.99
        before = json.loads(before)["promised_precision"]
    changed = f"{name} is {value} and was {before}: set it back there"
    assert fault == f"of the tags of {MODEL} version 1 in MLflow {changed}"


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
