"""Each process loads what it needs: more than half of a day's time once was imports."""

import ast
import json
import subprocess
import sys

import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.pool_frames import pool_frames

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


# Each costs a part of the second that the code location may take beyond Dagster's own import.
HEAVY = (
    *("keras", "jax", "shap", "xgboost", "lightgbm", "mlflow", "dagster_mlflow", "skops"),
    *("sklearn", "scipy", "statsmodels", "matplotlib", "plotly", "pandera", "ccxt"),
    *("fastapi", "uvicorn", "typer", "httpx", "aiohttp"),
    *("dask", "distributed", "s3fs", "boto3", "psycopg2", "sqlalchemy", "duckdb", "rich"),
)
FOR_A_COMMAND = ("dagster", "pandas", "numpy", "pydantic", "sqlalchemy")
PUBLICATION = """
import gc, sys
from pathlib import Path
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.pool_frames import pool_frames
publish(Path(sys.argv[1]), pool_frames())
print(gc.get_freeze_count() > len(sys.modules))
"""
STATUS = """
import sys
from crypto_pool.cli import app
app(["--home", sys.argv[1], "status"], standalone_mode=False)
"""


def run_python(code: str, *arguments: str, stderr: int | None = None) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_code_location_imports_no_heavy_library():
    loaded = run_python(
        "import sys, crypto_pool.definitions;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_nothing_imported_is_looked_through_for_garbage():
    stats = run_python("import gc, crypto_pool.definitions; print(gc.get_stats()[2])")
    assert ast.literal_eval(stats)["collections"] == 0


def test_who_publishes_takes_nothing_down_at_the_end_and_duckdb_reports_nothing(tmp_path):
    said = run_python(PUBLICATION, str(tmp_path / "data"), stderr=subprocess.STDOUT)
    assert said == "True\n"


def test_commands_that_only_show_load_little(tmp_path):
    shown = "print([name for name in {!r} if name in sys.modules])"
    helped = run_python(f"import sys, crypto_pool.cli; {shown.format(FOR_A_COMMAND)}")
    assert helped == "[]\n"
    publish(tmp_path / "data", pool_frames())
    status = run_python(STATUS + shown.format(("dagster", "pandas")), str(tmp_path))
    assert "members have a champion" in status
    assert status.endswith("[]\n")


def test_domain_imports_no_outside_system():
    loaded = run_python(
        "import sys, pkgutil, importlib, crypto_pool.domain as d;"
        "[importlib.import_module(f'crypto_pool.domain.{m.name}')"
        " for m in pkgutil.iter_modules(d.__path__)];"
        "print([n for n in ('dagster', 'mlflow', 'duckdb', 'requests') if n in sys.modules])"
    )
    assert loaded.strip() == "[]"
