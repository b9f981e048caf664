"""Finish what a killed decision began: the ledger says who serves, the alias follows."""

from collections.abc import Mapping

import pandas as pd

from crypto_pool.adapters.model_aliases import CHAMPION
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.market import Member


def complete_decision(registry: ModelRegistry, member: Member, decisions: pd.DataFrame) -> bool:
    """Let the version serve that the last decision about a member names.

    A decision is recorded before its alias moves, so a process that ends in between leaves the
    two apart. `decisions` are oldest first; gives whether there was anything to finish.
    """
    named, serving = _named_version(decisions), registry.serving_version(member.name)
    if decisions.empty or serving == named:
        return False
    if named is None:
        registry.stand_down(member.name)
    else:
        registry.set_champion(member.name, named)
    return True


def complete_decisions(registry: ModelRegistry, decisions: Mapping[Member, pd.DataFrame]) -> None:
    """Do so for many members, with one search where nothing has to be finished."""
    aliases = registry.aliases()
    for member, decided in decisions.items():
        serving = aliases.get(member.name, {}).get(CHAMPION)
        if _named_version(decided) != serving:
            complete_decision(registry, member, decided)


def _named_version(decisions: pd.DataFrame) -> str | None:
    version = None if decisions.empty else decisions["serving_version"].iloc[-1]
    return None if version is None or pd.isna(version) else str(version)
