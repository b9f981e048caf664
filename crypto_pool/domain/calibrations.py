"""From a candidate's probability and the log odds it is anchored to, the served probability."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
from scipy.special import expit

from crypto_pool.domain.reference import clipped_logit
from crypto_pool.errors import UntrustedModel


class Calibration(Protocol):
    """Turns a candidate's probability and the reference's logit into the served one."""

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Give a JSON-ready form that `calibration_from_dict` reads."""
        ...


@dataclass(frozen=True)
class IdentityCalibration:
    """The candidate's own probability is served."""

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the probability unchanged."""
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "identity"}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "IdentityCalibration":
        """Read the JSON-ready form."""
        return cls()


@dataclass(frozen=True)
class AnchoredCalibration:
    """The reference's log odds, moved as far as the candidate has shown it knows better.

    logit p = `reference_weight` logit(reference) + `candidate_weight` logit(candidate) +
    `intercept`; the default is the reference itself.
    """

    reference_weight: float = 1.0
    candidate_weight: float = 0.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(
            expit(
                self.reference_weight * np.asarray(reference_logit, dtype=np.float64)
                + self.candidate_weight * clipped_logit(probability)
                + self.intercept
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "anchored", **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "AnchoredCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        return cls(*_numbers(stored, "reference_weight", "candidate_weight", "intercept"))


@dataclass(frozen=True)
class PlattCalibration:
    """A logistic curve over the candidate's own log odds."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(expit(self.slope * clipped_logit(probability) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "platt", **asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "PlattCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        return cls(*_numbers(stored, "slope", "intercept"))


@dataclass(frozen=True)
class IsotonicCalibration:
    """A rising line through knots, level beyond the first and the last."""

    candidate: tuple[float, ...]
    served: tuple[float, ...]

    def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
        """Give the served probability."""
        return np.asarray(np.interp(probability, self.candidate, self.served))

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-ready form."""
        return {"kind": "isotonic", "candidate": [*self.candidate], "served": [*self.served]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "IsotonicCalibration":
        """Read the JSON-ready form; raises UntrustedModel."""
        knots = []
        for name in ("candidate", "served"):
            values = stored.get(name)
            if not isinstance(values, list) or not values:
                raise UntrustedModel(f"isotonic calibration: {name!r} must be a list of numbers")
            row = dict(enumerate(values))
            knots.append(_numbers({str(key): value for key, value in row.items()}, *map(str, row)))
        candidate, served = knots
        rising = all(a < b for a, b in pairwise(candidate)) and all(
            a <= b for a, b in pairwise(served)
        )
        if len(candidate) != len(served) or not rising or not 0 <= served[0] <= served[-1] <= 1:
            raise UntrustedModel("isotonic calibration: its knots must rise and lie in [0, 1]")
        return cls(candidate, served)


def _numbers(stored: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    values = [stored.get(name) for name in names]
    for name, value in zip(names, values, strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not np.isfinite(cast(float, value)):
            raise UntrustedModel(
                f"{stored.get('kind', 'isotonic')} calibration: {name!r} must be a finite number, "
                f"got {value!r}"
            )
    return tuple(float(cast(float, value)) for value in values)


_KINDS: Mapping[str, Any] = {
    "identity": IdentityCalibration,
    "anchored": AnchoredCalibration,
    "platt": PlattCalibration,
    "isotonic": IsotonicCalibration,
}


def calibration_from_dict(stored: Mapping[str, Any]) -> Calibration:
    """Read a stored calibration; raises UntrustedModel for a kind or a value that is not ours."""
    kind = stored.get("kind")
    if kind not in _KINDS:
        raise UntrustedModel(f"calibration kind {kind!r} is unknown; known: {', '.join(_KINDS)}")
    calibration: Calibration = _KINDS[str(kind)].from_dict(stored)
    return calibration
