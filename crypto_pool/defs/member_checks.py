"""What the UI says of the members: who is stale, whose forecast is missing, who keeps up.

What concerns one member warns: one that must not speak abstains by itself, and the others go on.
What would make the next step wrong blocks it: nothing is published of forecasts that are not
sound, and no champion is judged by outcomes that are not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.batches import finding, is_asked
from crypto_pool.defs.resources import PoolResource
from crypto_pool.defs.run_tags import PARTITION, RANGE_END, RANGE_START
from crypto_pool.domain.performance import Verdict
from crypto_pool.domain.soundness import forecast_faults, outcome_faults
from crypto_pool.domain.staleness import Urgency, judge_staleness
from crypto_pool.workflow.day_plan import settled_members

CALIBRATION_LIMIT = 0.1
SERVED = (Urgency.NO_CHAMPION, Urgency.QUARANTINE, Urgency.SCHEMA)
TRAIN = "Else: train those it names, or switch the sensor retrain_stale on."
OF_CHAMPIONS: dict[str, tuple[str, Iterable[Urgency]]] = {
    "served": (f"A champion serves each member, unquarantined. {TRAIN}", SERVED),
    "recent": (f"No member was trained too long ago. {TRAIN}", (Urgency.AGE, Urgency.ROWS)),
    "undrifted": (f"Inputs lie within the training span. {TRAIN}", (Urgency.DRIFT,)),
    "fresh": (f"No member is stale by the sensor's rules. {TRAIN}", Urgency),
}


@dg.multi_asset_check(
    name="champions_kept_up",
    can_subset=True,
    specs=[
        dg.AssetCheckSpec(name, asset=champion.key, description=description)
        for name, (description, _) in OF_CHAMPIONS.items()
    ],
)
def champions_kept_up(
    context: dg.AssetCheckExecutionContext, pool: PoolResource
) -> Iterator[dg.AssetCheckResult]:
    """Champion, age, drift, and all that makes a member stale, observed once."""
    states, faults = pool.observe(pool.members)
    judged = [judge_staleness(state, pool.as_of, pool.settings.retrain_rules) for state in states]
    for name, (_, urgencies) in OF_CHAMPIONS.items():
        overdue = {
            state.member.name: words
            for state in judged
            if state is not None and (words := state.because_of(urgencies))
        }
        if is_asked(context, champion.key, name):
            members = len(pool.members)
            yield finding({**overdue, **faults}, of=champion.key, name=name, members=members)


def sound(
    asset: dg.AssetsDefinition,
    faults_of: Callable[[FrameStore, str], Mapping[str, str]],
    description: str,
) -> dg.AssetChecksDefinition:
    """A check of the days just made that blocks what would be made of unsound ones."""

    @dg.asset_check(asset=asset, name="sound", blocking=True, description=description)
    def check(context: dg.AssetCheckExecutionContext, pool: PoolResource) -> dg.AssetCheckResult:
        days = _days(context, pool, asset.key.to_user_string())
        faults = {
            f"{name} {day}": why for day in days for name, why in faults_of(pool.store, day).items()
        }
        return finding(faults, dg.AssetCheckSeverity.ERROR, days=len(days))

    return check


sound_forecasts = sound(
    daily_predictions,
    lambda store, day: forecast_faults(store.read("daily_predictions", day)),
    "One row of a member a day, with a probability. Else nothing is published: materialise the "
    "day again.",
)
sound_outcomes = sound(
    prediction_outcomes,
    lambda store, day: outcome_faults(
        store.read("prediction_outcomes", day), store.read("daily_predictions", day)
    ),
    "Outcomes are those of their rows. Else no champion is judged by them: score the day again.",
)


@dg.asset_check(
    asset=daily_predictions,
    description="Each member has a row of the day, or a reason. Else: materialise the day again.",
)
def covered(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether every member has its forecast of the last closed day, or cannot have one."""
    settled, day = settled_members(pool.store, pool.as_of), pool.as_of
    pending = {member.name: f"no forecast for {day}" for member in pool.members}
    missing = {name: why for name, why in pending.items() if name not in settled}
    return finding(missing, members=len(pending))


@dg.asset_check(
    asset=realised_performance,
    description="No member does worse than the random walk. Else: the review takes it out of "
    "service, or `crypto-pool rollback`.",
)
def at_par_with_reference(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether live forecasts are at least as good as the random walk's; noise is not told off."""
    rows = _performance(pool)
    behind = {
        row["member"]: f"skill {row['skill_over_reference']:+.3f}: {row['verdict']}"
        for row in rows
        if row["verdict"] == Verdict.WORSE
    }
    return finding(behind, members=len(rows))


@dg.asset_check(
    asset=realised_performance,
    description="Forecasts come true about as often as they say. Else: train those it names anew.",
)
def calibrated(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether matured forecasts came true about as often as they said."""
    rows = _performance(pool)
    off = {
        row["member"]: f"said {row['mean_probability']:.0%}, came true {row['base_rate']:.0%}"
        for row in rows
        if row["effective_sample_size"] >= 1
        and abs(row["mean_probability"] - row["base_rate"]) > CALIBRATION_LIMIT
    }
    return finding(off, members=len(rows))


def _performance(pool: PoolResource) -> list[dict[str, Any]]:
    rows = pool.store.read("realised_performance", pool.day_reached.isoformat()).to_dict("records")
    return [
        {str(name): value for name, value in row.items()}
        | {"member": f"{row['symbol']}_{row['trend']}"}
        for row in rows
    ]


def _days(context: dg.AssetCheckExecutionContext, pool: PoolResource, table: str) -> list[str]:
    """The days of the run that are stored; of a run without partitions, the day it stands at."""
    tags, stands_at = context.run.tags, pool.as_of.isoformat()
    one = tags.get(PARTITION, stands_at)
    first, last = tags.get(RANGE_START, one), tags.get(RANGE_END, one)
    return [
        day
        for day in pool.store.keys(table)
        if first <= day <= last and (not pool.only or day in pool.only)
    ]
