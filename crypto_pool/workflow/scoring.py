"""What became of a day's forecasts, once the horizon has passed."""

from datetime import datetime

import pandas as pd

from crypto_pool.domain.tables import OUTCOMES, PREDICTIONS, SHADOW_OUTCOMES, SHADOW_PREDICTIONS
from crypto_pool.workflow.day_rows import stored_rows
from crypto_pool.workflow.forecasting import score_predictions
from crypto_pool.workflow.frames import FrameCache


def score_day(
    frames: FrameCache, day: str, now: datetime, panel: pd.DataFrame
) -> tuple[int, int, dict[str, str]]:
    """Score a day's forecasts and those in their shadow, and store what came of them.

    Returns how many were scored and how many are pending, and by coin why its bars cannot be
    read; what was scored of such a coin before stays.

    Raises:
        MissingPartition: there are no forecasts of that day.
    """
    store, faults = frames.store, dict[str, str]()
    with store.lock(PREDICTIONS.store_name, day):
        forecasts = store.read(PREDICTIONS.store_name, day)
        shadow = pd.DataFrame(stored_rows(store, SHADOW_PREDICTIONS, day))
        counts = []
        for frame, table in ((forecasts, OUTCOMES), (shadow, SHADOW_OUTCOMES)):
            rows, unread = score_predictions(frames, frame, now, panel)
            if unread:
                before = stored_rows(store, table, day)
                rows += [dict(row) for row in before if row["symbol"] in unread]
            store.write_rows(table, day, rows)
            counts.append(len(rows))
            faults |= unread
    return counts[0], len(forecasts) - counts[0], faults
