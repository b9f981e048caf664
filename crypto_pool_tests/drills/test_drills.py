"""The short form of those drills that no other test module has."""

import json
import pkgutil
import re
import shutil

import pytest

import drills
from crypto_pool_tests.conftest import ROOT
from drills import (
    broken_parts,
    duckdb_held,
    half_open,
    kills,
    own_tools,
    poisoned_models,
    power_cut,
    request_budget,
    scale_out,
    strangers_backup,
)
from drills.__main__ import RESULTS
from drills._engines import INSTALL_POSTGRES, postgres_programs

OPERATING = ROOT / "docs" / "operating.md"
COUNTED_AS_WRONG = ("publications_failed", "scribble_published", "unfinished_files")


def test_the_operating_page_lists_each_drill_and_its_figures_are_kept():
    rows = OPERATING.read_text().partition("## Drills")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", rows, re.M))))
    there = {name for _, name, _ in pkgutil.iter_modules(drills.__path__) if name[0] != "_"}
    assert listed == there == set(json.loads(RESULTS.read_text()))


@pytest.mark.long
def test_processes_at_once_keep_within_the_request_budget():
    figures = request_budget.run(seconds=4)
    assert figures["refused_by_server"] == 0
    assert figures["windows_over_limit"] == 0
    assert figures["throughput_ratio"] > 0.5


@pytest.mark.campaign
def test_killed_stages_leave_nothing_and_lose_nothing():
    figures = kills.run(kills=3, symbols="BTC")
    assert figures["kills"] == 3
    left = ("half_written", "runs_unfinished", "slots_held", "mlflow_running")
    assert {name: figures[name] for name in left} == dict.fromkeys(left, 0)
    assert figures["predictions"] >= 1
    assert figures["predictions_duplicate"] == 0
    assert figures["predictions_lost"] == figures["predictions_too_many"] == 0
    assert figures["tables_differing"] == []


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cc") is None, reason="the recorder needs a C compiler")
def test_a_power_cut_takes_nothing_that_the_ledger_names():
    figures = power_cut.run(cuts=12, symbols="BTC")
    assert figures["cuts"] == 12
    assert figures["entries_at_the_end"] >= 2
    assert figures["named_models_at_the_end"] >= 1
    assert figures["entries_lost_at_the_end"] == figures["broken_entries"] == 0
    assert figures["named_models_missing"] == 0, figures["missing"]


def test_no_poisoned_model_comes_to_life():
    figures = poisoned_models.run()
    assert figures["let_in"] == []
    assert figures["refused"] == figures["attacks"] >= 15
    assert figures["mark_works"]
    assert figures["untouched_model_loads"]


@pytest.mark.campaign
def test_a_held_duckdb_file_stops_neither_the_job_nor_its_holder():
    figures = duckdb_held.run()
    assert figures.pop("publications") == 4
    counts = {name: figures.pop(name) for name in COUNTED_AS_WRONG}
    assert counts == dict.fromkeys(COUNTED_AS_WRONG, 0)
    assert figures == dict.fromkeys(figures, True)


def test_half_open_clients_shut_nobody_out():
    figures = half_open.run(seconds=0.5)
    assert figures["half_open_clients"] == 300
    assert figures["honest_requests"] >= 1
    assert figures["honest_requests_unanswered"] == 0
    assert figures["half_open_left"] <= 100
    assert figures["endless_header_bytes_taken"] < 1 << 24


@pytest.mark.long
def test_a_strangers_backup_runs_and_writes_nothing():
    bounds = ("--max-gb", "0.05", "--max-files", "2000")
    figures = strangers_backup.run(["configuration", "many_large_files"], 0.1, 3000, *bounds)
    assert figures["attacks"] == 2
    assert figures["let_in"] == []
    assert figures["commands_run"] == figures["files_written_or_changed"] == 0
    assert figures["dry_run_writes_nothing"]
    assert figures["honest_backup_restored"]
    assert figures["own_files_kept"]


@pytest.mark.long
def test_an_odd_home_is_right_or_refused_by_name():
    figures = own_tools.run(only=("home what?pool", "home ~"))
    assert figures["ways"] == 2
    assert figures["right"] == 1
    assert figures["refused_by_name"] == ["home what?pool"]
    assert figures["neither"] == {}


@pytest.mark.campaign
def test_what_breaks_is_named_and_heals():
    figures = broken_parts.run(["truncated_model", "mlflow_gone"], "BTC")
    assert figures["faults"] == 2
    told = {name: (f["failed"], f["named"], f["healed"]) for name, f in figures["by_fault"].items()}
    assert told == dict.fromkeys(told, (True, True, True)), figures["by_fault"]


@pytest.mark.campaign
def test_a_pool_on_a_cluster_survives_its_engines_and_equals_the_local_one():
    if postgres_programs() is None:
        pytest.skip(INSTALL_POSTGRES)
    figures = scale_out.run("BTC", "quick", hurt=0)
    assert figures["killed_worker_predictions"] >= 1
    assert figures["killed_worker_predictions_lost"] == 0
    assert figures["killed_worker_predictions_too_many"] == 0
    assert figures["killed_worker_tables_differing"] == []
    assert figures["copy_is_the_publication"]
    assert figures["champions_loaded"] >= 1
    assert figures["candidates_removed"] > 0
    assert figures["candidates_removed_bytes"] > 0
    assert figures["faults"] == figures["faults_named"] == 2, figures["by_fault"]
    assert figures["faults_healed"]
