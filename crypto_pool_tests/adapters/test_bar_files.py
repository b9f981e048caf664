"""Files of bars as people have them: each layout is read, each fault named, none guessed."""

import gzip
import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from crypto_pool.adapters.providers.directory import DirectoryProvider
from crypto_pool.adapters.providers.layouts import HEADERLESS, NAMED
from crypto_pool.domain.bar_validation import BAR_COLUMNS
from crypto_pool.errors import InvalidBars, InvalidSetting
from crypto_pool_tests.adapters.bar_file_samples import (
    BARS,
    ISO,
    OWN,
    READ,
    WITH_HEADER,
    WITHOUT_HEADER,
    lines,
    parquet,
    seconds,
)
from crypto_pool_tests.adapters.bar_layout_faults import LAYOUT_FAULTS
from crypto_pool_tests.adapters.bar_value_faults import VALUE_FAULTS

LAST = date(2024, 12, 31)
REFUSED = VALUE_FAULTS | LAYOUT_FAULTS


def put(folder: Path, name: str, content: str | bytes) -> DirectoryProvider:
    """Make a provider over a folder with that file."""
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    return DirectoryProvider(folder)


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read(tmp_path: Path, name: str) -> None:
    """Every value of every bar, at its day."""
    file, content = READ[name]
    bars = put(tmp_path, file, content).daily_bars("BTC", LAST)
    pd.testing.assert_frame_equal(bars.sort_index(), BARS, check_freq=False)


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_is_refused_by_file_and_place(tmp_path: Path, name: str) -> None:
    """No bar is given, and no library's own error reaches the caller."""
    file, content, message = REFUSED[name]
    with pytest.raises(InvalidBars, match=rf"(?is)BTC\.(csv|parquet).*{message}") as raised:
        put(tmp_path, file, content).daily_bars("BTC", LAST)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", [title for title, _ in NAMED] + ["yfinance", "as named"])
def test_a_header_is_told_by_the_name_of_who_writes_it(tmp_path: Path, name: str) -> None:
    """What `doctor` shows."""
    assert f"layout {name} (" in put(tmp_path, "BTC.csv", WITH_HEADER[name]).layout("BTC")


@pytest.mark.parametrize("width", HEADERLESS)
def test_a_shape_without_a_header_is_told(tmp_path: Path, width: int) -> None:
    """Each known shape has its sample."""
    told = put(tmp_path, "BTC.csv", WITHOUT_HEADER[width]).layout("BTC")
    assert HEADERLESS[width].name in told


def test_rows_that_no_layout_explains_stay_for_the_validation(tmp_path: Path) -> None:
    """`null` rows, the same day twice, high below low, a negative price: kept, none dropped."""
    text = f"{OWN}\n2024-01-01,null,null,null,null,null\n" + "2024-01-02,1,2,3,-1,5\n" * 2
    bars = put(tmp_path, "BTC.csv", text).daily_bars("BTC", LAST)
    assert bars["close"].isna().tolist() == [True, False, False]
    assert bars.index.strftime("%d").tolist() == ["01", "02", "02"]


def test_a_row_without_a_header_may_stand_still_and_one_alone_tells_no_volume(
    tmp_path: Path,
) -> None:
    bars = put(tmp_path, "BTC.csv", "2024-01-01,2,2,2,2,2\n").daily_bars("BTC", LAST)
    assert bars.to_numpy().tolist() == [[2.0] * 5]
    two = "2024-01-01,2,2,2,2,2\n2024-01-02,2,2,2,2,2\n"
    with pytest.raises(InvalidBars, match="here it lies between low and high, as a price"):
        put(tmp_path, "BTC.csv", two).daily_bars("BTC", LAST)
    traded = two.replace("2,2\n", "2,3\n")
    assert len(put(tmp_path, "BTC.csv", traded).daily_bars("BTC", LAST)) == 2


def test_a_file_of_no_coin_s_name_is_found_by_the_name_it_has(tmp_path: Path) -> None:
    put(tmp_path, "my notes.csv", "x")
    assert put(tmp_path, "btc.csv", lines()).symbols() == ("BTC", "my notes")


def test_an_error_of_pyarrow_stays_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pyarrow raises for a damaged file is named with the file."""
    provider = put(tmp_path, "BTC.parquet", parquet(BARS))

    def damaged(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("corrupt page")

    monkeypatch.setattr(pq.ParquetFile, "read", damaged)
    with pytest.raises(
        InvalidBars, match=r"BTC\.parquet cannot be read as PARQUET: .*corrupt page"
    ):
        provider.daily_bars("BTC", LAST)


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, with the system's reason."""
    provider = put(tmp_path, "BTC.csv", lines())

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InvalidBars, match=r"BTC\.csv cannot be read: .*Permission denied"):
        provider.daily_bars("BTC", LAST)


def test_a_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InvalidSetting, match=r"cannot be listed: .*Permission denied; check"):
        DirectoryProvider(tmp_path).symbols()


