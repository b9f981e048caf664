"""The training rows of every registered version, stored by their data hash."""

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.training import TrainingTable, data_hash
from crypto_pool.errors import CorruptPartition, MissingPartition, ModelUnavailable

TABLE = "training_snapshots"
LABEL = "label"
REFERENCE = "reference_probability"
PANEL = "panel_probability"


def store_snapshot(store: FrameStore, table: TrainingTable) -> str:
    """Store the rows unless they are there and can be read; return their hash."""
    key = data_hash(table)
    try:
        load_snapshot(store, key)
    except ModelUnavailable:
        frame = table.features.assign(
            **{LABEL: table.labels, REFERENCE: table.reference_probability}
        )
        if table.panel_probability is not None:
            frame[PANEL] = table.panel_probability
        store.write(TABLE, key, frame)
    return key


def load_snapshot(store: FrameStore, key: str) -> TrainingTable:
    """Read the rows back; raises ModelUnavailable."""
    try:
        frame: pd.DataFrame = store.read(TABLE, key)
        return TrainingTable(
            frame.drop(columns=[LABEL, REFERENCE, PANEL], errors="ignore"),
            frame[LABEL].to_numpy(),
            frame[REFERENCE].to_numpy(),
            frame[PANEL].to_numpy() if PANEL in frame else None,
        )
    except (MissingPartition, CorruptPartition, KeyError) as fault:
        raise ModelUnavailable(f"lacks the rows of its training: {fault}") from fault
