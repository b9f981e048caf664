"""From a candidate's probability and the log odds it is anchored to, the served probability."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from crypto_pool.domain.reference import clipped_logit
from crypto_pool.errors import UntrustedModel


@dataclass(frozen=True)
class Calibration:
    """Turns a candidate's probability and the log odds of its anchor into the served probability.

    The anchor is the reference or the panel; `reference_logit` is its log odds, by row.
    """

    kind: ClassVar[str]

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Return the served probability."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form that `calibration_from_dict` reads."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class IdentityCalibration(Calibration):
    """The candidate's own probability is served."""

    kind = "identity"

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Return the probability unchanged."""
        return probability


@dataclass(frozen=True)
class AnchoredCalibration(Calibration):
    """The anchor's log odds, moved as far as the candidate has shown it knows better.

    logit p = `reference_weight` logit(anchor) + `candidate_weight` logit(candidate) +
    `intercept`; the default is the anchor itself.
    """

    kind = "anchored"
    reference_weight: float = 1.0
    candidate_weight: float = 0.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Return the served probability."""
        return np.asarray(
            expit(
                self.reference_weight * np.asarray(reference_logit, dtype=np.float64)
                + self.candidate_weight * clipped_logit(probability)
                + self.intercept
            )
        )


@dataclass(frozen=True)
class PlattCalibration(Calibration):
    """A logistic curve over the candidate's own log odds."""

    kind = "platt"
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Return the served probability."""
        return np.asarray(expit(self.slope * clipped_logit(probability) + self.intercept))


@dataclass(frozen=True)
class IsotonicCalibration(Calibration):
    """A rising line through knots, level beyond the first and the last."""

    kind = "isotonic"
    candidate: tuple[float, ...]
    served: tuple[float, ...]

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Return the served probability."""
        return np.asarray(np.interp(probability, self.candidate, self.served))


_KINDS: Mapping[Any, type[Calibration]] = {
    one.kind: one
    for one in (IdentityCalibration, AnchoredCalibration, PlattCalibration, IsotonicCalibration)
}


def calibration_from_dict(stored: Mapping[str, Any]) -> Calibration:
    """Read a stored calibration; raises UntrustedModel for a kind or a value that is not ours."""
    kind = stored.get("kind")
    if kind not in _KINDS:
        raise UntrustedModel(f"calibration kind {kind!r} is unknown; known: {', '.join(_KINDS)}")
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(_KINDS[kind])):
        given: Any = stored.get(name)
        is_line = _KINDS[kind] is IsotonicCalibration
        numbers = given if is_line and isinstance(given, list) else [given]
        if not numbers or not all(map(_is_number, numbers)):
            what = "a list of finite numbers" if is_line else "a finite number"
            raise UntrustedModel(f"{kind} calibration: {name!r} must be {what}, got {given!r}")
        values[name] = tuple(map(float, numbers)) if is_line else float(given)
    calibration = _KINDS[kind](**values)
    if isinstance(calibration, IsotonicCalibration):
        candidate, served = calibration.candidate, calibration.served
        is_rising = list(candidate) == sorted(set(candidate)) and list(served) == sorted(served)
        if len(candidate) != len(served) or not is_rising or not 0 <= served[0] <= served[-1] <= 1:
            raise UntrustedModel("isotonic calibration: its knots must rise and lie in [0, 1]")
    return calibration


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and bool(np.isfinite(value))
