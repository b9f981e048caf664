"""What the dead man's switch of a pool hears, and when."""

from datetime import date
from typing import Literal

from crypto_pool.adapters.heartbeat import report_day
from crypto_pool.adapters.prediction_tables import query
from crypto_pool.errors import QueryError
from crypto_pool.settings import Settings

FORECASTS = "SELECT count(*) AS rows FROM predictions WHERE prediction_date = DATE '{day}'"


def tell_published(settings: Settings) -> None:
    """Tell that the last closed day is published, once; nothing if it has no forecast."""
    if settings.heartbeat_url is None:
        return
    day = settings.last_closed()
    try:
        published = query(settings.state_dir, FORECASTS.format(day=day))["rows"].iloc[0]
    except QueryError:
        return
    if published:
        _tell(settings, "published", day)


def tell_failed(settings: Settings, day: date) -> None:
    """Tell that a day failed, unless it is published all the same."""
    _tell(settings, "failed", day)


def _tell(settings: Settings, what: Literal["published", "failed"], day: date) -> None:
    url = settings.heartbeat_url
    if url is not None:
        report_day(settings.state_dir / "heartbeat.json", url.get_secret_value(), what, day)
