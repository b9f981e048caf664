"""What is forecast and how a model is made: one home for each choice and for its default."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from crypto_pool.errors import InvalidSetting

TargetKind = Literal["sma_shift", "forward_return"]
EvaluationName = Literal["purged_walk_forward", "holdout"]
CalibrationName = Literal["anchored", "platt", "isotonic"]
SelectionName = Literal["one_standard_error", "best"]
SeriesType = Literal["open", "high", "low", "close"]
IndicatorSource = Literal["local", "provider"]

# What moves, by the target: as a formula has it, and in words.
LEVELS: Mapping[TargetKind, tuple[str, str]] = {
    "sma_shift": ("SMA10", "SMA10, the mean of the last ten closes"),
    "forward_return": ("close", "the close"),
}


def _require_known(what: str, name: str, names: Any) -> None:
    if name not in get_args(names):
        raise InvalidSetting(f"{what} {name!r} is unknown; known: {', '.join(get_args(names))}")


@dataclass(frozen=True)
class Target:
    """What is forecast: a move by `pct`, a fraction, of SMA10 or of the close in `horizon` days.

    Raises InvalidSetting for a kind that is unknown.
    """

    kind: TargetKind = "sma_shift"
    pct: float = 0.05
    horizon: int = 10

    def __post_init__(self) -> None:
        _require_known("target", self.kind, TargetKind)

    @property
    def level(self) -> str:
        """What moves, as a formula has it."""
        return LEVELS[self.kind][0]

    @property
    def words(self) -> str:
        """What moves, in words."""
        return LEVELS[self.kind][1]

    @classmethod
    def from_settings(cls, given: Mapping[Any, Any]) -> "Target":
        """Read it by the names of its settings, which version tags and tables have too."""
        return cls(
            given["target"], float(given["target_pct"]), int(given["prediction_window_days"])
        )


DEFAULT_TARGET = Target()
ROUNDING = 1e-12
"""By less than that a figure that is exactly a limit misses it, as a sum of floats."""
LONGEST_HORIZON = 90


@dataclass(frozen=True)
class Terms:
    """All that the inputs and the target of a model are made of.

    A champion serves on its own terms only: where the pool's are others, it has a fault.
    """

    target: Target
    time_period: int
    series_type: SeriesType
    indicator_source: IndicatorSource
    feature_names: tuple[str, ...]

    def to_tags(self) -> dict[str, str]:
        """Return the terms as a version carries them."""
        return {
            "target": self.target.kind,
            "target_pct": str(self.target.pct),
            "prediction_window_days": str(self.target.horizon),
            "time_period": str(self.time_period),
            "series_type": self.series_type,
            "indicator_source": self.indicator_source,
            "feature_names": json.dumps(self.feature_names),
        }

    def difference(self, tags: Mapping[str, str]) -> str:
        """Return in words how a model with these tags differs from the terms; empty if it does not.

        A term without a tag is not compared.
        """
        now = self.to_tags()
        names = now.pop("feature_names")
        changes = [
            f"{name} was {tags[name]} and is {value}"
            for name, value in now.items()
            if name in tags and tags[name] != value
        ]
        if json.loads(tags.get("feature_names", names)) != json.loads(names):
            changes.append(_feature_changes(json.loads(tags["feature_names"]), self.feature_names))
        return ", ".join(changes)

    def fault(self, tags: Mapping[str, str]) -> str:
        """Return why a model with these tags must not speak; empty where it is on these terms."""
        changed = self.difference(tags)
        return f"its terms are not the pool's: {changed}" if changed else ""


@dataclass(frozen=True)
class Recipe:
    """How a model is made, from its inputs to the choice among candidates.

    Raises InvalidSetting for a name that is unknown.
    """

    target: Target = DEFAULT_TARGET
    evaluation_policy: EvaluationName = "purged_walk_forward"
    calibration: CalibrationName = "anchored"
    selection: SelectionName = "one_standard_error"
    seed: int = 7
    training_rows: int = 1000
    time_period: int = 7
    series_type: SeriesType = "close"
    indicator_source: IndicatorSource = "local"

    def __post_init__(self) -> None:
        _require_known("evaluation policy", self.evaluation_policy, EvaluationName)
        _require_known("calibration", self.calibration, CalibrationName)
        _require_known("selection", self.selection, SelectionName)

    @property
    def horizon(self) -> int:
        """Days until a label is known."""
        return self.target.horizon

    @property
    def is_classic(self) -> bool:
        """Whether it is the classic recipe, which knows neither panel nor baseline."""
        return self.evaluation_policy == "holdout"

    def terms(self, feature_names: Iterable[str]) -> Terms:
        """Return what a model takes and forecasts that it makes from these features."""
        names = tuple(map(str, feature_names))
        return Terms(self.target, self.time_period, self.series_type, self.indicator_source, names)

    def to_settings(self) -> dict[str, Any]:
        """Return the choices by the names of their settings."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del plain["target"]
        return {
            "target": self.target.kind,
            "target_pct": self.target.pct,
            "prediction_window_days": self.target.horizon,
            **plain,
        }

    def fit_settings(self) -> dict[str, Any]:
        """Return the settings that a fit depends on: all but how the champion is chosen."""
        return {name: value for name, value in self.to_settings().items() if name != "selection"}

    @classmethod
    def from_settings(cls, given: Mapping[str, Any]) -> "Recipe":
        """Read the choices by the names of their settings; the default stands for one missing."""
        default = cls()
        chosen = {**default.to_settings(), **given}
        return cls(
            Target.from_settings(chosen),
            **{name: chosen[name] for name in cls.__dataclass_fields__ if name != "target"},
        )


DEFAULT_RECIPE = Recipe()


def _feature_changes(before: list[str], now: tuple[str, ...]) -> str:
    changes = [f"feature {name} is new" for name in now if name not in before]
    changes += [f"feature {name} is gone" for name in before if name not in now]
    return ", ".join(changes or ["the features are in another order"])
