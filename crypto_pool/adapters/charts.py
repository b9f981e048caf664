"""Every chart of the pool, each drawn by one function, without a display.

Dagster and MLflow get PNG, kept with every materialisation and so of few colours and few bytes;
the pages get SVG in a light and a dark theme. matplotlib is loaded with the first of them.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crypto_pool.domain.explanation import Explanation
    from crypto_pool.domain.odds import ExpectedMove
    from crypto_pool.domain.panel_skill import RatioEstimate

PALETTE = 48
SHOWN_DAYS, MOVE_DAYS = 365, 60
SHOWN_FEATURES = 10
JUDGEMENT_BINS, PAGE_BINS = 8, 5
MIN_CALIBRATION_ROWS = 20
JUDGEMENT_FILE = "calibration_roc_confusion.png"
BEESWARM_FILE, BAR_FILE = "explanation_beeswarm.png", "explanation_bar.png"
UNIT = "SHAP value, in percentage points of the served probability"
POINTS = 100  # SHAP writes two decimals, too few for shares of 1
SYNTHETIC_NOTE = "SYNTHETIC DATA"
# Computed margins take as long as all the drawing.
WIDE_MARGINS = {"left": 0.08, "right": 0.96, "bottom": 0.19, "top": 0.9}


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


@contextmanager
def _figure(
    width: float,
    height: float,
    title: str = "",
    theme: Theme = Theme.LIGHT,
    margins: Mapping[str, float] | None = None,
) -> "Iterator[tuple[Figure, dict[str, str]]]":
    """Give a figure pyplot does not know, nothing of it shared or left open, and its colours."""
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
        "legend.fontsize": 9,
    }
    with _drawing, matplotlib.rc_context(quiet):
        layout: Any = None if margins else "constrained"
        figure = Figure(figsize=(width, height), dpi=80, layout=layout)
        if margins:
            figure.subplots_adjust(**margins)
        if title:
            figure.suptitle(title, fontsize=11)
        yield figure, colours


def _png(figure: "Figure") -> bytes:
    """Write the figure with few colours: a quarter of the bytes of a plain PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # once; savefig would draw a second time, for the layout alone
    reduced = io.BytesIO()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(PALETTE).save(reduced, format="png", optimize=True)
    return reduced.getvalue()


def _svg(figure: "Figure") -> bytes:
    """Write the figure; texts stay texts, and nothing in it changes between two runs."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return content.getvalue()


def as_markdown(png: bytes, says: str) -> str:
    """Return a picture as the text that shows it in the Dagster UI."""
    return f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})"


def draw_judgement(evaluation: pd.DataFrame, title: str) -> bytes:
    """Draw what a champion and the reference were worth on the rows it was judged by.

    Calibration and ROC of both, and the champion's confusion matrix at the threshold of each
    row. `evaluation` has the columns label, probability, reference_probability and
    decision_threshold.
    """
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

    title = f"{title}\n{len(evaluation)} rows no model was fitted on"
    with _figure(12.0, 4.2, title) as (figure, colours):
        calibration, roc, confusion = figure.subplots(1, 3)
        _draw_calibration(calibration, colours, evaluation, "label", "champion", JUDGEMENT_BINS)
        roc.plot([0, 1], [0, 1], color=colours["faint"], linestyle=":", linewidth=1)
        for column, name, colour in _both("champion", colours):
            rows = evaluation[["label", column]].dropna()
            if rows["label"].nunique() == 2:
                RocCurveDisplay.from_predictions(
                    rows["label"], rows[column], name=name, ax=roc, curve_kwargs={"color": colour}
                )
        roc.set(xlabel="false positives, as a share", ylabel="true positives, as a share")
        ConfusionMatrixDisplay.from_predictions(
            evaluation["label"],
            (evaluation["probability"] > evaluation["decision_threshold"]).astype(int),
            labels=[0, 1],
            display_labels=["did not come", "came true"],
            cmap="Blues",
            colorbar=False,
            ax=confusion,
        )
        confusion.set(xlabel="champion's signal", ylabel="", xticklabels=["none", "signal"])
        confusion.grid(visible=False)
        return _png(figure)


def draw_explanation(
    explanation: "Explanation", member_name: str, algorithm: str, *, synthetic: bool
) -> dict[str, bytes]:
    """Draw a beeswarm of every row's values and a bar of their means, as PNG by file name."""
    import shap

    values = shap.Explanation(
        values=POINTS * explanation.values.to_numpy(),
        data=explanation.rows.loc[:, explanation.values.columns].to_numpy(),
        feature_names=[str(name) for name in explanation.values.columns],
    )
    shown, dates = explanation.values.shape[1], explanation.rows.index
    title = (
        f"{member_name}: {algorithm}{f' ({SYNTHETIC_NOTE})' if synthetic else ''}\n"
        f"{len(dates)} rows, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}; "
        f"{explanation.method.partition(':')[0]}, standard error of a mean at most "
        f"{POINTS * explanation.standard_error:.1g} points"
    )
    drawn = {}
    for name, plot, what, unit in (
        (BEESWARM_FILE, shap.plots.beeswarm, values, UNIT),
        (BAR_FILE, shap.plots.bar, values.abs.mean(0), f"mean absolute {UNIT}"),
    ):
        size = {"plot_size": None} if name == BEESWARM_FILE else {}
        with _figure(10.0, 8.5, title) as (figure, _):
            axes = figure.subplots()
            plot(what, max_display=shown, ax=axes, show=False, **size)
            axes.set_xlabel(unit)
            drawn[name] = _png(figure)
    return drawn


