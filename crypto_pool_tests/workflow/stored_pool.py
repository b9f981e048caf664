"""A pool with two stored files of every table, with one row each, and what is published of it."""

from datetime import date

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import query
from crypto_pool.domain.columns import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    MAP,
    TIMESTAMP,
    VARCHAR,
    VERSION,
)
from crypto_pool.domain.recipe import DEFAULT_TARGET
from crypto_pool.domain.tables import TABLES
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.panel import panel_terms

DAYS_STORED = "SELECT symbol, count(*) AS days FROM daily_bars GROUP BY symbol"


DAYS = ("2022-01-01", "2022-01-02")
MEMBERS = ("BTC|uptrend", "ETH|uptrend")
GONE = ("XRPOLD|uptrend", "LUNAOLD|uptrend")
TERMS = panel_terms(DEFAULT_TARGET)
KEYS = {
    **dict.fromkeys(TABLES, DAYS),
    **dict.fromkeys(("daily_bars", "feature_tables"), ("BTC", "ETH")),
    # Those of the pool's own members are derived from the ledger before each publication.
    "champions": GONE,
    **dict.fromkeys(("candidate_scores", "promotions"), MEMBERS),
    "panel_forecasts": [f"{TERMS}|{day}" for day in DAYS],
}
BY_COIN = ("daily_bars", "feature_tables")


def stored_pool(data):
    """Two files of every table, with one row each, as the pool stores them."""
    store = FrameStore(str(data / "parquet"))
    for table in TABLES.values():
        for place, key in enumerate(KEYS[table.name]):
            row = stored_row(table, key, place)
            if table.name in BY_COIN:
                frame = pd.DataFrame([row]).drop(columns="symbol").set_index("date")
                frame.index = pd.DatetimeIndex(frame.index, name="date")
            else:
                frame = table.frame([row])
            if table.name == "panel_forecasts":
                frame = frame.set_index(list(table.key))
            store.write(table.store_name, key, frame)
    return store


def stored_row(table, key, place):
    day = date.fromisoformat(DAYS[place])
    values = {"symbol": ("BTC", "ETH")[place], "trend": "uptrend", "model_version": str(place + 1)}
    plain = {
        DOUBLE: 0.25, INTEGER: 3, VERSION: str(place + 1), BOOLEAN: bool(place), DATE: day,
        TIMESTAMP: pd.Timestamp(day) + pd.Timedelta(hours=30), JSON: {"a": 0.5}, MAP: {"a": 0.5},
        VARCHAR: "x",
    }  # fmt: skip
    if table.name == "champions":
        values["symbol"] = key.split("|")[0]
    if table.name == "candidate_scores":
        values["algorithm"] = "RandomForest"
    return table.row(values, {column.name: plain[column.kind] for column in table.columns})


def sorted_rows(data, table):
    rows = query(data, f"SELECT * FROM {table}")
    return sorted(map(str, rows.itertuples(index=False, name=None)))


def write_bars(data, symbol, days):
    bars = SyntheticMarket().bars(symbol, date(2022, 1, 1)).tail(days)
    return FrameStore(str(data / "parquet")).write("daily_bars", symbol, bars)
