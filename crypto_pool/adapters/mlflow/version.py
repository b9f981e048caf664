"""A registered version: what its tags in MLflow say of it, and what of them is gone."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from crypto_pool.adapters.mlflow.candidate_run import HASHES_TAG
from crypto_pool.domain.dates import read_date
from crypto_pool.domain.recipe import LONGEST_HORIZON, Target, TargetKind
from crypto_pool.errors import InvalidSetting

REGISTERED_AT_TAG = "registered_at_utc"
METRICS_TAG = "metrics"
CORRECTED = ("skill_over_reference", "probability_of_overfitting", "effective_sample_size")
PROMISED = {
    "promised_precision": "precision",
    "promised_skill_over_reference": "skill over the random-walk reference",
}
FIGURE: Any = float | None
FIGURES: Any = dict[str, float | None]


def _as_json(forms: Mapping[str, Any]) -> dict[str, Callable[[str], Any]]:
    """Return how tags are read that hold JSON of some forms."""
    adapters = {name: TypeAdapter(form) for name, form in forms.items()}
    return {name: partial(one.validate_json, strict=True) for name, one in adapters.items()}


READ: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("classifier", "code_version", "data_hash"), str),
    **dict.fromkeys(("as_of", "chosen_through", "trained_through"), partial(read_date, "tag")),
    "target": TypeAdapter(TargetKind).validate_python,
    **_as_json(
        {
            "target_pct": Annotated[float, Field(gt=0, allow_inf_nan=False)],
            "prediction_window_days": Annotated[int, Field(gt=0, le=LONGEST_HORIZON)],
            "decision_threshold": Annotated[float, Field(ge=0, le=1)],
            "skill_interval": tuple[()] | tuple[float | None, float | None] | None,
            **dict.fromkeys(CORRECTED, FIGURE),
        }
    ),
}
"""The tags that are read of each version, and how; READ_IF_THERE are those it may lack."""
READ_IF_THERE = _as_json(
    {
        METRICS_TAG: FIGURES,
        "feature_importance": FIGURES,
        "feature_importance_absolute": FIGURES,
        **dict.fromkeys(("reference_importance", "added_points"), FIGURE),
        **dict.fromkeys(("time_period", "candidates_tried"), int),
        "synthetic": bool,
        HASHES_TAG: dict[str, str],
        "feature_names": list[str],
    }
)


@dataclass(frozen=True)
class Version:
    """A registered version of a member.

    `registered_at_utc` is by the pool's clock, which a simulation may set, and not MLflow's.
    `ledger_hashes` are those of its files by the ledger, where that names them: anybody may
    change what MLflow's pages show.
    """

    member_name: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    registered_at_utc: datetime
    location: str
    ledger_hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """Which of its tags are gone or cannot be read, in words; empty where all can."""
        lost = []
        for name, read in (READ | READ_IF_THERE).items():
            try:
                if name in READ or name in self.tags:
                    read(self.tags[name])
            except KeyError:
                lost.append(f"{name} is gone")
            except (ValueError, InvalidSetting):
                lost.append(f"{name} is {self.tags[name]!r}")
        name = f"{model_name(self.member_name)} version {self.version}"
        return f"of the tags of {name} in MLflow {', '.join(lost)}" if lost else ""

    @property
    def model_hashes(self) -> dict[str, str]:
        """The SHA-256 of its files, empty for one that carries none."""
        return dict(self.ledger_hashes or json.loads(self.tags.get(HASHES_TAG, "{}")))


def model_name(member_name: str) -> str:
    """Return the registered model's name of a member."""
    return f"{member_name}_model"


def read_version(member_name: str, stored: Any, tags: Mapping[str, str]) -> Version:
    """Read MLflow's model version; one nobody dated has MLflow's time."""
    made = datetime.fromtimestamp(stored.creation_timestamp / 1000, tz=UTC)
    try:
        dated = datetime.fromisoformat(tags[REGISTERED_AT_TAG])
    except (KeyError, ValueError):
        dated = made
    return Version(
        member_name=member_name,
        version=str(stored.version),
        run_id=str(stored.run_id),
        tags=dict(tags),
        registered_at_utc=dated,
        location=str(stored.source),
    )


def version_in_words(tags: Mapping[str, str], target: Target) -> str:
    """Return what a version is and promises, for who opens it in MLflow."""
    figures = json.loads(tags.get(METRICS_TAG, "{}"))
    promised = [
        f"{words} {figures[name]:.3f}" + _between(figures, name)
        for name, words in PROMISED.items()
        if figures.get(name) is not None
    ]
    added = figures.get("added_points")
    added = "" if added is None else f". It moves its baseline by {added:.1f} points on average"
    return (
        f"{tags.get('classifier', 'Model')} for the {{trend}} of {{symbol}}, a move by "
        f"{100 * target.pct:g} % in {target.horizon} days of {target.words}; trained through "
        f"{tags.get('trained_through', 'an unknown day')}. Promised: "
        f"{', '.join(promised) or 'nothing'}{added}."
    )


def _between(figures: Mapping[str, float | None], name: str) -> str:
    low, high = (figures.get(f"{name}{end}") for end in ("_low", "_high"))
    return "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
