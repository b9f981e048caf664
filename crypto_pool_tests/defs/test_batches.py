"""A batch of partitions tells once who failed, and is no success before all are made."""

import asyncio
import os
from contextlib import closing

import dagster as dg
import pytest

from crypto_pool.defs.batches import (
    PartitionFailure,
    SucceededIOManager,
    batch_keys,
    batched_asset,
    first_causes,
    record_failure,
    recorded_failures,
)
from crypto_pool.defs.checks import every_partition_processed


def test_a_coin_that_failed_is_told_once():
    root = PartitionFailure("daily_bars", "UNI", "InsufficientHistory: 275 bars")
    told = first_causes(
        [
            root,
            PartitionFailure("raw_indicators", "UNI", "MissingPartition: daily_bars/UNI"),
            PartitionFailure("champion", "UNI|uptrend", "MissingPartition: daily_bars/UNI"),
        ]
    )
    assert told == [root]


def test_different_failures_are_all_told():
    failures = [
        PartitionFailure("candidates/KNeighbors", "BTC|uptrend", "ValueError: one"),
        PartitionFailure("candidates/LightGBM", "BTC|uptrend", "ValueError: two"),
        PartitionFailure("champion", "ETH|uptrend", "ValueError: one"),
        PartitionFailure("raw_indicators", "SOL", "MissingPartition: daily_bars/SOL"),
    ]
    assert first_causes(failures) == failures
    assert first_causes([failures[0], failures[0]]) == failures[:1]


LETTERS = dg.StaticPartitionsDefinition(["a", "b"])
FAILING = "CRYPTO_POOL_TEST_FAILING_ALGORITHM"
BOTH = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}


def algorithms_job() -> dg.JobDefinition:
    """The job of `algorithms`."""
    return algorithms().resolve_job_def("train")


