"""How much of a whole build is anything but fitting.

The wall time of `crypto-pool build` for all coins under the default policy, less what explaining
the champions takes, over what the bare fits take: the same estimators on the same rows with the
same folds, one thread each, spread over the cores without loss. The fits are timed on a sample of
members and scaled to all, on every core at once, as cores that share memory and caches slow each
other down. Explanations are kept at the fewest rows there are, and timed one by one on the pool
that was built; the cores share them too.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings
from dataclasses import replace
from functools import partial
from statistics import mean
from time import perf_counter
from typing import Any

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks._inside import seconds_of
from benchmarks._pool import (
    FEWEST_EXPLAINED,
    LAST_DAY,
    SYMBOLS,
    TRENDS,
    BuiltPool,
    built_pool,
    member_rows,
)
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES, Candidate, ClassBalance
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.workflow.promotion.registering import explain_stored
from crypto_pool.workflow.training import import_libraries, member_table

CORES = os.cpu_count() or 1
SAMPLE = ("BTC", "ETH")
POLICY = "purged_walk_forward"
SEED = 7


class FitClock:
    """Sums the seconds that estimators spend in `fit`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, candidate: Candidate) -> Candidate:
        """The candidate, its estimators timed."""

        def build(balance: ClassBalance, seed: int) -> Any:
            estimator = candidate.build(balance, seed)
            fit = estimator.fit

            def timed_fit(*data: Any) -> Any:
                started = perf_counter()
                fitted = fit(*data)
                self.seconds += perf_counter() - started
                return fitted

            estimator.fit = timed_fit
            return estimator

        return replace(candidate, build=build)


def fit_member(symbol: str, trend: str) -> float:
    """The seconds of all fits of one member in this process, after a warm-up."""
    warnings.simplefilter("ignore")
    import_libraries()
    recipe, table = Recipe(seed=SEED), member_rows(symbol, trend)
    clock = FitClock()
    with threadpool_limits(limits=1):
        evaluate(CANDIDATES["NeuralNet"], table, recipe)  # compiles
        for candidate in CANDIDATES.values():
            evaluate(clock.over(candidate), table, recipe)
    return clock.seconds


def bare_fit_seconds() -> float:
    """The seconds of all fits of one member while every core fits; the mean over the sample."""
    seconds = Parallel(n_jobs=CORES)(
        delayed(fit_member)(symbol, trend) for symbol in SAMPLE for trend in TRENDS
    )
    return mean(seconds)


def explanation_seconds(built: BuiltPool) -> float:
    """The seconds it takes to explain every champion of a pool, one after the other."""
    registry = ModelRegistry(
        f"sqlite:///{built.home / 'data' / 'mlflow' / 'mlflow.db'}",
        str(built.home / "data" / "mlflow" / "artifacts"),
    )
    store, total = FrameStore(str(built.home / "data" / "parquet")), 0.0
    members = [Member(symbol, Trend(trend)) for symbol in built.symbols for trend in TRENDS]
    for member in members:
        version = registry.versions.aliases_of(member.name).get("champion")
        if version is None:
            continue
        winner = registry.runs.get(registry.versions.get(member.name, version).run_id)
        if winner.algorithm in BASELINES:  # whose parts are told without SHAP
            continue
        table = member_table(store, member, LAST_DAY, winner.recipe)
        with threadpool_limits(limits=1):
            total += seconds_of(
                partial(explain_stored, registry, winner, table, int(FEWEST_EXPLAINED))
            )
    return total


def figures(symbols: tuple[str, ...] = SYMBOLS) -> dict[str, float]:
    """Give the ratio and its parts."""
    built = built_pool(POLICY, symbols=symbols)
    explained, member = explanation_seconds(built), bare_fit_seconds()
    return {
        "pool_build_ratio": (built.seconds - explained / CORES) / (member * built.members / CORES),
        "pool_build_s": built.seconds,
        "pool_build_explanations_s": explained,
        "bare_fits_of_a_member_s": member,
    }


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
