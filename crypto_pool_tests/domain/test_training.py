"""The labelled rows of a training, without look-ahead, and the hash of what a fit can see."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.reference import logit, random_walk_probability
from crypto_pool.domain.training import data_hash, prediction_input, training_table

T = 400


def table_of(bars: pd.DataFrame, as_of: pd.Timestamp, trend: str = "uptrend", rows: int = 1000):
    features = build_features(compute_indicators(bars))
    return training_table(bars, features, trend, as_of, Recipe(training_rows=rows))


def with_other_future(bars: pd.DataFrame, after: int) -> pd.DataFrame:
    changed = bars.copy()
    future = changed.iloc[after + 1 :]
    noise = np.random.default_rng(1).uniform(0.3, 3.0, (len(future), 1))
    changed.iloc[after + 1 :] = future.to_numpy()[::-1] * noise
    return changed


@pytest.mark.parametrize("trend", ["uptrend", "downtrend"])
def test_no_look_ahead(bars, trend):
    changed = with_other_future(bars, T)
    known, now = bars.index[: T + 1], bars.index[T]
    indicators, other_indicators = compute_indicators(bars), compute_indicators(changed)
    pd.testing.assert_frame_equal(indicators.loc[known], other_indicators.loc[known])
    assert not indicators.equals(other_indicators)

    features, other_features = build_features(indicators), build_features(other_indicators)
    pd.testing.assert_frame_equal(features.loc[:now], other_features.loc[:now])

    labels, other_labels = label_target(bars, trend), label_target(changed, trend)
    labelled = bars.index[: T + 1 - 10]
    pd.testing.assert_series_equal(labels.loc[labelled], other_labels.loc[labelled])
    assert not labels.equals(other_labels)

    reference = random_walk_probability(bars, trend)
    pd.testing.assert_series_equal(
        reference.loc[known], random_walk_probability(changed, trend).loc[known]
    )
    assert data_hash(table_of(bars, now, trend)) == data_hash(table_of(changed, now, trend))


def test_bars_after_the_date_need_not_be_cut_off(bars):
    now = bars.index[T]
    assert data_hash(table_of(bars, now)) == data_hash(table_of(bars.loc[:now], now))


def test_the_last_row_is_the_last_whose_label_is_known(bars):
    now = bars.index[T]
    table = table_of(bars, now)
    assert table.index[-1] == now - pd.Timedelta(days=10)
    assert table.index[0] == bars.index[60]  # the first with a reference
    assert set(table.labels) == {0, 1}
    assert np.isfinite(table.reference_probability).all()


def test_the_latest_rows_are_taken(bars):
    now = bars.index[T]
    short, whole = table_of(bars, now, rows=50), table_of(bars, now)
    assert len(short) == 50
    pd.testing.assert_frame_equal(short.features, whole.features.iloc[-50:])
    np.testing.assert_array_equal(short.labels, whole.labels[-50:])
    assert len(table_of(bars, now, rows=0)) == 0


def test_the_hash_moves_with_everything_a_fit_can_see(bars):
    now = bars.index[T]
    hashes = {
        data_hash(table_of(bars, now)),
        data_hash(table_of(bars, now, "downtrend")),
        data_hash(table_of(bars, now, rows=50)),
        data_hash(table_of(bars, bars.index[T - 1])),
        data_hash(table_of(bars * 1.000001, now)),
    }
    assert len(hashes) == 5


def test_the_hash_moves_with_each_part_alone(table):
    features = table.features
    tables = [
        table,
        replace(table, labels=1 - table.labels),
        replace(table, reference_probability=table.reference_probability / 2),
        replace(table, features=features * 1.000001),
        replace(table, features=features.rename(columns={"MACD": "macd"})),
        replace(table, features=features.shift(1, freq="D")),
    ]
    assert len({data_hash(each) for each in tables}) == 6


def test_prediction_input_is_the_features_and_both_log_odds(market):
    rows = market.features.iloc[-3:]
    given = prediction_input(rows, random_walk_probability(market.bars, "uptrend"))
    assert list(given.columns) == [*rows.columns, "reference_logit", "panel_logit"]
    assert given["panel_logit"].isna().all()
    reference = random_walk_probability(market.bars, "uptrend").loc[rows.index]
    pd.testing.assert_series_equal(given["reference_logit"], logit(reference), check_names=False)
