"""What the dead man's switch of a pool hears, and when."""

from datetime import date

from crypto_pool.adapters.heartbeat import Heartbeat
from crypto_pool.adapters.prediction_tables import query
from crypto_pool.errors import QueryError
from crypto_pool.settings import Settings

FORECASTS = "SELECT count(*) AS rows FROM predictions WHERE prediction_date = DATE '{day}'"


def tell_published(settings: Settings) -> None:
    """Tell that the last closed day is published, once; nothing if it has no forecast."""
    day, heartbeat = settings.last_closed(), _heartbeat(settings)
    if heartbeat is None:
        return
    try:
        published = query(settings.state_dir, FORECASTS.format(day=day))["rows"].iloc[0]
    except QueryError:
        return
    if published:
        heartbeat.tell_published(day)


def tell_failed(settings: Settings, day: date) -> None:
    """Tell that a day failed, unless it is published all the same."""
    heartbeat = _heartbeat(settings)
    if heartbeat is not None:
        heartbeat.tell_failed(day)


def _heartbeat(settings: Settings) -> Heartbeat | None:
    url = settings.heartbeat_url
    if url is None:
        return None
    return Heartbeat(settings.state_dir / "heartbeat.json", url.get_secret_value())
