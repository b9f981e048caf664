"""Files of users that failed once, each with what is right for it.

The recorded files are read where they lie beside the project; else the sample made here, which
shows the same fault.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers.directory import DirectoryProvider
from crypto_pool.domain.bar_validation import PRICE_COLUMNS
from crypto_pool.domain.features import require_digits
from crypto_pool.errors import (
    BrokenHistory,
    InsufficientHistory,
    InvalidBars,
    InvalidFeatures,
    UnfitBars,
)
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.history import name_gap, restart_history
from crypto_pool.workflow.pulling import Puller
from crypto_pool_tests.adapters.bar_file_samples import OWN, parquet

RECORDED = Path(__file__).parents[2] / "shared" / "cases"
LAST = date(2026, 1, 2)
BARS = SyntheticMarket().bars("BTC", LAST).tail(400)
HALF = BARS.index[200]


def csv(bars: pd.DataFrame, **options: object) -> bytes:
    return bars.to_csv(**options).encode()


def stamped(form: str) -> pd.DataFrame:
    return BARS.set_axis(pd.Index(BARS.index.strftime(form), name="date"))


def leveled(factor: float, without: int = 0) -> pd.DataFrame:
    changed = BARS.copy()
    changed.loc[HALF:, list(PRICE_COLUMNS)] *= factor
    return changed.drop(BARS.index[200 - without : 200])


def kraken() -> bytes:
    seconds = BARS.index.astype("datetime64[s]").astype("int64")
    return csv(BARS.set_axis(seconds).assign(trades=9), header=False)


def cryptodatadownload() -> bytes:
    days = BARS.iloc[::-1].reset_index()
    unix = days["date"].astype("datetime64[s]").astype("int64")
    columns = {"unix": unix, "date": days["date"], "symbol": "BTC/USD"}
    volumes = {"Volume BTC": days["volume"], "Volume USD": 1}
    table = pd.DataFrame({**columns, **days[list(PRICE_COLUMNS)], **volumes})
    return b"https://www.CryptoDataDownload.com\n" + csv(table, index=False)


def yfinance() -> bytes:
    table = BARS.rename(columns=str.title)[["Close", "High", "Low", "Open", "Volume"]]
    head = f"Price,{','.join(table)}\nTicker{',BTC-USD' * 5}\nDate,,,,,\n"
    return head.encode() + csv(table, header=False)


def levels() -> bytes:
    named = {name: str((name.title(), "BTC-USD")) for name in BARS}
    return parquet(BARS.rename(columns=named).rename_axis("Date"))


CASES: dict[str, tuple[Callable[[], bytes], type[Exception] | None, str]] = {
    "01_hk_midnight_daily.csv": (
        lambda: csv(stamped("%Y-%m-%d 00:00:00+08:00")),
        InvalidBars,
        r"line 2, column date: .*00:00:00\+08:00' stands at 16:00:00 UTC: the bars are not of UTC",
    ),
    "02_naive_local_1600.csv": (
        lambda: csv(stamped("%Y-%m-%d 16:00:00")),
        InvalidBars,
        "line 2, column date: .* the bars are not of UTC days",
    ),
    "05_index_and_column_date.parquet": (
        lambda: parquet(BARS.reset_index().set_axis(BARS.index.rename(None))),
        None,
        "",
    ),
    "06_yfinance_multiindex.parquet": (levels, None, ""),
    "07_close_twice.csv": (
        lambda: b"date,open,high,low,close,close,volume\n2024-01-01,10,12,9,11,9.5,100\n",
        InvalidBars,
        "has the column close twice",
    ),
    "08_volume_empty.csv": (
        lambda: csv(BARS.assign(volume=None)),
        InsufficientHistory,
        "volume is missing in 400 rows",
    ),
    "09_volume_all_zero.csv": (
        lambda: csv(BARS.assign(volume=0)),
        UnfitBars,
        "volume is 0 in all 400 bars",
    ),
    "10_price_constant.csv": (
        lambda: csv(BARS.assign(open=1, high=1, low=1, close=1)),
        UnfitBars,
        "the price is constant, 1 in all 400 bars",
    ),
    "11_weekly.csv": (
        lambda: csv(SyntheticMarket().bars("BTC", LAST).iloc[::7]),
        UnfitBars,
        "these are weekly bars, one every 7 days",
    ),
    "12_two_coins_one_ticker.csv": (
        lambda: csv(leveled(5000, without=17)),
        BrokenHistory,
        r"is blocked from \S+ on: .*accept-break .*restart-history \S+ --from",
    ),
    "13_redenominated_1000.csv": (
        lambda: csv(leveled(1000)),
        BrokenHistory,
        r"prices are \S+ times those of .*accept-break .*restart-history \S+ --from",
    ),
    "14_semicolons.csv": (lambda: csv(BARS, sep=";"), None, ""),
    "15_date_with_UTC.csv": (lambda: csv(stamped("%Y-%m-%d 00:00:00 UTC")), None, ""),
    "16_tradingview_epoch.csv": (
        lambda: csv(
            BARS.set_axis(BARS.index.astype("datetime64[s]").astype("int64").rename("time"))
        ),
        None,
        "",
    ),
    "17_kraken_no_header.csv": (kraken, None, ""),
    "18_cryptodatadownload.csv": (cryptodatadownload, None, ""),
    "19_yfinance_three_headers.csv": (yfinance, None, ""),
    "20_trailing_commas.csv": (
        lambda: csv(BARS).replace(b"\n", b",\n").replace(b"volume,", b"volume"),
        None,
        "",
    ),
    "21_four_hours.csv": (
        lambda: f"{OWN}\n2024-01-01 00:00:00,1,2,1,2,5\n2024-01-01 04:00:00,2,3,2,3,5".encode(),
        InvalidBars,
        "these are intraday bars, one every 4 hours",
    ),
    "22_wrong_line_number.csv": (
        lambda: f"{OWN}\n\n2024-01-01,1,3,0.5,2,10\n\n2024-01-02,2,3,1.5,x,11\n".encode(),
        InvalidBars,
        "line 5, column close: 'x' is not a number",
    ),
    "29_SHIB_provider_indicators.csv": (
        lambda: csv(BARS.assign(**{name: BARS[name] * 1e-8 for name in PRICE_COLUMNS})),
        None,
        "",
    ),
    "30_one_day_missing_near_end.csv": (lambda: csv(BARS.drop(BARS.index[-3])), None, ""),
    "31_币安人生.csv": (lambda: csv(BARS), None, ""),
}


def pulled(folder: Path, name: str, content: bytes) -> tuple[FrameStore, str, pd.DataFrame]:
    """Put the case into a folder under a coin's name, and pull it."""
    symbol = "币安人生" if "币安" in name else "BTC"
    (folder / f"{symbol}{Path(name).suffix}").write_bytes(content)
    store = FrameStore(str(folder / "store"))
    puller = Puller(store, DirectoryProvider(folder), LAST, datetime(2026, 1, 3, tzinfo=UTC))
    return store, symbol, puller.pull(symbol)[0].bars


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "made"])
@pytest.mark.parametrize("name", CASES)
def test_case(tmp_path: Path, name: str, is_recorded: bool) -> None:
    make, error, message = CASES[name]
    recorded = RECORDED / name
    if is_recorded and not recorded.exists():
        pytest.skip("the recorded files are not here")
    content = recorded.read_bytes() if is_recorded else make()
    if error is None:
        assert len(pulled(tmp_path, name, content)[2]) >= 399
        return
    with pytest.raises(error, match=message):
        pulled(tmp_path, name, content)


