"""What the charts of a page show: columns for its script, and points for who runs none."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from crypto_pool.domain.odds import ExpectedMove
from crypto_pool.domain.performance import BASELINE
from crypto_pool.serving.queries import Row
from crypto_pool.serving.schemas import PastPrediction

MIN_CALIBRATION_ROWS = 20
BINS = 5
MARKS = (
    ("signal, came true", 1.0, "hit"),
    ("signal, did not", 0.0, "miss"),
    ("signal, pending", None, "own"),
)
Points = list[tuple[float, float, int]]


def price_charts(
    predictions: Sequence[PastPrediction], closes: Sequence[Row], move: ExpectedMove | None
) -> dict[str, Any]:
    """Return the price with its signals and the expected move, and below it the probabilities."""
    close = {row["date"]: row["close"] for row in closes}
    cone: list[dict[date, float]] = [{}, {}, {}]
    if move is not None:
        end = move.bar_date + timedelta(days=move.horizon)
        ends = (move.price_10_usd, move.price_50_usd, move.price_90_usd)
        cone = [{move.bar_date: move.level_usd, end: level} for level in ends]
    days = sorted({*close, *cone[0]})
    shown = [row for row in predictions if row.prediction_date in close]
    low, middle, high = (
        _series(label, days, levels, "own", dashed=True, joined=True)
        for label, levels in zip(("80 % from", "expected mean", "80 % to"), cone, strict=True)
    )
    price = [
        _series("close", days, close, "ink"),
        *((low, middle, high) if move is not None else ()),
        *(
            _series(label, days, {
                row.prediction_date: close[row.prediction_date]
                for row in shown if row.signal and row.outcome == outcome
            }, colour, marks=True)
            for label, outcome, colour in MARKS
        ),
    ]  # fmt: skip
    chances = [
        _series(label, days, {row.prediction_date: getattr(row, name) for row in shown}, colour)
        for label, name, colour in (
            ("pool", "probability", "own"),
            ("reference", "reference_probability", "reference"),
            ("threshold", "decision_threshold", "faint"),
        )
    ]
    band = [4, 2] if move is not None else None
    return _charts(
        days,
        {"unit": "USD", "height": 280, "series": price, "band": band},
        {"unit": "%", "height": 170, "series": chances, "range": [0, 1]},
    )


def value_chart(days: Sequence[date], of: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return what 1 USD became day by day; the first is the pool's."""
    series = [
        _series(label, days, dict(zip(days, values, strict=True)), colour)
        for (label, values), colour in zip(of.items(), ("own", "reference"), strict=True)
    ]
    return _charts(days, {"unit": "USD", "height": 240, "series": series})


def calibration_rows(predictions: Iterable[PastPrediction]) -> list[PastPrediction]:
    """Return the forecasts calibration is judged on: scored live ones of a champion."""
    return [
        row
        for row in predictions
        if row.outcome is not None
        and row.probability is not None
        and row.status not in ("abstain", BASELINE)
        and not (row.in_sample or row.late)
    ]


def calibration(predictions: Iterable[PastPrediction]) -> dict[str, Points]:
    """Return mean forecast, share that came true and rows of five groups of equal count."""
    rows, points = calibration_rows(predictions), {}
    for name, label in (("probability", "pool"), ("reference_probability", "reference")):
        pairs = [(getattr(row, name), row.outcome or 0.0) for row in rows]
        known = sorted(pair for pair in pairs if pair[0] is not None)
        if len(known) < MIN_CALIBRATION_ROWS:
            continue
        edges = [round(len(known) * step / BINS) for step in range(BINS + 1)]
        groups = [known[edges[i] : edges[i + 1]] for i in range(BINS)]
        points[label] = [
            (*(sum(values) / len(group) for values in zip(*group, strict=True)), len(group))
            for group in groups
        ]
    return points


def _charts(days: Sequence[date], *charts: Mapping[str, Any]) -> dict[str, Any]:
    seconds = [int(datetime.combine(day, time(), UTC).timestamp()) for day in days]
    return {"days": seconds, "charts": charts}


def _series(
    label: str, days: Iterable[date], values: Mapping[date, float | None], colour: str, **look: bool
) -> dict[str, Any]:
    points = (values.get(day) for day in days)
    known = [v if v is not None and math.isfinite(v) else None for v in points]
    return {"label": label, "colour": colour, "values": known, **look}
