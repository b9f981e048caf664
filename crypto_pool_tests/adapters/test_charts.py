"""Charts for Dagster and MLflow are small, and show what they were given."""

import base64
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib import dates as mdates
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from crypto_pool.adapters.charts import (
    BAR_FILE,
    BEESWARM_FILE,
    as_markdown,
    draw_explanation,
    draw_judgement,
    draw_labelled_price,
    draw_panel_skill,
)
from crypto_pool.defs.pictures import draw_requests
from crypto_pool.domain.explanation import Explanation
from crypto_pool.domain.intervals import Estimate

TRENDS = ("uptrend", "downtrend")
COLUMNS = ["7_day_RSI", "MACD", "reference_logit"]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def drawn(monkeypatch):
    """The figures, as they are drawn."""
    figures = []
    draw = FigureCanvasAgg.draw

    def keeping(canvas):
        figures.append(canvas.figure)
        draw(canvas)

    monkeypatch.setattr(FigureCanvasAgg, "draw", keeping)
    return figures


@pytest.fixture
def explanation():
    random = np.random.default_rng(1)
    dates = pd.date_range("2021-10-01", periods=20)
    values = pd.DataFrame(random.normal(0, 0.05, (20, 3)), index=dates, columns=COLUMNS)
    rows = pd.DataFrame(random.normal(0, 1, (20, 3)), index=dates, columns=COLUMNS)
    return Explanation(values, rows, "sampled: in pairs", 0.00123)


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def grey(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def is_small_picture(png):
    return Image.open(io.BytesIO(png)).width > 500 and len(png) < 40_000


def test_a_judgement_shows_champion_and_reference_side_by_side(drawn):
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 300)
    beyond = random.uniform(0.01, 0.49, 300)
    beyond[label.argmax()] = 0.0  # at the threshold, which is no signal
    evaluation = pd.DataFrame(
        {
            "label": label,
            "probability": label * 0.5 + beyond,
            "reference_probability": random.uniform(0, 1, 300),
            "decision_threshold": 0.5,
        }
    )
    assert is_small_picture(draw_judgement(evaluation, "BTC_uptrend"))
    calibration, roc, confusion = drawn[0].axes
    assert legend(calibration) == ["champion", "reference"]
    perfect, *bins = calibration.lines
    for diagonal in (perfect, roc.lines[0]):
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
        assert diagonal.get_linewidth() == 1
    for line, column in zip(bins, ("probability", "reference_probability"), strict=True):
        rows = evaluation.sort_values(column)
        eighths = [rows.iloc[part].mean() for part in np.array_split(np.arange(300), 8)]
        np.testing.assert_allclose(line.get_xdata(), [one[column] for one in eighths], atol=0.02)
        np.testing.assert_allclose(line.get_ydata(), [one["label"] for one in eighths], atol=0.05)
    assert legend(roc)[0] == "champion (AUC = 1.00)"
    counts = [text.get_text() for text in confusion.texts]
    assert counts == [str(np.sum(label == 0)), "0", "1", str(np.sum(label == 1) - 1)]
    assert "300 rows" in drawn[0].get_suptitle()
    assert calibration.get_xlim() == calibration.get_ylim() == (-0.02, 1.02)
    assert not any(line.get_visible() for line in confusion.get_xgridlines())
    places = [axes.get_position() for axes in (calibration, roc, confusion)]
    assert all(one.x1 < following.x0 for one, following in pairwise(places))
    assert all(one.width > 0.18 for one in places)


def test_a_judgement_of_one_class_has_no_roc_and_is_drawn(drawn):
    evaluation = pd.DataFrame(
        {
            "label": [0] * 20,
            "probability": 0.3,
            "reference_probability": np.linspace(0, 1, 20),
            "decision_threshold": 0.5,
        }
    )
    assert is_small_picture(draw_judgement(evaluation, "BTC_uptrend"))
    assert drawn[0].axes[1].get_legend() is None


@pytest.mark.parametrize(("count", "shown"), [(19, ["reference"]), (20, ["champion", "reference"])])
def test_a_calibration_of_less_than_twenty_rows_is_not_drawn(drawn, count, shown):
    evaluation = pd.DataFrame(
        {"label": [0, 1] * 15, "reference_probability": 0.4, "decision_threshold": 0.5}
    )
    evaluation["probability"] = pd.Series([0.3] * count)
    draw_judgement(evaluation, "BTC_uptrend")
    assert legend(drawn[0].axes[0]) == shown


