"""Aliases show who serves; they follow what the ledger says."""

import pytest

from crypto_pool.adapters.mlflow import ModelRegistry, versions
from crypto_pool.adapters.mlflow.store import OWN_TAG, REGISTERED_MODEL
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


def test_aliases_are_pointed_at_versions_and_taken_away(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    assert registry.versions.aliases_of(MEMBER) == {}
    candidate = log(registry, candidate_fit())
    first = registry.versions.register(MEMBER, candidate, {"symbol": "BTC"})
    second = registry.versions.register(MEMBER, log(registry, candidate_fit("LightGBM")), {})

    registry.versions.set_aliases(MEMBER, {"champion": first, "challenger": second})
    assert registry.versions.aliases() == {MEMBER: {"champion": first, "challenger": second}}
    wanted = {"champion": second, "previous": first, "challenger": None}
    for _ in range(2):
        registry.versions.set_aliases(MEMBER, wanted)
    assert registry.versions.aliases_of(MEMBER) == {"champion": second, "previous": first}

    version = registry.versions.get(MEMBER, first)
    assert (version.version, version.run_id) == (first, candidate.run_id)
    assert version.tags["symbol"] == "BTC"
    assert version.model_hashes == candidate.model_hashes
    assert version.registered_at_utc.utcoffset() is not None


def test_every_page_of_members_is_read_and_nobody_else_s_models(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PAGE_SIZE", 1)
    members = [f"{symbol}_uptrend" for symbol in ("ADA", "BTC", "ETH")]
    for member in members:
        registry.client.create_registered_model(f"{member}_model", tags={OWN_TAG: REGISTERED_MODEL})
    registry.client.create_registered_model("somebody_else")
    assert sorted(registry.versions.aliases()) == members


def test_an_sqlite_store_is_read_without_mlflow_as_with_it(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = registry.versions.register(MEMBER, log(registry, candidate_fit()), {"symbol": "BTC"})
    registry.versions.set_aliases(MEMBER, {"champion": number})

    def read() -> tuple[object, object]:
        return registry.versions.get(MEMBER, number), registry.versions.aliases()

    monkeypatch.setattr(type(registry.store), "client", None)
    without = read()
    monkeypatch.undo()
    monkeypatch.setattr(type(registry.store), "rows", lambda *_: None)
    assert read() == without


def test_of_another_store_many_versions_are_asked_for_as_of_sqlite(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ("ETH_uptrend", "ADA_uptrend")
    for member in (MEMBER, *others):
        registry.versions.register(member, log(registry, candidate_fit(member_name=member)), {})
    wanted = [(member, "1") for member in others]
    expected = registry.versions.get_all(wanted)
    assert list(expected) == wanted
    with monkeypatch.context() as few:
        few.setattr(versions, "CHUNK", 1)  # as where there are more than a query takes
        assert registry.versions.get_all(wanted) == expected
    monkeypatch.setattr(type(registry.store), "rows", lambda *_: None)
    assert registry.versions.get_all(wanted) == expected
