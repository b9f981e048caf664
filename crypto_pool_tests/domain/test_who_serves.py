"""Who serves, by the decisions of the ledger alone."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from crypto_pool.domain.who_serves import Standing, is_panel_barred

NOON = datetime(2023, 6, 2, 12)


def decisions(text: str) -> pd.DataFrame:
    """`promoted 1, kept 2/1`: the version a decision is about, and who serves after it."""
    rows = []
    for number, words in enumerate(text.split(", ") if text else []):
        decision, versions = words.rsplit(" ", 1)
        about, _, serving = versions.partition("/")
        rows.append(
            {
                "decision": decision,
                "model_version": None if about == "-" else about,
                "serving_version": None if serving == "-" else serving or about,
                "as_of": date(2023, 6, 1) + timedelta(days=number),
                "decided_at_utc": pd.Timestamp(NOON) + timedelta(days=number),
                "reason": f"because of {number}",
                "model_sha256": None,
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("decided", "targets", "left"),
    [
        ("", "", ""),
        ("promoted 1, kept 2/1, expired 2, promoted 3", "123", ""),
        ("promoted 1, promoted 2, promoted 3, rolled back 2", "12", "3"),
        ("promoted 1, promoted 2, promoted 3, rolled back 2, rolled back 1", "1", "32"),
        ("promoted 1, promoted 2, promoted 3, rolled back 1", "1", "3"),  # 2 came after 1
        ("promoted 1, promoted 2, rolled back 1, promoted 3", "13", "2"),
        ("promoted 1, promoted 2, rolled back 1, promoted 2", "12", ""),
        ("promoted 1, promoted 2, rolled back 1, rolled back 2", "2", "1"),
        ("promoted 1, promoted 3, quarantined 3, rolled back 2", "12", "3"),  # 2 never served
    ],
)
def test_it_says_where_a_rollback_may_go(decided, targets, left):
    standing = Standing.of(decisions(decided))
    assert ("".join(standing.targets), "".join(standing.left)) == (targets, left)
    assert standing.serving == (targets[-1] if targets else None)
    assert standing.previous == (targets[-2] if len(targets) > 1 else None)


@pytest.mark.parametrize(
    ("decided", "serving", "challenger", "quarantine"),
    [
        ("promoted 1, kept 2/1", "1", "2", ""),
        ("promoted 1, kept 2/1, kept 3/1", "1", "3", ""),
        ("promoted 1, kept 2/1, promoted 3", "3", None, ""),
        ("promoted 1, quarantined 1", "1", None, "because of 1"),
        ("promoted 1, quarantined 1, refreshed 2", "2", None, ""),
        ("promoted 1, rejected -/1", "1", None, ""),
        ("promoted 1, stood down -/-", None, None, ""),
        ("promoted 1, stood down -/-, promoted 2", "2", None, ""),
    ],
)
def test_it_says_who_serves_and_who_forecasts_in_the_shadow(
    decided, serving, challenger, quarantine
):
    standing = Standing.of(decisions(decided))
    assert (standing.serving, standing.challenger) == (serving, challenger)
    assert standing.quarantine == quarantine


def test_a_build_for_an_older_date_leaves_the_challenger_as_it_is():
    rows = decisions("promoted 1, kept 2/1")
    older = rows.iloc[[1]].assign(model_version="3", as_of=date(2023, 5, 1))
    assert Standing.of(pd.concat([rows, older])).challenger == "2"


def test_of_trainings_for_one_date_the_latest_is_the_challenger():
    rows = decisions("promoted 1, kept 2/1")
    again = rows.iloc[[1]].assign(model_version="3")
    assert Standing.of(pd.concat([rows, again])).challenger == "3"


def test_a_moment_knows_nothing_later():
    rows = decisions("promoted 1, promoted 2")
    assert Standing.of(rows, NOON.replace(tzinfo=UTC)).serving == "1"
    assert Standing.of(rows, NOON.replace(tzinfo=UTC) - timedelta(days=1)).serving is None


@pytest.mark.parametrize(
    ("as_of", "barred"),
    [
        (date(2024, 1, 9), False),
        (date(2024, 1, 10), True),
        (date(2024, 3, 31), True),
        (date(2024, 5, 3), True),
        (date(2024, 5, 4), False),
    ],
)
def test_a_quarantined_panel_is_barred_until_two_later_origins(as_of, barred):
    decisions = pd.DataFrame(
        {"decision": ["promoted", "quarantined"], "algorithm": "Panel", "as_of": date(2024, 1, 10)}
    )
    origins = [date(2024, 1, 5), date(2024, 3, 5), date(2024, 5, 4), date(2024, 7, 3)]
    assert is_panel_barred(decisions, origins, as_of) is barred
    assert not is_panel_barred(decisions.assign(algorithm="LightGBM"), origins, as_of)
    assert not is_panel_barred(decisions.iloc[:1], origins, as_of)
