"""The benchmarks measure something, in their short form."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import _memory, _pages, explanation_cost, five_thousand, growth, serving_load
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool_tests.conftest import ROOT


@pytest.mark.parametrize("name", benchmarks.BENCHMARKS)
def test_each_benchmark_has_figures(name):
    assert callable(import_module(f"benchmarks.{name}").figures)


@pytest.mark.long
def test_a_server_under_load_answers_every_request_while_predictions_are_published():
    found = serving_load.measure(connections=4, seconds=2, pause=0.05, every=0.5)
    assert found["serving_requests"] > 20
    assert found["serving_failed"] == 0
    assert found["serving_publications"] > 1
    assert 0 < found["serving_p50_ms"] <= found["serving_p99_ms"]
    assert not serving_load.keeps_its_goals({**found, "serving_failed": 1})


CLASSIC = """
import mlflow
from benchmarks import _pool, classic_recipe
classic_recipe.EPOCHS = 1
mlflow.set_tracking_uri("sqlite:///{folder}/mlflow.db")
mlflow.create_experiment("classic", "{folder}/artifacts")
mlflow.set_experiment("classic")
table = _pool.member_rows("BTC", "uptrend")
predictors = classic_recipe.train_member(table)
assert classic_recipe.kernel_explanation_seconds(predictors["RidgeClassifier"], table) > 0
print("fitted:", *sorted(predictors))
"""


@pytest.mark.long
def test_the_classic_loop_fits_logs_and_explains_all_ten(tmp_path):
    """In a process of its own, since it chooses MLflow's store for all of it."""
    code = [sys.executable, "-W", "ignore", "-c", CLASSIC.format(folder=tmp_path)]
    done = subprocess.run(code, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["fitted:", *sorted(CANDIDATES)]


@pytest.mark.long
def test_an_explanation_is_held_against_shaps_own():
    found = explanation_cost.run(["RidgeClassifier"], orders=2)["RidgeClassifier"]
    assert 0 < found["error"] < 0.02
    assert 0 < found["daily_seconds"] <= found["seconds"]


def test_memory_of_a_process_counts_the_processes_below_it():
    alone = _memory.proportional_bytes(os.getpid())
    code = "held = b'x' * (64 * 2**20); print('held', flush=True); input()"
    child = [sys.executable, "-c", code]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert _memory.proportional_bytes(os.getpid()) > alone + 60 * 2**20
        process.communicate(b"\n")
    assert _memory.proportional_bytes(2**30) == 0


def test_an_unknown_benchmark_is_refused_with_the_known_ones():
    with pytest.raises(SystemExit, match=r"magic; there are: .*serving_load"):
        benchmarks.main(["magic"])


def test_figures_of_large_pools_stand_side_by_side_in_the_page():
    kept = {"pool_of_5000_publish_s": 50.0, "pool_of_500_publish_s": 5.0, "demo_s": 1.0}
    kept |= {"pool_of_5000_members": 5000.0, "pool_of_5000_only_there_s": 2.345}
    assert list(_pages.size_table(kept)) == [
        "| figure | 500 members | 5000 members |",
        "|---|---:|---:|",
        "| `publish_s` | 5.00 | 50.00 |",
        "| `only_there_s` |  | 2.35 |",
    ]
    kept = json.loads(five_thousand.RESULTS.read_text())
    assert _pages.shown(five_thousand.PAGE, "five_thousand") == list(_pages.size_table(kept))


def test_the_peak_of_a_command_is_that_of_all_its_processes(tmp_path):
    held = "held = b'x' * (64 * 2**20); import time; time.sleep(1.5)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}])"
    seconds, peak = _memory.peak_of([sys.executable, "-c", nested], tmp_path, os.environ)
    assert seconds > 1.5
    assert peak > 64
    with pytest.raises(SystemExit, match="exit code 3"):
        _memory.peak_of([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, os.environ)


def test_a_figure_beyond_its_goal_is_said_to_miss_it():
    assert benchmarks.misses("pool_build_ratio", 1.41)
    assert not benchmarks.misses("pool_build_ratio", 1.4)
    assert benchmarks.misses("classic_speedup", 79.9)
    assert not benchmarks.misses("classic_speedup", 80.1)
    assert not benchmarks.misses("peak_rss_mib", 1e9)
    assert benchmarks.misses("serving_failed", 1.0)
    assert not benchmarks.misses("serving_failed", 0.0)
    assert _pages.goal_text(benchmarks.GOALS["serving_failed"]) == "at most 0"
    assert _pages.goal_text(benchmarks.GOALS["classic_speedup"]) == "at least 80"


def test_growth_says_where_each_part_would_stop():
    small = {name: 1.0 for name in growth.LIMITS}
    large = {**small, "retrain_stale_tick_s": 4.0}
    found = growth.stops({"5": small, "10": small, "20": large})
    assert found == {"retrain_stale_tick_s": 20 + round((60 - 4) / 0.3)}
    lines = list(_pages.growth_table({"5": small, "20": large, "stops_at_symbols": found}))
    assert lines[0] == "| figure | 5 coins | 20 coins | stops at |"
    assert "| `retrain_stale_tick_s` | 1.00 | 4.00 | 207 coins |" in lines


def test_the_page_of_benchmarks_shows_what_was_kept():
    kept = json.loads(benchmarks.RESULTS.read_text())
    figures = list(_pages.figure_table(kept, benchmarks.GOALS))
    assert kept["commit"] in figures[0]
    assert _pages.shown(benchmarks.PAGE, "benchmarks") == figures
    growth_rows = list(_pages.growth_table(kept.get("growth", {})))
    assert _pages.shown(benchmarks.PAGE, "growth") == growth_rows


def test_a_table_is_put_in_the_place_of_the_old_one_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n")
    _pages.renew(page, "a", ["new", "rows"])
    assert (_pages.shown(page, "a"), _pages.shown(page, "b")) == (["new", "rows"], ["kept"])
    assert page.read_text().startswith("before\n")
    with pytest.raises(ValueError, match="no place for c"):
        _pages.renew(page, "c", [])
