"""The benchmarks measure something, in their short form."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import demo, five_thousand, serving_load


@pytest.mark.parametrize("name", benchmarks.BENCHMARKS)
def test_each_benchmark_has_figures(name):
    assert callable(import_module(f"benchmarks.{name}").figures)


def test_a_server_under_load_answers_every_request_while_predictions_are_published():
    found = serving_load.measure(connections=4, seconds=2, pause=0.05, every=0.5)
    assert found["serving_requests"] > 20
    assert found["serving_failed"] == 0
    assert found["serving_publications"] > 1
    assert 0 < found["serving_p50_ms"] <= found["serving_p99_ms"]
    assert not serving_load.keeps_its_goals({**found, "serving_failed": 1})


def test_memory_of_a_process_counts_the_processes_below_it():
    alone = demo._proportional_bytes(os.getpid())
    code = "held = b'x' * (64 * 2**20); print('held', flush=True); input()"
    child = [sys.executable, "-c", code]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert demo._proportional_bytes(os.getpid()) > alone + 60 * 2**20
        process.communicate(b"\n")
    assert demo._proportional_bytes(2**30) == 0


def test_an_unknown_benchmark_is_refused_with_the_known_ones():
    with pytest.raises(SystemExit, match=r"magic; there are: .*serving_load"):
        benchmarks.main(["magic"])


def test_figures_of_large_pools_stand_side_by_side_in_the_page():
    kept = {"pool_of_5000_publish_s": 50.0, "pool_of_500_publish_s": 5.0, "demo_s": 1.0}
    kept |= {"pool_of_5000_members": 5000.0, "pool_of_5000_only_there_s": 2.345}
    assert list(five_thousand.table(kept)) == [
        "| figure | 500 members | 5000 members |",
        "|---|---:|---:|",
        "| `publish_s` | 5.00 | 50.00 |",
        "| `only_there_s` |  | 2.35 |",
    ]
    page = five_thousand.PAGE.read_text()
    kept = json.loads(five_thousand.RESULTS.read_text())
    assert "\n".join([*five_thousand.table(kept), ""]) in page
