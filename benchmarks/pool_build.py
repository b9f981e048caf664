"""How much of a whole build is anything but fitting.

The wall time of `crypto-pool build` for all coins under the default policy, over what the bare
fits take: the same estimators on the same rows with the same folds, one thread each, spread over
the cores without loss. Explanations are kept at the fewest rows there are. The fits are timed on
a sample of members and scaled to all.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings
from dataclasses import replace
from time import perf_counter
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks._pool import TRENDS, built_pool, member_rows
from crypto_pool.domain.candidates import CANDIDATES, Candidate, ClassBalance
from crypto_pool.domain.policies import policy_from_name
from crypto_pool.workflow.training import import_libraries

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


def bare_fit_seconds() -> float:
    """The seconds of all fits of one member, averaged over the sample, after a warm-up."""
    warnings.simplefilter("ignore")
    import_libraries()
    policy = policy_from_name(POLICY)
    tables = [member_rows(symbol, trend) for symbol in SAMPLE for trend in TRENDS]
    clock = FitClock()
    with threadpool_limits(limits=1):
        policy.evaluate(CANDIDATES["NeuralNet"], tables[0], SEED)  # compiles
        for table in tables:
            for candidate in CANDIDATES.values():
                policy.evaluate(clock.over(candidate), table, SEED)
    return clock.seconds / len(tables)


def figures() -> dict[str, float]:
    """Give the ratio and both of its parts."""
    built = built_pool(POLICY)
    member = bare_fit_seconds()
    return {
        "pool_build_ratio": built.seconds / (member * built.members / (os.cpu_count() or 1)),
        "pool_build_s": built.seconds,
        "bare_fits_of_a_member_s": member,
    }


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:.2f}")
