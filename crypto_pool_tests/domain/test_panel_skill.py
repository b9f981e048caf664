"""What the panel's forecasts were worth, and whether its range keeps its promise."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.panel import forecast_panel, reference_probabilities
from crypto_pool.domain.panel_features import panel_table
from crypto_pool.domain.panel_fitting import fit_panel, panel_origins
from crypto_pool.domain.panel_skill import (
    by_half_year,
    panel_skill,
    range_coverage,
    score_panel,
    skill_by_move,
)
from crypto_pool_tests.domain.panel_market import (
    LAST,
    TARGET,
    flat_bars,
    market_table,
    walk_forward,
)


class TestSkill:
    def test_of_the_reference_itself_is_none_at_all(self) -> None:
        table = market_table()
        up, down = reference_probabilities(table, TARGET)
        forecasts = forecast_panel(fit_panel(table, TARGET, LAST), table)
        scored = score_panel(forecasts.assign(panel_up=up, panel_down=down), table, TARGET)
        skill = panel_skill(scored)
        assert skill.value == pytest.approx(0)
        assert (skill.low, skill.high) == pytest.approx((0, 0))

    def test_is_told_by_half_year_and_by_size_of_move(self) -> None:
        table = market_table()
        forecasts = walk_forward(table)
        scored = score_panel(forecasts, table, TARGET)
        halves = by_half_year(scored)
        assert list(halves) == ["2021-H1", "2021-H2"]
        assert sum(map(len, halves.values())) == len(scored)
        assert set(skill_by_move(forecasts, table, TARGET, [-0.05, 0.0, 0.1])) == {-0.05, 0.0, 0.1}

    def test_has_no_interval_over_a_few_days(self) -> None:
        table = market_table()
        scored = score_panel(walk_forward(table), table, TARGET)
        first = scored.index[0][0]
        assert panel_skill(scored.loc[: first + pd.Timedelta(days=100)]).low is None
        assert panel_skill(scored).low is not None


def test_on_a_constant_volatility_walk_the_range_keeps_its_promise() -> None:
    """300 coin-years: 0.80 within 0.02."""
    random = np.random.default_rng(11)
    walks = np.cumsum(random.normal(0, 0.04, (20, 15 * 365)), axis=1)
    bars = {
        f"C{number}": flat_bars(np.exp(walk), "2005-01-01") for number, walk in enumerate(walks)
    }
    table = panel_table(bars, TARGET)
    last = table.index[-1][0]
    origins = [*panel_origins(table, TARGET.horizon, last.date())[::45], last.date()]
    dates = table.index.get_level_values("bar_date")
    made = pd.concat(
        forecast_panel(
            fit_panel(table, TARGET, origin),
            table[(dates > pd.Timestamp(origin)) & (dates <= pd.Timestamp(following))],
        )
        for origin, following in pairwise(origins)
    )
    scored = score_panel(made, table, TARGET)
    assert len(scored) > 95_000
    assert range_coverage(scored).value == pytest.approx(0.8, abs=0.02)
    # The reference estimates a constant from 60 days, the panel from all: that much is real.
    skill = panel_skill(scored).value
    assert skill is not None
    assert 0 <= skill < 0.005


def test_outcomes_that_all_lie_inside_for_half_a_year_are_no_certainty() -> None:
    table = market_table()
    scored = score_panel(walk_forward(table), table, TARGET).assign(inside=1.0)
    inside = range_coverage(scored)
    assert inside.value == inside.high == 1
    assert 0.5 < inside.low < 0.9
