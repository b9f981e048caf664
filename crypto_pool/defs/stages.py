"""The stages of a day: what each makes, by one job. A job holds assets cut in one way.

Names only, so that a command may speak of a stage without loading its assets.
"""

from collections.abc import Iterable
from typing import NamedTuple

import dagster as dg

from crypto_pool.domain.candidates import CANDIDATES


class Stage(NamedTuple):
    """A stage: the job's name, what it makes, and with what a run of it by itself ends."""

    key: str
    job: str
    title: str
    description: str
    assets: tuple[str, ...]
    ending: tuple[str, ...] = ()


FEATURES = Stage(
    "features",
    "refresh_features",
    "bars and features",
    "Pull bars and rebuild the features of a batch of coins, then the panel's rows.",
    ("daily_bars", "raw_indicators", "feature_table", "panel_forecasts"),
)
TRAINING = Stage(
    "training",
    "train_members",
    "candidates and champions",
    "Train the candidates of a batch of members and choose their champions.",
    (*(f"candidates/{name}" for name in CANDIDATES), "champion"),
    ("panel_model",),
)
PREDICTIONS = Stage(
    "forecasts",
    "predict_day",
    "forecasts",
    "Forecast a batch of closed days, score what has matured of them, and publish.",
    ("daily_predictions", "prediction_outcomes"),
    ("prediction_tables",),
)
OUTCOMES = Stage(
    "outcomes",
    "score_days",
    "outcomes",
    "Score a batch of days whose forecasts have matured, and review the champions.",
    ("prediction_outcomes",),
    ("realised_performance",),
)
PUBLICATION = Stage(
    "tables",
    "publish_tables",
    "the DuckDB file",
    "Hold the champions to their outcomes, and publish the DuckDB file.",
    (*OUTCOMES.ending, *PREDICTIONS.ending),
)
PANEL = Stage(
    "panel",
    "log_panel",
    "the panel in MLflow",
    "Give MLflow the fits of the panel that it lacks; where members are trained, that does it too.",
    TRAINING.ending,
)
STAGES = (FEATURES, TRAINING, PREDICTIONS, OUTCOMES, PUBLICATION, PANEL)


def asset_keys(names: Iterable[str]) -> list[dg.AssetKey]:
    """Return the keys of assets by their names."""
    return [dg.AssetKey.from_user_string(name) for name in names]
