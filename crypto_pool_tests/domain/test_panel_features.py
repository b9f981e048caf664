"""What the panel is made of: its target, its features and how it takes the breaks of the past."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.labels import label_target
from crypto_pool.domain.members import Trend
from crypto_pool.domain.panel import forecast_panel, reference_probabilities
from crypto_pool.domain.panel_features import (
    CoinBreaks,
    averaging_weights,
    feature_columns,
    panel_table,
    target_scale,
)
from crypto_pool.domain.panel_fitting import fit_panel
from crypto_pool.domain.recipe import Target
from crypto_pool.domain.reference import random_walk_probability
from crypto_pool_tests.domain.panel_market import (
    LAST,
    START,
    TARGET,
    flat_bars,
    market_bars,
    market_table,
)


class TestTarget:
    def test_weights_of_the_average_ten_days_ahead(self) -> None:
        assert averaging_weights(TARGET) == pytest.approx(np.arange(10, 0, -1) / 10)
        assert target_scale(TARGET) == pytest.approx(np.sqrt(3.85))

    def test_days_before_the_average_begins_count_whole(self) -> None:
        weights = averaging_weights(Target(horizon=14))
        assert weights[:5] == pytest.approx(np.ones(5))
        assert np.sum(weights**2) == pytest.approx(14 - 10 + 3.85)

    def test_a_forward_return_counts_each_day_whole(self) -> None:
        assert averaging_weights(Target("forward_return", 0.05, 7)) == pytest.approx(np.ones(7))

    @pytest.mark.parametrize(
        "target", [TARGET, Target("forward_return", 0.1, 12), Target(pct=0.02)]
    )
    def test_reference_and_events_are_those_of_reference_and_labels(self, target: Target) -> None:
        table = panel_table(market_bars(), target)
        rows = table.xs("ETH", level="symbol")
        bars = market_bars()["ETH"]
        for number, trend in enumerate(Trend):
            known = random_walk_probability(bars, trend, target)
            ours = reference_probabilities(rows, target)[number]
            assert ours == pytest.approx(known[rows.index].to_numpy(), abs=1e-9)
            labels = label_target(bars, trend, target)
            change = np.expm1(rows["change"].dropna())
            came = change >= target.pct if trend is Trend.UPTREND else change <= -target.pct
            assert (came == labels[change.index].astype(bool)).all()


def half_log_range(bars: pd.DataFrame) -> np.ndarray:
    """Half the log of each day's variance as Garman and Klass have it."""
    span, move = np.log(bars["high"] / bars["low"]), np.log(bars["close"] / bars["open"])
    variance = 0.5 * span**2 - (2 * np.log(2) - 1) * move**2
    return 0.5 * np.log(np.maximum(variance, 1e-8).to_numpy())


def by_hand(symbol: str, day: date) -> dict[str, float]:
    """The features of a coin and day, each from the numbers of its days as it is defined."""
    bars = {name: frame.loc[: day.isoformat()] for name, frame in market_bars().items()}
    returns = {name: np.diff(np.log(frame["close"])) for name, frame in bars.items()}
    ranges = {name: half_log_range(frame) for name, frame in bars.items()}
    own, size, half = returns[symbol], np.abs(returns[symbol]), ranges[symbol]
    variance = np.exp(2 * half)

    def root(values: np.ndarray, days: int, floor: float = 1e-8) -> float:
        if len(values) < 0.8 * days:
            return np.nan
        return 0.5 * np.log(np.mean(values[-days:]) + floor)

    def volume(name: str, few: int, many: int) -> float:
        traded = bars[name]["volume"].to_numpy()
        return np.log(traded[-few:].mean() / traded[-many:].mean())

    def decayed(days: int) -> float:
        weights = 0.5 ** (np.arange(len(half))[::-1] / days)
        return 0.5 * np.log(np.average(variance, weights=weights))

    of_pool, all_returns = np.mean([*ranges.values()], axis=0), np.array([*returns.values()])
    spread = np.log(own[-60:].std(ddof=1))
    weekdays = ("mon", "tue", "wed", "thu", "fri", "sat")
    return {
        **{f"log_rms_return_{n}": root(own**2, n) for n in (3, 5, 10, 20, 60, 120)},
        "log_s60": spread,
        **{f"log_range_{n}": root(variance, n) for n in (3, 5, 10, 20, 60, 120, 250)},
        "log_range_1": half[-1],
        "log_range_ever": half.mean(),
        **{f"log_mean_return_{n}": np.log(1.2533 * size[-n:].mean() + 1e-6) for n in (20, 60)},
        "downside_20": root(np.minimum(own, 0) ** 2, 20) - root(own**2, 20),
        "largest_return_60": np.log(size[-60:].max()) - spread,
        **{f"log_range_halflife_{n}": decayed(n) for n in (3, 8, 20)},
        "range_deviation_20": half[-20:].std(ddof=1),
        "volume_3_60": volume(symbol, 3, 60),
        "volume_10_120": volume(symbol, 10, 120),
        **{f"pool_range_{n}": of_pool[-n:].mean() for n in (1, 3, 10, 30)},
        "pool_range_90": of_pool[-90:].mean() if len(of_pool) >= 90 else np.nan,
        **{f"btc_range_{n}": ranges["BTC"][-n:].mean() for n in (5, 20)},
        **{f"log_rms_pool_return_{n}": root(all_returns.mean(axis=0) ** 2, n) for n in (5, 20)},
        "dispersion_10": np.log(all_returns.std(axis=0, ddof=1)[-10:].mean()),
        "pool_volume_3_60": np.mean([volume(name, 3, 60) for name in bars]),
        **{name: float(day.weekday() == number) for number, name in enumerate(weekdays)},
    }


