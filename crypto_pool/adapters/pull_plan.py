"""What of a pull fits into what is left of the request budget, and until when the rest waits."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_pool.adapters.rate_limit import RequestBudget


@dataclass(frozen=True)
class PullPlan:
    """What of a pull fits the budget: whole items, in the order asked for."""

    fits: tuple[str, ...]
    deferred: tuple[str, ...]
    message: str


def plan_pull(budget: RequestBudget, needed: Mapping[str, int]) -> PullPlan:
    """Say which items of a run fit; an item is pulled whole, by its requests, or not at all."""
    left, daily = budget.left_today(), budget.plan.per_day
    fits: list[str] = []
    used = 0
    for item, requests in needed.items():
        if left is None or used + requests <= left:
            fits.append(item)
            used += requests
    deferred = tuple(item for item in needed if item not in fits)
    of_plan = f" of {daily}" if daily else ""
    message = f"{sum(needed.values())} requests needed, "
    message += "no daily limit" if left is None else f"{left} left{of_plan} today"
    if deferred:
        message += f"; {len(fits)} of {len(needed)} can be pulled today"
        waiting = [item for item in deferred if daily is None or needed[item] <= daily]
        if waiting:
            free_at = budget.free_at(needed[waiting[0]], used)
            message += f", these wait until {free_at:%Y-%m-%d %H:%M} UTC: {', '.join(waiting)}"
        for item in (one for one in deferred if one not in waiting):
            message += (
                f"; {item} needs {needed[item]} requests, more than the plan allows in a day: "
                "choose a larger plan or CRYPTO_POOL_INDICATOR_SOURCE=local"
            )
    return PullPlan(tuple(fits), deferred, message)
