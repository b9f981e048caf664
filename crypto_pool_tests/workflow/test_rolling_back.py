"""A champion rolled back stays so, and a version that was left is made again from its rows."""

import os
import signal

import pandas as pd
import pytest

from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.promotion.reconciling import reconcile
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool.workflow.reproducing import reproduce
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT
from crypto_pool_tests.forking import run_forked
from crypto_pool_tests.workflow.small_pool import (
    FIRST,
    MEMBER,
    REFRESHED,
    SECOND,
    killed_at,
    noon_after,
)


@pytest.mark.parametrize("write", ["record", "set_aliases", "write_ledger", "write"])
def test_a_rollback_killed_at_any_write_is_done_or_is_not(pool, write):
    """Up to its line in the ledger the version stays; from then on the other serves."""
    pool.appoint(SECOND, REFRESHED)
    skipped = {"write_ledger": "given[1] != 'promotions'", "write": "given[1] != 'champions'"}
    target = {
        "record": "crypto_pool.adapters.ledger.Ledger.record",
        "set_aliases": "mlflow.MlflowClient.set_registered_model_alias",
    }.get(write, "crypto_pool.adapters.frame_store.FrameStore.write")
    script = killed_at(
        target,
        f"""
from crypto_pool.workflow.promotion.rolling_back import roll_back
from crypto_pool_tests.workflow.small_pool import MEMBER, SECOND, SmallPool, noon_after
pool = SmallPool(Path({str(pool.folder)!r}))
roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
""",
        skip=skipped.get(write, "False"),
    )
    killed = run_forked(("code", script), [], os.environ, ROOT, PATIENCE_SECONDS)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    is_done = write in ("set_aliases", "write")
    reconcile(pool.store, pool.registry, MEMBER)
    assert pool.serving == ("1" if is_done else "2")
    assert pool.aliases == ({"champion": "1"} if is_done else {"champion": "2", "previous": "1"})
    row = pool.store.read("champions", MEMBER.partition_key)
    assert list(row["model_version"]) == [pool.serving]
    if not is_done:
        roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    assert pool.serving == "1"
    assert list(pool.decisions["decision"]) == ["promoted", "refreshed", "rolled back"]


def test_rollback_serves_the_previous_version_and_no_build_undoes_it(pool):
    pool.appoint(SECOND, REFRESHED)
    done = roll_back(pool.store, pool.registry, MEMBER, None, SECOND, noon_after(SECOND))
    assert (done.before, done.after) == ("2", "1")
    assert done.summary == (
        "AAA_uptrend: version 1 serves, version 2 does no more. Stored forecasts stay those of the "
        "version that made them; version 1 makes the next ones."
    )
    assert pool.serving == "1"
    assert pool.decisions["decision"].iloc[-1] == "rolled back"
    assert pool.store.read("champions", MEMBER.partition_key)["model_version"][0] == "1"

    assert "rolled back by hand" in pool.appoint(SECOND, REFRESHED).reason
    assert pool.serving == "1"
    roll_back(pool.store, pool.registry, MEMBER, "2", SECOND, noon_after(SECOND))
    assert pool.serving == "2"


def test_rollback_never_returns_to_a_version_that_was_left(pool):
    pool.appoint(SECOND, REFRESHED)
    store, registry, now = pool.store, pool.registry, noon_after(SECOND)
    roll_back(store, registry, MEMBER, None, SECOND, now)
    told = r"AAA_uptrend: no version before 1 .* --to 2 brings back the one that was left"
    with pytest.raises(ModelUnavailable, match=told):
        roll_back(store, registry, MEMBER, None, SECOND, now)
    assert pool.serving == "1"
    roll_back(store, registry, MEMBER, "2", SECOND, now)
    with pytest.raises(ModelUnavailable, match=r"no version before 2 .* --to 1 brings back"):
        roll_back(store, registry, MEMBER, None, SECOND, now)


def test_rollback_needs_somewhere_to_go(pool):
    with pytest.raises(ModelUnavailable, match="no previous version"):
        roll_back(pool.store, pool.registry, MEMBER, None, FIRST, noon_after(FIRST))
    with pytest.raises(ModelUnavailable, match="no version 9: there are 1"):
        roll_back(pool.store, pool.registry, MEMBER, "9", FIRST, noon_after(FIRST))
    with pytest.raises(ModelUnavailable, match="serves already"):
        roll_back(pool.store, pool.registry, MEMBER, "1", FIRST, noon_after(FIRST))


def test_a_version_is_reproduced_from_its_stored_rows(pool):
    done = reproduce(pool.store, pool.registry, MEMBER, "1")
    assert done.is_equal, done
    assert done.rows == 500

    key = pool.champion.version.tags["data_hash"]
    rows: pd.DataFrame = pool.store.read("training_snapshots", key)
    pool.store.write("training_snapshots", key, rows.assign(label=1 - rows["label"]))
    assert not reproduce(pool.store, pool.registry, MEMBER, "1").is_equal
