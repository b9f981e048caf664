"""The graph: its assets, their partitions and what people read of them."""

import json
import sys
from pathlib import Path

import pytest

from crypto_pool.settings import load_settings
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT
from crypto_pool_tests.forking import run_forked


def test_graph_has_the_assets_and_partitions_of_the_plan():
    from crypto_pool.definitions import defs
    from crypto_pool.domain.candidates import CANDIDATES

    graph = defs.resolve_asset_graph()
    cut = {
        key.to_user_string(): type(graph.get(key).partitions_def).__name__
        for key in graph.materializable_asset_keys
    }
    by_symbol = dict.fromkeys(
        ("daily_bars", "raw_indicators", "feature_table"), "StaticPartitionsDefinition"
    )
    by_member = dict.fromkeys(
        (*(f"candidates/{name}" for name in CANDIDATES), "champion"), "MultiPartitionsDefinition"
    )
    by_day = dict.fromkeys(
        ("daily_predictions", "prediction_outcomes"), "DailyPartitionsDefinition"
    )
    assert cut == {
        **by_symbol,
        **by_member,
        **by_day,
        "panel_forecasts": "NoneType",
        "panel_model": "NoneType",
        "realised_performance": "NoneType",
        "prediction_tables": "NoneType",
    }


def test_every_asset_has_a_description_an_owner_a_group_and_kinds():
    from crypto_pool.definitions import defs

    for asset in defs.resolve_all_asset_specs():
        assert asset.description, asset.key
        assert asset.owners, asset.key
        assert asset.group_name in {"raw", "features", "models", "predictions"}
        assert asset.kinds, asset.key


def test_every_asset_that_is_a_table_shows_its_columns():
    from crypto_pool.definitions import defs
    from crypto_pool.domain.tables import TABLES

    stored = {table.store_name for table in TABLES.values()}
    tables = [one for one in defs.resolve_all_asset_specs() if one.key.to_user_string() in stored]
    assert len(tables) >= 6
    for asset in tables:
        assert "dagster/column_schema" in asset.metadata, asset.key


def test_each_check_that_comes_without_its_asset_can_be_asked_for_alone():
    from crypto_pool.definitions import defs

    job = defs.resolve_implicit_global_asset_job_def()
    with_their_asset = {"panel_fits_are_in_mlflow"}
    keys = defs.resolve_asset_graph().asset_check_keys
    for key in (key for key in keys if key.name not in with_their_asset):
        alone = job.get_subset(asset_selection=set(), asset_check_selection={key})
        assert {one.name for one in alone.nodes}
    assert with_their_asset < {key.name for key in keys}


def test_batches_run_in_one_run():
    from crypto_pool.definitions import defs

    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        if graph.get(key).partitions_def is not None:
            assert (
                graph.get(key).backfill_policy.max_partitions_per_run is None
            )  # one run, whatever the size, key


def test_dagsters_own_command_checks_and_lists_the_definitions(new_pool):
    pool, dg = new_pool(), ("script", str(Path(sys.executable).with_name("dg")))
    said = [
        run_forked(dg, command.split(), pool.environment, ROOT, PATIENCE_SECONDS)
        for command in ("check defs", "list defs --json")
    ]
    assert [done.returncode for done in said] == [0, 0], said[0].stderr + said[1].stderr
    assert "All definitions loaded successfully." in said[0].stdout + said[0].stderr
    listed = json.loads(said[1].stdout)
    assert {"daily_bars", "champion"} <= {asset["asset_key"] for asset in listed["assets"]}
    assert {"daily_pool", "clean_up_daily"} <= {one["name"] for one in listed["schedules"]}
    assert {"catch_up", "retrain_stale"} <= {one["name"] for one in listed["sensors"]}


def test_runs_of_a_command_are_the_code_locations_own(tmp_path):
    """So they are on the timeline and at their job; no tag that people see names a process."""
    import dagster as dg

    from crypto_pool.building import open_instance, run_layers
    from crypto_pool.defs.stages import PUBLICATION
    from crypto_pool.settings import Settings

    settings = Settings(_env_file=None, dagster_home=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(tmp_path))
        load_settings.cache_clear()
        with open_instance(settings) as instance:
            made = run_layers(instance, settings, settings.last_closed(), (PUBLICATION,), print)
            label = {".dagster/repository": "__repository__@crypto_pool.definitions"}
            (run,) = instance.get_runs(dg.RunsFilter(tags=label))
    load_settings.cache_clear()
    assert run.run_id == made.runs["publish_tables"]
    assert run.remote_job_origin.job_name == "publish_tables"
    shown = {name for name in run.tags if not name.startswith(".dagster/")}
    assert shown == {"crypto_pool/bar_date", "dagster/code_location"}
