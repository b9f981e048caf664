"""What makes a member's probability: an estimator behind its calibration, or a baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto_pool.errors import UnscoredCandidate

if TYPE_CHECKING:
    from crypto_pool.domain.calibrations import Calibration

Anchor = Literal["reference_logit", "panel_logit"]
REFERENCE_LOGIT: Anchor = "reference_logit"
PANEL_LOGIT: Anchor = "panel_logit"
# A baseline serves what it is named after, by these log odds.
BASELINES: Mapping[str, Anchor] = MappingProxyType(
    {"Panel": PANEL_LOGIT, "RandomWalk": REFERENCE_LOGIT}
)


@dataclass(frozen=True)
class ServedModel:
    """A fitted estimator with the calibration that anchors it to the panel or the reference.

    A baseline has no estimator: its probability is that of the anchor.
    """

    algorithm: str
    calibration: "Calibration"
    feature_names: tuple[str, ...]
    estimator: Any = None
    anchor: Anchor = REFERENCE_LOGIT

    @classmethod
    def baseline(cls, algorithm: str, feature_names: tuple[str, ...]) -> "ServedModel":
        """Return the model of a baseline by its name."""
        from crypto_pool.domain.calibrations import AnchoredCalibration

        return cls(algorithm, AnchoredCalibration(), feature_names, anchor=BASELINES[algorithm])

    def predict_probability(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the served probability for rows of the features and the anchor's log odds.

        An estimator to which the calibration gives no weight is not asked. Raises what
        `predict_raw` does, UnscoredCandidate.
        """
        weight = getattr(self.calibration, "candidate_weight", 1.0)
        is_needed = self.estimator is not None and weight != 0
        own = self.predict_raw(rows) if is_needed else np.full(len(rows), 0.5)
        odds = rows[self.anchor].to_numpy(dtype=np.float64)
        return np.asarray(self.calibration.apply(own, odds), dtype=np.float64)

    def predict_raw(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the estimator's own probability of class 1, before calibration.

        Raises UnscoredCandidate for what is no probability.
        """
        features: Any = rows.loc[:, list(self.feature_names)].astype(np.float64)
        if getattr(self.estimator, "feature_names_in_", None) is None:
            features = features.to_numpy()
        return positive_probability(self.algorithm, self.estimator, features)


def positive_probability(
    algorithm: str, estimator: Any, rows: "pd.DataFrame | NDArray[np.float64]"
) -> NDArray[np.float64]:
    """Return an estimator's probability of class 1; raises UnscoredCandidate for what is none."""
    answer = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    if answer.shape != (len(rows), 2):
        raise UnscoredCandidate(
            f"{algorithm}: its probabilities have the shape {answer.shape}, not {(len(rows), 2)}"
        )
    probability = answer[:, list(estimator.classes_).index(1)]
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        raise UnscoredCandidate(
            f"{algorithm}: {int(wrong.sum())} of {len(rows)} probabilities are not between 0 and "
            f"1, the first is {probability[wrong][0]:g}"
        )
    return probability
