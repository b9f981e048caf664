"""A small pool with outcomes, reviewed and observed."""

from datetime import timedelta

import numpy as np
import pandas as pd

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.review import ReviewRules
from crypto_pool.workflow.monitoring import observe_members
from crypto_pool.workflow.reviewing import Outcomes, Reviewer
from crypto_pool_tests.stored_days import write_days
from crypto_pool_tests.workflow.small_pool import MEMBER, RECIPE, SECOND, noon_after

TODAY = SECOND - timedelta(days=1)
BAD, GOOD = 0.9, 0.1
RULES = ReviewRules(window_days=240)
OTHER = Member(MEMBER.symbol, Trend.DOWNTREND)


def write_outcomes(pool, table, version, *, error, days=200, until=TODAY):
    """Live rows that had matured by a day, each as far from what happened as `error`."""
    dates = pd.date_range(end=until - timedelta(days=RECIPE.horizon), periods=days)
    outcome = (np.arange(days) // 7 % 3 == 0).astype(float)
    rows = pd.DataFrame(
        {
            "prediction_date": dates.date,
            "symbol": MEMBER.symbol,
            "trend": str(MEMBER.trend),
            "probability": np.abs(outcome - error),
            "signal": outcome == 0,
            "reference_probability": 1 / 3,
            "outcome": outcome,
            "status": "active",
            "late": False,
            "in_sample": False,
            "model_version": version,
        }
    )
    write_days(pool.store, table, rows)


def review(pool, as_of=TODAY):
    outcomes = Outcomes.read(pool.store, Ledger(pool.store).by_member(), as_of, RULES)
    reviewer = Reviewer(
        pool.store, pool.registry, ReviewRules(), as_of, noon_after(as_of), "review"
    )
    return reviewer.review(MEMBER, outcomes, pool.decisions)


def observe(pool, as_of):
    states, faults = observe_members(
        pool.store, pool.registry, [MEMBER], Recipe(), 240, as_of, noon_after(as_of)
    )
    assert faults == {}
    return states[0]
