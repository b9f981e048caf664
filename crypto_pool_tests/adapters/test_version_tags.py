"""What the tags of a version in MLflow say of it, read, checked and in words."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from crypto_pool.adapters.mlflow.version import CORRECTED, read_version, version_in_words
from crypto_pool.domain.recipe import Target
from crypto_pool_tests.adapters.conftest import MEMBER

NOON = datetime(2023, 1, 2, 12, tzinfo=UTC)
MADE = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
STORED = SimpleNamespace(
    version="1", run_id="r", source="here", creation_timestamp=MADE.timestamp() * 1000
)
TAGS = {
    **dict.fromkeys(("classifier", "code_version", "data_hash"), "some"),
    **dict.fromkeys(("as_of", "chosen_through", "trained_through"), "2024-01-01"),
    **dict.fromkeys(CORRECTED, "null"),
    **{"target": "sma_shift", "target_pct": "0.05", "prediction_window_days": "1"},
    **{"decision_threshold": "0", "skill_interval": "[null, 0.2]"},
}


def test_a_version_says_what_it_promises_with_its_interval() -> None:
    figures = {
        "promised_precision": 0.61234,
        "promised_precision_low": 0.5,
        "promised_precision_high": 0.7,
        "promised_skill_over_reference": 0.01,
        "promised_skill_over_reference_low": None,
        "promised_skill_over_reference_high": 0.02,
    }
    words = version_in_words({"metrics": json.dumps(figures)}, Target())
    assert words.endswith(
        "trained through an unknown day. Promised: precision 0.612 (0.500 to 0.700), "
        "skill over the random-walk reference 0.010."
    )
    assert version_in_words({}, Target()).endswith("Promised: nothing.")
    moved = {"metrics": json.dumps({"added_points": 1.26})}
    words = version_in_words(moved, Target())
    assert words.endswith("Promised: nothing. It moves its baseline by 1.3 points on average.")


def test_of_a_version_whose_tags_can_be_read_nothing_is_at_fault() -> None:
    highest = {"decision_threshold": "1", "prediction_window_days": "90", "synthetic": "true"}
    for tags in (TAGS, TAGS | highest):
        assert read_version(MEMBER, STORED, tags).fault == ""


def test_a_tag_that_is_gone_is_its_version_s_fault_but_for_those_it_may_lack() -> None:
    tags = {name: text for name, text in TAGS.items() if name not in ("classifier", "target")}
    told = read_version(MEMBER, STORED, tags | {"synthetic": "maybe"}).fault
    assert told.endswith("in MLflow classifier is gone, target is gone, synthetic is 'maybe'")


def test_the_hashes_of_the_ledger_go_before_those_of_the_tag() -> None:
    version = read_version(MEMBER, STORED, {"model_sha256": '{"a.skops": "0f"}'})
    assert version.model_hashes == {"a.skops": "0f"}
    assert replace(version, ledger_hashes={"a.skops": "1f"}).model_hashes == {"a.skops": "1f"}
    assert read_version(MEMBER, STORED, {}).model_hashes == {}


@pytest.mark.parametrize("dated", [{}, {"registered_at_utc": "someday"}])
def test_a_version_that_nobody_dated_has_the_time_of_mlflow(dated: dict[str, str]) -> None:
    assert read_version(MEMBER, STORED, dated).registered_at_utc == MADE
    own = {"registered_at_utc": NOON.isoformat()}
    assert read_version(MEMBER, STORED, own).registered_at_utc == NOON


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("decision_threshold", '"0.5"'),
        ("decision_threshold", "1.01"),
        ("decision_threshold", "-0.01"),
        ("prediction_window_days", "91"),
        ("target_pct", "Infinity"),
        ("synthetic", "1"),
        ("metrics", "[]"),
        ("candidates_tried", "1.5"),
        ("prediction_window_days", "0"),
        ("target_pct", "0"),
        ("skill_interval", "[1]"),
        ("target", "moon"),
        ("as_of", "2024-13-01"),
    ],
)
def test_a_tag_that_is_nothing_it_can_be_is_its_version_s_fault(name: str, text: str) -> None:
    fault = read_version(MEMBER, STORED, {**TAGS, name: text}).fault
    assert fault == f"of the tags of BTC_uptrend_model version 1 in MLflow {name} is {text!r}"
