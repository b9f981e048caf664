"""The ledger of promotions: what it reads, and in which order decisions stand."""

from datetime import UTC, datetime

import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import TABLE, Ledger, Promotion
from crypto_pool.domain.market import Member

NOON = datetime(2023, 6, 2, 12, tzinfo=UTC)
BTC, ETH = Member.parse("BTC_uptrend"), Member.parse("ETH_uptrend")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(FrameStore(str(tmp_path)))


def promotion(
    version: str, member: Member = BTC, decision: str = "promoted", at: datetime = NOON
) -> Promotion:
    return Promotion(
        decided_at_utc=at,
        as_of=NOON.date(),
        member=member,
        model_version=version,
        algorithm="LightGBM",
        decision=decision,
        serving_version=version,
        reason="it is better",
        champion_metrics={},
        challenger_metrics={},
        data_hash="d",
        code_version="c",
        dagster_run_id="r",
    )


def test_a_member_s_decisions_are_read_from_its_own_files(ledger):
    """A name that begins alike is another's, and a damaged file of another harms nobody."""
    ledger.record(promotion("1"))
    ledger.record(promotion("1", Member.parse("BTC_downtrend")))
    ledger.record(promotion("1", Member.parse("XBTC_uptrend")))
    store = ledger.store
    with open(store.path(TABLE, promotion("1", ETH).key()), "wb") as file:
        file.write(b"half a file")
    rows = ledger.of_member(BTC)
    assert list(map(tuple, rows[["symbol", "trend"]].to_numpy())) == [("BTC", "uptrend")]
    assert ledger.of_member(Member.parse("SOL_uptrend")).empty