class TestFeatures:
    @pytest.mark.parametrize(
        "day", [date(2020, 3, 1), date(2020, 3, 18), *(date(2021, 9, n) for n in range(6, 13))]
    )
    def test_are_those_of_their_definitions(self, day: date) -> None:
        row = market_table().loc[(pd.Timestamp(day), "ETH")]
        known = by_hand("ETH", day)
        assert set(feature_columns(market_table())) == set(known)
        assert row[list(known)].to_dict() == pytest.approx(known, abs=1e-9, nan_ok=True)

    def test_what_comes_is_weighed_as_in_the_average(self) -> None:
        bars, day = market_bars()["ETH"], pd.Timestamp("2021-09-06")
        row = market_table().loc[(day, "ETH")]
        weights = (np.arange(10, 0, -1) / 10) ** 2
        ahead = bars.loc[day:].iloc[:11]
        ranges, moves = half_log_range(ahead)[1:], np.diff(np.log(ahead["close"]))
        means = bars["close"].rolling(10).mean()
        assert row["ahead_range"] == pytest.approx(
            0.5 * np.log(weights @ np.exp(2 * ranges) / 3.85)
        )
        assert row["ahead_return"] == pytest.approx(0.5 * np.log(weights @ moves**2 / 3.85 + 1e-8))
        assert row["change"] == pytest.approx(np.log(means[ahead.index[-1]] / means[day]))
        assert row["level"] == pytest.approx(means[day])
        assert row["mechanical_position"] == pytest.approx(np.log(bars["close"][day] / means[day]))

    def test_days_without_trade_count_as_little_as_a_twentieth(self) -> None:
        bars = market_bars()["BTC"].copy()
        bars.iloc[-3:, bars.columns.get_loc("volume")] = 0.0
        row = panel_table({"BTC": bars}, TARGET).iloc[-1]
        assert row["volume_3_60"] == row["pool_volume_3_60"] == pytest.approx(-3)
        bars["volume"] = 0.0
        assert np.isnan(panel_table({"BTC": bars}, TARGET).iloc[-1]["volume_3_60"])

    def test_the_unit_of_volume_does_not_matter(self) -> None:
        bars = market_bars()["BTC"]
        rows, small = (
            panel_table({"BTC": bars.assign(volume=bars["volume"] * unit)}, TARGET).iloc[-1]
            for unit in (1.0, 1e-9)
        )
        for name in ("volume_3_60", "volume_10_120", "pool_volume_3_60"):
            assert small[name] == pytest.approx(rows[name])

    def test_the_drift_of_a_wild_coin_is_bounded(self) -> None:
        closes = 100 * np.exp(np.cumsum(np.where(np.arange(90) % 2, 0.2, -0.2)))
        row = panel_table({"BTC": flat_bars(closes)}, TARGET).iloc[-1]
        drift = 0.5 * 0.5 * 3.85 * 0.12**2
        assert row["mechanical_position"] - row["position"] == pytest.approx(drift)

    def test_of_a_walk_that_moves_by_one_percent_a_day(self) -> None:
        signs = np.where(np.arange(90) % 2, 1.0, -1.0)
        closes = 100 * np.exp(np.cumsum(0.01 * signs))
        table = panel_table({"BTC": flat_bars(closes)}, TARGET)
        row = table.iloc[-1]
        assert row["log_rms_return_20"] == pytest.approx(np.log(0.01), abs=1e-3)
        assert row["s60"] == pytest.approx(0.01 * np.sqrt(60 / 59), rel=1e-9)
        # A day that opens at one end and closes at the other has less than its range alone.
        assert row["log_range_1"] == pytest.approx(
            0.5 * np.log(0.5 - 2 * np.log(2) + 1) - 4.605, abs=1e-3
        )
        assert row["downside_20"] == pytest.approx(0.5 * np.log(0.5), abs=1e-3)
        assert row["volume_3_60"] == 0
        drift = 0.5 * 0.5 * 3.85 * row["s60"] ** 2
        assert row["mechanical_position"] - row["position"] == pytest.approx(drift)

    def test_start_where_sixty_returns_are_known(self) -> None:
        table = panel_table({"BTC": market_bars()["BTC"]}, TARGET)
        assert table.index[0][0].date() == START + timedelta(days=60)

    def test_one_coin_has_no_dispersion(self) -> None:
        table = panel_table({"BTC": market_bars()["BTC"]}, TARGET)
        assert table["dispersion_10"].isna().all()
        fit = fit_panel(table, TARGET, LAST)
        assert "dispersion_10" not in fit.coefficients.index
        assert forecast_panel(fit, table).notna().all(axis=None)

    def test_without_btc_there_are_none_of_it(self) -> None:
        bars = {symbol: market_bars()[symbol] for symbol in ("ADA", "ETH")}
        assert not [name for name in panel_table(bars, TARGET) if name.startswith("btc")]

    def test_a_price_that_does_not_move_has_no_row(self) -> None:
        closes = np.concatenate([100 * np.exp(np.cumsum(np.tile([0.02, -0.01], 40))), [130.0] * 80])
        table = panel_table({"BTC": flat_bars(closes)}, TARGET)
        assert table.index[-1][0] < pd.Timestamp("2021-01-01") + pd.Timedelta(days=141)

    def test_nothing_is_computed_across_a_gap(self) -> None:
        bars = dict(market_bars())
        missing = pd.Timestamp("2020-09-15")
        bars["ETH"] = bars["ETH"].drop(missing)
        table = panel_table(bars, TARGET)
        days = table.xs("ETH", level="symbol").index
        gone = pd.date_range(missing, missing + pd.Timedelta(days=60))
        assert not days.isin(gone).any()
        assert missing + pd.Timedelta(days=61) in days
        # Its other coins have the day, and the pool's means are over them.
        assert "BTC" in table.loc[missing].index


