"""The report of a replay as one JSON-ready document, built from what its pools stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import pandas as pd
from pydantic_core import to_jsonable_python

from crypto_pool.domain.decisions import APPOINTMENTS
from crypto_pool.domain.members import Trend
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.tables import MEMBER, PREDICTIONS
from crypto_pool.replay import scores
from crypto_pool.replay.account import Costs, account_statistics, buy_and_hold, follow_signals
from crypto_pool.replay.life import PoolLife
from crypto_pool.replay.panel import PanelReplay
from crypto_pool.workflow.reviewing import Outcomes

_KEY = ["prediction_date", *MEMBER]
_DECISION = ("as_of", "decision", "reason", "serving_version", "algorithm")


@dataclass(frozen=True)
class ReplayReport:
    """The document, and the daily returns of the accounts for the plots."""

    document: dict[str, Any]
    returns: Mapping[str, pd.Series]


def build_report(
    lives: Mapping[str, PoolLife], source: str, skipped: Sequence[str], costs: Costs
) -> ReplayReport:
    """Score over everything that was lived; `lives` are the pools by evaluation policy."""
    life = next(iter(lives.values()))
    plan, market = life.plan, life.market
    bars = market.bars_of(plan)
    returns = {"buy and hold": buy_and_hold(bars, costs)}
    policies = {}
    for name, one in lives.items():
        forecasts = one.store.read_all(PREDICTIONS.store_name)
        returns[name] = follow_signals(forecasts, bars, plan.recipe.horizon, costs)
        policies[name] = _describe(one, forecasts)
        policies[name]["account"] = account_statistics(returns[name])
    document = {
        "plan": {**plan.to_json(), "policies": list(lives)},
        "source": source,
        "synthetic": life.synthetic,
        "symbols": list(market.bars),
        "skipped": list(skipped),
        "failures": [
            f"{name}: {reason} (first on {day})"
            for name, one in lives.items()
            for reason, day in one.failures.items()
        ],
        "bar_faults": list(market.notes),
        "definitions": (scores.__doc__ or "").strip(),
        "panel": PanelReplay.of(market.panel, plan.recipe.target, plan.start, plan.end).rows(),
        "policies": policies,
        "buy_and_hold": account_statistics(returns["buy and hold"]),
        "costs": asdict(costs),
    }
    return ReplayReport(to_jsonable_python(document), returns)


def live_forecasts(life: PoolLife) -> pd.DataFrame:
    """Return the live rows of a whole life: outcome and promise beside what was forecast."""
    end = life.plan.end + timedelta(days=life.recipe.horizon)  # by when the last outcome is known
    whole = ReviewRules(life.recipe.horizon, (end - life.plan.start).days + 1)
    served = Outcomes.read(life.store, life.decisions(), end, whole).served
    if served.empty:
        return served
    made = life.store.read_all(PREDICTIONS.store_name)[[*_KEY, "algorithm", "panel_probability"]]
    return served.merge(made, on=_KEY, how="left")


def _describe(life: PoolLife, forecasts: pd.DataFrame) -> dict[str, Any]:
    rows, horizon = live_forecasts(life), life.recipe.horizon
    algorithms: Counter[str] = Counter()
    members = {}
    for member, ledger in sorted(life.decisions().items()):
        decisions = [
            {name: None if pd.isna(row[name]) else row[name] for name in _DECISION}
            for row in ledger.to_dict("records")
        ]
        algorithms.update(
            str(one["algorithm"]) for one in decisions if one["decision"] in APPOINTMENTS
        )
        mine = _of(rows, symbol=member.symbol, trend=str(member.trend))
        members[member.name] = {**scores.summarise(mine, horizon), "decisions": decisions}
    spoken = forecasts[forecasts["status"] == "active"]
    pooled = {
        **scores.summarise(rows, horizon),
        "n_abstentions": int((forecasts["status"] == "abstain").sum()),
        "n_late": int(forecasts["late"].sum()),
        "n_members_with_champion": len(spoken.drop_duplicates(list(MEMBER))),
    }
    return {
        "pooled": pooled,
        "trends": {
            str(trend): scores.summarise(_of(rows, trend=str(trend)), horizon) for trend in Trend
        },
        "members": members,
        "calibration_curve": scores.calibration_curve(rows),
        "reference_calibration_curve": scores.calibration_curve(rows, "reference_probability"),
        "champions_by_algorithm": dict(algorithms.most_common()),
    }


def _of(rows: pd.DataFrame, **values: str) -> pd.DataFrame:
    for column, value in values.items():
        rows = rows if rows.empty else rows[rows[column] == value]
    return rows
