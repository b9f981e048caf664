"""Run the whole graph in this process, one Dagster run a layer, recorded in the instance."""

import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from time import monotonic
from typing import Any

import dagster as dg
from dagster._core.definitions.repository_definition.valid_definitions import (
    SINGLETON_REPOSITORY_NAME,
)
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from yaml import YAMLError

from crypto_pool import CODE_LOCATION, errors
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.schema_version import open_data_folder
from crypto_pool.defs.batches import (
    UNEXPLAINED,
    PartitionFailure,
    first_causes,
    reason_of,
    recorded_failures,
)
from crypto_pool.defs.event_log import write_at_once
from crypto_pool.defs.heartbeat import tell_failed
from crypto_pool.defs.resources import workers_of
from crypto_pool.defs.run_tags import BAR_DATE_TAG, PROCESS_TAG, partition_range
from crypto_pool.defs.stages import FEATURES, OUTCOMES, PREDICTIONS, TRAINING, Stage, asset_keys
from crypto_pool.domain.members import Trend
from crypto_pool.domain.tables import CANDIDATE_SCORES
from crypto_pool.home import DAGSTER_YAML, prepare_home
from crypto_pool.recovery import await_slots, this_process
from crypto_pool.settings import Settings
from crypto_pool.workflow.day_plan import CatchUpWindow, days_to_score
from crypto_pool.workflow.history import active_symbols
from crypto_pool.workflow.pulling import pull_notes

CUT = (FEATURES, TRAINING, PREDICTIONS, OUTCOMES)


@dataclass
class BuildReport:
    """What a build left: the failures by name, and the Dagster run of each layer.

    `source_gave_nothing` if the source of bars gave usable ones of no coin that was asked for.
    """

    failures: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    source_gave_nothing: bool = False
    recorded: list[PartitionFailure] = field(default_factory=list)

    def close(self, symbols: Sequence[str]) -> None:
        """Add the first causes of what is on record."""
        self.failures.extend(map(str, first_causes(self.recorded)))
        self.source_gave_nothing = gave_nothing(self.recorded, symbols)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the data folder, and the Dagster instance of DAGSTER_HOME; made if not there."""
    open_data_folder(settings.state_dir, settings.frames_root)
    home = prepare_home(settings.dagster_home)
    os.environ["DAGSTER_HOME"] = str(home)
    write_at_once()
    try:
        return dg.DagsterInstance.from_config(str(home))
    except (YAMLError, dg.DagsterInvalidConfigError) as fault:
        raise errors.InvalidSetting(
            f"{home / DAGSTER_YAML.name} is not as Dagster wants it: {fault}; mend it, or take it "
            "away: the pool writes its own"
        ) from None


def begin_workers(settings: Settings, bar_date: date) -> None:
    """Start the worker processes beside what comes before a training, unless it was done."""
    open_data_folder(settings.state_dir, settings.frames_root)
    scores, _ = FrameStore(settings.frames_root).read_kept(CANDIDATE_SCORES.store_name)
    if scores.empty or bar_date not in set(scores["as_of"]):
        workers_of(settings).begin()


def run_layers(
    instance: dg.DagsterInstance,
    settings: Settings,
    bar_date: date,
    layers: Sequence[Stage],
    say: Callable[[str], None],
) -> BuildReport:
    """Run the layers in order; one that fails for some coins goes on for the others.

    A layer is left out where it has no partition: outcomes, where no forecast has matured that was
    not scored, and what is made of coins, where all are retired.

    Raises:
        KeyboardInterrupt: the process was told to stop; the layer in which it was is cancelled.
    """
    report = BuildReport()
    for layer in layers:
        partitions = partitions_of(layer, settings, bar_date)
        if layer in CUT and not partitions:
            continue
        say(f"{layer.title} ...")
        await_slots(instance, pools_of(layer.job), say)
        begun, work = monotonic(), Work(layer, bar_date, partitions, partitions)
        is_whole = run_layer(instance, work, report)
        if layer == FEATURES:
            for note in pull_notes(FrameStore(settings.frames_root), partitions):
                say(note)
        say(
            f"{layer.title}: {monotonic() - begun:.1f} s, {'done' if is_whole else 'with failures'}"
        )
    report.close(_active(settings, bar_date))
    if report.failures and PREDICTIONS in layers:
        tell_failed(settings, bar_date)
    return report


@dataclass(frozen=True)
class Work:
    """What one run is to do: of a stage the range of partitions, or `only` some of it.

    Without `assets` it makes those of the stage, and publishes only where that is the stage.
    `as_then` forecasts each day as at its own daily
    run; `tags` are put on the run besides.
    """

    stage: Stage
    bar_date: date
    partitions: Sequence[str] = ()
    only: Sequence[str] = ()
    assets: Sequence[str] | None = None
    as_then: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags of its run but the one of its process."""
        known = {BAR_DATE_TAG: self.bar_date.isoformat(), **self.tags}
        return {**known, **partition_range(self.partitions)}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of its run."""
        pool = {"bar_date": f"{self.bar_date}", "only": list(self.only), "as_then": self.as_then}
        return {
            "resources": {"pool": {"config": pool}},
            "loggers": {"console": {"config": {"log_level": "INFO"}}},
        }


def pools_of(job_name: str) -> set[str]:
    """Return the pools of which a job's steps take a slot."""
    from crypto_pool.definitions import defs

    steps = [node.definition for node in defs.resolve_job_def(job_name).nodes]
    return {step.pool for step in steps if isinstance(step, dg.OpDefinition) and step.pool}


