"""One model for all coins: its fit, its forecast, and what it may know."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import t as student
from sklearn.linear_model import Ridge

from crypto_pool.domain.members import Trend
from crypto_pool.domain.panel import (
    PanelFit,
    exceedance_probability,
    expected_change,
    forecast_panel,
    forecast_sigma,
    reference_exceedance,
    reference_probabilities,
    split_probability,
    student_probability,
)
from crypto_pool.domain.panel_features import feature_columns, panel_table
from crypto_pool.domain.panel_fitting import fit_panel, panel_origins
from crypto_pool.domain.panel_skill import panel_skill, range_coverage, score_panel
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.domain.panel_market import (
    LAST,
    SYMBOLS,
    TARGET,
    market_bars,
    market_table,
    walk_forward,
)

SHARED = Path(__file__).parents[3] / "shared"


def test_students_distribution_is_that_of_scipy_at_any_distance():
    scaled = np.concatenate([np.linspace(-60, 60, 2001), [-1e300, -np.inf, np.inf, np.nan]])

    np.testing.assert_allclose(
        student_probability(scaled), student.cdf(scaled, df=5), rtol=0, atol=1e-15
    )


class TestTheWorkedExample:
    """`shared/panel`: one fit of the 16 coins of the README, at 2020-12-31."""

    folder = SHARED / "panel"

    @pytest.fixture(scope="class")
    @classmethod
    def worked(cls) -> tuple[dict[str, object], pd.DataFrame, PanelFit]:
        if not cls.folder.is_dir():
            pytest.skip("no worked example beside the repository")
        fit = json.loads((cls.folder / "fit.json").read_text())
        bars = {
            symbol: pd.read_csv(
                SHARED / "market_data" / f"{symbol}.csv", parse_dates=["date"], index_col="date"
            ).loc[:"2021-03-31"]
            for symbol in fit["symbols"]
        }
        table = panel_table(bars, TARGET)
        return fit, table, fit_panel(table, TARGET, date.fromisoformat(fit["origin"]))

    def test_has_the_same_features(self, worked) -> None:
        _, table, _ = worked
        known = pd.read_csv(
            self.folder / "features.csv", parse_dates=["bar_date"], index_col=[0, 1]
        )
        ours = table.loc[known.index, feature_columns(table)]
        assert ours.shape == known.shape
        # The names differ: compared value by value, in the order of size.
        difference = np.sort(ours.to_numpy(), axis=1) - np.sort(known.to_numpy(), axis=1)
        assert np.abs(difference).max() < 2e-5

    def test_has_the_same_coefficients(self, worked) -> None:
        known, _, fit = worked
        assert fit.rows == known["training_rows"]
        weights = pd.DataFrame(known["features"]).T
        for ours, theirs in (("range_weight", "beta_gk"), ("return_weight", "beta_r2")):
            difference = np.sort(fit.coefficients[ours]) - np.sort(weights[theirs])
            assert np.abs(difference).max() < 1e-5
        assert fit.level == pytest.approx(known["a0"], abs=5e-4)
        assert fit.spread == pytest.approx(known["a1"], abs=5e-4)
        assert fit.range_width == pytest.approx(known["k"], abs=1e-3)

    def test_forecasts_the_same(self, worked) -> None:
        _, table, fit = worked
        known = pd.read_csv(
            self.folder / "forecasts.csv", parse_dates=["bar_date"], index_col=[0, 1]
        )
        ours = forecast_panel(fit, table.loc[known.index])
        for name in ("panel_up", "panel_down", "sigma"):
            assert np.abs(ours[name] - known[name]).max() < 1e-4
        assert np.abs(ours["position"] - known["position_d"]).max() < 1e-6
        reference = reference_probabilities(table.loc[known.index], TARGET)
        assert np.abs(reference[0] - known["reference_up"]).max() < 1e-5
        assert np.abs(reference[1] - known["reference_down"]).max() < 1e-5
        moves = expected_change(
            ours["position"].to_numpy(), ours["sigma"].to_numpy(), fit.range_width, TARGET
        )
        low = np.log1p(moves["change_10_pct"]) - known["ln_change_10pct"]
        high = np.log1p(moves["change_90_pct"]) - known["ln_change_90pct"]
        assert np.abs([low, high]).max() < 2e-4


class TestNoLookAhead:
    day = pd.Timestamp("2021-05-15")

    def other_futures(self, symbols: tuple[str, ...]) -> dict[str, pd.DataFrame]:
        """The same bars up to the day, another life after it."""
        changed = dict(market_bars())
        other = SyntheticMarket(seed=99)
        for symbol in symbols:
            bars = changed[symbol].copy()
            later = bars.index > self.day
            bars.loc[later] = other.bars(symbol, LAST).loc[later].to_numpy() * 3
            changed[symbol] = bars
        return changed

    @pytest.mark.parametrize("symbols", [SYMBOLS, ("ETH",)])
    def test_no_feature_up_to_a_day_moves_by_what_follows(self, symbols: tuple[str, ...]) -> None:
        known, changed = market_table(), panel_table(self.other_futures(symbols), TARGET)
        past = [*feature_columns(known), "s60", "level", "position", "mechanical_position"]
        pd.testing.assert_frame_equal(
            changed.loc[: self.day, past], known.loc[: self.day, past], check_exact=True
        )

    def test_no_forecast_up_to_a_day_moves_by_what_follows(self) -> None:
        changed = panel_table(self.other_futures(SYMBOLS), TARGET)
        known = walk_forward(market_table())
        assert known.loc[: self.day, "origin"].nunique() > 1
        pd.testing.assert_frame_equal(
            walk_forward(changed).loc[: self.day], known.loc[: self.day], check_exact=True
        )

    def test_the_origin_grid_is_not_moved_by_what_follows(self) -> None:
        short = {symbol: bars.loc[: self.day] for symbol, bars in market_bars().items()}
        origins = panel_origins(panel_table(short, TARGET), TARGET.horizon, self.day.date())
        later = panel_origins(market_table(), TARGET.horizon, LAST)
        assert len(later) > len(origins) > 1
        assert later[: len(origins)] == origins
        assert set(np.diff(later)) == {timedelta(days=60)}

    def test_the_first_origin_is_where_enough_labels_were_closed(self) -> None:
        table = market_table()
        first = panel_origins(table, TARGET.horizon, LAST)[0]
        known = table[table["change"].notna()].index.get_level_values("bar_date")
        closed = known + pd.Timedelta(days=TARGET.horizon) <= pd.Timestamp(first)
        assert np.sum(closed) >= 5 * 365 > np.sum(closed) - len(SYMBOLS)
        assert fit_panel(table, TARGET, first).rows == np.sum(closed)


class TestFit:
    origin = date(2021, 5, 1)

    @pytest.fixture(scope="class")
    @classmethod
    def stages(cls) -> tuple[PanelFit, pd.DataFrame, np.ndarray]:
        """A fit, its rows, and their features in deviations."""
        table = market_table()
        rows = table[: pd.Timestamp(cls.origin) - pd.Timedelta(days=10)]
        rows = rows[rows[["change", "ahead_range", "ahead_return"]].notna().all(axis=1)]
        features = rows[feature_columns(rows)]
        standard = ((features - features.mean()) / features.std(ddof=0)).clip(-5, 5).fillna(0.0)
        return fit_panel(table, TARGET, cls.origin), rows, standard.to_numpy()

    @pytest.mark.parametrize(("name", "penalty"), [("range", 0.1), ("return", 0.3)])
    def test_the_first_stage_is_a_ridge_regression(self, stages, name, penalty) -> None:
        fit, rows, standard = stages
        known = Ridge(alpha=penalty * len(rows)).fit(standard, rows[f"ahead_{name}"])
        assert fit.rows == len(rows)
        assert fit.coefficients[f"{name}_weight"].to_numpy() == pytest.approx(known.coef_, abs=1e-6)
        assert getattr(fit, f"{name}_intercept") == pytest.approx(known.intercept_, abs=1e-6)

    def test_the_second_stage_has_the_lowest_brier_score_of_both_trends(self, stages) -> None:
        fit, rows, standard = stages
        weights = fit.coefficients[["range_weight", "return_weight"]].mean(axis=1).to_numpy()
        expected = (fit.range_intercept + fit.return_intercept) / 2 + standard @ weights
        gap = np.log(rows["s60"]) - expected
        gap = ((gap - gap.mean()) / gap.std(ddof=0)).to_numpy()
        change, position = rows["change"].to_numpy(), rows["position"].to_numpy()

        def sigma(level: float, spread: float) -> np.ndarray:
            return np.exp(expected + level + spread * gap)

        def loss(parameters: np.ndarray) -> float:
            scaled = np.sqrt(3.85) * sigma(*parameters)
            up = student.cdf((position - np.log(1.05)) / scaled, 5)
            down = student.cdf((np.log(0.95) - position) / scaled, 5)
            errors = [up - (change >= np.log(1.05)), down - (change <= np.log(0.95))]
            return float(np.mean(np.square(errors)) + 1e-5 * parameters[1] ** 2)

        best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5})
        assert [fit.level, fit.spread] == pytest.approx(best.x, abs=2e-4)
        made = sigma(fit.level, fit.spread)
        assert forecast_sigma(fit, rows) == pytest.approx(made, rel=1e-6)
        width = np.abs(change - position) / (np.sqrt(3.85) * made)
        assert fit.range_width == pytest.approx(np.quantile(width, 0.8), rel=1e-6)


class TestForecast:
    def test_both_trends_and_any_move_come_from_one_sigma(self) -> None:
        fit = fit_panel(market_table(), TARGET, LAST)
        made = forecast_panel(fit, market_table())
        scaled = (made["position"] - np.log(1.05)) / (np.sqrt(3.85) * made["sigma"])
        assert made["panel_up"].to_numpy() == pytest.approx(student.cdf(scaled, 5), abs=1e-9)
        position, sigma = made["position"].to_numpy(), made["sigma"].to_numpy()
        up = exceedance_probability(position, sigma, TARGET.pct, TARGET)
        down = 1 - exceedance_probability(position, sigma, -TARGET.pct, TARGET)
        assert up == pytest.approx(made["panel_up"].to_numpy(), abs=1e-12)
        assert down == pytest.approx(made["panel_down"].to_numpy(), abs=1e-12)
        assert (made["panel_up"] + made["panel_down"] < 1).all()

    def test_the_reference_of_any_move_is_that_of_both_trends(self) -> None:
        rows = market_table().xs("ETH", level="symbol")
        up, down = reference_probabilities(rows, TARGET)
        assert reference_exceedance(rows, 0.05, TARGET) == pytest.approx(up)
        assert 1 - reference_exceedance(rows, -0.05, TARGET) == pytest.approx(down)

    def test_a_coin_that_was_not_there_is_forecast_too(self) -> None:
        new = {**market_bars(), "NEW": SyntheticMarket(seed=3).bars("NEW", LAST).tail(120)}
        fit = fit_panel(market_table(), TARGET, date(2021, 5, 1))
        assert "NEW" not in fit.symbols
        made = forecast_panel(
            fit, panel_table(new, TARGET).xs("NEW", level="symbol", drop_level=False)
        )
        assert len(made) == 60
        assert made.notna().all(axis=None)

    @pytest.mark.parametrize("trend", Trend)
    def test_its_probability_is_split_into_reference_volatility_and_drift(
        self, trend: Trend
    ) -> None:
        rows = market_table().xs("ETH", level="symbol")
        made = forecast_panel(fit_panel(market_table(), TARGET, LAST), rows)
        reference = random_walk_probability(market_bars()["ETH"], trend, TARGET)[rows.index]
        parts = split_probability(made, reference, trend, TARGET)
        column = "panel_up" if trend is Trend.UPTREND else "panel_down"
        assert (0.5 + parts.sum(axis=1)).to_list() == pytest.approx(made[column].to_list())
        assert (0.5 + parts["reference"]).to_list() == pytest.approx(reference.to_list())
        # Drift is downward, and the trends feel it the other way round.
        sign = -1 if trend is Trend.UPTREND else 1
        assert (sign * parts["drift"] > 0).all()
        assert parts.abs().mean().min() > 1e-3

    def test_a_fit_returns_from_its_table(self) -> None:
        fit = fit_panel(market_table(), TARGET, LAST)
        again = PanelFit.from_frame(fit.to_frame())
        assert again.symbols == fit.symbols
        assert (again.origin, again.rows, again.target) == (fit.origin, fit.rows, fit.target)
        pd.testing.assert_frame_equal(
            forecast_panel(again, market_table()), forecast_panel(fit, market_table())
        )

    def test_the_range_holds_four_fifths_of_what_it_was_fitted_on(self) -> None:
        fit = fit_panel(market_table(), TARGET, LAST)
        scored = score_panel(forecast_panel(fit, market_table()), market_table(), TARGET)
        assert range_coverage(scored).value == pytest.approx(0.8, abs=0.001)
        assert panel_skill(scored).value == pytest.approx(fit.skill, abs=1e-9)
