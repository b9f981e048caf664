"""A day's process loads what a day needs: more than half of its time once was imports."""

import json

import pytest

# Each takes from a third of a second to four seconds of a processor.
UNNEEDED = (
    *("mlflow", "sklearn", "scipy.stats", "scipy.optimize", "scipy.sparse", "skops", "shap"),
    *("keras", "jax", "xgboost", "lightgbm", "matplotlib", "plotly", "joblib", "dask", "ccxt"),
)
DAY = """
import json, sys
from crypto_pool.building import open_instance, run_layers
from crypto_pool.defs.stages import FEATURES, PREDICTIONS, PUBLICATION
from crypto_pool.settings import load_settings
settings = load_settings()
with open_instance(settings) as instance:
    layers = (FEATURES, PREDICTIONS, PUBLICATION)
    report = run_layers(instance, settings, settings.last_closed(), layers, print)
print(json.dumps([report.failures, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def pool(new_pool):
    """A pool that has had a day: its stores are there."""
    pool = new_pool(symbols="AAA,CCC,EEE", simulated_now="2022-07-01T12:00:00+00:00")
    done = pool.run_code(DAY)
    assert done.returncode == 0, done.stderr
    return pool


def test_a_day_of_the_baseline_loads_no_model_library(pool):
    pool.settings["simulated_now"] = "2022-07-02T12:00:00+00:00"
    done = pool.run_code_alone(DAY)
    assert done.returncode == 0, done.stderr
    failures, loaded = json.loads(done.stdout.splitlines()[-1])
    assert failures == []
    assert [name for name in UNNEEDED if name in loaded] == []
    forecasts = pool.table("predictions")
    assert list((pool.data / "parquet/panel_fits").iterdir())  # none of which is in MLflow yet
    assert set(forecasts["status"]) == {"baseline"}
    assert set(forecasts["prediction_date"].astype(str)) == {"2022-06-30", "2022-07-01"}
