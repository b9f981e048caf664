"""The ten algorithms: how each is built, saved and explained.

Every library is imported where an algorithm is built, so that whoever only needs the
names pays for none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from crypto_pool.errors import InvalidSetting, UnscoredCandidate

Explainer = Literal["forest", "sampled"]


@dataclass(frozen=True)
class ClassBalance:
    """How many training rows each class has."""

    negatives: int
    positives: int

    @classmethod
    def of(cls, labels: np.ndarray) -> "ClassBalance":
        """Count 0/1 labels."""
        positives = int(np.sum(labels))
        return cls(len(labels) - positives, positives)

    def require_both(self) -> None:
        """Raise UnscoredCandidate for a single class."""
        if not self.negatives or not self.positives:
            raise UnscoredCandidate(
                f"training rows hold one class ({self.negatives} negatives, "
                f"{self.positives} positives); train on more rows"
            )

    @property
    def weights(self) -> dict[int, float]:
        """Weights that make both classes count the same; raises for a single class."""
        self.require_both()
        rows = self.negatives + self.positives
        return {0: rows / (2 * self.negatives), 1: rows / (2 * self.positives)}

    @property
    def negatives_per_positive(self) -> float:
        """XGBoost's `scale_pos_weight`."""
        weights = self.weights
        return weights[1] / weights[0]


Builder = Callable[[ClassBalance, int], Any]


@dataclass(frozen=True)
class Candidate:
    """One algorithm; `build` gives, by the class balance and a seed, an unfitted estimator.

    It has scikit-learn's `fit`, `predict_proba`, `get_params` and, once fitted, `classes_`.
    `explainer` is `forest` for a forest whose SHAP values are exact, else `sampled`.

    `trusted_types` are the types beyond skops' own list that its artefact may hold. `code` is the
    digest of an extension's code, empty for the pool's own.
    """

    name: str
    build: Builder
    explainer: Explainer = "sampled"
    trusted_types: tuple[str, ...] = ()
    code: str = ""

    def check(self) -> None:
        """Raise InvalidSetting for what is no candidate."""
        if not callable(self.build) or self.explainer not in get_args(Explainer):
            raise InvalidSetting(
                f"candidate {self.name}: build must be a function and explainer one of "
                f"{', '.join(get_args(Explainer))}"
            )
        if not all(isinstance(name, str) for name in self.trusted_types):
            raise InvalidSetting(f"candidate {self.name}: trusted_types are names of types")


def _random_forest(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.lean_estimators import LeanRandomForestClassifier

    return LeanRandomForestClassifier(class_weight=balance.weights, random_state=seed, n_jobs=1)


def _scaled(estimator: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)


def _calibrated(scorer: Any) -> Any:
    from crypto_pool.domain.calibration import TimeOrderedCalibratedClassifier

    return TimeOrderedCalibratedClassifier(_scaled(scorer))


def _support_vector_machine(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.support_vectors import RadialSVC

    return _calibrated(RadialSVC(kernel="rbf", class_weight=balance.weights, random_state=seed))


def _xgboost(balance: ClassBalance, seed: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(
        scale_pos_weight=balance.negatives_per_positive, random_state=seed, n_jobs=1
    )


def _hist_gradient_boosting(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.lean_estimators import LeanHistGradientBoostingClassifier

    return LeanHistGradientBoostingClassifier(
        max_bins=63, class_weight=balance.weights, random_state=seed
    )


def _ada_boost(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.lean_estimators import LeanAdaBoostClassifier

    return LeanAdaBoostClassifier(random_state=seed)


def _ridge_classifier(balance: ClassBalance, seed: int) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return _calibrated(RidgeClassifier(class_weight=balance.weights, random_state=seed))


def _k_neighbors(balance: ClassBalance, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return _scaled(KNeighborsClassifier(n_jobs=1))


def _mlp_classifier(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.lean_estimators import LeanMLPClassifier

    return _scaled(LeanMLPClassifier(random_state=seed))


def _light_gbm(balance: ClassBalance, seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        class_weight=balance.weights,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def _neural_net(balance: ClassBalance, seed: int) -> Any:
    from crypto_pool.domain.neural_net import NeuralNetClassifier

    return NeuralNetClassifier(class_weight=balance.weights, seed=seed)


_CALIBRATED = "crypto_pool.domain.calibration.TimeOrderedCalibratedClassifier"
_RADIAL = "crypto_pool.domain.support_vectors.RadialSVC"
_NET = "crypto_pool.domain.neural_net.NeuralNetClassifier"
_TREE = "sklearn.tree._tree.Tree"
_HIST_TREE = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
_LEAN = "crypto_pool.domain.lean_estimators.Lean"
_HIST, _MLP = f"{_LEAN}HistGradientBoostingClassifier", f"{_LEAN}MLPClassifier"
_FOREST = (_TREE, f"{_LEAN}TreeClassifier", f"{_LEAN}RandomForestClassifier")
_BOOST = (_TREE, f"{_LEAN}TreeClassifier", f"{_LEAN}AdaBoostClassifier")
_ADAM = "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"  # of models until 1.0
_XGBOOST = ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")
_LIGHTGBM = ("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier")

_ALL = (
    Candidate("RandomForest", _random_forest, "forest", _FOREST),
    Candidate("SupportVectorMachine", _support_vector_machine, "sampled", (_CALIBRATED, _RADIAL)),
    Candidate("XGBoost", _xgboost, "sampled", _XGBOOST),
    Candidate("HistGradientBoosting", _hist_gradient_boosting, "sampled", (_HIST_TREE, _HIST)),
    Candidate("AdaBoost", _ada_boost, "sampled", _BOOST),
    Candidate("RidgeClassifier", _ridge_classifier, "sampled", (_CALIBRATED,)),
    Candidate("KNeighbors", _k_neighbors, "sampled"),
    Candidate("MLPClassifier", _mlp_classifier, "sampled", (_ADAM, _MLP)),
    Candidate("LightGBM", _light_gbm, "sampled", _LIGHTGBM),
    Candidate("NeuralNet", _neural_net, "sampled", (_NET,)),
)

CANDIDATES: dict[str, Candidate] = {candidate.name: candidate for candidate in _ALL}
"""All that are trained, by name; extensions are added as they are loaded."""