def test_the_panels_skill_is_drawn_by_half_year_with_its_interval_where_there_is_one(drawn):
    halves = {"2021-H1": Estimate(0.02, -0.01, 0.05), "2021-H2": Estimate(-0.03)}
    halves["2022-H1"] = Estimate()
    assert is_small_picture(draw_panel_skill(halves, "The panel"))
    (axes,) = drawn[0].axes
    [interval] = axes.collections
    assert interval.get_segments()[0].tolist() == [[0, -0.01], [0, 0.05]]
    *points, reference = axes.lines
    assert [(*line.get_xdata(), *line.get_ydata()) for line in points] == [(0, 0.02), (1, -0.03)]
    assert list(reference.get_ydata()) == [0, 0]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(halves)


@pytest.mark.parametrize(
    ("last", "scale"), [(4.0, "linear"), (4.01, "log"), (0.5, "linear"), (0.2, "log")]
)
def test_prices_of_more_than_four_times_the_lowest_are_drawn_by_their_logarithm(drawn, last, scale):
    days = pd.date_range("2025-01-01", periods=400)
    closes = pd.Series([0.01] * 35 + [1.0] * 364 + [last], index=days)
    known = pd.Series(1.0, index=days)
    labels = {"uptrend": known, "downtrend": known * 0}
    draw_labelled_price(closes.to_frame("close"), labels, "AAA")
    (axes,) = drawn[0].axes
    assert axes.get_yscale() == scale
    assert len(axes.lines[0].get_xdata()) == 365
    assert legend(axes) == ["close", "uptrend from that day", "downtrend from that day"]


def test_a_price_shows_where_a_trend_followed_and_what_is_not_known_yet(drawn):
    days = pd.date_range("2026-01-01", periods=300)
    bars = pd.DataFrame({"close": np.geomspace(0.1, 40, 300)}, index=days)
    up = pd.Series(1.0, index=days).where(days < "2026-10-17")
    labels = {"uptrend": up, "downtrend": (up * 0).mask(days < "2026-01-11", 1.0)}
    assert is_small_picture(draw_labelled_price(bars, labels, "AAA"))
    (axes,) = drawn[0].axes
    assert legend(axes)[1:] == ["uptrend from that day", "downtrend from that day", "not known yet"]
    assert axes.get_yscale() == "log"
    assert {"0.1", "1", "10"} <= {label.get_text() for label in axes.get_yticklabels()}
    followed = [at(days, fill.get_datalim(axes.transData)) for fill in axes.collections]
    assert followed == [(0, 288), (0, 9)]
    [unknown] = axes.patches
    assert (unknown.get_x(), unknown.get_width()) == (mdates.date2num(days[288]), 11)
    assert at(days, axes.viewLim) == (-2.99, 301.99)
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
    assert len({text.get_position()[1] for text in axes.get_legend().get_texts()}) == 1


def at(days, place):
    """Between which days something is drawn, counted from the first."""
    return tuple(round(x - mdates.date2num(days[0]), 3) for x in (place.x0, place.x1))


def test_charts_are_of_the_size_that_dagster_and_mlflow_show_and_plain(explanation, drawn):
    """Words of ten points and less, one faint grid, and no frame but the axes themselves."""
    days = pd.date_range("2026-01-01", periods=30)
    draw_labelled_price(
        pd.DataFrame({"close": 1.0}, index=days), dict.fromkeys(TRENDS, pd.Series(0, days)), "AAA"
    )
    draw_panel_skill({"2021-H1": Estimate(0.02)}, "The panel")
    draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=False)
    assert [(figure.get_size_inches() * figure.dpi).tolist() for figure in drawn] == [
        [720, 288],
        [720, 256],
        [800, 680],
        [800, 680],
    ]
    for figure in drawn[:2]:
        (axes,) = figure.axes
        edges = {side for side, spine in axes.spines.items() if spine.get_visible()}
        assert edges == {"left", "bottom"}
        assert not axes.get_legend().get_frame_on()
        assert all(line.get_visible() for line in axes.get_ygridlines())
        assert axes.get_axisbelow()
        assert {text.get_fontsize() for text in axes.get_legend().get_texts()} == {9}
        assert axes.yaxis.label.get_fontsize() == 10
        assert figure._suptitle.get_fontsize() == 11


