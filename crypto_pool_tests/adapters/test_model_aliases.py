"""Who serves, who served before, and who forecasts in the shadow."""

from collections.abc import Callable

import pytest

from crypto_pool.adapters import model_aliases
from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import ModelRegistry

MEMBER = "BTC_uptrend"
MakeFit = Callable[..., CandidateFit]


def test_the_champion_moves_and_the_previous_one_is_kept(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    assert registry.champion(MEMBER) is None
    record = registry.log_candidate(candidate_fit())
    first = registry.register(MEMBER, record, {"symbol": "BTC"})
    assert registry.champion(MEMBER) is None
    second = registry.register(MEMBER, registry.log_candidate(candidate_fit("LightGBM")), {})

    registry.set_champion(MEMBER, first)
    registry.set_champion(MEMBER, first)
    assert registry.previous(MEMBER) is None
    serving = registry.champion(MEMBER)
    assert serving is not None
    assert (serving.version, serving.run_id) == (first, record.run_id)
    assert serving.tags == {"symbol": "BTC"}
    assert serving.registered_at_utc.utcoffset() is not None

    registry.set_champion(MEMBER, second)
    registry.set_champion(MEMBER, second)
    previous = registry.previous(MEMBER)
    assert previous is not None
    assert previous.version == first
    assert list(registry.champions([MEMBER, "ETH_uptrend"])) == [MEMBER]
    assert registry.champions([MEMBER])[MEMBER].version == second
    assert registry.serving_version(MEMBER) == second
    assert registry.aliases() == {MEMBER: {"champion": second, "previous": first}}
    assert registry.holders("previous", [MEMBER, "ETH_uptrend"]) == {MEMBER: previous}
    assert registry.holders("challenger", [MEMBER]) == {}


def test_a_challenger_that_becomes_champion_shadows_no_more(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    first = registry.register(MEMBER, registry.log_candidate(candidate_fit()), {})
    second = registry.register(MEMBER, registry.log_candidate(candidate_fit("LightGBM")), {})
    registry.set_champion(MEMBER, first)
    registry.set_challenger(MEMBER, second)
    assert registry.aliases() == {MEMBER: {"champion": first, "challenger": second}}
    registry.set_champion(MEMBER, second)
    assert registry.aliases() == {MEMBER: {"champion": second, "previous": first}}
    assert registry.challenger(MEMBER) is None


def test_the_first_champion_shadows_no_more(
    registry: ModelRegistry, candidate_fit: MakeFit
) -> None:
    version = registry.register(MEMBER, registry.log_candidate(candidate_fit()), {})
    registry.set_challenger(MEMBER, version)
    registry.set_champion(MEMBER, version)
    assert registry.aliases() == {MEMBER: {"champion": version}}


def test_every_page_of_members_is_read(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_aliases, "PAGE_SIZE", 1)
    members = [f"{symbol}_uptrend" for symbol in ("ADA", "BTC", "ETH")]
    for member in members:
        registry.client.create_registered_model(f"{member}_model")
    assert sorted(registry.member_names()) == members
