"""Rows of many days, each in the file of its day."""

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore


def write_days(store: FrameStore, table: str, rows: pd.DataFrame) -> None:
    for day, own in rows.groupby("prediction_date"):
        store.write(table, f"{day}", own.reset_index(drop=True))
