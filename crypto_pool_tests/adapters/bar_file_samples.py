"""Bar files of every layout that is read, made of the same bars."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Sequence
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crypto_pool.adapters.providers.layouts import HEADERLESS
from crypto_pool.sandbox.market import SyntheticMarket

LAST = date(2024, 12, 31)
BARS = SyntheticMarket().bars("BTC", date(2023, 3, 10)).tail(30).round(6)
ISO = "{:%Y-%m-%d}"
OWN = "date,open,high,low,close,volume"


def seconds(day: pd.Timestamp, unit: int = 1) -> str:
    """An epoch; `unit` is how many there are of it in a second."""
    return str(int(day.timestamp()) * unit)


def lines(
    header: str = OWN,
    row: str = "{day},{o},{h},{w},{c},{v}",
    day: str | Callable[[pd.Timestamp], str] = ISO,
    bars: pd.DataFrame = BARS,
) -> str:
    """The bars as text; a row is a template of its fields."""
    stamp = day if callable(day) else day.format
    body = [
        row.format(day=stamp(d), s=seconds(d), ms=seconds(d, 1000), o=o, h=h, w=low, c=c, v=v)
        for d, o, h, low, c, v in bars.itertuples()
    ]
    return "\n".join([*([header] if header else []), *body]) + "\n"


def parquet(frame: pd.DataFrame) -> bytes:
    """A frame as pandas writes it."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def of_arrow(names: list[str], **changed: Sequence[object]) -> bytes:
    """Columns of the bars under these names, some with other values, as Arrow writes them."""
    columns = {**BARS.reset_index(), **changed}
    table = pa.Table.from_arrays([pa.array(columns[name]) for name in names], names=names)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def zipped(**files: str) -> bytes:
    """Files in an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def with_day(zone: str) -> pd.DataFrame:
    """The bars at midnight of a zone."""
    return BARS.set_axis(BARS.index.tz_localize(zone))


def levels(*tickers: str) -> pd.DataFrame:
    """The bars under columns of two levels, as yfinance gives them."""
    parts = {ticker: BARS.rename(columns=str.title) * (i + 1) for i, ticker in enumerate(tickers)}
    return pd.concat(parts, axis=1).swaplevel(axis=1).rename_axis(index="Date")


def replaced(line: int, text: str, source: str = "") -> str:
    """The text with one line, as an editor counts, put in another's place."""
    rows = (source or lines()).splitlines()
    return "\n".join([*rows[: line - 1], text, *rows[line:]]) + "\n"


