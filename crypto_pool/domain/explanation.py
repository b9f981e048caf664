"""Feature importance as SHAP values, in units of the served probability."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crypto_pool.domain.candidates import Candidate
from crypto_pool.domain.training import REFERENCE_LOGIT

PredictProbability = Callable[[pd.DataFrame], np.ndarray]

TREE = "interventional trees"
SAMPLED = "sampled permutations"
SAME_PROBABILITY = 1e-6
# The explainer compares thresholds in another float width than some tree libraries do:
# a row on a threshold is off by one tree's vote.
ADDITIVITY_TOLERANCE = 0.02


@dataclass(frozen=True)
class Explanation:
    """Mean signed and mean absolute SHAP value of each feature, and how they were found.

    `reference` is the mean signed value of `reference_logit`, which is no feature: 0
    where the served probability does not use it.
    """

    mean: dict[str, float]
    mean_absolute: dict[str, float]
    method: str
    reference: float = 0.0


def explain(
    candidate: Candidate,
    predict_probability: PredictProbability,
    estimator: Any,
    background: pd.DataFrame,
    rows: pd.DataFrame,
    seed: int,
) -> Explanation:
    """Explain the served probability on `rows` against `background`, same columns.

    The columns are the features the estimator was fitted on, with or without
    `reference_logit` beside them.
    Trees whose own probability is the served one are walked: exact for forests, while
    for boosted trees SHAP rescales log odds to probability, pair by pair of row and
    background. Anything else is sampled, one antithetic permutation of the features a
    row. Either way a row's values add up to its probability less the mean probability of
    the background; where a walk's do not, it is not used.
    """
    served = np.asarray(predict_probability(rows))
    method, values = TREE, None
    own = rows.drop(columns=REFERENCE_LOGIT, errors="ignore")
    if candidate.explainer == "tree" and _is_own_probability(estimator, own, served):
        values = _tree_values(estimator, background.loc[:, own.columns], own)
    if values is None or not _adds_up(values, served, predict_probability(background)):
        method, values = SAMPLED, _sampled_values(predict_probability, background, rows, seed)
    columns = own.columns if method == TREE else rows.columns
    mean = _by_name(columns, values.mean(axis=0))
    absolute = _by_name(columns, np.abs(values).mean(axis=0))
    absolute.pop(REFERENCE_LOGIT, None)
    reference = mean.pop(REFERENCE_LOGIT, 0.0)
    return Explanation(mean, absolute, method, reference)


def _by_name(columns: pd.Index, values: np.ndarray) -> dict[str, float]:
    return {str(name): float(value) for name, value in zip(columns, values, strict=True)}


def _is_own_probability(estimator: Any, rows: pd.DataFrame, served: np.ndarray) -> bool:
    own = np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
    return bool(np.allclose(own, served, rtol=0, atol=SAME_PROBABILITY))


def _adds_up(values: np.ndarray, served: np.ndarray, background: np.ndarray) -> bool:
    expected = served - float(np.mean(background))
    return bool(np.allclose(values.sum(axis=1), expected, rtol=0, atol=ADDITIVITY_TOLERANCE))


def _tree_values(estimator: Any, background: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray | None:
    """Give SHAP values of class 1, or None for a model the explainer does not know."""
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    try:
        explainer = shap.TreeExplainer(
            estimator,
            masker,
            feature_perturbation="interventional",
            model_output="probability",
        )
    except (shap.utils._exceptions.InvalidModelError, NotImplementedError, ValueError):
        return None
    values = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    return values[..., 1] if values.ndim == 3 else values


def _sampled_values(
    predict_probability: PredictProbability,
    background: pd.DataFrame,
    rows: pd.DataFrame,
    seed: int,
) -> np.ndarray:
    import shap

    columns = rows.columns

    def probability(values: np.ndarray) -> np.ndarray:
        return np.asarray(predict_probability(pd.DataFrame(values, columns=columns)))

    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.PermutationExplainer(probability, masker, seed=seed)
    evaluations = 2 * len(columns) + 1
    result = explainer(rows, max_evals=evaluations, silent=True)
    return np.asarray(result.values, dtype=np.float64)
