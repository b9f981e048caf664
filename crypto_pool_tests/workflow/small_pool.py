"""One member with two quick candidates in a folder: real MLflow, real Parquet, synthetic bars."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.ledger import Ledger
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.features import build_features, feature_names
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.recipe import Recipe, Terms
from crypto_pool.domain.training import TrainingTable
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.day_forecasts import DayForecaster
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.isolation import Failure
from crypto_pool.workflow.promotion.examining import examine_champions
from crypto_pool.workflow.promotion.promoting import PromotionResult, promote
from crypto_pool.workflow.promotion.reconciling import Champion, champion_of
from crypto_pool.workflow.promotion.registering import PromotionTask
from crypto_pool.workflow.training import TrainingTask, member_table, train_candidates

MEMBER = Member("AAA", Trend.UPTREND)
OTHER = Member("AAA", Trend.DOWNTREND)
MODEL = f"{MEMBER.name}_model"
ALGORITHMS = ("LightGBM", "RidgeClassifier")
RECIPE = Recipe(training_rows=500)
FIRST, SECOND = date(2022, 6, 1), date(2022, 8, 20)
STAYS = PromotionRules(refresh_after_days=10_000)
# Any challenger takes over from an old champion.
REFRESHED = PromotionRules(tolerance=1.0)


@dataclass(frozen=True)
class SmallPool:
    folder: Path
    recipe: Recipe = RECIPE
    algorithms: tuple[str, ...] = ALGORITHMS
    predictability: float = 0.5

    @cached_property
    def registry(self) -> ModelRegistry:
        made = ModelRegistry(f"sqlite:///{self.folder / 'mlflow.db'}", str(self.folder / "models"))
        made.prepare()
        return made

    @cached_property
    def store(self) -> FrameStore:
        return FrameStore(str(self.folder / "parquet"))

    def write_features(self) -> None:
        bars = SyntheticMarket(seed=3, predictability=self.predictability).bars(
            "AAA", date(2022, 12, 31)
        )
        indicators = compute_indicators(bars)
        self.store.write("daily_bars", "AAA", bars)
        self.store.write("raw_indicators", "AAA", indicators)
        self.store.write("feature_table", "AAA", build_features(indicators))

    def table(self, as_of: date) -> TrainingTable:
        return member_table(self.store, MEMBER, as_of, self.recipe)

    def train(self, as_of: date) -> None:
        table = self.table(as_of)
        tasks = [
            TrainingTask(
                member=MEMBER,
                algorithm=algorithm,
                table=table,
                as_of=as_of,
                recipe=self.recipe,
                synthetic=True,
                registry=self.registry,
                parent_run_id="parent",
                dagster_run_id="run",
            )
            for algorithm in self.algorithms
        ]
        for _, result, _ in train_candidates(WorkerPool(), tasks):
            assert not isinstance(result, Failure), result
            assert isinstance(result, TrainedCandidate), result

    def task(self, as_of: date, rules: PromotionRules = STAYS) -> PromotionTask:
        return PromotionTask(
            member=MEMBER,
            table=self.table(as_of),
            as_of=as_of,
            recipe=self.recipe,
            explained_rows=10,
            rules=rules,
            registry=self.registry,
            store=self.store,
            now=noon_after(as_of),
            synthetic=True,
            parent_run_id="parent",
            dagster_run_id="run",
        )

    def appoint(self, as_of: date, rules: PromotionRules = STAYS) -> PromotionResult:
        return promote(self.task(as_of, rules))

    @property
    def serving(self) -> str | None:
        return self.champion.standing.serving

    @property
    def champion(self) -> Champion:
        return champion_of(self.registry, MEMBER, self.decisions)

    @property
    def terms(self) -> Terms:
        return self.recipe.terms(feature_names(self.recipe.time_period))

    @property
    def aliases(self) -> dict[str, str]:
        return self.registry.versions.aliases_of(MEMBER.name)

    @property
    def decisions(self) -> pd.DataFrame:
        return Ledger(self.store).of_member(MEMBER)


def noon_after(bar_date: date) -> datetime:
    return datetime(bar_date.year, bar_date.month, bar_date.day, 12, tzinfo=UTC) + timedelta(days=1)


def killed_at(target: str, act: str, skip: str) -> str:
    """A script that kills itself where a function is called, but for calls on other tables."""
    owner, _, name = target.rpartition(".")
    module, _, kind = owner.rpartition(".")
    return f"""
import os, signal
from pathlib import Path
from types import MappingProxyType
from {module} import {kind}
original = {kind}.{name}
def stop(*given, **named):
    if {name!r} == "write" and ({skip}):
        return original(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
{kind}.{name} = stop
{act}
"""


def forecast(pool, bar_date, *members, shadows=MappingProxyType({})):
    """Forecast a day for the member, or for those given, with these versions in the shadow."""
    made = DayForecaster(
        pool.store,
        pool.registry,
        members or [MEMBER],
        pool.recipe,
        noon_after,
        stamp={"dagster_run_id": "run", "synthetic": True},
        abstain_beyond_widths=None,
        frames=FrameCache(pool.store),
    )
    vars(made)["shadows"] = shadows
    return made.forecast_day(bar_date)


def examine(pool):
    """Return by member what `doctor` says of who serves."""
    return examine_champions(pool.store, pool.registry, Ledger(pool.store).by_member())
