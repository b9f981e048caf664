"""Pictures of an explanation, drawn by SHAP on figures of their own, without a display."""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crypto_pool.domain.explanation import Explanation

BEESWARM_FILE = "explanation_beeswarm.png"
BAR_FILE = "explanation_bar.png"
UNIT = "SHAP value, in percentage points of the served probability"
MEAN_UNIT = f"mean absolute {UNIT}"
POINTS = 100  # SHAP writes two decimals, too few for shares of 1
SYNTHETIC_NOTE = "SYNTHETIC DATA"
SIZE_INCHES = (10.0, 8.5)
DOTS_PER_INCH = 100


def draw_explanation(
    explanation: "Explanation", member_name: str, algorithm: str, *, synthetic: bool
) -> dict[str, bytes]:
    """Give a beeswarm of every row's values and a bar of their means, as PNG by file name."""
    import shap

    values = shap.Explanation(
        values=POINTS * explanation.values.to_numpy(),
        data=explanation.rows.loc[:, explanation.values.columns].to_numpy(),
        feature_names=[str(name) for name in explanation.values.columns],
    )
    shown = explanation.values.shape[1]
    title = _title(explanation, member_name, algorithm, synthetic=synthetic)
    beeswarm, axes = _figure(title)
    shap.plots.beeswarm(values, max_display=shown, ax=axes, plot_size=None, show=False)
    axes.set_xlabel(UNIT)
    bar, axes = _figure(title)
    shap.plots.bar(values.abs.mean(0), max_display=shown, ax=axes, show=False)
    axes.set_xlabel(MEAN_UNIT)
    return {BEESWARM_FILE: _png(beeswarm), BAR_FILE: _png(bar)}


def _title(explanation: "Explanation", member_name: str, algorithm: str, *, synthetic: bool) -> str:
    dates = explanation.rows.index
    lines = [
        f"{member_name}: {algorithm}" + (f" ({SYNTHETIC_NOTE})" if synthetic else ""),
        f"{len(dates)} rows, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}; "
        f"{explanation.method.partition(':')[0]}, "
        f"standard error of a mean at most {POINTS * explanation.standard_error:.1g} points",
    ]
    return "\n".join(lines)


def _figure(title: str) -> tuple[Any, Any]:
    """Make a figure pyplot does not know, so that nothing is shared or left open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    return figure, figure.add_subplot()


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()
