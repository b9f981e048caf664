"""The notebook of docs/ runs from top to bottom over a published pool, and keeps no output."""

import ast
import json
from pathlib import Path

import matplotlib
import pytest

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.serving.pool_frames import pool_frames

NOTEBOOK = json.loads((Path(__file__).parents[1] / "docs" / "ask-the-pool.ipynb").read_text())
CODE = {cell["id"]: cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}


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


def test_no_output_is_kept():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE.values())
