"""A member's charts as SVG, in a light and a dark theme; matplotlib is loaded with the first."""

import io
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any

from crypto_pool.domain.odds import ExpectedMove
from crypto_pool.serving.pool_schemas import MemberDetail, PastPrediction
from crypto_pool.serving.queries import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_CALIBRATION_ROWS = 20
BINS = 5
SHOWN_FEATURES = 10
MOVE_DAYS = 60


class Chart(StrEnum):
    """The charts of a member's page."""

    PRICE = "price"
    MOVE = "move"
    CALIBRATION = "calibration"
    IMPORTANCE = "importance"


class Theme(StrEnum):
    """Colours for light and dark pages."""

    LIGHT = "light"
    DARK = "dark"


_COLOURS: dict[Theme, dict[str, str]] = {
    Theme.LIGHT: {
        "ink": "#1d2430", "faint": "#5b6675", "rule": "#d9dee5",
        "own": "#1f5fbf", "reference": "#8a6410", "hit": "#1c7a4a", "miss": "#b3362b",
    },
    Theme.DARK: {
        "ink": "#e6e9ee", "faint": "#a3adba", "rule": "#3a424e",
        "own": "#7fb0ff", "reference": "#e0b557", "hit": "#67cf98", "miss": "#ff8d80",
    },
}  # fmt: skip
# Drawing shares matplotlib's font cache and its rc settings between threads.
_drawing = Lock()


def draw(chart: Chart, theme: Theme, detail: MemberDetail, closes: Sequence[Row]) -> bytes:
    """Draw one chart as SVG; texts stay texts, and nothing in it changes between two runs."""
    with _drawing:
        import matplotlib
        from matplotlib.figure import Figure

        colours = _COLOURS[theme]
        quiet: Any = {
            "svg.fonttype": "none",
            "svg.hashsalt": "crypto_pool",
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": colours["ink"],
            "axes.edgecolor": colours["rule"],
            "axes.labelcolor": colours["faint"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": colours["faint"],
            "ytick.color": colours["faint"],
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": colours["rule"],
            "grid.linewidth": 0.6,
            "legend.frameon": False,
        }
        with matplotlib.rc_context(quiet):
            if chart is Chart.PRICE:
                figure = Figure(figsize=(11, 5.2), layout="constrained")
                _draw_price(figure, colours, detail.predictions, closes)
            elif chart is Chart.MOVE:
                figure = Figure(figsize=(11, 3.6), layout="constrained")
                forecast = detail.state.forecast
                move = forecast.expected_move if forecast else None
                _draw_move(figure.subplots(), colours, closes, move)
            elif chart is Chart.CALIBRATION:
                figure = Figure(figsize=(4.6, 4), layout="constrained")
                _draw_calibration(figure.subplots(), colours, detail.predictions)
            else:
                figure = Figure(figsize=(4.6, 4), layout="constrained")
                model = detail.state.champion
                importance = (model.feature_importance if model else None) or {}
                _draw_importance(figure.subplots(), colours, importance)
            content = io.BytesIO()
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return content.getvalue()


def calibration_rows(predictions: Sequence[PastPrediction]) -> list[PastPrediction]:
    """Return the forecasts calibration is judged on: scored, and not in sample."""
    return [
        row
        for row in predictions
        if row.outcome is not None and row.probability is not None and row.in_sample is not True
    ]


def _draw_price(
    figure: "Figure",
    colours: Mapping[str, str],
    predictions: Sequence[PastPrediction],
    closes: Sequence[Row],
) -> None:
    price, chance = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    days: Any = [row["date"] for row in closes]
    close_of = {row["date"]: row["close"] for row in closes}
    price.plot(days, list(close_of.values()), color=colours["ink"], linewidth=1.2, label="close")
    marks = (
        ("signal, came true", 1.0, "o", colours["hit"]),
        ("signal, did not", 0.0, "X", colours["miss"]),
        ("signal, pending", None, "D", colours["own"]),
    )
    shown = [row for row in predictions if row.prediction_date in close_of]
    for label, outcome, marker, colour in marks:
        hits: Any = [row.prediction_date for row in shown if row.signal and row.outcome == outcome]
        levels = [close_of[day] for day in hits]
        face = "none" if outcome is None else colour
        price.scatter(
            hits, levels, marker=marker, s=34, edgecolors=colour, facecolors=face, label=label,
            zorder=3,
        )  # fmt: skip
    price.set_ylabel("close, USD")
    price.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, ncols=4)
    dates: Any = [row.prediction_date for row in shown]
    for name, label, style in (
        ("probability", "pool", "-"),
        ("reference_probability", "reference", "--"),
    ):
        colour = colours["own" if name == "probability" else "reference"]
        values: Any = [getattr(row, name) for row in shown]
        gaps = [float("nan") if value is None else value for value in values]
        chance.plot(dates, gaps, style, color=colour, label=label, marker=".", markersize=3)
    chance.set_ylim(-0.03, 1.03)
    chance.set_ylabel("probability")
    chance.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, ncols=2)