def draw_labelled_price(bars: pd.DataFrame, labels: Mapping[str, pd.Series], title: str) -> bytes:
    """Draw the last year of closes and the days whose label is 1; one series a trend."""
    recent = bars.tail(SHOWN_DAYS)
    with _figure(9.0, 3.6, title, margins=WIDE_MARGINS) as (figure, colours):
        axes = figure.subplots()
        axes.plot(recent.index, recent["close"], color=colours["own"], linewidth=1.2, label="close")
        for trend, colour in (("uptrend", colours["hit"]), ("downtrend", colours["miss"])):
            days = labels[trend].reindex(recent.index) == 1
            axes.fill_between(
                recent.index, 0, 1, where=days.to_numpy(), step="mid", color=colour, alpha=0.25,
                linewidth=0, transform=axes.get_xaxis_transform(), label=f"{trend} from that day",
            )  # fmt: skip
        known = labels["uptrend"].reindex(recent.index).dropna().index
        start = known[-1] if len(known) else recent.index[0]
        if start < recent.index[-1]:
            axes.axvspan(
                start, recent.index[-1], color=colours["faint"], alpha=0.2, label="not known yet"
            )
        low, high = recent["close"].min(), recent["close"].max()
        if high > 4 * low > 0:
            axes.set_yscale("log")
            for show in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                show(lambda value, _: f"{value:g}")
        axes.margins(x=0.01)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
        return _png(figure)


def draw_panel_skill(halves: "Mapping[str, RatioEstimate]", title: str) -> bytes:
    """Draw the panel's skill over the reference by half-year, each with its 90 % interval."""
    with _figure(9.0, 3.2, title) as (figure, colours):
        axes = figure.subplots()
        for number, estimate in enumerate(halves.values()):
            if estimate.interval is not None:
                axes.vlines(number, *estimate.interval, color=colours["own"], linewidth=1.5)
            if estimate.value is not None:
                axes.plot(number, estimate.value, marker="o", color=colours["own"])
        axes.axhline(0, color=colours["reference"], linestyle="--", label="the reference")
        axes.set_xticks(range(len(halves)), list(halves), rotation=45, ha="right", fontsize=9)
        axes.set_ylabel("skill over the reference")
        axes.legend()
        return _png(figure)