def test_of_a_price_without_any_label_no_trend_is_known(drawn):
    days = pd.date_range("2026-01-01", periods=30)
    none = pd.Series(dtype=float)
    bars = pd.DataFrame({"close": 1.0}, index=days)
    draw_labelled_price(bars, {"uptrend": none, "downtrend": none}, "AAA")
    [unknown] = drawn[0].axes[0].patches
    assert (unknown.get_x(), unknown.get_width()) == (mdates.date2num(days[0]), 29)


def test_requests_are_shown_by_the_hour_as_text():
    moments = [NOW - timedelta(hours=hours, minutes=1) for hours in (20, 20, 3)]
    said, first, last = draw_requests(moments, NOW).split("\n\n")
    assert said == "3 requests in the 24 hours before 12:00 UTC"
    assert first == "`until 16:00` ██ 2"
    assert last == "`until 09:00` █ 1"


def test_markdown_holds_the_whole_picture():
    png = b"a picture"
    text = as_markdown(png, "requests")
    assert base64.b64decode(text.partition("base64,")[2].removesuffix(")")) == png


@pytest.mark.parametrize("synthetic", [True, False])
def test_an_explanation_names_member_algorithm_unit_and_origin(explanation, drawn, synthetic):
    files = draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=synthetic)
    assert set(files) == {BEESWARM_FILE, BAR_FILE}
    assert len(drawn) == 2
    for figure in drawn:
        title, (axes, *_) = figure.get_suptitle(), figure.axes
        assert "BTC_uptrend: LightGBM" in title
        assert ("(SYNTHETIC DATA)" in title) is synthetic
        assert "20 rows, 2021-10-01 to 2021-10-20; sampled" in title
        assert "at most 0.1 points" in title
        assert "percentage points of the served probability" in axes.get_xlabel()
        assert {label.get_text() for label in axes.get_yticklabels()} >= set(COLUMNS)
    means = sorted(explanation.values.abs().mean() * 100)
    assert sorted(bar.get_width() for bar in drawn[1].axes[0].patches) == pytest.approx(means)


def test_a_coin_of_another_script_is_drawn_and_no_warning_tells_of_its_font(explanation, recwarn):
    assert draw_explanation(explanation, "币安人生_uptrend", "LightGBM", synthetic=False)
    assert [one for one in recwarn if "Glyph" in str(one.message)] == []


def test_every_feature_is_shown_however_few_the_rows_are(explanation, drawn):
    few = replace(explanation, values=explanation.values.head(2), rows=explanation.rows.head(2))
    draw_explanation(few, "BTC_uptrend", "LightGBM", synthetic=False)
    for figure in drawn:
        shown = {label.get_text() for label in figure.axes[0].get_yticklabels()}
        assert shown >= set(COLUMNS)


@pytest.mark.parametrize(
    "name", ["RSI", "10_day_SMA_20_day_SMA_pct_diff", "distance_to_the_mean_of_a_hundred_days"]
)
def test_all_that_a_picture_says_lies_within_it(explanation, drawn, name):
    named = {"columns": {"MACD": name}}
    shown = replace(
        explanation,
        values=explanation.values.rename(**named),
        rows=explanation.rows.rename(**named),
    )
    draw_explanation(shown, "AAVE_downtrend", "HistGradientBoosting", synthetic=True)
    evaluation = pd.DataFrame(
        {
            "label": [0, 1] * 20,
            "probability": np.linspace(0, 1, 40),
            "reference_probability": 0.5,
            "decision_threshold": 0.5,
        }
    )
    draw_judgement(evaluation, "AAVE_downtrend: HistGradientBoosting")
    days = pd.date_range("2026-01-01", periods=30)
    up = pd.Series(1.0, index=days[:20])
    bars = pd.DataFrame({"close": np.geomspace(1, 99_999, 30)}, index=days)
    draw_labelled_price(bars, {"uptrend": up, "downtrend": up}, "The price of AAVE")
    draw_panel_skill({"2021-H1": Estimate(0.02, -0.01, 0.05)}, "The panel")
    for figure in drawn:
        inside, said = figure.bbox_inches, figure.get_tightbbox()
        assert inside.x0 <= said.x0 <= said.x1 <= inside.x1
        assert inside.y0 <= said.y0 <= said.y1 <= inside.y1


def test_pictures_of_an_explanation_show_something_and_leave_no_figure_open(explanation):
    files = draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=False)
    # Of grey values, since a palette has its colours in any order; of axes with nothing in them 11.
    assert all(grey(data).std() > 15 for data in files.values())
    assert pyplot.get_fignums() == []
