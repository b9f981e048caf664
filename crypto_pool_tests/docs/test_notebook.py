"""The notebook of docs/ runs from top to bottom over a published pool, and keeps no output."""

import ast
import json
import subprocess
import sys
from datetime import date

import matplotlib
import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT, PoolFolder
from crypto_pool_tests.pool_frames import pool_frames
from crypto_pool_tests.wheel import build_wheel, install_wheel

NOTEBOOK = json.loads((ROOT / "docs" / "ask-the-pool.ipynb").read_text())
CODE = {cell["id"]: cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}
MODEL = "model"
TOLD = """
import json
import crypto_pool

model = f"models:/{name}@champion"
needs = open(mlflow.pyfunc.get_model_dependencies(model)).read().split()
told = {
    "package": crypto_pool.__file__,
    "version": crypto_pool.__version__,
    "rows": len(asked),
    "difference": (asked["stored"] - asked["asked"]).abs().max(),
    "needs": needs,
    "example": [*champion.input_example.shape, *champion.predict(champion.input_example)],
}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each cell shows, as a kernel would: the value of its last line."""
    home = tmp_path_factory.mktemp("clone")
    (home / "docs").mkdir()
    publish(home / "dagster_home" / "data", pool_frames())
    names, values = {}, {}
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context({"backend": "agg"}):
        patch.chdir(home / "docs")
        for name, cell in CODE.items():
            if name == MODEL:
                continue  # it needs a pool that was trained
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), names)
            if last is not None:
                values[name] = eval(compile(ast.Expression(last.value), name, "eval"), names)
        names["pool"].close()
    yield values
    names["plt"].close("all")


def test_it_shows_today_and_whether_the_promise_was_kept(shown):
    assert list(shown["today"]["symbol"]) == ["BTC", "BTC", "ETH"]
    assert set(shown["today"]["reference"]) == {0.55}
    assert list(shown["believe"]["signals"]) == [36, 36, 36]
    assert set(shown["believe"]["promised"]) == {0.66}


def test_it_draws_calibration_and_one_member(shown):
    (calibration,) = shown["calibration"].axes
    assert len(calibration.lines[1].get_xdata()) >= 2
    (member,) = shown["member"].axes
    assert len(member.lines[0].get_xdata()) == 180
    assert len(member.collections[0].get_offsets()) == 45


@pytest.mark.long
def test_a_champion_that_is_loaded_gives_what_is_stored(tmp_path):
    """The whole notebook, with the installed wheel, over a pool that was trained."""
    for folder in ("source", "docs", "dagster_home"):
        (tmp_path / folder).mkdir()
    install_wheel(build_wheel(tmp_path / "source"), tmp_path / "site")
    quick = {"training_rows": "300", "explained_rows": "10", "workers": "1"}
    served = {"symbols": "BTC,ETH", "sandbox_predictability": "0.5", "evaluation_policy": "holdout"}
    pool = PoolFolder(tmp_path / "dagster_home", {**quick, **served})
    built = pool.build_few(date(2023, 6, 30))
    assert built.returncode == 0, built.stderr[-4000:]
    notebook = "\n".join("".join(cell["source"]) for cell in CODE.values()) + TOLD
    done = subprocess.run(
        [sys.executable, "-c", notebook],
        cwd=tmp_path / "docs",
        env={**pool.environment, "PYTHONPATH": str(tmp_path / "site"), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["package"].startswith(str(tmp_path / "site"))
    assert told["rows"] >= 1
    assert told["difference"] < 1e-9
    assert f"crypto-pool=={told['version']}" in told["needs"]
    assert told["example"][:2] == [3, 21]
    assert all(0 < probability < 1 for probability in told["example"][2:])


def test_no_output_is_kept():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE.values())
