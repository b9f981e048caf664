"""What is read or made once for many forecasts: frames, models and what follows from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.version import Version
from crypto_pool.domain.bar_validation import why_too_young
from crypto_pool.domain.drift import InputSpan, per_price
from crypto_pool.domain.labels import realised_change
from crypto_pool.domain.members import Member
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import VOLATILITY_DAYS, random_walk_probability
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.training import served_rows
from crypto_pool.errors import MissingFeatures
from crypto_pool.workflow.history import name_gap, why_blocked
from crypto_pool.workflow.panel import stored_forecasts
from crypto_pool.workflow.snapshots import load_snapshot

Thing = TypeVar("Thing")


@dataclass
class FrameCache:
    """The stored frames of each coin and the models, read once whatever the number of days."""

    store: FrameStore
    _known: dict[Any, Any] = field(default_factory=dict)
    _versions: dict[Any, Any] = field(default_factory=dict)

    def on_later_bars(self, known: dict[Any, Any]) -> "FrameCache":
        """Return a cache that keeps what belongs to a version, and of the frames what is `known`.

        What others whose store shows the same find out of them is added there.
        """
        return FrameCache(self.store, known, self._versions)

    def trained_rows(
        self, tags: Mapping[str, str], closes: pd.Series
    ) -> tuple[pd.DataFrame, InputSpan]:
        """Return the rows a version was fitted on, as it takes them, and the span of its inputs."""

        def load() -> tuple[pd.DataFrame, InputSpan]:
            table = load_snapshot(self.store, tags["data_hash"])
            rows = served_rows(table).loc[: tags["trained_through"]]
            return rows, InputSpan.of(per_price(rows[list(table.feature_names)], closes))

        return _once(self._versions, (tags["data_hash"], tags["trained_through"]), load)

    def model(self, registry: ModelRegistry, member: Member, version: Version) -> ServedModel:
        """Return a member's version, its files checked by what the ledger knows of them."""
        load, hashes = registry.versions.load, version.ledger_hashes
        name, number = member.name, version.version
        return _once(self._versions, (member, number), lambda: load(name, number, hashes))

    def read(self, table: str, symbol: str) -> pd.DataFrame:
        """Give a coin's frame."""
        return self.once((table, symbol), lambda: self.store.read(table, symbol))

    def panel(self, target: Target) -> pd.DataFrame:
        """Give the stored panel forecasts of a target."""
        return self.once(target, lambda: stored_forecasts(self.store, target))

    def changes(self, symbol: str, target: Target) -> pd.Series:
        """Give the realised changes of a coin."""
        bars = self.read("daily_bars", symbol)
        return self.once((symbol, target), lambda: realised_change(bars, target))

    def why_blocked(self, symbol: str, bar_date: date) -> str:
        """Say what blocks a coin on a day; empty if nothing does."""
        bars = self.read("daily_bars", symbol)
        return self.once(
            (symbol, bar_date), lambda: why_blocked(self.store, symbol, bars, bar_date)
        )

    def once(self, key: Any, make: Callable[[], Thing]) -> Thing:
        """Give what was made of the frames under a key, made now if nothing was."""
        return _once(self._known, key, make)


def _once(made: dict[Any, Any], key: Any, make: Callable[[], Thing]) -> Thing:
    if key not in made:
        made[key] = make()
    thing: Thing = made[key]
    return thing


def reference_of(frames: FrameCache, member: Member, bar_date: date, target: Target) -> float:
    """Return the reference's probability of a day.

    Raises:
        MissingFeatures: there is none, or the coin is blocked or too young.
    """
    day, bars = pd.Timestamp(bar_date), frames.read("daily_bars", member.symbol)
    if day not in bars.index:
        raise MissingFeatures(
            f"{member.name} has no bar of {bar_date}; its bars run from "
            f"{bars.index.min():%Y-%m-%d} to {bars.index.max():%Y-%m-%d}"
        )
    if blocked := frames.why_blocked(member.symbol, bar_date):
        raise MissingFeatures(blocked)
    if young := why_too_young(bars.loc[:day], member.symbol):
        raise MissingFeatures(young)

    def probability() -> float:
        known = bars.loc[:day].tail(VOLATILITY_DAYS + 1)
        return float(random_walk_probability(known, member.trend, target).loc[day])

    reference = frames.once((member, day, target), probability)
    if pd.isna(reference):
        gap = name_gap(bars, bar_date, VOLATILITY_DAYS + 1, "the reference begins")
        raise MissingFeatures(
            f"{member.name} has no reference forecast for {bar_date}: it needs 60 daily returns "
            f"without a gap and a price that moves{'; ' if gap else ''}{gap}."
        )
    return reference
