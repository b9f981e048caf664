"""Runs that the schedule and the sensors ask for, each over exactly the partitions it needs."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.run_tags import ASKED_BY_TAG, BAR_DATE_TAG, partition_range
from crypto_pool.defs.stages import FEATURES, OUTCOMES, PREDICTIONS, PUBLICATION, Stage, asset_keys
from crypto_pool.domain.members import Member, Trend
from crypto_pool.workflow.day_plan import CatchUpWindow, DayPlan, plan_days


def pending_days(pool: PoolResource, through: date) -> DayPlan:
    """What the pool owes of the days through a closed one."""
    settings = pool.settings
    return plan_days(
        pool.store, pool.members, CatchUpWindow(through, settings.first_prediction_date)
    )


def day_requests(pool: PoolResource, plan: DayPlan, asked_by: str, key: str) -> list[dg.RunRequest]:
    """The runs that pay what is pending: bars and features, outcomes, then forecasts and tables.

    The queue runs one at a time by priority, so each finds what the one before it left; and
    since each is a run of its own, bars that fail to come hold up no outcome.
    """
    stages: list[tuple[Stage, Sequence[str], Sequence[str]]] = []
    if plan.behind:
        stages.append((FEATURES, FEATURES.assets, plan.behind))
    if plan.score:
        days = [day.isoformat() for day in plan.score]
        stages.append((OUTCOMES, (*OUTCOMES.assets, *OUTCOMES.ending), days))
    if plan.forecast:
        days = [day.isoformat() for day in plan.forecast]
        stages.append((PREDICTIONS, ("daily_predictions", *PREDICTIONS.ending), days))
    elif stages:  # by the same job, since its schedule asks for no other
        stages.append((PUBLICATION._replace(job=PREDICTIONS.job), PREDICTIONS.ending, []))
    return [
        dg.RunRequest(
            run_key=f"{asked_by}:{key}:{stage.key}",
            job_name=stage.job,
            asset_selection=asset_keys(assets),
            run_config=pool_config(pool, partitions),
            tags={
                ASKED_BY_TAG: asked_by,
                BAR_DATE_TAG: pool.settings.last_closed().isoformat(),
                "dagster/priority": str(len(stages) - place),
                **partition_range(partitions),
            },
        )
        for place, (stage, assets, partitions) in enumerate(stages)
    ]


def training_request(
    pool: PoolResource, members: Sequence[Member], asked_by: str, key: str
) -> dg.RunRequest:
    """One run that trains exactly these members."""
    order = pool.settings.symbols
    symbols = sorted({member.symbol for member in members}, key=order.index)
    trends = [trend for trend in Trend if any(member.trend is trend for member in members)]
    corners = [f"{symbols[0]}|{trends[0]}", f"{symbols[-1]}|{trends[-1]}"]
    return dg.RunRequest(
        run_key=f"{asked_by}:{key}",
        run_config=pool_config(pool, [member.partition_key for member in members]),
        tags={
            ASKED_BY_TAG: asked_by,
            BAR_DATE_TAG: pool.settings.last_closed().isoformat(),
            "dagster/priority": "-1",
            **partition_range(corners),
        },
    )


def pool_config(pool: PoolResource, only: Sequence[str]) -> Mapping[str, Any]:
    """Run configuration that stays with the day it was made on, however long the run waits."""
    config = {"bar_date": pool.settings.last_closed().isoformat(), "only": list(only)}
    return {"resources": {"pool": {"config": config}}}


def is_running(instance: dg.DagsterInstance, asked_by: Sequence[str]) -> bool:
    """Whether a run that one of these asked for has not ended."""
    filters = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES, tags={ASKED_BY_TAG: list(asked_by)})
    return instance.get_runs_count(filters) > 0
