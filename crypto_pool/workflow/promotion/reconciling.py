"""The ledger says who serves; aliases and the table champions are made to say the same.

It can be done at any time and as often as one likes, and for each member by itself.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Decisions, Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.adapters.mlflow.versions import CHALLENGER, CHAMPION, PREVIOUS
from crypto_pool.domain.members import Member
from crypto_pool.domain.tables import CHAMPIONS, PROMOTIONS, remedy
from crypto_pool.domain.who_serves import Standing
from crypto_pool.errors import (
    CorruptPartition,
    MissingPartition,
    ModelUnavailable,
    UntrustedModel,
)
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


def champion_of(
    registry: ModelRegistry,
    member: Member,
    decisions: pd.DataFrame,
    known: Mapping[tuple[str, str], Version] = MappingProxyType({}),
) -> Champion:
    """Return who serves a member by the decisions about it, oldest first.

    Versions that are `known` are not asked for again.
    """
    standing = Standing.of(decisions)
    if standing.serving is None:
        return Champion(member, standing, None)
    try:
        return Champion(member, standing, version_of(registry, member, standing, known=known))
    except ModelUnavailable as fault:
        reason = f"version {standing.serving} serves by the ledger and {fault}"
        return Champion(member, standing, None, f"{reason}; {ways_out(member)}")


def ways_out(member: Member) -> str:
    """Say what can be done about a version that serves and cannot."""
    return (
        "train it with `crypto-pool build`, or let another version serve with "
        f"`crypto-pool rollback {member.name} --to VERSION`"
    )


def version_of(
    registry: ModelRegistry,
    member: Member,
    standing: Standing,
    wanted: str | None = None,
    known: Mapping[tuple[str, str], Version] = MappingProxyType({}),
) -> Version:
    """Return a version, or the one that serves, with the hashes that the ledger has of it.

    Raises ModelUnavailable for one that is gone, is another than the ledger names, or whose tags
    cannot be read.
    """
    number = wanted or standing.serving or ""
    try:
        version = known.get((member.name, number)) or registry.versions.get(member.name, number)
    except ModelUnavailable as fault:
        raise ModelUnavailable(f"is gone from MLflow ({fault})") from fault
    if version.fault:
        raise ModelUnavailable(f"cannot be read: {version.fault}")
    hashes = json.loads(standing.hashes.get(number, "{}"))
    named = replace(version, ledger_hashes=hashes)
    if named.model_hashes != (version.model_hashes or named.model_hashes):
        raise ModelUnavailable("is another in MLflow than the ledger let serve")
    return named


def serving_versions(
    registry: ModelRegistry, decisions: Decisions
) -> dict[tuple[str, str], Version]:
    """Return the versions that serve by the ledger, as far as MLflow has them, asked once."""
    latest = ((one.name, rows["serving_version"].iloc[-1]) for one, rows in decisions.items())
    return registry.versions.get_all((name, v) for name, v in latest if not pd.isna(v))


def champions_of(
    registry: ModelRegistry, decisions: Decisions, members: Iterable[Member]
) -> dict[Member, Champion]:
    """Return who serves each of many members."""
    known, champions = serving_versions(registry, decisions), {}
    for member in members:
        try:
            champions[member] = champion_of(registry, member, decisions.of(member), known)
        except CorruptPartition as fault:
            champions[member] = Champion(member, Standing(), None, str(fault))
    return champions


def load_champions(registry: ModelRegistry, decisions: Decisions) -> dict[str, str]:
    """Load who serves each member; return by its name why that one cannot serve, or nothing."""
    faults = {}
    members = sorted({*decisions, *decisions.faults}, key=lambda member: member.name)
    for member, champion in champions_of(registry, decisions, members).items():
        version = champion.version
        if version is not None or champion.fault:
            faults[member.name] = champion.fault
        if version is not None:
            try:
                registry.versions.load(member.name, version.version, version.ledger_hashes)
            except (ModelUnavailable, UntrustedModel) as fault:
                faults[member.name] = str(fault)
    return faults


def shadows_of(registry: ModelRegistry, champion: Champion) -> list[Version]:
    """Return the versions that forecast in a champion's shadow, as far as MLflow has them."""
    standing = champion.standing
    shadows = []
    for wanted in dict.fromkeys(filter(None, (standing.challenger, standing.previous))):
        with suppress(ModelUnavailable):
            shadows.append(version_of(registry, champion.member, standing, wanted))
    return shadows


def reconcile(store: FrameStore, registry: ModelRegistry, member: Member) -> Champion:
    """Make aliases and the row of champions follow the ledger; return who serves."""
    champion = champion_of(registry, member, Ledger(store).of_member(member))
    standing = champion.standing
    serving = None if champion.version is None else champion.version.version
    beside = {PREVIOUS: standing.previous, CHALLENGER: standing.challenger}
    there = registry.versions.get_all((member.name, v) for v in beside.values() if v)
    beside = {alias: v if (member.name, v) in there else None for alias, v in beside.items()}
    registry.versions.set_aliases(member.name, {CHAMPION: serving, **beside})
    key = member.partition_key
    if champion.version is None:
        if store.exists(TABLE, key):
            store.remove(TABLE, key)
        return champion
    made = CHAMPIONS.frame([champion_row(registry, champion.version, member)])
    if not made.equals(store.read_sound(TABLE, keys=[key])[0]):  # what is damaged is made anew
        store.write(TABLE, key, made)
    return champion


def reconcile_all(
    store: FrameStore, registry: ModelRegistry, members: Iterable[Member]
) -> dict[str, str]:
    """Reconcile the members whose aliases or rows differ; return by partition why one is not.

    The ledger, the table and all aliases are read once, and nothing else where all agree.
    """
    decisions, faults = Ledger(store).by_member(), {}
    aliases = registry.versions.aliases()
    versions = serving_versions(registry, decisions)
    unread = {name for (name, _), version in versions.items() if version.fault}
    rows, damaged = store.read_kept(TABLE)
    served = {
        f"{row['symbol']}|{row['trend']}": str(row["model_version"])
        for row in rows.to_dict("records")
    }
    for member in members:
        try:
            key, known = member.partition_key, aliases.get(member.name, {})
            decided, served_by = decisions.of(member), known.get(CHAMPION) or served.get(key)
            standing = Standing.of(decided)
            agreed = standing.serving == known.get(CHAMPION) == served.get(key)
            agreed &= member.name not in unread and key not in damaged  # which is made anew
            if not agreed or standing.previous != known.get(PREVIOUS):
                reconcile(store, registry, member)
            if decided.empty and served_by:  # without a decision nobody ever served
                raise MissingPartition(
                    f"{store.path(PROMOTIONS.store_name, key)} is gone, by which version "
                    f"{served_by} served; {remedy(PROMOTIONS.store_name, key)}"
                )
        except Exception as error:  # the boundary that isolates one member from the others
            faults[member.partition_key] = f"{type(error).__name__}: {error}"
    return faults
