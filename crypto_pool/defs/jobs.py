"""The jobs of the pool: one for each way assets are cut."""

import dagster as dg

from crypto_pool.defs.assets.features import feature_table
from crypto_pool.defs.assets.models import candidate_key, champion
from crypto_pool.defs.assets.outcomes import prediction_outcomes, realised_performance
from crypto_pool.defs.assets.panel import panel_forecasts
from crypto_pool.defs.assets.panel_model import panel_model
from crypto_pool.defs.assets.predictions import daily_predictions
from crypto_pool.defs.assets.publication import prediction_tables
from crypto_pool.defs.assets.raw import daily_bars, raw_indicators
from crypto_pool.domain.candidates import CANDIDATES

refresh_features = dg.define_asset_job(
    "refresh_features",
    [daily_bars, raw_indicators, feature_table, panel_forecasts],
    description="Pull bars and rebuild the features of a batch of coins, then the panel's rows.",
)
train_members = dg.define_asset_job(
    "train_members",
    [*(candidate_key(name) for name in CANDIDATES), champion.key],
    description="Train the candidates of a batch of members and choose their champions.",
)
predict_day = dg.define_asset_job(
    "predict_day",
    [daily_predictions, prediction_outcomes, prediction_tables, panel_model],
    description="Forecast a batch of closed days, score what has matured of them, and publish.",
)
score_days = dg.define_asset_job(
    "score_days",
    [prediction_outcomes, realised_performance],
    description="Score a batch of days whose forecasts have matured, and review the champions.",
)
publish_tables = dg.define_asset_job(
    "publish_tables",
    [realised_performance, prediction_tables, panel_model],
    description="Hold the champions to their outcomes, and publish the DuckDB file.",
)

jobs = [refresh_features, train_members, predict_day, score_days, publish_tables]