class TestBreaks:
    def test_a_blocked_coin_is_missing_from_the_break_on_for_the_others_too(self) -> None:
        day = date(2021, 3, 1)
        blocked = panel_table(market_bars(), TARGET, {"ETH": CoinBreaks(blocked_from=day)})
        assert blocked.xs("ETH", level="symbol").index.max() < pd.Timestamp(day)
        shorter = {**market_bars(), "ETH": market_bars()["ETH"].loc[:"2021-02-28"]}
        pd.testing.assert_frame_equal(blocked, panel_table(shorter, TARGET))

    def test_an_accepted_break_has_no_return_and_so_no_row_for_sixty_days(self) -> None:
        day = pd.Timestamp("2021-02-01")
        bars = dict(market_bars())
        bars["ETH"] = bars["ETH"].copy()
        prices = ["open", "high", "low", "close"]
        bars["ETH"].loc[day:, prices] *= 1000.0
        table = panel_table(bars, TARGET, {"ETH": CoinBreaks(accepted=(day.date(),))})
        eth, btc = table.xs("ETH", level="symbol"), table.xs("BTC", level="symbol")
        days = pd.date_range(day, day + pd.Timedelta(days=59))
        assert not eth.index.isin(days).any()
        assert day + pd.Timedelta(days=60) in eth.index
        before = eth.loc[day - pd.Timedelta(days=TARGET.horizon) : day, "change"]
        assert before.isna().all()
        assert btc["log_rms_pool_return_5"].max() < 0

    def test_the_same_break_not_accepted_would_be_a_return(self) -> None:
        day = pd.Timestamp("2021-02-01")
        bars = {**market_bars(), "ETH": market_bars()["ETH"].copy()}
        bars["ETH"].loc[day:, ["open", "high", "low", "close"]] *= 1000.0
        btc = panel_table(bars, TARGET).xs("BTC", level="symbol")
        assert btc["log_rms_pool_return_5"].max() > -1
