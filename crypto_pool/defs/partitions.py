"""How assets are cut: by coin, by member, by day."""

import dagster as dg

from crypto_pool.domain.members import Trend
from crypto_pool.settings import load_settings

_settings = load_settings()

symbols = dg.StaticPartitionsDefinition(list(_settings.symbols))
trends = dg.StaticPartitionsDefinition([str(trend) for trend in Trend])
members = dg.MultiPartitionsDefinition({"symbol": symbols, "trend": trends})
days = dg.DailyPartitionsDefinition(start_date=_settings.first_prediction_date.isoformat())
