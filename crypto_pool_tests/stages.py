"""The stages of a pool, in a process of their own; few algorithms are trained, for time's sake.

`python -m crypto_pool_tests.stages STAGES DAY...` runs the stages of each day in turn, for the
tests, the drills and the benchmarks.
"""

import os
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

STAGES_MODULE = "crypto_pool_tests.stages"
STAGES_COMMAND = (sys.executable, "-m", STAGES_MODULE)
STAGES = ("build", "predict", "publish")
FEW = ("LightGBM", "RidgeClassifier")
# Names the algorithms, where they are to be others.
ALGORITHMS_VARIABLE = "POOL_TESTS_ALGORITHMS"
# Printed as each day begins.
BEGUN = "begun"
# Of whoever began this process; each day sets its own where there is none.
TOLD_TIME = os.environ.get("CRYPTO_POOL_SIMULATED_NOW")


def run_stages(stages: list[str], days: list[date]) -> int:
    """Run the stages of each day in turn, as the commands do; print failures, give their number."""
    from crypto_pool.building import open_instance, run_layers
    from crypto_pool.defs.stages import FEATURES, PREDICTIONS, PUBLICATION
    from crypto_pool.recovery import recover
    from crypto_pool.settings import load_settings

    layers = {
        "features": (FEATURES,),
        "build": (FEATURES,),
        "train": (),
        "predict": (PREDICTIONS,),
        "publish": (PUBLICATION,),
    }
    failures = []
    for day in days:
        at_noon = datetime.combine(day + timedelta(days=1), time(12), UTC)
        os.environ["CRYPTO_POOL_SIMULATED_NOW"] = TOLD_TIME or at_noon.isoformat()
        load_settings.cache_clear()
        settings = load_settings()
        with open_instance(settings) as instance:
            print(BEGUN, flush=True)
            recover(instance, settings)
            for stage in stages:
                report = run_layers(instance, settings, day, layers[stage], print)
                failures += report.failures
                if stage in ("build", "train"):
                    failures += _train(instance, day)
    print("\n".join(failures))
    return len(failures)


def _train(instance: "DagsterInstance", day: date) -> list[str]:
    """Train with fewer algorithms than the job has, for time's sake alone."""
    from crypto_pool.building import BuildReport, Work, partitions_of, run_layer
    from crypto_pool.defs.stages import TRAINING
    from crypto_pool.settings import load_settings

    algorithms = os.environ.get(ALGORITHMS_VARIABLE, ",".join(FEW)).split(",")
    assets = [*(f"candidates/{name}" for name in algorithms), "champion"]
    members, report = partitions_of(TRAINING, load_settings(), day), BuildReport()
    run_layer(instance, Work(TRAINING, day, members, members, assets), report)
    return [*map(str, report.recorded), *report.failures]


if __name__ == "__main__":
    chosen, *named = sys.argv[1:]
    sys.exit(min(1, run_stages(chosen.split(","), [date.fromisoformat(text) for text in named])))
