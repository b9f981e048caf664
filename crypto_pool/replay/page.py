"""The report as one HTML page that needs no network: its charts are inline SVG."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_pool.replay.account import account_value
from crypto_pool.replay.report import ReplayReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#1f5fbf", "#c8641b", "#5b8c3a", "#7a4fa3")
FIGURE_ROWS = (
    ("Precision, promised", "promised_precision"),
    ("Precision, realised", "realised_precision"),
    ("… 90 % interval", "realised_precision_interval"),
    ("… how far apart", "precision_gap"),
    ("Recall, promised", "promised_recall"),
    ("Recall, realised", "realised_recall"),
    ("Brier score, promised", "promised_brier"),
    ("Brier score, realised", "realised_brier"),
    ("Brier score of the reference", "reference_brier"),
    ("Skill over the reference: champions", "skill_over_reference"),
    ("… 90 % interval", "skill_over_reference_interval"),
    ("… of the candidates among them", "candidates_skill"),
    ("… 90 % interval", "candidates_skill_interval"),
    ("… of the panel", "panel_skill"),
    ("… 90 % interval", "panel_skill_interval"),
    ("… of the whole pool", "skill_with_baseline"),
    ("… 90 % interval", "skill_with_baseline_interval"),
    ("Skill of the pool over the panel", "pool_over_panel"),
    ("… 90 % interval", "pool_over_panel_interval"),
    ("Forecasts of champions scored", "n_predictions"),
    ("… of the baseline where none serves", "n_baseline_forecasts"),
    ("Forecasts flagged", "n_flagged"),
    ("Abstentions", "n_abstentions"),
    ("Members with a champion", "n_members_with_champion"),
)


def render_page(report: ReplayReport) -> str:
    """Give the page."""
    from jinja2 import Environment, FileSystemLoader

    folder = Path(__file__).parent / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True)
    environment.filters["figure"] = show_figure
    document = report.document
    accounts = {name: one["account"] for name, one in document["policies"].items()}
    return environment.get_template("replay.html").render(
        report=document,
        figures=FIGURE_ROWS,
        accounts={**accounts, "buy and hold": document["buy_and_hold"]},
        charts=[
            ("Calibration: what happened where so much was forecast", draw(document, _calibration)),
            ("Precision promised and realised, one point a member", draw(document, _precision)),
            ("Paper account after costs", draw(report.returns, _equity)),
        ],
    )


def show_figure(value: Any) -> str:
    """Show a figure, an interval or a missing one."""
    if value is None or value == [None, None]:
        return "none"
    if isinstance(value, list | tuple):
        return f"{value[0]:.3f} to {value[1]:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def draw(data: Any, plot: Callable[[Any, "Axes"], None]) -> str:
    """Give a chart as an SVG element, without touching matplotlib's global state."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    plot(data, axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _calibration(document: dict[str, Any], axes: "Axes") -> None:
    axes.plot([0, 1], [0, 1], color="#999", linewidth=1)
    for colour, (name, one) in zip(_COLOURS, document["policies"].items(), strict=False):
        curve = one["calibration_curve"]
        axes.plot(
            [point["mean_probability"] for point in curve],
            [point["realised_share"] for point in curve],
            marker="o",
            color=colour,
            label=name,
        )
    axes.set(xlabel="forecast probability", ylabel="realised share", xlim=(0, 1), ylim=(0, 1))
    axes.legend()


def _precision(document: dict[str, Any], axes: "Axes") -> None:
    axes.plot([0, 1], [0, 1], color="#999", linewidth=1)
    for colour, (name, one) in zip(_COLOURS, document["policies"].items(), strict=False):
        pairs = [
            (member["promised_precision"], member["realised_precision"])
            for member in one["members"].values()
            if member["promised_precision"] is not None
        ]
        axes.scatter(
            [pair[0] for pair in pairs], [pair[1] for pair in pairs], color=colour, label=name
        )
    axes.set(xlabel="promised precision", ylabel="realised precision", xlim=(0, 1), ylim=(0, 1))
    axes.legend()


def _equity(returns: Any, axes: "Axes") -> None:
    for colour, (name, series) in zip(_COLOURS, returns.items(), strict=False):
        equity = account_value(series)
        axes.plot(equity.index, equity.to_numpy(), color=colour, label=name)
    axes.set(ylabel="value of 1 invested", yscale="log")
    axes.figure.autofmt_xdate()
    axes.legend()
