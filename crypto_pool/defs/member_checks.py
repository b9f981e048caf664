"""What the UI says of the members: who is stale, whose forecast is missing, who keeps up.

Nothing here blocks: a member that must not speak abstains by itself.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from crypto_pool.defs.assets.models import champion
from crypto_pool.defs.assets.outcomes import realised_performance
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.staleness import judge_staleness
from crypto_pool.workflow.monitoring import observe_members

CALIBRATION_LIMIT = 0.1


@dg.asset_check(asset=champion, description="Names each stale member and says why it is.")
def fresh(pool: PoolResource) -> dg.AssetCheckResult:
    """No champion, its age, new rows, drift, skill, code and schema, by the rules of the sensor."""
    states, faults = observe_members(
        pool.store,
        pool.registry,
        pool.members,
        pool.training_settings,
        pool.settings.review_window_days,
        pool.as_of,
        pool.now(),
    )
    judged = (judge_staleness(state, pool.as_of, pool.staleness_rules) for state in states)
    told = {found.member.name: found.words for found in judged if found is not None}
    return _finding({**told, **faults}, len(pool.members))


@dg.asset_check(asset=daily_predictions, description="Names each champion without today's row.")
def covered(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether every champion has its forecast of the last closed day."""
    day = pool.as_of.isoformat()
    champions = pool.registry.champions([member.name for member in pool.members])
    there = set()
    if pool.store.exists("daily_predictions", day):
        rows = pool.store.read("daily_predictions", day)
        there = {f"{row['symbol']}_{row['trend']}" for row in rows.to_dict("records")}
    missing = {name: f"no forecast for {day}" for name in champions if name not in there}
    return _finding(missing, len(champions))


@dg.asset_check(asset=realised_performance, description="Names members behind the reference.")
def at_par_with_reference(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether live forecasts are at least as good as the random walk's; noise is not told off."""
    rows = _performance(pool)
    behind = {
        row["member"]: f"skill {row['skill_over_reference']:+.3f}, chance {row['chance']:.2g}"
        for row in rows
        if not pd.isna(row["chance"]) and row["chance"] < pool.settings.quarantine_level
    }
    return _finding(behind, len(rows))


@dg.asset_check(asset=realised_performance, description="Names members whose mean is off.")
def calibrated(pool: PoolResource) -> dg.AssetCheckResult:
    """Whether matured forecasts came true about as often as they said."""
    rows = _performance(pool)
    off = {
        row["member"]: f"said {row['mean_probability']:.0%}, came true {row['base_rate']:.0%}"
        for row in rows
        if row["separate_windows"] >= 1
        and abs(row["mean_probability"] - row["base_rate"]) > CALIBRATION_LIMIT
    }
    return _finding(off, len(rows))


def _performance(pool: PoolResource) -> list[dict[str, Any]]:
    rows = pool.store.read("realised_performance", pool.as_of.isoformat()).to_dict("records")
    return [
        {str(name): value for name, value in row.items()}
        | {"member": f"{row['symbol']}_{row['trend']}"}
        for row in rows
    ]


def _finding(told: Mapping[str, str], looked_at: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"members": looked_at, **told},
    )


member_checks = [fresh, covered, at_par_with_reference, calibrated]
