"""Providers: what they give; test_bar_files.py has the layouts and faults of files."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.providers import MarketDataProvider, Provider
from crypto_pool.adapters.providers.directory import DirectoryProvider
from crypto_pool.adapters.providers.sandbox import SandboxProvider
from crypto_pool.errors import InvalidSetting, MalformedAnswer, ProviderError, UnknownSymbol
from crypto_pool.sandbox.market import SyntheticMarket

HEADER = "date,open,high,low,close,volume\n"
GOOD = HEADER + "2024-01-01,1,3,0.5,2,10\n2024-01-02,2,3,1.5,2.5,11\n"
LAST = date(2024, 1, 2)


def write(folder: Path, text: str, name: str = "BTC.csv") -> DirectoryProvider:
    """Make a provider over a folder with that file."""
    (folder / name).write_text(text)
    return DirectoryProvider(folder)


def test_csv_and_parquet_give_the_same_bars(tmp_path: Path) -> None:
    """Float columns on a naive index named date."""
    provider: MarketDataProvider = write(tmp_path, GOOD)
    bars = provider.daily_bars("BTC", LAST)
    bars.to_parquet(tmp_path / "ETH.parquet")
    bars.reset_index().to_parquet(tmp_path / "SOL.parquet")
    assert bars["close"].tolist() == [2.0, 2.5]
    assert set(bars.dtypes) == {np.dtype(float)}
    assert bars.index.equals(pd.DatetimeIndex(["2024-01-01", "2024-01-02"], name="date"))
    assert bars.index.dtype == "datetime64[ns]"
    for other in ("ETH", "SOL"):
        pd.testing.assert_frame_equal(provider.daily_bars(other, LAST), bars)
    assert not provider.synthetic
    assert provider.source == f"directory:{tmp_path.resolve()}"


def test_rows_are_left_to_the_validation(tmp_path: Path) -> None:
    """Order, duplicates, empty cells and later days come through as they are."""
    text = HEADER + "2024-01-03,2,3,1,2,\n2024-01-01,1,3,0.5,2,10\n2024-01-01,1,3,0.5,2,10\n"
    bars = write(tmp_path, text).daily_bars("BTC", LAST)
    assert bars.index.strftime("%d").tolist() == ["03", "01", "01"]
    assert bars["volume"].isna().tolist() == [True, False, False]


def test_spelling_of_header_and_dates_is_forgiven(tmp_path: Path) -> None:
    """Capitals, blanks, a byte order mark, extra columns, a time with offset."""
    text = (
        "\ufeffDate, Open,High,Low,Close,Volume,Trades\n"
        "2024-01-01 00:00:00+00:00,1,3,1,2,5,9\n2024-01-02T23:59:59Z,1,3,1,2,5,9\n"
    )
    bars = write(tmp_path, text).daily_bars("BTC", LAST)
    assert bars.index.tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")]


def test_unknown_symbol_lists_what_there_is(tmp_path: Path) -> None:
    """Also a symbol that would be a path finds nothing."""
    provider = write(tmp_path, GOOD)
    with pytest.raises(UnknownSymbol, match=r"DOGE: .*symbols with a file there: BTC$"):
        provider.daily_bars("DOGE", LAST)
    with pytest.raises(UnknownSymbol):
        DirectoryProvider(tmp_path / "..").daily_bars(f"{tmp_path.name}/BTC", LAST)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    """By the setting that names it."""
    with pytest.raises(InvalidSetting, match="CRYPTO_POOL_MARKET_DATA_DIR"):
        DirectoryProvider(tmp_path / "none").daily_bars("BTC", LAST)


def test_sandbox_says_that_it_is_synthetic() -> None:
    """Its source names everything its bars depend on."""
    provider: MarketDataProvider = SandboxProvider(SyntheticMarket(seed=9, random_walk=True))
    assert provider.synthetic
    known = "sandbox:seed=9,predictability=0.15,random_walk=true,epoch=2020-01-01,generator=1"
    assert provider.source == known
    some = SandboxProvider(SyntheticMarket(seed=9, random_walk=True, trending_share=0.5))
    assert some.source == f"{known},trending_share=0.5"
    assert provider.daily_bars("BTC", LAST).index[-1] == pd.Timestamp(LAST)


@dataclass
class Own:
    """A provider of an extension."""

    source: object = "mine"
    synthetic: object = False

    def daily_bars(self, symbol: str, last_closed: date) -> object:
        if symbol == "ETH":
            raise UnknownSymbol("ETH: not mine")
        if symbol == "SOL":
            raise ValueError("no route")
        return pd.DataFrame() if symbol == "BTC" else "bars"


def test_a_provider_of_an_extension_is_what_it_says() -> None:
    for synthetic in (True, False):
        made = Provider("own", lambda _, synthetic=synthetic: Own("mine", synthetic)).of(None)
        assert (made.source, made.synthetic) == ("mine", synthetic)
    assert made.daily_bars("BTC", LAST).empty


@pytest.mark.parametrize(("source", "synthetic"), [(5, False), ("", False), ("mine", "no")])
def test_a_provider_that_does_not_say_what_it_is_is_named(source, synthetic) -> None:
    own = Provider("own", lambda _: Own(source, synthetic))
    with pytest.raises(ProviderError, match="provider own: source must be a text and synthetic"):
        own.of(None)


@pytest.mark.parametrize(
    ("symbol", "error", "told"),
    [
        ("ETH", UnknownSymbol, "^ETH: not mine"),
        ("SOL", ProviderError, "own.*ValueError: no route"),
        ("ADA", MalformedAnswer, "ADA: the provider own gave a str, needed: a DataFrame"),
    ],
)
def test_what_goes_wrong_in_a_provider_is_an_error_of_a_provider(symbol, error, told) -> None:
    made = Provider("own", lambda _: Own()).of(None)
    with pytest.raises(error, match=told):
        made.daily_bars(symbol, LAST)
