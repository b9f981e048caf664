"""The report of a replay as one JSON-ready document, built from what its rounds stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pandas as pd

from crypto_pool.domain.market import Member, Trend
from crypto_pool.domain.policies import policy_of
from crypto_pool.domain.promotion import APPOINTMENTS, PromotionRules
from crypto_pool.replay import scores
from crypto_pool.replay.account import Costs, account_statistics, buy_and_hold, follow_signals
from crypto_pool.replay.history import realised_labels
from crypto_pool.replay.life import MemberLife, live
from crypto_pool.replay.play import Replay
from crypto_pool.replay.rounds import CANDIDATE_TABLE, Contender, read_round


@dataclass(frozen=True)
class ReplayReport:
    """The document, and the daily returns of the accounts for the plots."""

    document: dict[str, Any]
    returns: Mapping[str, pd.Series]


def build_report(replay: Replay, rules: PromotionRules, costs: Costs) -> ReplayReport:
    """Promote by the rules, serve and score over everything that was played."""
    plan = replay.plan
    labels = {history.symbol: realised_labels(history.bars, plan) for history in replay.histories}
    bars = {
        history.symbol: history.bars.loc[
            pd.Timestamp(plan.start) + pd.Timedelta(days=1) : pd.Timestamp(plan.scored_through)
        ]
        for history in replay.histories
    }
    returns = {"buy and hold": buy_and_hold(bars, costs)}
    policies = {}
    for policy in replay.policies:
        lives = _live_all(replay, policy, rules, labels)
        forecasts = pd.concat([life.forecasts for life in lives])
        returns[policy] = follow_signals(forecasts, bars, plan.recipe.horizon, costs)
        policies[policy] = _describe(lives, forecasts, plan.recipe.horizon)
        policies[policy]["account"] = account_statistics(returns[policy])
    document = {
        "plan": {**plan.to_json(), "policies": list(replay.policies)},
        "source": replay.source,
        "synthetic": replay.synthetic,
        "symbols": [history.symbol for history in replay.histories],
        "skipped": list(replay.skipped),
        "failures": list(replay.failures),
        "bar_faults": [fault for history in replay.histories for fault in history.faults],
        "definitions": (scores.__doc__ or "").strip(),
        "policies": policies,
        "buy_and_hold": account_statistics(returns["buy and hold"]),
        "costs": asdict(costs),
        "promotion_rules": asdict(rules),
    }
    return ReplayReport(_json_ready(document), returns)


def _live_all(
    replay: Replay, policy_name: str, rules: PromotionRules, labels: Mapping[str, pd.DataFrame]
) -> list[MemberLife]:
    plan, store = replay.plan, replay.store
    policy = policy_of(plan.recipe_of(policy_name))
    stored = set(store.keys(CANDIDATE_TABLE))
    rounds: dict[Member, dict[date, Mapping[str, Contender]]] = {}
    for name, member, as_of in replay.rounds():
        key = replay.key(name, member, as_of)
        if name == policy_name and key in stored:
            rounds.setdefault(member, {})[as_of] = read_round(store, key, as_of)[0]
    return [
        live(member, played, labels[member.symbol][str(member.trend)], policy, plan.end, rules)
        for member, played in rounds.items()
    ]


def _describe(lives: list[MemberLife], forecasts: pd.DataFrame, horizon: int) -> dict[str, Any]:
    algorithms: dict[str, int] = {}
    for life in lives:
        for decision in life.decisions:
            if decision["decision"] in APPOINTMENTS:
                name = str(decision["algorithm"])
                algorithms[name] = algorithms.get(name, 0) + 1
    return {
        "pooled": scores.summarise(forecasts, horizon),
        "trends": {
            str(trend): scores.summarise(_of_trend(forecasts, trend), horizon) for trend in Trend
        },
        "members": {
            life.member.name: {
                **scores.summarise(life.forecasts, horizon),
                "decisions": life.decisions,
            }
            for life in sorted(lives, key=lambda life: life.member)
        },
        "calibration_curve": scores.calibration_curve(forecasts),
        "reference_calibration_curve": scores.calibration_curve(forecasts, "reference_probability"),
        "champions_by_algorithm": dict(sorted(algorithms.items(), key=lambda item: -item[1])),
    }


def _of_trend(forecasts: pd.DataFrame, trend: Trend) -> pd.DataFrame:
    return forecasts if forecasts.empty else forecasts[forecasts["trend"] == str(trend)]


def _json_ready(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value
