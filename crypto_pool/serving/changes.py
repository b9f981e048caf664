"""What changed since the day before: signals, probabilities, who serves, and what came due."""

from dataclasses import dataclass
from datetime import date

import duckdb

from crypto_pool.serving.queries import Row, rows

MOVED = 0.05  # a probability that moved less is none of the news
TOLD = 5
STAYING = ("kept", "rejected")  # decisions that leave who serves as it was
FORECASTS = """
    WITH days AS (SELECT DISTINCT prediction_date AS day FROM predictions ORDER BY day DESC LIMIT 2)
    SELECT symbol || '_' || trend AS member, p.probability, b.probability AS before,
           coalesce(p.signal, false) AS signal, coalesce(b.signal, false) AS was_signal,
           b.prediction_date AS day_before
    FROM predictions p JOIN predictions b USING (symbol, trend)
    WHERE p.prediction_date = (SELECT max(day) FROM days)
      AND b.prediction_date = (SELECT min(day) FROM days)
      AND b.prediction_date < p.prediction_date
    ORDER BY abs(p.probability - b.probability) DESC NULLS LAST
"""
DECISIONS = """
    SELECT symbol || '_' || trend AS member, decision, algorithm, model_version, reason
    FROM promotions WHERE as_of > ? ORDER BY decided_at_utc DESC, member
"""
DUE = """
    SELECT prediction_date AS day, count(*) AS signals, sum(outcome) AS came
    FROM (  -- a file of 1.0.0 lacks the column
        FROM prediction_outcomes UNION ALL BY NAME SELECT NULL::BOOLEAN AS late WHERE false
    ) WHERE signal AND NOT in_sample AND late IS NOT TRUE AND outcome IS NOT NULL
    GROUP BY prediction_date
    QUALIFY prediction_date = max(prediction_date) OVER ()
"""


@dataclass(frozen=True)
class Changes:
    """The news of the latest day, beside the one before it."""

    since: date
    begun: list[str]
    ended: list[str]
    moved: list[Row]
    decisions: list[Row]
    stayed: int
    due: Row | None


def latest_changes(cursor: duckdb.DuckDBPyConnection) -> Changes | None:
    """Return what changed with the latest day's forecasts; None before there are two days."""
    members = rows(cursor, "predictions", FORECASTS)
    if not members:
        return None
    since = members[0]["day_before"]
    moves = [m for m in members if None not in (m["probability"], m["before"])]
    decided = rows(cursor, "promotions", DECISIONS, since)
    new = [one for one in decided if one["decision"] not in STAYING]
    return Changes(
        since,
        [m["member"] for m in members if m["signal"] and not m["was_signal"]],
        [m["member"] for m in members if m["was_signal"] and not m["signal"]],
        [m for m in moves if abs(m["probability"] - m["before"]) >= MOVED][:TOLD],
        new,
        len(decided) - len(new),
        next(iter(rows(cursor, "prediction_outcomes", DUE)), None),
    )
