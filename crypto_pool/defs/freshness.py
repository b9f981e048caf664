"""How late is too late: bars and forecasts are due each day, soon after the daily run."""

from datetime import timedelta

import dagster as dg

from crypto_pool.settings import load_settings

MARGIN = timedelta(hours=2)

daily_freshness = dg.FreshnessPolicy.cron(
    deadline_cron=load_settings().daily_cron(MARGIN), lower_bound_delta=MARGIN
)
