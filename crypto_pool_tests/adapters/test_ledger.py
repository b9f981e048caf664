"""The ledger of promotions: what it reads, and in which order decisions stand."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import TABLE, Ledger, Promotion
from crypto_pool.domain.members import Member
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import CorruptPartition
from crypto_pool_tests.decisions import a_decision

NOON = datetime(2023, 6, 2, 12, tzinfo=UTC)
BTC, ETH = Member.parse("BTC_uptrend"), Member.parse("ETH_uptrend")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(FrameStore(str(tmp_path)))


def promotion(
    version: str, member: Member = BTC, decision: str = "promoted", at: datetime = NOON
) -> Promotion:
    return a_decision(member, at, model_version=version, decision=decision)


def test_a_member_s_decisions_are_read_from_its_own_files(ledger):
    """A name that begins alike is another's, and a damaged file of another harms nobody."""
    ledger.record(promotion("1"))
    ledger.record(promotion("1", Member.parse("BTC_downtrend")))
    ledger.record(promotion("1", Member.parse("XBTC_uptrend")))
    store = ledger.store
    with open(store.path(TABLE, ETH.partition_key), "wb") as file:
        file.write(b"half a file")
    rows = ledger.of_member(BTC)
    assert list(map(tuple, rows[["symbol", "trend"]].to_numpy())) == [("BTC", "uptrend")]
    assert ledger.of_member(Member.parse("SOL_uptrend")).empty


def test_one_reading_of_the_ledger_gives_of_each_member_what_its_own_files_say(ledger):
    later = NOON + timedelta(hours=1)
    for decided in (
        promotion("1", ETH),
        promotion("1"),
        promotion("2", at=later),
        promotion("2", ETH, at=later),
    ):
        ledger.record(decided)
    together = ledger.by_member()
    assert set(together) == {BTC, ETH}
    for member, rows in together.items():
        pd.testing.assert_frame_equal(rows, ledger.of_member(member))


def test_a_decision_stands_after_those_written_before_it(ledger):
    """Somebody rolled back while the batch that promotes, laid out before, was at work."""
    hour = timedelta(hours=1)
    ledger.record(promotion("1", at=NOON - hour))
    ledger.record(promotion("1", decision="rolled back", at=NOON + hour))
    assert ledger.record(promotion("2", at=NOON))
    rows = ledger.of_member(BTC)
    assert list(rows["decision"]) == ["promoted", "rolled back", "promoted"]
    assert rows["decided_at_utc"].iloc[-1] - rows["decided_at_utc"].iloc[-2] == timedelta(
        microseconds=1
    )
    assert Standing.of(rows, NOON + 2 * hour).serving == "2"
    assert not ledger.record(promotion("2", at=NOON + 3 * hour))


def test_what_was_decided_since_a_version_was_appointed_is_decided_once(ledger):
    """A build of an older date, done again, adds nothing; after another appointment it does."""
    made = [promotion("1"), promotion("2", decision="kept"), promotion("3", decision="rejected")]
    assert [ledger.record(one) for one in (*made, *made[1:])] == [True] * 3 + [False] * 2
    assert ledger.record(promotion("9"))
    assert [ledger.record(one) for one in made[1:]] == [True, True]
    assert ledger.store.keys(TABLE) == [BTC.partition_key]


def test_decisions_under_a_clock_that_stands_still_do_not_tie(ledger):
    """Each rollback is an act of its own, also where it repeats an earlier one."""
    ledger.record(promotion("2"))
    for version in ("1", "2", "1"):
        assert ledger.record(promotion(version, decision="rolled back"))
    ledger.record(promotion("9", ETH))
    rows = ledger.of_member(BTC)
    assert list(rows["serving_version"]) == ["2", "1", "2", "1"]
    assert rows["decided_at_utc"].is_unique
    assert ledger.of_member(ETH)["decided_at_utc"].iloc[0] == pd.Timestamp("2023-06-02 12:00")


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def told(ledger: Ledger, last: str) -> pd.DataFrame:
    """A promotion at noon, a quarantine a day later, and a last decision the day after."""
    for number, decision in enumerate(("promoted", "quarantined", last)):
        ledger.record(promotion(str(number + 1), decision=decision, at=NOON + number * DAY))
    return ledger.of_member(BTC)


