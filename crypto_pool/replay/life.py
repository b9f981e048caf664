"""The life of one member: who is promoted at each training, and what it then forecasts.

A pure pass over the rounds that were played, with the rules of the live pool.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pandas as pd

from crypto_pool.domain.evaluation import Gates, Metric
from crypto_pool.domain.market import Member
from crypto_pool.domain.overfitting import correct_promise
from crypto_pool.domain.policies import EvaluationPolicy
from crypto_pool.domain.promotion import Incumbent, PromotionRules, decide
from crypto_pool.domain.selection import choose_champion
from crypto_pool.domain.splits import purge_gap
from crypto_pool.replay.rounds import Contender

PROMISED = {
    "promised_precision": "precision",
    "promised_recall": "positive_accuracy",
    "promised_brier": "brier_score",
}


@dataclass(frozen=True)
class MemberLife:
    """What was decided at each training, and every forecast served, one row a day."""

    member: Member
    decisions: list[dict[str, Any]]
    forecasts: pd.DataFrame


def live(
    member: Member,
    rounds: Mapping[date, Mapping[str, Contender]],
    labels: pd.Series,
    policy: EvaluationPolicy,
    end: date,
    rules: PromotionRules,
) -> MemberLife:
    """Choose, promote and serve through all rounds, in the order of their dates.

    `rounds` holds the scored candidates by training date; `labels` the realised label by
    bar date, of which each decision sees only those known on its date.
    """
    champion: Contender | None = None
    version, decisions, served = 0, [], []
    dates = sorted(rounds)
    for as_of, until in zip(dates, [*dates[1:], end], strict=True):
        contenders = rounds[as_of]
        selection = choose_champion(list(contenders.values()), Gates(), policy)
        winner = None if selection.winner is None else contenders[selection.winner.algorithm]
        verdict = decide(
            None if champion is None else _incumbent(champion, version),
            winner,
            _comparison(champion, winner, rounds, labels, as_of, rules.horizon),
            as_of,
            rules,
            out_of_fold=_out_of_fold(champion, winner, contenders),
        )
        correction = None
        if verdict.decision == "stood down":
            champion = None
        if winner is not None and verdict.replaces:
            champion, version = winner, version + 1
            evaluations = {name: one.evaluation for name, one in contenders.items()}
            correction = correct_promise(evaluations, winner.algorithm, horizon=rules.horizon)
        decisions.append(
            {
                "as_of": as_of,
                "decision": verdict.decision,
                "reason": f"{selection.reason}; {verdict.reason}",
                "serving_version": None if champion is None else version,
                "serving_algorithm": None if champion is None else champion.algorithm,
                "selection_correction": None if correction is None else asdict(correction),
            }
        )
        if champion is not None:
            served.append(_serve(champion, version, as_of, until, rules.horizon))
    forecasts = pd.concat(served) if served else pd.DataFrame()
    if not forecasts.empty:
        forecasts = forecasts.assign(
            symbol=member.symbol,
            trend=str(member.trend),
            label=labels.reindex(forecasts.index).to_numpy(),
        )
    return MemberLife(member, decisions, forecasts)


def _incumbent(champion: Contender, version: int) -> Incumbent:
    return Incumbent(
        version=str(version),
        trained_as_of=champion.as_of,
        trained_through=champion.trained_through.date(),
        seen_through=champion.seen_through.date(),
        decision_threshold=champion.decision_threshold,
    )


def _comparison(
    champion: Contender | None,
    winner: Contender | None,
    rounds: Mapping[date, Mapping[str, Contender]],
    labels: pd.Series,
    as_of: date,
    horizon: int,
) -> pd.DataFrame | None:
    """Both algorithms, trained on what the champion knew, on rows neither has seen.

    The challenger's fit of the champion's own round stands for the refit of a live pool.
    """
    if champion is None or winner is None:
        return None
    then = rounds[champion.as_of].get(winner.algorithm)
    if then is None:
        return None
    first_unseen = champion.seen_through + pd.Timedelta(days=purge_gap(horizon))
    last_known = pd.Timestamp(as_of) - pd.Timedelta(days=horizon)
    index = pd.DatetimeIndex(champion.forecasts.index)
    rows = champion.forecasts.loc[(index > first_unseen) & (index <= last_known)]
    frame = pd.DataFrame(
        {
            "label": labels.reindex(rows.index),
            "champion_probability": rows["probability"],
            "challenger_probability": then.forecasts["probability"].reindex(rows.index),
            "reference_probability": rows["reference_probability"],
        }
    ).dropna()
    return frame if len(frame) else None


def _out_of_fold(
    champion: Contender | None, winner: Contender | None, contenders: Mapping[str, Contender]
) -> pd.DataFrame | None:
    """Return the rows of a training on which both algorithms were judged."""
    ours = None if champion is None else contenders.get(champion.algorithm)
    if ours is None or winner is None:
        return None
    frame = ours.evaluation.rename(columns={"probability": "champion_probability"})
    theirs = winner.evaluation["probability"].reindex(frame.index)
    return frame.assign(challenger_probability=theirs).dropna(subset=["challenger_probability"])


def _serve(
    champion: Contender, version: int, as_of: date, until: date, horizon: int
) -> pd.DataFrame:
    """Forecasts of the days after `as_of` through `until` that the champion has not seen."""
    seen = max(
        pd.Timestamp(as_of),
        champion.trained_through + pd.Timedelta(days=horizon),
        champion.chosen_through,
    )
    rows = champion.forecasts.loc[: pd.Timestamp(until)]
    rows = rows.loc[pd.DatetimeIndex(rows.index) > seen]
    promised = {column: _number(champion.metrics[name]) for column, name in PROMISED.items()}
    return rows.assign(
        algorithm=champion.algorithm,
        version=version,
        decision_threshold=champion.decision_threshold,
        flagged=rows["probability"] > champion.decision_threshold,
        base_rate=champion.base_rate,
        **promised,
    )


def _number(value: Metric) -> float:
    return float("nan") if value is None else float(value)
