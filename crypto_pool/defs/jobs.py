"""The jobs of the pool, one for each stage of a day."""

import dagster as dg

from crypto_pool.defs.stages import STAGES, asset_keys

jobs = [
    dg.define_asset_job(
        stage.job, asset_keys([*stage.assets, *stage.ending]), description=stage.description
    )
    for stage in STAGES
]
refresh_features, train_members, predict_day, score_days, publish_tables, log_panel = jobs