@pytest.mark.parametrize(
    "decision", ["promoted", "replaced", "refreshed", "expired", "rolled back"]
)
def test_a_quarantine_ends_the_moment_a_version_is_appointed(ledger, decision):
    decisions = told(ledger, decision)
    assert Standing.of(decisions, NOON + DAY - SECOND).quarantine == ""
    assert Standing.of(decisions, NOON + DAY).quarantine == "it is better"
    assert Standing.of(decisions, NOON + 2 * DAY - SECOND).quarantine == "it is better"
    assert Standing.of(decisions, NOON + 2 * DAY).quarantine == ""


@pytest.mark.parametrize("decision", ["kept", "rejected"])
def test_a_decision_that_appoints_nobody_ends_no_quarantine(ledger, decision):
    assert Standing.of(told(ledger, decision), NOON + 9 * DAY).quarantine == "it is better"


def test_a_version_serves_from_the_moment_of_its_decision(ledger):
    decisions = told(ledger, "promoted")
    assert Standing.of(decisions, NOON - SECOND).serving is None
    for zone in (UTC, timezone(timedelta(hours=9))):
        decided = (NOON + 2 * DAY).astimezone(zone)
        assert Standing.of(decisions, decided).serving == "3"
        assert Standing.of(decisions, decided - SECOND).serving == "2"
    assert Standing.of(pd.DataFrame(), NOON).serving is None


def test_a_damaged_decision_leaves_its_member_alone_without_a_ledger(ledger):
    """Who serves it is not known; every other member's decisions are read."""
    ledger.record(promotion("1"))
    for version, hour in (("1", 0), ("2", 1)):
        ledger.record(promotion(version, ETH, at=NOON + timedelta(hours=hour)))
    path = Path(ledger.store.path(TABLE, ETH.partition_key))
    path.write_bytes(path.read_bytes()[:-20])
    decisions = ledger.by_member()
    assert list(decisions) == [BTC]
    assert decisions.of(Member.parse("SOL_uptrend")).empty
    with pytest.raises(CorruptPartition, match="delete it, then run `crypto-pool train`"):
        decisions.of(ETH)
    with pytest.raises(CorruptPartition):
        ledger.record(promotion("3", ETH))


def test_a_damaged_decision_in_a_file_of_its_own_is_its_member_s(ledger):
    """As 1.0.0 left it, and as it stays where it could not be gathered."""
    for member in (BTC, ETH):
        ledger.record(promotion("1", member))
    Path(ledger.store.path(TABLE, f"{ETH.partition_key}|0f")).write_bytes(b"half a file")
    decisions = ledger.by_member()
    assert (list(decisions), list(decisions.faults)) == ([BTC], [ETH])


def test_decisions_made_at_once_stand_one_after_the_other(ledger):
    """Each is dated after the one it follows, whoever writes at the same time."""
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: ledger.record(promotion(str(n))), range(40)))
    assert all(made)
    rows = ledger.of_member(BTC)
    assert rows["decided_at_utc"].is_unique
    assert sorted(rows["model_version"], key=int) == [str(n) for n in range(40)]


def test_a_stranger_s_file_in_the_ledger_is_no_member_s(ledger):
    ledger.record(promotion("1"))
    for name in ("NOPE", "NO PE|uptrend", "BTC|sideways", "x|y|z"):
        Path(ledger.store.path("promotions", name)).write_bytes(b"junk")
    decisions = ledger.by_member()
    assert decisions.faults == {}
    assert len(decisions) == 1
