"""The ledger says who serves; aliases and the table champions are made to say the same.

It can be done at any time and as often as one likes, and for each member by itself.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.versions import CHALLENGER, CHAMPION, PREVIOUS, Version
from crypto_pool.domain.market import Member
from crypto_pool.domain.standing import Standing
from crypto_pool.domain.tables import CHAMPIONS
from crypto_pool.errors import CorruptPartition, ModelUnavailable
from crypto_pool.workflow.promotion.registering import champion_row

TABLE = CHAMPIONS.store_name


@dataclass(frozen=True)
class Champion:
    """A member's standing, the version that serves it, and what keeps it from serving.

    `version` is None where nobody serves, or where MLflow has lost what the ledger names.
    """

    member: Member
    standing: Standing
    version: Version | None
    fault: str = ""


def champion_of(registry: ModelRegistry, member: Member, decisions: pd.DataFrame) -> Champion:
    """Return who serves a member by the decisions about it, oldest first."""
    standing = Standing.of(decisions)
    if standing.serving is None:
        return Champion(member, standing, None)
    way_out = (
        f"train it with `crypto-pool build`, or let another version serve with "
        f"`crypto-pool rollback {member.name} --to VERSION`"
    )
    try:
        version = registry.versions.get(member.name, standing.serving)
    except ModelUnavailable as fault:
        lost = f"version {standing.serving} serves by the ledger and is gone from MLflow"
        return Champion(member, standing, None, f"{lost} ({fault}); {way_out}")
    named = as_named(version, standing)
    if named.model_hashes != (version.model_hashes or named.model_hashes):
        other = f"version {version.version} in MLflow is another than the ledger let serve"
        return Champion(member, standing, None, f"{other}; {way_out}")
    return Champion(member, standing, named)


def as_named(version: Version, standing: Standing) -> Version:
    """Return a version with the hashes that the ledger has of it, whatever MLflow says."""
    named = json.loads(standing.hashes.get(version.version, "{}"))
    return replace(version, ledger_hashes=named)


def champions_of(
    store: FrameStore, registry: ModelRegistry, members: Iterable[Member]
) -> dict[Member, Champion]:
    """Return who serves each member; the ledger is read once."""
    decisions, champions = Ledger(store).by_member(), {}
    for member in members:
        try:
            champions[member] = champion_of(registry, member, decisions.of(member))
        except CorruptPartition as fault:
            champions[member] = Champion(member, Standing(), None, str(fault))
    return champions


def shadows_of(registry: ModelRegistry, champion: Champion) -> list[Version]:
    """Return the versions that forecast in a champion's shadow, as far as MLflow has them."""
    standing = champion.standing
    found = []
    for version in dict.fromkeys((standing.challenger, standing.previous)):
        if version is not None and _exists(registry, champion.member, version):
            known = registry.versions.get(champion.member.name, version)
            found.append(as_named(known, standing))
    return found


def reconcile(store: FrameStore, registry: ModelRegistry, member: Member) -> Champion:
    """Make aliases and the row of champions follow the ledger; return who serves."""
    champion = champion_of(registry, member, Ledger(store).of_member(member))
    standing, known = champion.standing, registry.versions.aliases_of(member.name)
    serving = None if champion.version is None else champion.version.version
    wanted = {CHAMPION: serving, PREVIOUS: standing.previous, CHALLENGER: standing.challenger}
    for alias in (PREVIOUS, CHALLENGER):
        if wanted[alias] != known.get(alias) and not _exists(registry, member, wanted[alias]):
            wanted[alias] = None
    registry.versions.set_aliases(member.name, wanted)
    key = member.partition_key
    if champion.version is None:
        if store.exists(TABLE, key):
            store.remove(TABLE, key)
        return champion
    made = CHAMPIONS.frame([champion_row(registry, champion.version, member)])
    shown = _shown(store, member)
    if shown is None or not made.equals(shown):
        store.write(TABLE, key, made)
    return champion


def reconcile_all(
    store: FrameStore, registry: ModelRegistry, members: Iterable[Member]
) -> dict[str, str]:
    """Reconcile the members whose aliases or rows differ; return by partition why one is not.

    The ledger, the table and all aliases are read once, and nothing else where all agree.
    """
    decisions, faults = Ledger(store).by_member(), {}
    try:
        aliases = registry.versions.aliases()
    except Exception as error:  # rows and aliases stay as they are until MLflow answers
        return {"all": f"{type(error).__name__}: {error}"}
    for member in members:
        try:
            standing = Standing.of(decisions.of(member))
            known, shown = aliases.get(member.name, {}), _shown(store, member)
            row = None if shown is None or shown.empty else str(shown["model_version"].iloc[0])
            agreed = shown is not None and standing.serving == known.get(CHAMPION) == row
            if not agreed or standing.previous != known.get(PREVIOUS):
                reconcile(store, registry, member)
        except Exception as error:  # the boundary that isolates one member from the others
            faults[member.partition_key] = f"{type(error).__name__}: {error}"
    return faults


def _shown(store: FrameStore, member: Member) -> pd.DataFrame | None:
    """Return a member's row of champions, empty if there is none, None if it cannot be read.

    What cannot be read is made anew like what differs: the ledger has all it is derived from.
    """
    key = member.partition_key
    try:
        return store.read(TABLE, key) if store.exists(TABLE, key) else pd.DataFrame()
    except CorruptPartition:
        return None


def _exists(registry: ModelRegistry, member: Member, version: str | None) -> bool:
    try:
        return version is None or bool(registry.versions.get(member.name, version))
    except ModelUnavailable:
        return False
