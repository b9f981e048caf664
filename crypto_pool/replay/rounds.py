"""One round of one member: all candidates trained on what was known, and their forecasts."""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import feature_names
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.domain.market import Member
from crypto_pool.domain.policies import EvaluationPolicy, HoldoutPolicy, policy_of
from crypto_pool.domain.training import TrainingTable, prediction_input, training_table
from crypto_pool.errors import UnscoredCandidate
from crypto_pool.replay.history import features_of, reference_column
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.workflow.training import import_libraries

CANDIDATE_TABLE = "candidates"
FORECAST_TABLE = "forecasts"
EVALUATION_TABLE = "evaluations"


@dataclass(frozen=True)
class RoundTask:
    """What a worker needs: the bars up to `as_of`, and the days to forecast after it."""

    key: str
    policy: str
    member: Member
    as_of: date
    plan: ReplayPlan
    bars: pd.DataFrame
    observed: pd.DataFrame
    store: FrameStore


@dataclass(frozen=True, eq=False)
class Contender(TrainedCandidate):
    """One candidate of one round, with what it forecast.

    `forecasts` has the columns probability and reference_probability by bar date, from
    the day after `as_of` to the end of the replay. `base_rate` is the share of label 1
    among all labelled rows known at `as_of`.
    """

    base_rate: float = float("nan")
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)


def round_key(policy: str, member: Member, as_of: date, digest: str) -> str:
    """Name a round's stored pieces; other bars give another name."""
    return f"{policy}-{member.name}-{as_of}-{digest}"


def play_round(task: RoundTask) -> str:
    """Train every candidate, forecast the days ahead, and store both; returns the key.

    All days to the end are forecast, whoever is promoted: so promotion is a later pass
    over what is stored, and a challenger for a later comparison needs no second fit.
    """
    import_libraries()
    plan = task.plan
    recipe = plan.recipe_of(task.policy)
    table = training_table(
        task.bars,
        features_of(task.bars, recipe),
        task.member.trend,
        pd.Timestamp(task.as_of),
        recipe,
    )
    policy = policy_of(recipe)
    rows, forecasts, evaluations = [], [], []
    baselines = [] if task.policy == HoldoutPolicy.name else [table.baseline]
    for algorithm in [*baselines, *plan.algorithms]:
        row, forecast, evaluation = _train(policy, algorithm, table, task)
        rows.append({"algorithm": algorithm, "base_rate": _base_rate(table), **row})
        forecasts.append(forecast.assign(algorithm=algorithm))
        evaluations.append(evaluation.assign(algorithm=algorithm))
    task.store.write(FORECAST_TABLE, task.key, pd.concat(forecasts))
    task.store.write(EVALUATION_TABLE, task.key, pd.concat(evaluations))
    # Last, because it says that the round is complete.
    task.store.write(CANDIDATE_TABLE, task.key, pd.DataFrame(rows))
    return task.key


def read_round(store: FrameStore, key: str, as_of: date) -> tuple[dict[str, Contender], list[str]]:
    """The scored candidates of a stored round by algorithm, and why others have no score."""
    candidates = store.read(CANDIDATE_TABLE, key)
    forecasts = store.read(FORECAST_TABLE, key)
    evaluations = store.read(EVALUATION_TABLE, key)
    contenders, unscored = {}, []
    for row in candidates.to_dict("records"):
        name = str(row["algorithm"])
        if row["reason"]:
            unscored.append(f"{name}: {row['reason']}")
            continue
        contenders[name] = Contender(
            algorithm=name,
            as_of=as_of,
            metrics=json.loads(row["metrics"]),
            decision_threshold=float(row["decision_threshold"]),
            trained_through=pd.Timestamp(row["trained_through"]),
            chosen_through=pd.Timestamp(row["chosen_through"]),
            base_rate=float(row["base_rate"]),
            forecasts=_of_algorithm(forecasts, name),
            evaluation=_of_algorithm(evaluations, name),
        )
    return contenders, unscored


def _train(
    policy: EvaluationPolicy, algorithm: str, table: TrainingTable, task: RoundTask
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    try:
        fitted = policy.evaluate(CANDIDATES.get(algorithm), table)
        forecast = _forecast(fitted, task)
    except UnscoredCandidate as error:
        return {"reason": str(error)}, pd.DataFrame(), pd.DataFrame()
    row = {
        "reason": "",
        "metrics": json.dumps(dict(fitted.metrics)),
        "decision_threshold": fitted.decision_threshold,
        "trained_through": fitted.trained_through,
        "chosen_through": fitted.chosen_through,
    }
    return row, forecast, fitted.evaluation


def _forecast(fitted: TrainedCandidate, task: RoundTask) -> pd.DataFrame:
    columns = list(feature_names(task.plan.recipe.time_period))
    reference = task.observed[reference_column(task.member.trend)]
    rows = prediction_input(task.observed[columns], reference)
    return pd.DataFrame(
        {
            "probability": fitted.served.predict_probability(rows),
            "reference_probability": reference,
        },
        index=task.observed.index,
    )


def _base_rate(table: TrainingTable) -> float:
    return float(np.mean(table.labels)) if len(table) else float("nan")


def _of_algorithm(frame: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    return frame.loc[frame["algorithm"] == algorithm].drop(columns="algorithm")
