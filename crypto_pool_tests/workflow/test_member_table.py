"""What a member is trained on, read from the store."""

from datetime import date

import numpy as np
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.recipe import Recipe
from crypto_pool.errors import MissingFeatures
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.training import member_table

LAST = date(2021, 12, 31)


@pytest.mark.parametrize("trend", list(Trend))
def test_labels_are_of_the_close_whatever_the_features_are_computed_from(tmp_path, trend):
    bars = SyntheticMarket().bars("BTC", LAST)
    tables = {}
    for series_type in ("close", "open"):
        store = FrameStore(str(tmp_path / series_type))
        indicators = compute_indicators(bars, series_type=series_type)
        store.write("daily_bars", "BTC", bars)
        store.write("raw_indicators", "BTC", indicators)
        store.write("feature_table", "BTC", build_features(indicators))
        tables[series_type] = member_table(
            store, Member("BTC", trend), LAST, Recipe(training_rows=400)
        )
    by_close, by_open = tables["close"], tables["open"]
    np.testing.assert_array_equal(by_open.labels, by_close.labels)
    np.testing.assert_array_equal(by_open.reference_probability, by_close.reference_probability)
    assert not np.allclose(by_open.features, by_close.features)
    assert 0 < by_close.labels.mean() < 1


def test_a_bar_date_before_the_first_bar_is_refused_with_the_span_of_the_bars(tmp_path):
    store = FrameStore(str(tmp_path))
    bars = SyntheticMarket().bars("BTC", LAST).tail(400)
    store.write("daily_bars", "BTC", bars)
    member = Member("BTC", Trend.UPTREND)
    with pytest.raises(MissingFeatures, match="bars run from 2020-11-27 to 2021-12-31"):
        member_table(store, member, date(2020, 11, 26), Recipe(training_rows=400))
    store.write("feature_table", "BTC", build_features(compute_indicators(bars)))
    assert (
        len(member_table(store, member, date(2020, 11, 27), Recipe(training_rows=400)).labels) == 0
    )
