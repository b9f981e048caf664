"""Finish what a killed decision began: the ledger says who serves, the alias follows."""

import pandas as pd

from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.market import Member


def complete_decision(registry: ModelRegistry, member: Member, decisions: pd.DataFrame) -> bool:
    """Let the version serve that the last decision about a member names.

    A decision is recorded before its alias moves, so a process that ends in between leaves the
    two apart. `decisions` are oldest first; gives whether there was anything to finish.
    """
    if decisions.empty:
        return False
    named = decisions["serving_version"].iloc[-1]
    serving = registry.champion(member.name)
    if pd.isna(named) or (serving is not None and serving.version == str(named)):
        return False
    registry.set_champion(member.name, str(named))
    return True
