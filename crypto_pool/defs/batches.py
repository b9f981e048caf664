"""Run the partitions of one step so that a failing one stops no other.

A step ends well if at least one partition did: only those are marked as materialised, the
failed ones go on record as observations with their reason, and the layers after it run for the
rest. `defs.checks` then fails the run with the list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from crypto_pool import errors
from crypto_pool.errors import InvalidSetting, MembersFailed

OWNERS = ["team:pool"]
FAILURE = "failure"
UNEXPLAINED = "the run failed; see its log in the Dagster UI"
NO_FORECAST = "MissingFeatures: no forecast"


def batched_asset(
    group: str, partitions: dg.PartitionsDefinition[Any], **options: Any
) -> Callable[[Callable[..., list[str]]], dg.AssetsDefinition]:
    """Declare an asset that does a batch of partitions in one run, each isolated from the others.

    Its function returns the keys that came through. `options` are those of `dagster.asset`.
    """
    declared: Callable[[Callable[..., list[str]]], dg.AssetsDefinition] = dg.asset(
        group_name=group,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="succeeded",
        owners=OWNERS,
        **options,
    )
    return declared


class SucceededIOManager(dg.IOManager):
    """Narrows a step's materialised partitions to the keys it returned; stores nothing."""

    def handle_output(self, context: dg.OutputContext, obj: Sequence[str]) -> None:
        """Mark only the partitions in `obj` as materialised."""
        # Dagster has no public way to say that a part of a batch failed, or all of it: an output
        # is still needed, since without one the steps after it are skipped and the run succeeds.
        if context.has_asset_partitions:
            empty = context.asset_partitions_def.empty_subset()
            context._asset_partitions_subset = empty.with_partition_keys(obj)
            if not obj:
                context._asset_key = None

    def load_input(self, context: dg.InputContext) -> None:
        """Refuse: assets read what they need from the store."""
        raise NotImplementedError("assets of the pool pass data through the frame store")


def finding(
    faults: Mapping[str, str],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    of: dg.AssetKey | None = None,
    name: str | None = None,
    **looked_at: int,
) -> dg.AssetCheckResult:
    """What a check found, by name, of so many that it looked at; `of` and `name` of one of many."""
    metadata: dict[str, Any] = {**looked_at, **faults}
    return dg.AssetCheckResult(
        passed=not faults, asset_key=of, check_name=name, severity=severity, metadata=metadata
    )


def is_asked(context: dg.AssetCheckExecutionContext, asset_key: dg.AssetKey, name: str) -> bool:
    """Whether a run is to make this one of several checks."""
    asked = context.op_execution_context.selected_asset_check_keys
    return dg.AssetCheckKey(asset_key, name) in asked


def batch_keys(context: dg.AssetExecutionContext) -> list[str]:
    """The partitions of the batch.

    A run is given partitions as a range; `only` of the pool's configuration cuts out of it
    a subset that is no range.

    Raises:
        InvalidSetting: `only` names what is none of them, or there are none: work that is not
            there is not done.
    """
    keys, only = list(map(str, context.partition_keys)), context.resources.pool.only
    unknown = [key for key in only if key not in keys]
    if not keys:
        raise InvalidSetting("the run has no partition: its range ends before it begins")
    if unknown:
        raise InvalidSetting(
            f"only: {', '.join(unknown)} is no partition of this run; it has {len(keys)}, "
            f"{keys[0]} to {keys[-1]}"
        )
    return [key for key in keys if not only or key in only]


def record_failure(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, partition: str, reason: str
) -> None:
    """Put a failed partition on record."""
    context.log.warning(f"{asset_key.to_user_string()} [{partition}]: {reason}")
    context.log_event(
        dg.AssetObservation(asset_key, partition=partition, metadata={FAILURE: reason})
    )


@dataclass(frozen=True)
class PartitionFailure:
    """A partition of a batch that failed, and why; `recorded_as` orders Dagster's events."""

    asset: str
    partition: str
    reason: str
    recorded_as: int = field(default=0, compare=False)

    @property
    def kind(self) -> str:
        """The class of the error, by name."""
        return self.reason.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.asset} [{self.partition}]: {self.reason}"