BINANCE = "{ms},{o},{h},{w},{c},{v},1,1,1,1,1,0"
OHLCV = "{day},{o},{h},{w},{c},{v}"
WITH_HEADER: dict[str, str] = {
    "date, open, high, low, close, volume": lines(),
    "the same beside the coin's name": lines("Coin," + OWN, "Bitcoin," + OHLCV),
    "CryptoDataDownload": "https://www.CryptoDataDownload.com\n"
    + lines(
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
        "{s},{day},BTC/USD,{o},{h},{w},{c},{v},1",
        "{:%Y-%m-%d 00:00:00}",
        BARS.iloc[::-1],
    ),
    "CoinMarketCap": lines(
        "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp",
        '"{day}T00:00:00.000Z";"{day}T23:59:59.999Z";"x";"x";"2781";{o};{h};{w};{c};{v};9;'
        '"{day}T23:59:59.999Z"',
    ),
    "CryptoCompare": lines(
        "time,high,low,open,volumefrom,volumeto,close", "{s},{h},{w},{o},{v},1,{c}"
    ),
    "CoinAPI": lines(
        "time_period_start;time_period_end;time_open;time_close;price_open;price_high;price_low;"
        "price_close;volume_traded;trades_count",
        "{day}T00:00:00.0000000Z;x;{day}T00:00:03.1230000Z;x;{o};{h};{w};{c};{v};1",
    ),
    "MetaTrader": lines(
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
        "{day}\t{o}\t{h}\t{w}\t{c}\t5\t{v}\t1",
        "{:%Y.%m.%d}",
    ),
    "Yahoo Finance": lines(
        "Date,Open,High,Low,Close,Adj Close,Volume", "{day},{o},{h},{w},{c},{c},{v}"
    ),
    "Binance": lines(
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore",
        BINANCE,
    ),
    "Alpha Vantage": lines(
        "timestamp,open (USD),high (USD),low (USD),close (USD),volume,market cap (USD)",
        OHLCV + ",1",
    ),
    "TradingView": lines("time,open,high,low,close,Volume,Volume MA", "{s},{o},{h},{w},{c},{v},1"),
    "ccxt or freqtrade": lines("timestamp,open,high,low,close,volume", "{ms},{o},{h},{w},{c},{v}"),
    "yfinance": lines(
        "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,",
        "{day},{c},{h},{w},{o},{v}",
    ),
    "yfinance by coin": lines(
        "Ticker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nPrice,Open,High,Low,Close,Volume\nDate,,,,,"
    ),
    "volumes of coin and quote": lines(
        "date,open,high,low,close,Volume,Quote Volume", OHLCV + ",1"
    ),
    "the coin's volume, and the quote's twice": lines(
        "date,open,high,low,close,Volume USD,Volume USD,Volume BTC",
        "{day},{o},{h},{w},{c},1,1,{v}",
    ),
    "the coin behind each name": lines(
        "date,Open BTC-USD,High BTC-USD,Low BTC-USD,Close BTC-USD,Vol BTC-USD"
    ),
    "as named": lines("Day,Open Price,High Price,Low Price,Close Price,Vol", OHLCV),
}
WITHOUT_HEADER: dict[int, str] = {
    6: lines("", "{ms},{o},{h},{w},{c},{v}"),
    7: lines("", "{s},{o},{h},{w},{c},{v},9"),
    8: lines("", "{s},{o},{h},{w},{c},{o},{v},9"),
    11: lines("", "{ms}000,{o},{h},{w},{c},{v},1,1,1,1,1"),
    12: lines("", "{ms},{o},{h},{w},{c},{v},1,1,1,1,1,0"),
}
READ: dict[str, tuple[str, str | bytes]] = {
    "semicolons": ("BTC.csv", lines().replace(",", ";")),
    "tabs": ("BTC.tsv", lines().replace(",", "\t")),
    "bars between fields": ("BTC.csv", lines().replace(",", "|")),
    "separator said first": ("BTC.csv", "sep=;\n" + lines().replace(",", ";")),
    "decimal commas": ("BTC.csv", lines().replace(",", ";").replace(".", ",")),
    "decimal commas in quotes": (
        "BTC.csv",
        lines(row='{day},"{o}","{h}","{w}","{c}","{v}"').replace(".", ","),
    ),
    "quoted fields": ("BTC.csv", lines(row='"{day}","{o}","{h}","{w}","{c}","{v}"')),
    "byte order mark": ("BTC.csv", lines().encode("utf-8-sig")),
    "utf-16": ("BTC.csv", lines().encode("utf-16")),
    "utf-16 big end first": ("BTC.csv", b"\xfe\xff" + lines().encode("utf-16-be")),
    "utf-16 without mark": ("BTC.csv", lines().encode("utf-16-le")),
    "utf-32": ("BTC.csv", lines().encode("utf-32")),
    "latin-1 words": ("BTC.csv", ("Börse\n" + lines()).encode("latin-1")),
    "lines of Windows": ("BTC.csv", lines().replace("\n", "\r\n")),
    "lines of old Macs": ("BTC.csv", lines().replace("\n", "\r")),
    "quotes and semicolons without a header": (
        "BTC.csv",
        lines("", '"{s}";"{o}";"{h}";"{w}";"{c}";"{v}"'),
    ),
    "the time of the first trade alone": (
        "BTC.csv",
        lines("time_open,time_close,open,high,low,close,volume", "{day},x,{o},{h},{w},{c},{v}"),
    ),
    "blank lines": ("BTC.csv", lines().replace("\n", "\n\n")),
    "no last line end": ("BTC.csv", lines().rstrip()),
    "trailing commas": ("BTC.csv", lines(row=OHLCV + ",")),
    "trailing commas in the header too": ("BTC.csv", lines(OWN + ",,", OHLCV + ",,")),
    "rows of commas": ("BTC.csv", lines() + ",,,,,\n"),
    "blanks around": ("BTC.csv", lines(OWN.replace(",", " , ").title()).replace(",", ", ")),
    "header again in the middle": ("BTC.csv", lines() + OWN + "\n"),
    "descending": ("BTC.csv", lines(bars=BARS.iloc[::-1])),
    "unsorted": ("BTC.csv", lines(bars=BARS.sample(frac=1, random_state=1))),
    "epochs in us": ("BTC.csv", lines(day=lambda d: seconds(d, 10**6))),
    "epochs in ns": ("BTC.csv", lines(day=lambda d: seconds(d, 10**9))),
    "epochs with a point": ("BTC.csv", lines(day=lambda d: seconds(d) + ".0")),
    "epochs of closes": ("BTC.csv", lines(day=lambda d: str(int(d.timestamp()) * 1000 + 86399999))),
    "ms, then us": (
        "BTC.csv",
        lines(row="{ms},{o},{h},{w},{c},{v}", bars=BARS[:10])
        + lines("", "{ms}000,{o},{h},{w},{c},{v}", bars=BARS[10:]),
    ),
    "dates with UTC": ("BTC.csv", lines(day="{:%Y-%m-%d 00:00:00} UTC")),
    "dates with Z": ("BTC.csv", lines(day="{:%Y-%m-%dT00:00:00}Z")),
    "dates with an offset of UTC midnight": ("BTC.csv", lines(day="{:%Y-%m-%d 08:00:00}+08:00")),
    "dates at their last second": ("BTC.csv", lines(day="{:%Y-%m-%d} 23:59:59.999")),
    "dates with slashes": ("BTC.csv", lines(day="{:%Y/%m/%d}")),
    "dates without separators": ("BTC.csv", lines(day="{:%Y%m%d}")),
    "dates with the month by name": (
        "BTC.csv",
        lines(row='"{day}",{o},{h},{w},{c},{v}', day="{:%b %d, %Y}"),
    ),
    "day and time apart": (
        "BTC.csv",
        lines("date,time,open,high,low,close,volume", "{day},00:00:00,{o},{h},{w},{c},{v}"),
    ),
    "names in any letters": ("BTC.csv", lines("dATE,OpEn,HIGH,LoW,ClOsE,VoLuMe")),
    "the begin and the end of each day": (
        "BTC.csv",
        lines("Start,End,Open,High,Low,Close,Volume,Market Cap", "{day},x,{o},{h},{w},{c},{v},1"),
    ),
    "names of two words in one": (
        "BTC.csv",
        lines(
            "startTime,openPrice,highPrice,lowPrice,closePrice,volume,turnover",
            "{ms},{o},{h},{w},{c},{v},1",
        ),
    ),
    "one letter a name": ("BTC.csv", lines("v,vw,o,c,h,l,t,n", "{v},1,{o},{c},{h},{w},{ms},9")),
    "Stooq": (
        "BTC.csv",
        lines(
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
            "BTC.V,D,{day},000000,{o},{h},{w},{c},{v},0",
            "{:%Y%m%d}",
        ),
    ),
    "hours of one digit": ("BTC.csv", lines(day="{:%Y-%m-%d} 0:00")),
    "comments first": ("BTC.csv", "# made by me\n# on Monday, late\n" + lines()),
    "eleven comments first": ("BTC.csv", "# made by me\n" * 11 + lines()),
    "an index without a name": ("BTC.csv", BARS.rename_axis(None).to_csv()),
    "a counter first": ("BTC.csv", BARS.reset_index().to_csv()),
    "gzip": ("BTC.csv.gz", gzip.compress(lines().encode())),
    "bzip2": ("btc.csv.bz2", bz2.compress(lines().encode())),
    "xz": ("BTC.csv.xz", lzma.compress(lines().encode())),
    "zip": ("BTC.csv.zip", zipped(**{"BTCUSDT-1d.csv": lines(), "__MACOSX/x": ""})),
    "upper-case suffix": ("BTC.CSV", lines()),
    "lower-case name": ("btc.csv", lines()),
    "Parquet with an index": ("BTC.parquet", parquet(BARS)),
    "Parquet with a column": ("BTC.PARQUET", parquet(BARS.reset_index())),
    "Parquet with both": (
        "BTC.parquet",
        parquet(BARS.reset_index().set_axis(BARS.index.rename(None))),
    ),
    "Parquet with a zone": ("BTC.parquet", parquet(with_day("UTC"))),
    "Parquet with dates": (
        "BTC.parquet",
        parquet(BARS.set_axis(pd.Index(BARS.index.date, name="Date"))),
    ),
    "Parquet with epochs": (
        "BTC.parquet",
        parquet(BARS.set_axis(BARS.index.astype("datetime64[ms]").astype("int64"))),
    ),
    "Parquet with texts": (
        "BTC.parquet",
        parquet(BARS.reset_index().astype(str)),
    ),
    "Parquet of compact days": (
        "BTC.parquet",
        parquet(BARS.set_axis(BARS.index.strftime("%Y%m%d").astype(int).rename("date"))),
    ),
    "Parquet of chosen rows, whose numbers pandas keeps": (
        "BTC.parquet",
        parquet(BARS.reset_index().set_axis(range(70_000, 70_000 + len(BARS)))),
    ),
    "a coin's name of six letters": ("BTC.csv", lines("coin," + OWN, "Bitkon," + OHLCV)),
    "a word beyond the volume, without a header": (
        "BTC.csv",
        lines("", "{s},{o},{h},{w},{c},{v},none"),
    ),
    "a line of its ticker first": ("BTC.csv", "Ticker,BTC\n" + lines()),
    "a plain volume beside the coin's": (
        "BTC.csv",
        lines(OWN + ",Volume BTC", OHLCV + ",1"),
    ),
    "the coin's volume beside a short name": (
        "BTC.csv",
        lines("date,open,high,low,close,Vol,Volume BTC", "{day},{o},{h},{w},{c},1,{v}"),
    ),
    "numbers of rows beside dates": ("BTC.csv", lines("index," + OWN, "7," + OHLCV)),
    "a pair of an exchange": ("BTC.csv", lines("ticker," + OWN, "BINANCE:BTCUSDT," + OHLCV)),
    "Kraken's name of the coin": ("BTC.csv", lines("pair," + OWN, "XXBTZUSD," + OHLCV)),
    "Parquet of two levels": ("BTC.parquet", parquet(levels("BTC-USD"))),
    "Parquet of two coins": ("BTC.parquet", parquet(levels("BTC-USD", "ETH-USD"))),
}
READ |= {name: ("BTC.csv", text) for name, text in WITH_HEADER.items()}
READ |= {
    HEADERLESS[width].name + f" {width}": ("BTC.csv", t) for width, t in WITHOUT_HEADER.items()
}
