"""The examples of docs/extending.md work with the real parts."""

import re
import sys
import types
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.market import validate_bars
from crypto_pool.domain.purged import PurgedWalkForwardPolicy
from crypto_pool.domain.training import training_table
from crypto_pool.errors import UnknownSymbol
from crypto_pool.sandbox.market import SyntheticMarket

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
LAST = date(2021, 11, 30)


@pytest.fixture(scope="module")
def example():
    """The code of the page, one example after the other, as one module."""
    module = types.ModuleType("extending_example")
    sys.modules[module.__name__] = module
    for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(code, "docs/extending.md", "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(seed=3, predictability=0.5).bars("BTC", LAST).tail(900)


def test_the_candidate_is_trained_and_judged_beside_the_reference(example, bars):
    table = training_table(bars, build_features(compute_indicators(bars)), "uptrend", LAST)
    fitted = PurgedWalkForwardPolicy().evaluate(example.candidate, table)
    assert fitted.evaluation["probability"].between(0, 1).all()
    assert 0 < fitted.metrics["brier_score"] < 0.5
    assert fitted.metrics["reference_brier_score"] > 0


def test_the_feature_does_not_look_ahead(example, bars):
    feature = example.rsi_change(compute_indicators(bars), 7)
    changed = bars.copy()
    changed.iloc[600:] = changed.iloc[600:].to_numpy()[::-1]
    other = example.rsi_change(compute_indicators(changed), 7)
    pd.testing.assert_series_equal(feature.iloc[:600], other.iloc[:600])
    assert not feature.equals(other)


def test_the_bars_of_the_provider_pass_the_door(example, bars):
    provider: MarketDataProvider = example.FramesProvider({"BTC": bars})
    checked = validate_bars(provider.daily_bars("BTC", LAST), "BTC", LAST)
    assert len(checked.bars) == len(bars)
    assert provider.source == "frames"
    with pytest.raises(UnknownSymbol, match="known are BTC"):
        provider.daily_bars("ETH", LAST)