def _draw_move(
    axes: "Axes", colours: Mapping[str, str], closes: Sequence[Row], move: ExpectedMove | None
) -> None:
    """Draw the last 60 closes and, from the latest level, the range that holds 80 %."""
    shown = closes[-MOVE_DAYS:]
    days: Any = [row["date"] for row in shown]
    axes.plot(days, [row["close"] for row in shown], color=colours["ink"], label="close")
    if move is not None:
        ends: Any = [move.bar_date, move.bar_date + timedelta(days=move.horizon)]
        low, middle, high = (
            [move.level_usd, end]
            for end in (move.price_10_usd, move.price_50_usd, move.price_90_usd)
        )
        axes.fill_between(ends, low, high, color=colours["own"], alpha=0.25, label="80 % range")
        axes.plot(ends, middle, "--", color=colours["own"], label="expected")
    axes.set_ylabel("USD")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, ncols=3)


def _draw_calibration(
    axes: "Axes", colours: Mapping[str, str], predictions: Sequence[PastPrediction]
) -> None:
    rows = calibration_rows(predictions)
    axes.plot([0, 1], [0, 1], color=colours["faint"], linewidth=0.8, label="kept exactly")
    for name, label, marker, colour in (
        ("probability", "pool", "o", colours["own"]),
        ("reference_probability", "reference", "s", colours["reference"]),
    ):
        pairs: list[tuple[float, float]] = [
            (getattr(row, name), row.outcome or 0.0)
            for row in rows
            if getattr(row, name) is not None
        ]
        known = sorted(pairs)
        if len(known) < MIN_CALIBRATION_ROWS:
            continue
        # Bins of equal count, so that each point rests on as many days.
        edges = [round(len(known) * step / BINS) for step in range(BINS + 1)]
        groups = [known[edges[i] : edges[i + 1]] for i in range(BINS)]
        forecast = [sum(p for p, _ in group) / len(group) for group in groups]
        came = [sum(outcome for _, outcome in group) / len(group) for group in groups]
        axes.plot(forecast, came, marker=marker, color=colour, label=label, linewidth=1.2)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("forecast probability")
    axes.set_ylabel("share that came true")
    axes.legend(loc="upper left", fontsize=8)


def _draw_importance(
    axes: "Axes", colours: Mapping[str, str], importance: Mapping[str, float | None]
) -> None:
    known = {name: value for name, value in importance.items() if value is not None}
    top = sorted(known.items(), key=lambda item: abs(item[1]))[-SHOWN_FEATURES:]
    bars = [colours["own"] if value >= 0 else colours["miss"] for _, value in top]
    axes.barh([name for name, _ in top], [value for _, value in top], color=bars, height=0.6)
    axes.axvline(0, color=colours["faint"], linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("mean SHAP value, in probability")


class ChartCache:
    """Keeps drawn charts until the publication changes."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._lock = Lock()
        self._publication = ""
        self._drawn: dict[str, bytes] = {}

    def get(self, publication: str, *key: str) -> bytes | None:
        """Return a chart drawn from this publication."""
        with self._lock:
            return self._drawn.get(json.dumps(key)) if publication == self._publication else None

    def keep(self, chart: bytes, publication: str, *key: str) -> None:
        """Keep a chart; a newer publication, or a full cache, drops the others."""
        with self._lock:
            if publication != self._publication or len(self._drawn) >= self._size:
                self._publication, self._drawn = publication, {}
            self._drawn[json.dumps(key)] = chart
