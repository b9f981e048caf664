"""The ledger alone says who serves: aliases and the table of champions follow it."""

import pandas as pd

from crypto_pool.workflow.promotion import promoting, reconciling
from crypto_pool.workflow.promotion.reconciling import reconcile, reconcile_all
from crypto_pool_tests.workflow.small_pool import MEMBER, REFRESHED, SECOND


def test_what_the_ledger_says_is_so_before_aliases_follow(pool, monkeypatch):
    """A process that ends after the record leaves a decision that no alias tells."""
    monkeypatch.setattr(promoting, "reconcile", lambda *_: pool.champion)
    pool.appoint(SECOND, REFRESHED)
    monkeypatch.undo()
    assert pool.serving == "2"
    assert pool.aliases == {"champion": "1"}
    assert reconcile(pool.store, pool.registry, MEMBER).version.version == "2"
    assert pool.aliases == {"champion": "2", "previous": "1"}


def test_reconciling_gives_back_aliases_and_champions_that_were_thrown_away(pool):
    pool.appoint(SECOND, REFRESHED)
    before, row = pool.aliases, pool.store.read("champions", MEMBER.partition_key)
    assert before == {"champion": "2", "previous": "1"}
    pool.registry.versions.set_aliases(MEMBER.name, dict.fromkeys(before))
    pool.store.remove("champions", MEMBER.partition_key)
    for _ in range(2):
        reconcile(pool.store, pool.registry, MEMBER)
        assert pool.aliases == before
        pd.testing.assert_frame_equal(pool.store.read("champions", MEMBER.partition_key), row)


def test_a_ledger_that_is_gone_is_named_and_nobody_serves_by_what_followed_it(pool):
    key, store = MEMBER.partition_key, pool.store
    store.remove("promotions", key)
    faults = reconcile_all(store, pool.registry, [MEMBER])
    assert "promotions/AAA%7Cuptrend.parquet is gone, by which version 1 served; run" in faults[key]
    assert pool.aliases == {}
    assert not store.exists("champions", key)
    pool.appoint(SECOND)
    assert reconcile_all(store, pool.registry, [MEMBER]) == {}


def test_members_whose_aliases_or_row_differ_from_the_ledger_are_reconciled(pool, monkeypatch):
    """And those alone: where all agree no member is looked at by itself."""
    pool.appoint(SECOND, REFRESHED)
    store, versions, key = pool.store, pool.registry.versions, MEMBER.partition_key
    before, row = pool.aliases, store.read("champions", key)
    for lose in (
        lambda: versions.set_aliases(MEMBER.name, {**before, "champion": "1"}),
        lambda: versions.set_aliases(MEMBER.name, {**before, "previous": None}),
        lambda: store.write("champions", key, row.assign(model_version="1")),
        lambda: store.remove("champions", key),
    ):
        lose()
        assert reconcile_all(store, pool.registry, [MEMBER]) == {}
        assert pool.aliases == before
        pd.testing.assert_frame_equal(store.read("champions", key), row)
    monkeypatch.setattr(reconciling, "reconcile", None)
    assert reconcile_all(store, pool.registry, [MEMBER]) == {}
    store.remove("champions", key)
    assert list(reconcile_all(store, pool.registry, [MEMBER])) == [key]