def test_two_files_a_folder_or_a_dead_link_are_told(tmp_path: Path) -> None:
    """Nothing is chosen silently; a link to a file is that file."""
    (tmp_path / "ETH.csv").mkdir()
    (tmp_path / "SOL.csv").symlink_to(tmp_path / "nothing.csv")
    put(tmp_path, "source", lines())
    (tmp_path / "ADA.csv").symlink_to(tmp_path / "source")
    put(tmp_path, "btc.csv", lines())
    provider = put(tmp_path, "BTC.csv.gz", gzip.compress(lines().encode()))
    with pytest.raises(InvalidBars, match=r"BTC: both BTC\.csv\.gz and btc\.csv are in"):
        provider.daily_bars("BTC", LAST)
    for symbol in ("ETH", "SOL"):
        with pytest.raises(InvalidBars, match=f"{symbol}.csv is a folder or a link to nothing"):
            provider.daily_bars(symbol, LAST)
    assert len(provider.daily_bars("ADA", LAST)) == len(BARS)


@st.composite
def written_bars(draw: st.DrawFn) -> tuple[str, bytes, pd.DataFrame]:
    """Random bars in a random layout, separator, order, encoding and stamp."""
    count = draw(st.integers(1, 12))
    first = draw(st.dates(date(2012, 1, 1), date(2030, 1, 1)))
    days = pd.date_range(first, periods=count, freq="D", name="date").as_unit("ns")
    scale = draw(st.sampled_from([1e-5, 0.3, 7.0, 950.0, 95_000.0]))
    digits = draw(st.sampled_from([0, 2, 3, 8]))
    prices = st.integers(1, 10**6).map(lambda n: round(scale * n / 10**6, digits) or scale)
    rows = []
    for _ in range(count):
        low, opened, close, high = sorted(draw(prices) for _ in range(4))
        if draw(st.booleans()):
            opened, close = close, opened
        rows.append((opened, high, low, close, round(draw(prices), digits)))
    bars = pd.DataFrame(rows, days, columns=list(BAR_COLUMNS), dtype=float)
    order = draw(st.permutations(range(count)))
    shown = bars.iloc[list(order)]
    stamp = draw(
        st.sampled_from(
            [ISO, "{:%Y/%m/%d}", "{:%Y%m%d}", "{:%Y-%m-%d 00:00:00}", "{:%Y-%m-%dT00:00:00Z}",
             "{:%Y-%m-%d 00:00:00} UTC", "{:%Y-%m-%d 23:59:59}", "{:%d/%m/%Y}", "{:%m/%d/%Y}",
             "{:%Y-%m-%d 00:00:00}+08:00", "{:%Y-%m-%d 02:00:00}+02:00", "{:%d.%m.%Y}",
             "{:%b %d %Y}", "s", "ms", "us", "ns"]
        )
    )  # fmt: skip
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    name, row = draw(
        st.sampled_from(
            [
                (OWN, "dohlcv"), ("timestamp,open,high,low,close,volume", "dohlcv"), ("", "dohlcv"),
                ("Date,Open,High,Low,Close,Adj Close,Volume", "dohlccv"), ("", "dohlcv1"),
                ("", "dlhocv"), ("time,high,low,open,volumefrom,volumeto,close", "dhlov1c"),
                (f"{OWN},close", "dohlcvh"), ("Volume,Close,Low,High,Open,Date", "vclhod"),
            ]
        )
    )  # fmt: skip
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    number = draw(st.sampled_from(["{!r}", "{:,}", "{:.0f}", "comma"]))
    quote = draw(st.sampled_from(["", '"'])) or ('"' if number in ("{:,}", "comma") else "")

    def cell(letter: str, day: pd.Timestamp, bar: dict[str, float]) -> str:
        if letter == "d":
            text = seconds(day, units[stamp]) if stamp in units else stamp.format(day)
        elif letter == "1":
            text = "1"
        elif number == "comma":
            text = repr(bar[letter]).replace(".", ",")
        else:
            text = number.format(bar[letter])
        return f"{quote}{text}{quote}"

    body = [
        separator.join(cell(letter, day, dict(zip("ohlcv", values, strict=True))) for letter in row)
        for day, *values in shown.itertuples()
    ]
    if number == "{:.0f}":
        bars = bars.map(lambda value: float(f"{value:.0f}"))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(
        [*([name.replace(",", separator)] if name else []), *body, ""]
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]))
    return text, text.encode(encoding), bars


def read_or_refuse(folder: Path, written: tuple[str, bytes, pd.DataFrame]) -> None:
    """Equal bars or a typed error; never silently other bars."""
    _, content, bars = written
    try:
        read = put(folder, "BTC.csv", content).daily_bars("BTC", LAST)
    except InvalidBars:
        event("refused")
        return
    event("read")
    pd.testing.assert_frame_equal(read.sort_index(), bars, check_freq=False, check_exact=True)


@given(written_bars())
@settings(
    max_examples=int(os.environ.get("BAR_FILE_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_random_bars_in_random_layouts_are_equal_or_refused(tmp_path: Path, written) -> None:
    """With `BAR_FILE_EXAMPLES=2000` in the environment, as many."""
    read_or_refuse(tmp_path, written)


def test_no_number_is_taken_for_another(tmp_path: Path) -> None:
    """Floats come through to the last digit."""
    assert np.array_equal(put(tmp_path, "BTC.csv", lines()).daily_bars("BTC", LAST), BARS)
