"""Adapters built from the settings, as Dagster resources."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import dagster as dg
from dagster import resource
from pydantic import Field

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.store import OWN_TAG, TRAINING_EXPERIMENT, require_writable
from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.adapters.schema_version import open_store
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.defs.event_log import write_at_once
from crypto_pool.defs.market_data import build_provider
from crypto_pool.defs.run_tags import BAR_DATE_TAG
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.staleness import MemberState
from crypto_pool.settings import Settings, load_settings
from crypto_pool.workflow.code_version import domain_version
from crypto_pool.workflow.history import active_symbols
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool.workflow.pulling import Puller
from crypto_pool.workflow.reviewing import day_reached
from crypto_pool.workflow.warm_up import warm_up_worker

# By the names of its parts: Dagster raises one of the three warnings from a module of its own.
FOREIGN_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
BETA_OF_DAGSTER_MLFLOW = (
    ".* `(_create_mlflow_run_hook|mlflow_tracking|MlFlow)` is currently in beta"
)


class PoolResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Everything outside that an asset may touch."""

    bar_date: str = Field(
        "", description="Bar date, YYYY-MM-DD: work as of this closed day; empty: the latest one."
    )
    only: list[str] = Field(
        [],
        description="Members, such as BTC|uptrend, or coins or days: of the run's partitions, work "
        "on these alone; empty: on all of them.",
    )
    as_then: bool = Field(
        False, description="Forecast each day as its own daily run would have, for past days."
    )
    train_anew: bool = Field(
        False, description="Train anew what a stored run of the same data and settings would do."
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Write Dagster's events, some ten a member, without what each would cost."""
        write_at_once()

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    @property
    def as_of(self) -> date:
        """The bar date the build stands at."""
        return self.settings.closed_day("bar_date", self.bar_date)

    @property
    def day_reached(self) -> date:
        """The day a review stands at: the bar date, or the latest before it with what it needs."""
        return day_reached(self.store, self.as_of, self.settings.prediction_window_days)

    def now(self) -> datetime:
        """The UTC time."""
        return self.settings.now()

    def forecast_at(self, bar_date: date) -> datetime:
        """The UTC time at which a day counts as forecast."""
        return self.settings.daily_run_of(bar_date) if self.as_then else self.now()

    @property
    def recipe(self) -> Recipe:
        """How models are made."""
        return self.settings.recipe

    @property
    def members(self) -> list[Member]:
        """All members, coin by coin, but those of coins that are retired."""
        symbols = active_symbols(self.store, self.settings.symbols, self.as_of)
        return [Member(symbol, trend) for symbol in symbols for trend in Trend]

    def observe(
        self, members: Sequence[Member], at_most: int | None = None
    ) -> tuple[list[MemberState], dict[str, str]]:
        """Give the states of members, and by name why one cannot be observed."""
        return observe_members(
            self.store, self.registry, members, self.recipe, self.settings.review_window_days,
            self.as_of, self.now(), at_most,
        )  # fmt: skip

    @cached_property
    def provider(self) -> MarketDataProvider:
        """The source of bars the settings name."""
        return build_provider(self.settings)

    @property
    def puller(self) -> Puller:
        """What pulls coins into the store."""
        return Puller(self.store, self.provider, self.settings.last_closed(), self.now())

    @cached_property
    def store(self) -> FrameStore:
        """The Parquet store, once it is sure that it belongs to this provider."""
        store = open_store(self.settings.state_dir, self.settings.frames_root)
        FrameStore(str(self.settings.state_dir)).claim(self.provider.source)
        store.claim(self.provider.source)
        return store

    @cached_property
    def registry(self) -> ModelRegistry:
        """MLflow, with its schema in place."""
        settings = self.settings
        registry = ModelRegistry(settings.tracking_uri, settings.artifact_root, settings.page_url)
        return registry.prepare()

    @property
    def workers(self) -> WorkerPool:
        """The training processes, of this machine or of a Dask cluster."""
        return workers_of(self.settings)


def workers_of(settings: Settings) -> WorkerPool:
    """Return the training processes that the settings name."""
    return WorkerPool(
        settings.workers,
        prepare=warm_up_worker,
        scheduler=settings.dask_scheduler,
        identify=domain_version,
    )


@resource(description="One MLflow run for each Dagster run that trains, opened by dagster-mlflow.")
def mlflow_parent_run(context: dg.InitResourceContext) -> Iterator[Any]:
    """The run of `dagster_mlflow.mlflow_tracking`, always ended with the Dagster run.

    The library's own hook ends it on op events only, and leaves it running when a run is
    interrupted. Of what the library says, warnings are passed on, but not that it is in beta:
    whoever runs a pool cannot do anything about it.
    """
    import mlflow

    warnings.filterwarnings("ignore", message=BETA_OF_DAGSTER_MLFLOW, category=dg.BetaWarning)
    from dagster_mlflow import mlflow_tracking

    for name in FOREIGN_RUN:
        os.environ.pop(name, None)  # another's run, which MLflow would go on with
    settings = load_settings()
    ModelRegistry(settings.tracking_uri, settings.artifact_root).prepare()
    require_writable(settings.tracking_uri)
    configured = mlflow_tracking.configured(
        {
            "experiment_name": TRAINING_EXPERIMENT,
            "mlflow_tracking_uri": settings.tracking_uri,
            "extra_tags": {OWN_TAG: "training"},
        }
    )
    assert context.log is not None
    warnings_only = context.log.with_tags()  # a copy: its level is no other's
    warnings_only.setLevel(logging.WARNING)
    with dg.build_resources(
        {"mlflow": configured},
        instance=context.instance,
        dagster_run=context.run,
        log_manager=warnings_only,
    ) as resources:
        run_id = mlflow.active_run().info.run_id
        status = "KILLED"
        if context.run is not None:
            day = context.run.tags.get(BAR_DATE_TAG, "")
            mlflow.set_tag("mlflow.runName", f"{context.run.job_name} {day}".rstrip())
        try:
            yield resources.mlflow
            assert context.instance is not None
            assert context.run is not None
            failed = context.instance.get_run_stats(context.run.run_id).steps_failed
            status = "FAILED" if failed else "FINISHED"
        finally:
            while mlflow.active_run() is not None:
                mlflow.end_run()
            mlflow.MlflowClient(settings.tracking_uri).set_terminated(run_id, status)