def pending_failures(
    instance: dg.DagsterInstance, run: dg.DagsterRun, asset_key: dg.AssetKey
) -> list[PartitionFailure]:
    """What of an asset failed in a run, or in those it executes again, and was not made since.

    An asset without partitions that a run made as a whole answers for itself alone.
    """
    failures = recorded_failures(instance, run.run_id, asset_key)
    while run.parent_run_id is not None and not _was_made_whole(instance, run.run_id, asset_key):
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            break
        run = parent
        failures = [*recorded_failures(instance, run.run_id, asset_key), *failures]
    return [failure for failure in failures if not _was_made_since(instance, asset_key, failure)]


def _was_made_whole(instance: dg.DagsterInstance, run_id: str, asset_key: dg.AssetKey) -> bool:
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    events = [record.event_log_entry.dagster_event for record in records]
    return any(one and one.asset_key == asset_key and not one.partition for one in events)


def _was_made_since(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, failure: PartitionFailure
) -> bool:
    wanted = dg.AssetRecordsFilter(
        asset_key=asset_key,
        asset_partitions=[failure.partition],
        after_storage_id=failure.recorded_as,
    )
    return bool(instance.fetch_materializations(wanted, limit=1).records)


def recorded_failures(
    instance: dg.DagsterInstance, run_id: str, asset_key: dg.AssetKey | None = None
) -> list[PartitionFailure]:
    """What failed in a run, of one asset or all, oldest first."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION
    ).records
    failures = []
    for record in records:
        event = record.event_log_entry.dagster_event
        observation = event.asset_observation_data.asset_observation if event else None
        if observation is None or FAILURE not in observation.metadata:
            continue
        if asset_key is None or observation.asset_key == asset_key:
            failures.append(
                PartitionFailure(
                    observation.asset_key.to_user_string(),
                    str(observation.partition),
                    str(observation.metadata[FAILURE].value),
                    record.storage_id,
                )
            )
    return failures


def reason_of(error: Any) -> str:
    """The message of the pool's own error among the causes of Dagster's, or of the first cause."""
    while (
        error is not None and error.cause is not None and not hasattr(errors, f"{error.cls_name}")
    ):
        error = error.cause
    return str(error.message.strip()) if error else UNEXPLAINED


def first_causes(failures: Sequence[PartitionFailure]) -> list[PartitionFailure]:
    """The failures of a build without those that only follow from an earlier one.

    A coin that failed for itself fails again wherever its members need it; and the same
    reason for the same partition is told once, whatever the number of algorithms.
    """
    causes: list[PartitionFailure] = []
    partitions: set[str] = set()
    reasons: set[tuple[str, str]] = set()
    for failure in failures:
        symbol = failure.partition.split("|")[0]
        follows = symbol != failure.partition and symbol in partitions
        again = (failure.partition, failure.reason) in reasons
        partitions.add(failure.partition)
        reasons.add((failure.partition, failure.reason))
        if symbol == failure.partition and failure.reason.startswith("MissingPartition"):
            follows = any(symbol == other.partition for other in causes)
        if failure.reason.startswith(NO_FORECAST):  # a day for which no coin was left
            follows = bool(causes)
        if not follows and not again:
            causes.append(failure)
    return causes


def process_partitions(
    context: dg.AssetExecutionContext,
    work: Callable[[str], Mapping[str, Any]],
    order: Sequence[str] = (),
) -> list[str]:
    """Do `work` for each partition of the batch; return the keys that came through.

    `work` returns the metadata of its partition. Those in `order` come first, as it has them.

    Raises:
        MembersFailed: no partition came through.
    """
    succeeded, reasons = [], []
    keys = batch_keys(context)
    first = [key for key in order if key in keys]
    for key in [*first, *(key for key in keys if key not in first)]:
        try:
            metadata = work(key)
        except Exception as error:  # the boundary that isolates one coin from the others
            reason = f"{type(error).__name__}: {error}"
            reasons.append(f"{key}: {reason}")
            record_failure(context, context.asset_key, key, reason)
            continue
        context.add_asset_metadata(dict(metadata), partition_key=key)
        succeeded.append(key)
    require_success(context, succeeded, reasons)
    return succeeded


def require_success(
    context: dg.AssetExecutionContext, succeeded: Sequence[str], reasons: Sequence[str]
) -> None:
    """Fail the step if part of the batch failed and nothing came through."""
    if reasons and not succeeded:
        raise MembersFailed("nothing in this batch came through:\n" + "\n".join(reasons))