def algorithms() -> dg.Definitions:
    """Two algorithms for two members, of which one may fail for both, and who serves."""

    def spec(name: str) -> dg.AssetSpec:
        made = dg.AssetSpec(dg.AssetKey(["candidates", name]), skippable=True)
        return made.with_io_manager_key("succeeded")

    keys = [dg.AssetKey(["candidates", name]) for name in ("bad", "good")]

    @dg.multi_asset(
        specs=[spec("bad"), spec("good")],
        partitions_def=LETTERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def candidates(context: dg.AssetExecutionContext):
        for key in keys:
            fails = key.path[-1] == os.environ.get(FAILING)
            for letter in context.partition_keys if fails else ():
                record_failure(context, key, letter, "ValueError: it never works")
            made = [] if fails else list(context.partition_keys)
            yield dg.Output(made, output_name=key.to_python_identifier())

    @batched_asset("models", LETTERS, deps=keys)
    def champion(context: dg.AssetExecutionContext) -> list[str]:
        return list(context.partition_keys)

    every = [candidates, champion]
    job = dg.define_asset_job("train", dg.AssetSelection.all())
    return dg.Definitions(
        every,
        asset_checks=[every_partition_processed(key) for key in (*keys, champion.key)],
        jobs=[job],
        resources={"succeeded": SucceededIOManager()},
        executor=dg.in_process_executor,
    )


class Chosen(dg.ConfigurableResource):
    """What a person may write into a run's configuration."""

    only: list[str]


@pytest.mark.parametrize(
    ("only", "tags", "said"),
    [
        (["c"], BOTH, "only: c is no partition of this run; it has 2, a to b"),
        (["a", "B"], BOTH, "only: B is no partition of this run"),
        ([], {**BOTH, "dagster/asset_partition_range_start": "b",
              "dagster/asset_partition_range_end": "a"}, "its range ends before it begins"),
    ],
)  # fmt: skip
def test_work_that_is_not_there_is_not_done(only, tags, said):
    @batched_asset("models", LETTERS)
    def champion(context: dg.AssetExecutionContext, pool: Chosen) -> list[str]:
        return batch_keys(context)

    resources = {"succeeded": SucceededIOManager(), "pool": Chosen(only=only)}
    with dg.instance_for_test() as instance:
        job = dg.Definitions(
            [champion], jobs=[dg.define_asset_job("train", "*")], resources=resources
        ).resolve_job_def("train")
        done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        assert not done.success
        [failure] = [event for event in done.all_events if event.is_step_failure]
        assert said in failure.step_failure_data.error.to_string()


def run_all(instance: dg.DagsterInstance, **options) -> dg.JobExecutionResult:
    return dg.execute_job(
        dg.reconstructable(algorithms_job), instance, tags=BOTH, raise_on_error=False, **options
    )


def test_an_algorithm_that_fails_for_all_stops_no_choice_and_is_no_success(monkeypatch):
    monkeypatch.setenv(FAILING, "bad")
    with dg.instance_for_test() as instance, run_all(instance) as result:
        assert not result.success
        assert instance.get_materialized_partitions(dg.AssetKey("champion")) == {"a", "b"}
        bad = dg.AssetKey(["candidates", "bad"])
        assert instance.get_materialized_partitions(bad) == set()
        assert instance.get_latest_materialization_event(bad) is None
        told = [str(failure) for failure in recorded_failures(instance, result.run_id)]
        assert told == [f"candidates/bad [{letter}]: ValueError: it never works" for letter in "ab"]


def test_executing_again_from_the_failure_passes_only_once_the_failed_was_made(monkeypatch):
    """As the UI does: it runs the failed steps alone, and the failed step is the check."""
    monkeypatch.setenv(FAILING, "bad")
    with dg.instance_for_test() as instance:
        with run_all(instance) as first:
            again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
        with run_all(instance, reexecution_options=again) as second:
            assert not second.success
            ran = {event.step_key for event in second.all_events if event.is_step_start}
            assert ran == {"candidates__bad_every_partition_processed"}
        monkeypatch.delenv(FAILING)
        with run_all(instance) as whole:
            assert whole.success
        from_second = dg.ReexecutionOptions.from_failure(second.run_id, instance)
        with run_all(instance, reexecution_options=from_second) as third:
            assert third.success


LAUNCH = """
mutation($params: ExecutionParams!) {
  launched: launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
AGAIN = """
mutation($params: ReexecutionParams!) {
  launched: launchPipelineReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
IN_THIS_PROCESS = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
}


# Dagster makes an event loop of its own inside that of a run launched in the process of its server.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_ui_s_re_execution_passes_only_once_the_failed_was_made(monkeypatch):
    """By the mutations that its buttons send; the web server's own schema answers them."""
    from dagster._core.test_utils import in_process_test_workspace
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster_graphql.schema import create_schema

    origin = LoadableTargetOrigin(python_file=__file__, attribute="algorithms")
    monkeypatch.setenv(FAILING, "bad")
    with (
        dg.instance_for_test(overrides=IN_THIS_PROCESS) as instance,
        in_process_test_workspace(instance, origin) as workspace,
        closing(asyncio.new_event_loop()) as loop,
    ):
        (location,) = workspace.code_locations
        (repository,) = location.get_repositories()
        selector = {
            "repositoryLocationName": location.name,
            "repositoryName": repository,
            "pipelineName": "train",
        }
        tags = [{"key": key, "value": value} for key, value in BOTH.items()]
        whole = {"selector": selector, "executionMetadata": {"tags": tags}, "mode": "default"}

        def ended(mutation: str, params: dict) -> dg.DagsterRun:
            asked = create_schema().execute_async(
                mutation, context_value=workspace, variable_values={"params": params}
            )
            answer = loop.run_until_complete(asked)
            assert answer.errors is None
            return instance.get_run_by_id(answer.data["launched"]["run"]["runId"])

        first = ended(LAUNCH, whole)
        again = {"parentRunId": first.run_id, "strategy": "FROM_FAILURE"}
        second = ended(AGAIN, again)
        assert first.status is second.status is dg.DagsterRunStatus.FAILURE
        monkeypatch.delenv(FAILING)
        assert ended(LAUNCH, whole).status is dg.DagsterRunStatus.SUCCESS
        assert ended(AGAIN, again).status is dg.DagsterRunStatus.SUCCESS
