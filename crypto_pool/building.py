"""Run the whole graph in this process, one Dagster run a layer, recorded in the instance."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

import dagster as dg

from crypto_pool import errors
from crypto_pool.adapters.schema_version import open_data_folder
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.defs.batches import PartitionFailure, first_causes, recorded_failures
from crypto_pool.defs.run_tags import BAR_DATE_TAG, PROCESS_TAG, RANGE_END, RANGE_START
from crypto_pool.domain.market import Trend
from crypto_pool.recovery import this_process
from crypto_pool.settings import Settings

DAGSTER_YAML = Path(__file__).parent / "dagster.yaml"

Layer = tuple[str, str]
FEATURES: Layer = ("refresh_features", "bars and features")
TRAINING: Layer = ("train_members", "candidates and champions")
PREDICTIONS: Layer = ("predict_day", "forecasts and outcomes")
PUBLICATION: Layer = ("publish_tables", "the DuckDB file")
EVERYTHING = (FEATURES, TRAINING, PREDICTIONS, PUBLICATION)


@dataclass
class BuildReport:
    """What a build left: the failures by name, and the Dagster run of each layer.

    `source_gave_nothing` if the source of bars refused every coin that was asked for.
    """

    failures: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    source_gave_nothing: bool = False


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the data folder, and the Dagster instance of DAGSTER_HOME; made if not there.

    A home without a dagster.yaml gets the pool's own.
    """
    open_data_folder(settings.state_dir, settings.frames_root)
    home = settings.dagster_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    config = home / DAGSTER_YAML.name
    if not config.exists():
        beside = name_unfinished(config)
        shutil.copyfile(DAGSTER_YAML, beside)
        os.replace(beside, config)
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


def run_layers(
    instance: dg.DagsterInstance,
    settings: Settings,
    bar_date: date,
    layers: Sequence[Layer],
    say: Callable[[str], None],
) -> BuildReport:
    """Run the layers in order; one that fails for some coins goes on for the others."""
    from crypto_pool.definitions import defs

    report = BuildReport()
    recorded: list[PartitionFailure] = []
    for job_name, title in layers:
        say(f"{title} ...")
        begun = monotonic()
        result = defs.resolve_job_def(job_name).execute_in_process(
            instance=instance,
            run_config=_run_config(job_name, bar_date),
            tags={
                BAR_DATE_TAG: bar_date.isoformat(),
                PROCESS_TAG: this_process(),
                **_partition_range(job_name, settings, bar_date),
            },
            raise_on_error=False,
        )
        report.runs[job_name] = result.run_id
        failures = recorded_failures(instance, result.run_id)
        recorded.extend(failures)
        if not result.success and not failures:
            report.failures.extend(f"{job_name}: {text}" for text in _step_errors(result))
        ending = "done" if result.success else "with failures"
        say(f"{title}: {monotonic() - begun:.1f} s, {ending}")
    report.failures.extend(map(str, first_causes(recorded)))
    refused = {failure.partition for failure in recorded if _is_refusal(failure)}
    report.source_gave_nothing = refused >= set(settings.symbols)
    return report


def _is_refusal(failure: PartitionFailure) -> bool:
    """Whether a coin failed because its source did not give what was asked."""
    kind = getattr(errors, failure.kind, None)
    return isinstance(kind, type) and issubclass(kind, errors.ProviderError)


def _run_config(job_name: str, bar_date: date) -> dict[str, Any]:
    return {
        "resources": {"pool": {"config": {"bar_date": bar_date.isoformat()}}},
        "loggers": {"console": {"config": {"log_level": "INFO"}}},
    }


def _partition_range(job_name: str, settings: Settings, bar_date: date) -> dict[str, str]:
    first, last = settings.symbols[0], settings.symbols[-1]
    trends = list(Trend)
    ranges = {
        FEATURES[0]: (first, last),
        TRAINING[0]: (f"{first}|{trends[0]}", f"{last}|{trends[-1]}"),
        PREDICTIONS[0]: (bar_date.isoformat(), bar_date.isoformat()),
    }
    if job_name not in ranges:
        return {}
    start, end = ranges[job_name]
    return {RANGE_START: start, RANGE_END: end}


def _step_errors(result: dg.ExecuteInProcessResult) -> list[str]:
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            messages.append(f"{event.step_key}: {error.message.strip() if error else 'failed'}")
    return messages or ["the run failed; see its log in the Dagster UI"]