def draw_record(theme: Theme, forecasts: pd.DataFrame, closes: pd.Series) -> bytes:
    """Draw a member's closes with its signals, and below them its forecasts.

    `forecasts` has prediction_date, probability, reference_probability, signal and outcome;
    `closes` are by date.
    """
    shown = forecasts[forecasts["prediction_date"].isin(closes.index)]
    with _figure(11, 5.2, theme=theme) as (figure, colours):
        price, probability = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        price.plot(closes.index, closes, color=colours["ink"], linewidth=1.2, label="close")
        for label, came, marker, colour in (
            ("signal, came true", shown["outcome"] == 1, "o", colours["hit"]),
            ("signal, did not", shown["outcome"] == 0, "X", colours["miss"]),
            ("signal, pending", shown["outcome"].isna(), "D", colours["own"]),
        ):
            days = shown.loc[shown["signal"].eq(True) & came, "prediction_date"].to_list()
            face = "none" if marker == "D" else colour
            price.scatter(
                days, closes.loc[days], marker=marker, s=34, edgecolors=colour, facecolors=face,
                label=label, zorder=3,
            )  # fmt: skip
        price.set_ylabel("close, USD")
        price.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        for (column, name, colour), style in zip(_both("pool", colours), ("-", "--"), strict=True):
            probability.plot(
                shown["prediction_date"].to_list(), shown[column].astype(float), style,
                color=colour, label=name, marker=".", markersize=3,
            )  # fmt: skip
        probability.set(ylim=(-0.03, 1.03), ylabel="probability")
        probability.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        return _svg(figure)


def draw_move(theme: Theme, closes: pd.Series, move: "ExpectedMove | None") -> bytes:
    """Draw the last 60 closes and, from the latest level, the range that holds 80 %."""
    recent = closes.iloc[-MOVE_DAYS:]
    with _figure(11, 3.6, theme=theme) as (figure, colours):
        axes = figure.subplots()
        axes.plot(recent.index, recent, color=colours["ink"], label="close")
        if move is not None:
            ends: Any = [move.bar_date, move.bar_date + timedelta(days=move.horizon)]
            low, middle, high = (
                [move.level_usd, end]
                for end in (move.price_10_usd, move.price_50_usd, move.price_90_usd)
            )
            axes.fill_between(ends, low, high, color=colours["own"], alpha=0.25, label="80 % range")
            axes.plot(ends, middle, "--", color=colours["own"], label="expected")
        axes.set_ylabel("USD")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        return _svg(figure)


def draw_calibration(theme: Theme, forecasts: pd.DataFrame) -> bytes:
    """Draw what came true of scored forecasts, with the columns that `draw_record` takes."""
    with _figure(4.6, 4, theme=theme) as (figure, colours):
        _draw_calibration(figure.subplots(), colours, forecasts, "outcome", "pool", PAGE_BINS)
        return _svg(figure)


def draw_importance(theme: Theme, importance: Mapping[str, float | None]) -> bytes:
    """Draw the features that move a champion's probability most, the largest on top."""
    known = {name: value for name, value in importance.items() if value is not None}
    top = sorted(known.items(), key=lambda item: abs(item[1]))[-SHOWN_FEATURES:]
    with _figure(4.6, 4, theme=theme) as (figure, colours):
        axes = figure.subplots()
        bars = [colours["own" if value >= 0 else "miss"] for _, value in top]
        axes.barh([name for name, _ in top], [value for _, value in top], color=bars, height=0.6)
        axes.axvline(0, color=colours["faint"], linewidth=0.8)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", labelsize=8)
        axes.set_xlabel("mean SHAP value, in probability")
        return _svg(figure)


def _both(name: str, colours: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """Return column, name and colour of what is drawn beside the reference, and of that."""
    return (
        ("probability", name, colours["own"]),
        ("reference_probability", "reference", colours["reference"]),
    )


def _draw_calibration(
    axes: "Axes",
    colours: Mapping[str, str],
    frame: pd.DataFrame,
    outcome: str,
    name: str,
    bins: int,
) -> None:
    """Draw the share that came true in bins of equal count, so that each rests on as many days."""
    axes.plot([0, 1], [0, 1], color=colours["faint"], linestyle=":", linewidth=1)
    for column, label, colour in _both(name, colours):
        rows = frame[[column, outcome]].dropna().astype(float).sort_values(column)
        if len(rows) >= MIN_CALIBRATION_ROWS:
            groups = rows.groupby(np.arange(len(rows)) * bins // len(rows)).mean()
            axes.plot(groups[column], groups[outcome], marker="o", color=colour, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set(xlabel="forecast probability", ylabel="share that came true")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")
