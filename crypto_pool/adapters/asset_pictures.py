"""Small pictures for the Dagster UI and MLflow, drawn without a display.

A picture is kept with every materialisation, so it has few colours and few bytes.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crypto_pool.domain.panel_skill import RatioEstimate

DOTS_PER_INCH = 80
COLOURS = 48
OWN, REFERENCE, UP, DOWN, FAINT = "#1f5fbf", "#b07d12", "#1c7a4a", "#b3362b", "#9aa3af"
JUDGEMENT_FILE = "calibration_roc_confusion.png"
SHOWN_DAYS = 365
CALIBRATION_BINS = 8
MARGINS = {"left": 0.08, "right": 0.96, "bottom": 0.19, "top": 0.9}


def as_markdown(png: bytes, says: str) -> str:
    """Give a picture as the text that shows it in the Dagster UI."""
    return f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})"


def draw_judgement(evaluation: "pd.DataFrame", title: str) -> bytes:
    """Draw what a champion and the reference were worth on the rows it was judged by.

    Calibration and ROC of both, and the champion's confusion matrix at the threshold of each
    row. `evaluation` has the columns label, probability, reference_probability and
    decision_threshold.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    figure = _figure(12.0, 4.2, f"{title}\n{len(evaluation)} rows no model was fitted on")
    calibration, roc, confusion = figure.subplots(1, 3)
    for column, name, colour, style in (
        ("probability", "champion", OWN, "-"),
        ("reference_probability", "reference", REFERENCE, "--"),
    ):
        rows = evaluation[["label", column]].dropna()
        _draw_calibration(calibration, rows["label"], rows[column], name, colour, style)
        if rows["label"].nunique() == 2:
            false, true, _ = roc_curve(rows["label"], rows[column])
            area = roc_auc_score(rows["label"], rows[column])
            roc.plot(false, true, color=colour, linestyle=style, label=f"{name}, AUC {area:.2f}")
    for axes, across, up in (
        (calibration, "forecast probability", "share that came true"),
        (roc, "false positives, as a share", "true positives, as a share"),
    ):
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left" if axes is calibration else "lower right")
    _draw_confusion(confusion, evaluation)
    return _png(figure)


def draw_labelled_price(bars: "pd.DataFrame", labels: "dict[str, pd.Series]", title: str) -> bytes:
    """Draw the last year of closes and the days whose label is 1; one series a trend."""
    recent = bars.tail(SHOWN_DAYS)
    figure = _figure(9.0, 3.6, title, MARGINS)
    axes = figure.subplots()
    axes.plot(recent.index, recent["close"], color=OWN, linewidth=1.2, label="close")
    for trend, colour in (("uptrend", UP), ("downtrend", DOWN)):
        days = labels[trend].reindex(recent.index) == 1
        axes.fill_between(
            recent.index, 0, 1, where=days.to_numpy(), step="mid", color=colour, alpha=0.25,
            linewidth=0, transform=axes.get_xaxis_transform(), label=f"{trend} from that day",
        )  # fmt: skip
    unknown = labels["uptrend"].reindex(recent.index).isna()
    if unknown.iloc[-1]:
        known = recent.index[~unknown.to_numpy()]
        start = known[-1] if len(known) else recent.index[0]
        axes.axvspan(start, recent.index[-1], color=FAINT, alpha=0.2, label="not known yet")
    low, high = recent["close"].min(), recent["close"].max()
    if high > 4 * low > 0:
        axes.set_yscale("log")
        for axis_format in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis_format(_plain_number)
    axes.margins(x=0.01)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, fontsize=9)
    return _png(figure)


def draw_requests(moments: Sequence[datetime], now: datetime, limit: int | None) -> bytes:
    """Draw how many of the day's requests were spent by each of the last 24 hours."""
    import pandas as pd
    from matplotlib.dates import DateFormatter

    figure = _figure(9.0, 2.6, f"{len(moments)} requests in the 24 hours before {now:%H:%M} UTC")
    axes = figure.subplots()
    hours = pd.date_range(end=now, periods=25, freq="h")
    spent = [sum(moment <= hour for moment in moments) for hour in hours]
    axes.step(hours, spent, where="pre", color=OWN, label="spent")
    axes.fill_between(hours, spent, step="pre", color=OWN, alpha=0.2)
    if limit is not None:
        axes.axhline(limit, color=DOWN, linestyle="--", label=f"the plan's {limit}")
    axes.set_ylim(0, max(limit or 0, len(moments), 1) * 1.1)
    axes.set_ylabel("requests")
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)
    axes.legend(loc="center left")
    return _png(figure)


def draw_panel_skill(halves: "Mapping[str, RatioEstimate]", title: str) -> bytes:
    """Draw the panel's skill over the reference by half-year, each with its 90 % interval."""
    figure = _figure(9.0, 3.2, title)
    axes = figure.subplots()
    for number, estimate in enumerate(halves.values()):
        if estimate.interval is not None:
            axes.vlines(number, *estimate.interval, color=OWN, linewidth=1.5)
        if estimate.value is not None:
            axes.plot(number, estimate.value, marker="o", color=OWN)
    axes.axhline(0, color=REFERENCE, linestyle="--", linewidth=1, label="the reference")
    axes.set_xticks(range(len(halves)), list(halves), rotation=45, ha="right", fontsize=9)
    axes.set_ylabel("skill over the reference")
    axes.legend(loc="best", fontsize=9)
    return _png(figure)


def _draw_calibration(
    axes: "Axes",
    labels: "pd.Series",
    probabilities: "pd.Series",
    name: str,
    colour: str,
    style: str,
) -> None:
    import pandas as pd

    bins = pd.qcut(probabilities, CALIBRATION_BINS, duplicates="drop")
    groups = [probabilities.groupby(bins, observed=True), labels.groupby(bins, observed=True)]
    forecast, came_true = (group.mean() for group in groups)
    axes.plot(
        forecast, came_true, color=colour, linestyle=style, marker="o", markersize=4, label=name
    )


def _draw_confusion(axes: "Axes", evaluation: "pd.DataFrame") -> None:
    from sklearn.metrics import confusion_matrix

    signals = evaluation["probability"] > evaluation["decision_threshold"]
    counts = confusion_matrix(evaluation["label"], signals.astype(int), labels=[0, 1])
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=max(1, 1.6 * counts.max()))
    axes.set_xticks([0, 1], ["no signal", "signal"])
    axes.set_yticks([0, 1], ["did not come", "came true"], rotation=90, va="center")
    axes.set_xlabel("champion, at its decision threshold")
    for row in (0, 1):
        for column in (0, 1):
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=14)


def _plain_number(value: float, _: float) -> str:
    return f"{value:g}"


def _figure(
    width: float, height: float, title: str, margins: dict[str, float] | None = None
) -> "Figure":
    """Make a figure pyplot does not know, so that nothing is shared or left open.

    Margins are computed, which takes as long as all the drawing, unless they are given.
    """
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(width, height), dpi=DOTS_PER_INCH, layout=None if margins else "constrained"
    )
    if margins:
        figure.subplots_adjust(**margins)
    figure.suptitle(title, fontsize=11)
    return figure


def _png(figure: "Figure") -> bytes:
    """Write the figure with few colours: a quarter of the bytes of a plain PNG."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if not axes.images:
            axes.grid(color="#e3e7ec", linewidth=0.6)
            axes.set_axisbelow(True)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # once; savefig would draw a second time, for the layout alone
    reduced = io.BytesIO()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(COLOURS).save(reduced, format="png", optimize=True)
    return reduced.getvalue()
