"""A self-running pool of crypto trend forecasters on Dagster, MLflow and DuckDB."""

import gc
import os
import sys

__version__ = "1.1.0"
CODE_LOCATION = "crypto_pool.definitions"  # of Dagster: the module, and what it is known by

# Read by libraries when they are first imported, in this process and in every worker.
# The first two whatever the environment says: no other backend and no other device is installed.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
# Members are trained side by side, each fit on one thread: on a busy machine threads of OpenMP that
# wait for each other take tens of times as long. It is read as numpy and scikit-learn load.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# The pool has no use for the job workers that the MLflow server would start beside itself.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")

# What is imported stays, hundreds of thousands of objects: to look through them for garbage again
# and again took a tenth of a day's processor time, and a fifth of the code location's imports.
gc.set_threshold(50_000)


def keep_loaded() -> None:
    """Leave what is loaded now as it is until the process has ended: to take it down took seconds.

    DuckDB reports each of its objects that no last collection takes: nothing once that is loaded.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()
