"""SQL over a published file. A row is a dictionary; old files may lack a table or a column."""

from datetime import date
from typing import Any

import duckdb

from crypto_pool.domain.decisions import APPOINTMENTS, TRAININGS

Row = dict[str, Any]

_LATEST = """
    SELECT * FROM {table}
    QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY {order} DESC) = 1
"""
LATEST_PANEL = """
    SELECT * FROM panel_forecasts
    QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY bar_date DESC) = 1
"""
_TRAINED = f"""
    SELECT symbol, trend,
           max(as_of) FILTER (decision IN {TRAININGS}) AS trained_as_of,
           max_by(decision, decided_at_utc) FILTER (decision IN {(*APPOINTMENTS, "quarantined")})
               = 'quarantined' AS is_quarantined
    FROM promotions GROUP BY symbol, trend
"""
_PAST = """
    SELECT p.*, o.outcome
    FROM predictions p LEFT JOIN prediction_outcomes o USING (prediction_date, symbol, trend)
    WHERE (?::VARCHAR IS NULL OR p.symbol = ?) AND (?::VARCHAR IS NULL OR p.trend = ?)
      AND (?::DATE IS NULL OR p.prediction_date >= ?)
      AND (?::DATE IS NULL OR p.prediction_date <= ?)
"""


def latest(cursor: duckdb.DuckDBPyConnection, table: str, order: str) -> list[Row]:
    """Return each member's last row of a table in an order."""
    return rows(cursor, table, _LATEST.format(table=table, order=order))


def stored_symbols(cursor: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Return the coins that have bars."""
    symbols = rows(cursor, "daily_bars", "SELECT DISTINCT symbol FROM daily_bars ORDER BY symbol")
    return tuple(row["symbol"] for row in symbols)


def latest_panel(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return the newest panel forecast of each coin."""
    return rows(cursor, "panel_forecasts", LATEST_PANEL)


def track_record(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return what came of each member's forecasts as last reviewed, and of the pool's, `all`."""
    # All columns are in the table alone; a publication of 1.0, whose table has others, has no view.
    sql = _LATEST.format(table="realised_performance", order="as_of")
    return rows(cursor, "track_record", sql)


def trainings(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return when each member was last trained, and whether it is quarantined."""
    return rows(cursor, "promotions", _TRAINED)


def ledger(cursor: duckdb.DuckDBPyConnection, symbol: str, trend: str) -> list[Row]:
    """Return a member's decisions, the newest first."""
    sql = "SELECT * FROM promotions WHERE symbol = ? AND trend = ? ORDER BY decided_at_utc DESC"
    return rows(cursor, "promotions", sql, symbol, trend)


def candidate_scores(cursor: duckdb.DuckDBPyConnection, symbol: str, trend: str) -> list[Row]:
    """Return a member's candidates, the lowest Brier score first."""
    sql = """
        SELECT * FROM candidate_scores WHERE symbol = ? AND trend = ?
        ORDER BY brier_score NULLS LAST, algorithm
    """
    return rows(cursor, "candidate_scores", sql, symbol, trend)


def past_predictions(
    cursor: duckdb.DuckDBPyConnection,
    *,
    symbol: str | None = None,
    trend: str | None = None,
    start: date | None = None,
    end: date | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[int, list[Row]]:
    """Count the stored forecasts that match, and return one page of them, the newest first."""
    given = [value for value in (symbol, trend, start, end) for _ in range(2)]
    (total,) = cursor.execute(f"SELECT count(*) FROM ({_PAST})", given).fetchall()[0]
    page = f"{_PAST} ORDER BY p.prediction_date DESC, p.symbol, p.trend DESC LIMIT ? OFFSET ?"
    return int(total), _fetch(cursor.execute(page, [*given, limit, offset]))


def closes(cursor: duckdb.DuckDBPyConnection, symbol: str, days: int) -> list[Row]:
    """Return the last `days` closes of a coin, ascending."""
    sql = "SELECT date, close FROM daily_bars WHERE symbol = ? ORDER BY date DESC LIMIT ?"
    return rows(cursor, "daily_bars", sql, symbol, days)[::-1]


def missing_forecasts(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return the members without a forecast of the latest day that any has, and why."""
    sql = """
        SELECT * FROM missing_forecasts
        WHERE prediction_date >= (SELECT max(prediction_date) FROM predictions)
        ORDER BY symbol, trend DESC
    """
    return rows(cursor, "missing_forecasts", sql)


def rows(cursor: duckdb.DuckDBPyConnection, table: str, sql: str, *parameters: object) -> list[Row]:
    """Return the rows of a query, none where the table it asks is not there."""
    known = "SELECT count(*) FROM information_schema.tables WHERE table_name = ?"
    if cursor.execute(known, [table]).fetchall() == [(0,)]:
        return []
    return _fetch(cursor.execute(sql, list(parameters)))


def _fetch(answered: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in answered.description or []]
    return [dict(zip(names, row, strict=True)) for row in answered.fetchall()]
