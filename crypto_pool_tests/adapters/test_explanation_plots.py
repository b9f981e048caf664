"""Both pictures of an explanation are drawn, and say whose they are."""

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from crypto_pool.adapters.explanation_plots import BAR_FILE, BEESWARM_FILE, draw_explanation
from crypto_pool.domain.explanation import Explanation

COLUMNS = ["7_day_RSI", "MACD", "reference_logit"]


@pytest.fixture
def explanation():
    random = np.random.default_rng(1)
    dates = pd.date_range("2021-10-01", periods=20)
    values = pd.DataFrame(random.normal(0, 0.05, (20, 3)), index=dates, columns=COLUMNS)
    rows = pd.DataFrame(random.normal(0, 1, (20, 3)), index=dates, columns=COLUMNS)
    return Explanation(values, rows, "sampled: in pairs", 0.00123)


@pytest.fixture
def written(monkeypatch):
    """The words on each figure, as it is written."""
    words = []
    write = Figure.savefig

    def reading(figure, *args, **kwargs):
        (axes, *_) = figure.axes
        names = [label.get_text() for label in axes.get_yticklabels()]
        words.append((figure.get_suptitle(), axes.get_xlabel(), names))
        write(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", reading)
    return words


def test_pictures_name_member_algorithm_unit_and_origin(explanation, written):
    draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=True)
    assert len(written) == 2
    for title, unit, names in written:
        assert "BTC_uptrend: LightGBM (SYNTHETIC DATA)" in title
        assert "20 rows, 2021-10-01 to 2021-10-20; sampled" in title
        assert "at most 0.1 points" in title
        assert "percentage points of the served probability" in unit
        assert set(COLUMNS) <= set(names)
    draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=False)
    assert "SYNTHETIC" not in written[-1][0]


def test_pictures_are_png_and_leave_no_figure_open(explanation):
    files = draw_explanation(explanation, "BTC_uptrend", "LightGBM", synthetic=False)
    assert set(files) == {BEESWARM_FILE, BAR_FILE}
    for data in files.values():
        pixels = matplotlib.image.imread(io.BytesIO(data), format="png")
        assert pixels.shape[:2] == (850, 1000)
        assert pixels.std() > 0.05
    assert pyplot.get_fignums() == []
