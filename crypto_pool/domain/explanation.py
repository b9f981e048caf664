"""Feature importance as SHAP values, in units of the served probability.

A SHAP value here is interventional: an absent feature takes its value from a background
row, and the values are the mean over all background rows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.served_model import PANEL_LOGIT, REFERENCE_LOGIT, ServedModel

FloatArray = NDArray[np.float64]

FOREST = "exact: interventional trees of the forest"
ALONE = "exact: one input alone moves the served probability"
SPLIT = "exact: the baseline's parts, from even odds"
SAMPLED = "sampled: an antithetic pair of orders for each row and background row"
SAME_PROBABILITY = 1e-6
# The explainer compares thresholds in another float width than the forest does: a row on a
# threshold is off by one tree's vote.
ADDITIVITY_TOLERANCE = 0.02


@dataclass(frozen=True)
class Contribution:
    """What one input adds to one forecast's probability, signed."""

    feature: str
    contribution: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """SHAP values by row and input, the rows they explain, and how they were found.

    The log odds it is anchored to, which are no feature, have a column beside the features.
    `standard_error` is the largest of the mean values' standard errors from sampling.
    """

    values: pd.DataFrame
    rows: pd.DataFrame
    method: str
    standard_error: float

    @classmethod
    def none(cls) -> "Explanation":
        """Return that of a model nobody explains."""
        return cls(pd.DataFrame(), pd.DataFrame(), "none", 0.0)

    @property
    def mean(self) -> dict[str, float]:
        """Mean signed value of each feature."""
        return _by_name(self._of_features.mean())

    @property
    def mean_absolute(self) -> dict[str, float]:
        """Mean absolute value of each feature."""
        return _by_name(self._of_features.abs().mean())

    @property
    def reference(self) -> float:
        """Mean signed value of what the model is anchored to."""
        return float(self.values.drop(columns=self._of_features.columns).sum(axis=1).mean())

    @property
    def _of_features(self) -> pd.DataFrame:
        return self.values.drop(columns=[REFERENCE_LOGIT, PANEL_LOGIT], errors="ignore")


def explain(
    model: ServedModel, background: pd.DataFrame, rows: pd.DataFrame, seed: int
) -> Explanation:
    """Explain the served probability on `rows` against `background`, same columns.

    Both are the input of a served model. Exact is what one input alone decides, as the reference
    does where a calibration gives the candidate no weight, and a forest that is served as
    it is. SHAP knows no exact values for boosted trees in units of probability, nor for
    anything behind a calibration: the rest is sampled. Either way a row's values add up to
    its probability less the mean probability of the background.
    """
    columns = [*model.feature_names, model.anchor]
    background, rows = background.loc[:, columns], rows.loc[:, columns]
    if model.algorithm in CANDIDATES and CANDIDATES[model.algorithm].explainer == "forest":
        exact = _forest_values(model, background, rows)
        if exact is not None:
            return Explanation(exact, rows, FOREST, 0.0)
    values, variance = _sampled_values(model, background, rows, seed)
    contributions = pd.DataFrame(values, index=rows.index, columns=rows.columns)
    if np.count_nonzero((values != 0).any(axis=0)) <= 1:
        return Explanation(contributions, rows, ALONE, 0.0)
    error = float(np.sqrt(variance.sum(axis=0)).max() / len(rows))
    return Explanation(contributions, rows, SAMPLED, error)


def contributions(
    model: ServedModel, background: pd.DataFrame, row: pd.DataFrame, seed: int, count: int = 3
) -> list[Contribution]:
    """Give the `count` largest sampled SHAP values of one forecast, `row` being a frame of one."""
    columns = [*model.feature_names, model.anchor]
    (values,), _ = _sampled_values(model, background.loc[:, columns], row.loc[:, columns], seed)
    largest = np.argsort(-np.abs(values), kind="stable")[:count]
    return [Contribution(columns[place], float(values[place])) for place in largest]


def _sampled_values(
    model: ServedModel, background: pd.DataFrame, rows: pd.DataFrame, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return values by row and input, and how much sampling makes each of them vary."""
    random = np.random.default_rng(seed)
    absent, present = model.predict_probability(background), model.predict_probability(rows)
    values, variance = np.empty((2, *rows.shape))
    for number in range(len(rows)):
        row = rows.iloc[[number]]
        pairs = _pair_values(model, background, absent, row, present[number], random)
        values[number] = pairs.mean(axis=0)
        # Each background row has its own pair of orders, so their spread is never less than
        # what the orders cause.
        variance[number] = pairs.var(axis=0, ddof=1) / len(pairs)
    return values, variance


def _pair_values(
    model: ServedModel,
    background: pd.DataFrame,
    absent: FloatArray,
    row: pd.DataFrame,
    present: float,
    random: np.random.Generator,
) -> FloatArray:
    """Give the value of each input for each background row, in one batch of predictions.

    The inputs of `background` turn into those of `row` one by one, in a random order and in
    its reverse; an input's value is the mean of its two steps. `shap.PermutationExplainer`
    walks one order over all background rows; an order for each costs the same number of
    predictions and averages over many more orders.
    """
    count, width = background.shape
    position = random.permuted(np.tile(np.arange(width), (count, 1)), axis=1)
    positions = np.stack([position, width - 1 - position])
    changed = positions[:, :, None, :] < np.arange(1, width)[:, None]
    mixed = np.where(changed, row.to_numpy(dtype=np.float64), background.to_numpy()[:, None, :])
    frame = pd.DataFrame(mixed.reshape(-1, width), columns=background.columns)
    between = model.predict_probability(frame).reshape(2, count, width - 1)
    walks = np.concatenate(
        [np.broadcast_to(absent[:, None], (2, count, 1)), between, np.full((2, count, 1), present)],
        axis=2,
    )
    steps = np.take_along_axis(np.diff(walks, axis=2), positions, axis=2)
    return np.asarray(steps.mean(axis=0))


def _forest_values(
    model: ServedModel, background: pd.DataFrame, rows: pd.DataFrame
) -> pd.DataFrame | None:
    """Give exact values of class 1, or None if the forest's probability is not the served one."""
    served = model.predict_probability(rows)
    own = rows.loc[:, list(model.feature_names)]
    if not np.allclose(model.predict_raw(rows), served, rtol=0, atol=SAME_PROBABILITY):
        return None
    import shap

    known = background.loc[:, own.columns]
    explainer = shap.TreeExplainer(
        model.estimator,
        shap.maskers.Independent(known, max_samples=len(known)),
        feature_perturbation="interventional",
        model_output="probability",
    )
    values = np.asarray(explainer.shap_values(own, check_additivity=False))[..., 1]
    expected = served - float(np.mean(model.predict_probability(background)))
    if not np.allclose(values.sum(axis=1), expected, rtol=0, atol=ADDITIVITY_TOLERANCE):
        return None
    exact = pd.DataFrame(values, index=rows.index, columns=own.columns)
    return exact.reindex(columns=rows.columns, fill_value=0.0)


def _by_name(values: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
