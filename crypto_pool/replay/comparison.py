"""Whether a candidate or a feature adds anything: a pool's life with it beside one without it.

- gain: mean Brier loss of the pool without it less that of the pool with it, on the forecasts that
  both made of the same member and day; its 90 % interval is of paired daily losses, over blocks of
  days half as long again as labels overlap, all coins of a day together. The whole interval above 0
  is better, below 0 worse; else, or with fewer days than five blocks, it cannot be told.
- champions_won: trainings after which it was the champion (of a feature: in which any candidate
  was); forecasts_served: what it then forecast.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.decisions import APPOINTMENTS
from crypto_pool.domain.features import FEATURES
from crypto_pool.domain.intervals import Estimate, block_rows, paired_difference
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.tables import CANDIDATE_SCORES, MEMBER, PREDICTIONS
from crypto_pool.errors import InvalidSetting
from crypto_pool.replay.account import Costs, account_statistics, follow_signals
from crypto_pool.replay.life import PoolLife, live_together, prepare_lives
from crypto_pool.replay.market import Market, build_market_features
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.replay.report import live_forecasts
from crypto_pool.replay.scores import summarise

KEY = ["prediction_date", *MEMBER]


class Comparison:
    """Two lives through one market, with one thing and without it."""

    def __init__(
        self,
        kind: str,
        name: str,
        plan: ReplayPlan,
        market: Market,
        provider: MarketDataProvider,
        folder: Path,
        workers: int,
    ) -> None:
        """Prepare both; raises InvalidSetting for a name that is not known."""
        self.kind, self.name = kind, name
        registry: dict[str, Any] = CANDIDATES if kind == "candidate" else FEATURES
        if name not in registry:
            known = ", ".join(registry) or "none: name its module in extensions"
            raise InvalidSetting(f"{kind} {name}: known are {known}")
        self._registry = registry
        with self._left_out():
            names = tuple(one for one in plan.algorithms if one in CANDIDATES)
            without = replace(plan, algorithms=names)
            bare = replace(market, features=build_market_features(market.bars, plan.recipe))
        added = (name,) if kind == "candidate" else ()
        plan = replace(plan, algorithms=(*without.algorithms, *added))
        self.lives: dict[str, PoolLife] = {}
        for label, its_plan, its_market in (("with", plan, market), ("without", without, bare)):
            self.lives |= prepare_lives(
                its_plan, its_market, {label: plan.recipe}, provider, folder, workers
            )

    def live(self) -> Iterator[tuple[str, int]]:
        """Live both through, saying after each day which pool it was of, and how many it lives."""
        for label, life in self.lives.items():
            with self._left_out(label == "without"):
                for _ in live_together([life]):
                    yield label, len(life.plan.days)
                life.score_rest()

    def report(self) -> dict[str, Any]:
        """Return what it adds, JSON-ready, by the figures of the module's docstring."""
        life, horizon = self.lives["with"], self.lives["with"].recipe.horizon
        rows = {label: live_forecasts(one) for label, one in self.lives.items()}
        rows_with, rows_without = rows["with"], rows["without"]
        gain, days = gain_of(rows_with, rows_without, horizon)
        ledger = pd.concat([pd.DataFrame(), *life.decisions().values()])
        won = ledger[ledger["decision"].isin(APPOINTMENTS) & self._is_its(ledger["algorithm"])]
        return {
            "compared": f"{self.kind} {self.name}",
            "from": f"{life.plan.start}",
            "to": f"{life.plan.end}",
            "symbols": list(life.market.bars),
            "synthetic": life.synthetic,
            "verdict": verdict_of_gain(gain),
            "gain": gain.value,
            "gain_interval": None if gain.low is None else [gain.low, gain.high],
            "days": days,
            "days_needed": MIN_BLOCKS * block_rows(purge_gap(horizon)),
            "champions_won": len(won),
            "trainings": len(ledger),
            "forecasts_served": int(self._is_its(rows_with["algorithm"]).sum()) if days else 0,
            "unscored": self._unscored(),
            **{f"skill_{k}": summarise(v, horizon)["skill_with_baseline"] for k, v in rows.items()},
            **{f"account_{k}": self._account(one) for k, one in self.lives.items()},
            "failures": [f"{k}: {why}" for k, one in self.lives.items() for why in one.failures],
        }

    @contextmanager
    def _left_out(self, is_left_out: bool = True) -> Iterator[None]:
        kept = dict(self._registry)
        if is_left_out:
            del self._registry[self.name]
        try:
            yield
        finally:
            self._registry.clear()
            self._registry.update(kept)

    def _is_its(self, algorithms: pd.Series) -> pd.Series:
        if self.kind == "candidate":
            return algorithms == self.name
        return algorithms.notna() & ~algorithms.isin(list(BASELINES))

    def _unscored(self) -> str:
        """Return why it was unscored, the latest reason; empty if it never was."""
        scores = self.lives["with"].store.read_all(CANDIDATE_SCORES.store_name)
        its = scores[(scores["algorithm"] == self.name) & (scores["status"] == "unscored")]
        return "" if its.empty else str(its["reason"].iloc[-1])

    def _account(self, life: PoolLife) -> float | None:
        bars = life.market.bars_of(life.plan)
        forecasts = life.store.read_all(PREDICTIONS.store_name)
        returns = follow_signals(forecasts, bars, life.recipe.horizon, Costs())
        total: float | None = account_statistics(returns)["total_return"]
        return total


def gain_of(
    rows_with: pd.DataFrame, rows_without: pd.DataFrame, horizon: int
) -> tuple[Estimate, int]:
    """Return what was gained on the forecasts both made, and on how many days they were made."""
    if rows_with.empty or rows_without.empty:
        return Estimate(), 0
    both = rows_with.merge(rows_without[[*KEY, "probability"]], on=KEY, suffixes=("", "_without"))
    days = both["prediction_date"].nunique()
    losses = [
        (both[name] - both["outcome"]) ** 2 for name in ("probability_without", "probability")
    ]
    gains = pd.Series((losses[0] - losses[1]).to_numpy(), pd.DatetimeIndex(both["prediction_date"]))
    block = block_rows(purge_gap(horizon))
    if days < MIN_BLOCKS * block:
        return Estimate(float(gains.mean()) if days else None), days
    return paired_difference(gains, block, student=True), days


def verdict_of_gain(gain: Estimate) -> str:
    """Return `better`, `worse` or `cannot be told`."""
    if gain.low is None or gain.high is None:
        return "cannot be told"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "cannot be told"
