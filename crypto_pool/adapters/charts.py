"""Every chart that Dagster and MLflow show, each drawn by one function, without a display.

They are PNG, kept with every materialisation and so of few colours and few bytes. matplotlib is
loaded with the first of them. The pages draw theirs in the browser.
"""

import base64
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crypto_pool.domain.explanation import Explanation
    from crypto_pool.domain.intervals import Estimate

PALETTE = 48
SHOWN_DAYS = 365
JUDGEMENT_BINS = 8
MIN_CALIBRATION_ROWS = 20
JUDGEMENT_FILE = "calibration_roc_confusion.png"
BEESWARM_FILE, BAR_FILE = "explanation_beeswarm.png", "explanation_bar.png"
UNIT = "SHAP value, in percentage points of the served probability"
POINTS = 100  # SHAP writes two decimals, too few for shares of 1
SYNTHETIC_NOTE = "SYNTHETIC DATA"
# Computed margins take as long as all the drawing.
WIDE_MARGINS = {"left": 0.08, "right": 0.96, "bottom": 0.19, "top": 0.9}
THREE_MARGINS = {"left": 0.05, "right": 0.985, "bottom": 0.14, "top": 0.85, "wspace": 0.3}
NAME_LETTER = 0.0103  # of a name's, which SHAP writes at 13 points, in widths of the figure
NAMED_MARGINS = {"right": 0.97, "bottom": 0.08, "top": 0.91}


COLOURS = {
    "ink": "#1d2430", "faint": "#5b6675", "rule": "#d9dee5",
    "own": "#1f5fbf", "reference": "#8a6410", "hit": "#1c7a4a", "miss": "#b3362b",
}  # fmt: skip
# Column, name and colour of what is drawn beside the reference, and of that.
BOTH = (
    ("probability", "champion", COLOURS["own"]),
    ("reference_probability", "reference", COLOURS["reference"]),
)
# Drawing shares matplotlib's font cache and its rc settings between threads.
_drawing = Lock()


@contextmanager
def _figure(
    width: float, height: float, title: str = "", margins: Mapping[str, float] | None = None
) -> "Iterator[Figure]":
    """Give a figure pyplot does not know, nothing of it shared or left open."""
    import matplotlib
    from matplotlib.figure import Figure

    quiet: Any = {
        "font.family": "sans-serif",
        "font.size": 10,
        "text.hinting": "none",  # which takes a sixth of the drawing
        "text.color": COLOURS["ink"],
        "axes.edgecolor": COLOURS["rule"],
        "axes.labelcolor": COLOURS["faint"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": COLOURS["faint"],
        "ytick.color": COLOURS["faint"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": COLOURS["rule"],
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
        yield figure


def _png(figure: "Figure") -> bytes:
    """Write the figure with few colours: a quarter of the bytes of a plain PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a coin in another script
        canvas.draw()  # once; savefig would draw a second time, for the layout alone
    reduced = io.BytesIO()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    few = drawn.quantize(PALETTE, method=Image.Quantize.FASTOCTREE)
    few.save(reduced, format="png")
    return reduced.getvalue()


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
    with _figure(12.0, 4.2, title, THREE_MARGINS) as figure:
        calibration, roc, confusion = figure.subplots(1, 3)
        _draw_calibration(calibration, evaluation)
        _draw_diagonal(roc)
        for column, name, colour in BOTH:
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
    left = 0.04 + NAME_LETTER * max(map(len, values.feature_names))
    drawn = {}
    for name, plot, what, unit in (
        (BEESWARM_FILE, shap.plots.beeswarm, values, UNIT),
        (BAR_FILE, shap.plots.bar, values.abs.mean(0), f"mean absolute {UNIT}"),
    ):
        size = {"plot_size": None} if name == BEESWARM_FILE else {}
        with _figure(10.0, 8.5, title, {**NAMED_MARGINS, "left": left}) as figure:
            axes = figure.subplots()
            axes.grid(visible=False)  # SHAP draws lines of its own
            plot(what, max_display=shown, ax=axes, show=False, **size)
            axes.set_xlabel(unit, loc="right")
            drawn[name] = _png(figure)
    return drawn


def draw_labelled_price(bars: pd.DataFrame, labels: Mapping[str, pd.Series], title: str) -> bytes:
    """Draw the last year of closes and the days whose label is 1; one series a trend."""
    recent = bars.tail(SHOWN_DAYS)
    with _figure(9.0, 3.6, title, margins=WIDE_MARGINS) as figure:
        axes = figure.subplots()
        axes.plot(recent.index, recent["close"], color=COLOURS["own"], linewidth=1.2, label="close")
        for trend, colour in (("uptrend", COLOURS["hit"]), ("downtrend", COLOURS["miss"])):
            days = labels[trend].reindex(recent.index) == 1
            axes.fill_between(
                recent.index, 0, 1, where=days.to_numpy(), step="mid", color=colour, alpha=0.25,
                linewidth=0, transform=axes.get_xaxis_transform(), label=f"{trend} from that day",
            )  # fmt: skip
        known = labels["uptrend"].reindex(recent.index).dropna().index
        start = known[-1] if len(known) else recent.index[0]
        if start < recent.index[-1]:
            axes.axvspan(
                start, recent.index[-1], color=COLOURS["faint"], alpha=0.2, label="not known yet"
            )
        low, high = recent["close"].min(), recent["close"].max()
        if high > 4 * low:
            axes.set_yscale("log")
            for show in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                show(lambda value, _: f"{value:g}")
        axes.margins(x=0.01)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
        return _png(figure)


def draw_panel_skill(halves: "Mapping[str, Estimate]", title: str) -> bytes:
    """Draw the panel's skill over the reference by half-year, each with its 90 % interval."""
    with _figure(9.0, 3.2, title) as figure:
        axes = figure.subplots()
        for number, estimate in enumerate(halves.values()):
            if estimate.low is not None and estimate.high is not None:
                axes.vlines(
                    number, estimate.low, estimate.high, color=COLOURS["own"], linewidth=1.5
                )
            if estimate.value is not None:
                axes.plot(number, estimate.value, marker="o", color=COLOURS["own"])
        axes.axhline(0, color=COLOURS["reference"], linestyle="--", label="the reference")
        axes.set_xticks(range(len(halves)), list(halves), rotation=45, ha="right", fontsize=9)
        axes.set_ylabel("skill over the reference")
        axes.legend()
        return _png(figure)


def _draw_calibration(axes: "Axes", evaluation: pd.DataFrame) -> None:
    """Draw the share that came true in bins of equal count, so that each rests on as many days."""
    _draw_diagonal(axes)
    for column, label, colour in BOTH:
        rows = evaluation[[column, "label"]].dropna().astype(float).sort_values(column)
        if len(rows) >= MIN_CALIBRATION_ROWS:
            groups = rows.groupby(np.arange(len(rows)) * JUDGEMENT_BINS // len(rows)).mean()
            axes.plot(groups[column], groups["label"], marker="o", color=colour, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set(xlabel="forecast probability", ylabel="share that came true")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")


def _draw_diagonal(axes: "Axes") -> None:
    axes.plot([0, 1], [0, 1], color=COLOURS["faint"], linestyle=":", linewidth=1)
