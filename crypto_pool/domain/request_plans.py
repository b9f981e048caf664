"""How many requests a data provider allows, plan by plan."""

import re
from dataclasses import dataclass

from crypto_pool.errors import InvalidSetting

SECONDS_PER_MINUTE = 60
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class RequestPlan:
    """The most requests in any second, any minute and any 24 hours; None is no limit."""

    per_second: int | None = None
    per_minute: int | None = None
    per_day: int | None = None

    def __post_init__(self) -> None:
        """Refuse a plan that allows no request at all."""
        for name, limit in vars(self).items():
            if limit is not None and limit < 1:
                raise InvalidSetting(f"a plan with {name}={limit} allows nothing; use 1 or more")

    @property
    def pace(self) -> dict[int, int]:
        """Limits by window in seconds, without those that a stricter one implies."""
        second, minute = self.per_second, self.per_minute
        if second is not None and minute is not None:
            if minute <= second:
                second = None
            elif minute >= second * SECONDS_PER_MINUTE:
                minute = None
        limits = {1: second, SECONDS_PER_MINUTE: minute}
        return {window: limit for window, limit in limits.items() if limit is not None}

    def __str__(self) -> str:
        limits = {"second": self.per_second, "minute": self.per_minute, "day": self.per_day}
        stated = [f"{limit} a {window}" for window, limit in limits.items() if limit is not None]
        return ", ".join(stated) or "no limit"


# Alpha Vantage says its paid limits by the minute only. The limits by the second are ours: half
# as much again as an even pace, so that the minute is used up without a burst.
PLANS = {
    "free": RequestPlan(per_second=1, per_day=25),
    "premium_75": RequestPlan(per_second=2, per_minute=75),
    "premium_150": RequestPlan(per_second=4, per_minute=150),
    "premium_300": RequestPlan(per_second=8, per_minute=300),
    "premium_600": RequestPlan(per_second=15, per_minute=600),
    "premium_1200": RequestPlan(per_second=30, per_minute=1200),
}
UNLIMITED = RequestPlan()
# What 1.0.0 called custom, with limits in settings of their own: the narrowest plan ever sold.
_CUSTOM = RequestPlan(per_second=1, per_minute=5, per_day=500)
_LIMIT = re.compile(r"(\d+)/(second|minute|day)")


def read_plan(text: str) -> RequestPlan:
    """Return the plan of a name, or of limits such as `5/minute,500/day`; raises InvalidSetting."""
    if text in PLANS or text == "custom":
        return PLANS.get(text, _CUSTOM)
    limits = [_LIMIT.fullmatch(limit) for limit in text.replace(",", " ").split()]
    given = {f"per_{limit[2]}": int(limit[1]) for limit in limits if limit}
    if not limits or len(given) != len(limits):
        raise InvalidSetting(
            f"{text!r} is no plan: take {', '.join(PLANS)}, or limits such as 5/minute,500/day"
        )
    return RequestPlan(**given)
