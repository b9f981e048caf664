"""The served probability of many rows at once, where a model's own way takes longer.

An explanation asks for thousands of predictions a row. Of the ten candidates only the
support vector machine needs another way; the others are fast over large batches.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto_pool.domain.training import REFERENCE_LOGIT

if TYPE_CHECKING:
    from crypto_pool.domain.calibration import TimeOrderedCalibratedClassifier

FloatArray = NDArray[np.float64]
BLOCK_ROWS = 1024  # a block of kernel values stays in the processor's cache


class ServedModel(Protocol):
    """What is needed of a loaded model."""

    @property
    def estimator(self) -> Any:
        """The fitted candidate."""
        ...

    @property
    def calibration(self) -> Any:
        """What turns its probability into the served one."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns it was fitted on."""
        ...

    def predict_probability(self, frame: pd.DataFrame) -> FloatArray:
        """Give the served probability for rows of the features and `reference_logit`."""
        ...


def fast_probability(model: ServedModel) -> Callable[[pd.DataFrame], FloatArray]:
    """Give a function equal to `model.predict_probability` within 1e-9."""
    from crypto_pool.domain.calibration import AnchoredCalibration

    calibration = model.calibration
    raw: Callable[[pd.DataFrame], FloatArray]
    if isinstance(calibration, AnchoredCalibration) and calibration.candidate_weight == 0:
        raw = _undecided  # nothing of the candidate is served
    elif _is_radial_machine(model.estimator):
        raw = _radial_machine(model.estimator, list(model.feature_names))
    else:
        return model.predict_probability

    def predict_probability(frame: pd.DataFrame) -> FloatArray:
        odds = frame[REFERENCE_LOGIT].to_numpy(dtype=np.float64)
        return np.asarray(calibration.apply(raw(frame), odds), dtype=np.float64)

    return predict_probability


def _undecided(frame: pd.DataFrame) -> FloatArray:
    return np.full(len(frame), 0.5)


def _is_radial_machine(estimator: Any) -> bool:
    from crypto_pool.domain.calibration import TimeOrderedCalibratedClassifier

    if not isinstance(estimator, TimeOrderedCalibratedClassifier):
        return False
    machine = estimator.estimator_[-1]
    return type(machine).__name__ == "SVC" and machine.kernel == "rbf"


def _radial_machine(
    estimator: "TimeOrderedCalibratedClassifier", feature_names: list[str]
) -> Callable[[pd.DataFrame], FloatArray]:
    """Take the kernel by matrix products; libsvm goes vector by vector."""
    scaler, machine = estimator.estimator_[:-1], estimator.estimator_[-1]
    vectors = machine.support_vectors_
    gamma = machine._gamma  # what `gamma="scale"` came to in fit; nothing public tells it
    offset = gamma * np.square(vectors).sum(axis=1)
    weights = machine.dual_coef_[0]
    positive = list(estimator.classes_).index(1)

    def probability(frame: pd.DataFrame) -> FloatArray:
        rows = np.asarray(scaler.transform(frame.loc[:, feature_names].astype(np.float64)))
        scores = np.empty(len(rows))
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            exponent = block @ (2 * gamma * vectors.T)
            exponent -= offset
            exponent -= gamma * np.square(block).sum(axis=1)[:, None]
            scores[start : start + BLOCK_ROWS] = np.exp(exponent, out=exponent) @ weights
        scores += machine.intercept_[0]
        answer = estimator.platt_.predict_proba(scores.reshape(-1, 1))
        return np.asarray(answer[:, positive], dtype=np.float64)

    return probability