def test_case_12_and_13_go_on_from_the_break_after_a_restart(tmp_path: Path) -> None:
    content = csv(leveled(1000))
    with pytest.raises(BrokenHistory):
        pulled(tmp_path, "13.csv", content)
    store = FrameStore(str(tmp_path / "store"))
    restart_history(store, "BTC", datetime(2026, 1, 3, tzinfo=UTC), HALF.date())
    assert store.read("daily_bars", "BTC").index[0] == HALF


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "made"])
def test_case_29_SHIB_fails_by_name_with_provider_indicators(tmp_path, is_recorded) -> None:
    name = "29_SHIB_provider_indicators.csv"
    if is_recorded and not (RECORDED / name).exists():
        pytest.skip("the recorded files are not here")
    content = (RECORDED / name).read_bytes() if is_recorded else CASES[name][0]()
    _, _, bars = pulled(tmp_path, name, content)
    with pytest.raises(InvalidFeatures, match=r"^SHIB: .*4 decimals.*INDICATOR_SOURCE=local"):
        require_digits(bars, "SHIB", "provider")
    require_digits(bars, "SHIB", "local")
    require_digits(BARS, "BTC", "provider")


def test_case_30_one_day_missing_near_end(tmp_path: Path) -> None:
    recorded = RECORDED / "30_one_day_missing_near_end.csv"
    if not recorded.exists():
        pytest.skip("the recorded files are not here")
    _, _, bars = pulled(tmp_path, recorded.name, recorded.read_bytes())
    told = name_gap(bars, bars.index[-1].date(), 20, "features begin")
    assert told.startswith("2025-12-31 is missing; features begin again 20 days after it")