def run_layer(instance: dg.DagsterInstance, work: Work, report: BuildReport) -> bool:
    """Do one run's work in this process and put it into the report; false if any of it failed."""
    from crypto_pool.definitions import defs

    with _at_home(instance, work.stage.job), stopping_on_signal():
        result = defs.resolve_job_def(work.stage.job).execute_in_process(
            instance=instance,
            run_config=work.config,
            tags={**work.all_tags, PROCESS_TAG: this_process(instance)},
            asset_selection=asset_keys(work.assets or work.stage.assets),
            raise_on_error=False,
        )
    report.runs[work.stage.job] = result.run_id
    failures = recorded_failures(instance, result.run_id)
    report.recorded.extend(failures)
    if not result.success and not failures:
        report.failures.extend(f"{work.stage.job}: {text}" for text in errors_of(result))
    return bool(result.success)


@contextmanager
def _at_home(instance: dg.DagsterInstance, job_name: str) -> Iterator[None]:
    """Have the instance make runs as the code location's own.

    `execute_in_process` gives its run no origin, and the UI shows such a run neither on the
    timeline nor at its job.
    """
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name=CODE_LOCATION), location_name=CODE_LOCATION
    )
    repository = RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME)
    origin = RemoteJobOrigin(repository_origin=repository, job_name=job_name)
    make = partial(instance.create_run_for_job, remote_job_origin=origin)
    vars(instance)["create_run_for_job"] = make
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]


@contextmanager
def stopping_on_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end of a Dagster run during which a signal told us to stop.

    Dagster handles the signals itself while it runs: it cancels the run and returns as from a
    failed one, or, for a signal between two steps that are its last, forgets it. The wakeup
    descriptor is told of each signal whoever handles it.
    """
    ours, sender = socket.socketpair()
    with ours, sender:
        ours.setblocking(False)
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):  # none came
            if {signal.SIGINT, signal.SIGTERM} & set(ours.recv(64)):
                raise KeyboardInterrupt


def gave_nothing(failures: Sequence[PartitionFailure], symbols: Sequence[str]) -> bool:
    """Whether each coin failed because its source refused it, or gave bars that cannot be used."""
    return {failure.partition for failure in failures if _is_refusal(failure)} >= set(symbols)


def _is_refusal(failure: PartitionFailure) -> bool:
    kind = getattr(errors, failure.kind, None)
    if not isinstance(kind, type) or issubclass(kind, errors.UnfitBars):
        return False  # a coin whose bars are there, and useless
    return issubclass(kind, errors.ProviderError | errors.InvalidBars)


def _active(settings: Settings, bar_date: date) -> list[str]:
    return active_symbols(FrameStore(settings.frames_root), settings.symbols, bar_date)


def partitions_of(stage: Stage, settings: Settings, bar_date: date) -> list[str]:
    """The partitions of a layer, in order; none for one that is not partitioned.

    Days are scored as far back as a verdict on the champions looks.
    """
    symbols = _active(settings, bar_date)
    if stage == FEATURES:
        return symbols
    if stage == TRAINING:
        return [f"{symbol}|{trend}" for symbol in symbols for trend in Trend]
    if stage == PREDICTIONS:
        return [bar_date.isoformat()]
    if stage == OUTCOMES:
        first, reach = settings.first_prediction_date, settings.review_window_days
        pending = days_to_score(
            FrameStore(settings.frames_root), CatchUpWindow(bar_date, first, reach)
        )
        return [day.isoformat() for day in pending]
    return []


def errors_of(result: dg.ExecuteInProcessResult) -> list[str]:
    """What a run failed by: its steps, or what they needed before the first could begin."""
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            messages.append(f"{event.step_key}: {reason_of(event.step_failure_data.error)}")
        elif event.is_job_failure and not messages:
            messages.append(reason_of(event.job_failure_data.error))
    return messages or [UNEXPLAINED]
