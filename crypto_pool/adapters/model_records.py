"""What goes into the model registry and what comes out of it, as plain frozen records."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ALGORITHM_TAG = "algorithm"
DAGSTER_RUN_TAG = "dagster.run_id"
PARENT_DAGSTER_RUN_TAG = (
    "dagster_run_id"  # dagster-mlflow finds its run by it; only parents carry it
)
DATA_HASH_TAG = "data_hash"
FEATURE_IMPORTANCE_TAG = "feature_importance"
HASHES_TAG = "model_sha256"
MODEL_URI_TAG = "model_uri"
REGISTERED_AT_TAG = "registered_at_utc"
TRAINING_KEY_TAG = "training_key"
UNDEFINED_METRICS_TAG = "undefined_metrics"
REFERENCE_PREFIX = "reference_"


@dataclass(frozen=True)
class CandidateFit:
    """A candidate after training and scoring, with all that its MLflow run must say.

    `fold_metrics` are logged as `fold_<metric>`, the fold's number as their step;
    `evaluation`, the rows the metrics were measured on, as the run's `evaluation.parquet`.
    """

    member_name: str
    algorithm: str
    estimator: Any
    calibration: Any
    feature_names: tuple[str, ...]
    metrics: Mapping[str, float | None]
    reference_metrics: Mapping[str, float | None]
    data_hash: str
    code_version: str
    training_key: str
    dagster_run_id: str
    parent_run_id: str | None = None
    synthetic: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    fold_metrics: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)
    evaluation: "pd.DataFrame | None" = None

    def run_tags(self) -> dict[str, str]:
        """Give the tags the run is created with, so that it is never without an owner."""
        symbol, _, trend = self.member_name.rpartition("_")
        tags = {
            **self.tags,
            DAGSTER_RUN_TAG: self.dagster_run_id,
            "member": self.member_name,
            "symbol": symbol,
            "trend": trend,
            ALGORITHM_TAG: self.algorithm,
            DATA_HASH_TAG: self.data_hash,
            "code_version": self.code_version,
            TRAINING_KEY_TAG: self.training_key,
            "settings": json.dumps(dict(self.settings), sort_keys=True, default=str),
            "synthetic": str(self.synthetic).lower(),
            "mlflow.runName": self.algorithm,
        }
        if self.parent_run_id is not None:
            tags["mlflow.parentRunId"] = self.parent_run_id
        return tags

    def all_metrics(self) -> dict[str, float | None]:
        """Give own and reference metrics in one table; what is not a finite number is None."""
        prefixed = {f"{REFERENCE_PREFIX}{n}": value for n, value in self.reference_metrics.items()}
        return {
            name: float(value) if value is not None and math.isfinite(value) else None
            for name, value in {**self.metrics, **prefixed}.items()
        }


@dataclass(frozen=True)
class RunRecord:
    """A finished candidate run; an undefined metric is there, as None."""

    run_id: str
    algorithm: str
    model_uri: str
    metrics: Mapping[str, float | None]
    tags: Mapping[str, str]

    @classmethod
    def from_data(
        cls, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> "RunRecord":
        """Build the record from what MLflow stores."""
        undefined = json.loads(tags.get(UNDEFINED_METRICS_TAG, "[]"))
        return cls(
            run_id=run_id,
            algorithm=tags[ALGORITHM_TAG],
            model_uri=tags[MODEL_URI_TAG],
            metrics={**metrics, **dict.fromkeys(undefined)},
            tags=dict(tags),
        )


@dataclass(frozen=True)
class ChampionRecord:
    """A registered version of a member.

    `registered_at_utc` is by the pool's clock, which a simulation may set, and not MLflow's.
    """

    member_name: str
    version: str
    run_id: str
    tags: Mapping[str, str]
    registered_at_utc: datetime

    @classmethod
    def from_version(cls, member_name: str, version: Any) -> "ChampionRecord":
        """Build the record from MLflow's model version; one nobody dated has MLflow's time."""
        made = datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC)
        told = version.tags.get(REGISTERED_AT_TAG)
        return cls(
            member_name=member_name,
            version=str(version.version),
            run_id=str(version.run_id),
            tags=dict(version.tags),
            registered_at_utc=made if told is None else datetime.fromisoformat(told),
        )
