"""Samples of bar files: layouts that are read, and faults that are refused by name."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from datetime import date

import pandas as pd

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
        "time_period_start;time_period_end;price_open;price_high;price_low;price_close;"
        "volume_traded;trades_count",
        "{day}T00:00:00.0000000Z;x;{o};{h};{w};{c};{v};1",
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

REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "midnight of Hong Kong": (
        "BTC.csv",
        lines(day="{:%Y-%m-%d 00:00:00}+08:00"),
        "line 2, column date: .*16:00:00 UTC: the bars are not of UTC days.*00:00 UTC",
    ),
    "local time without a zone": (
        "BTC.csv",
        lines(day="{:%Y-%m-%d 16:00:00}"),
        "line 2.*not of UTC",
    ),
    "midnight of New York": (
        "BTC.parquet",
        parquet(with_day("America/New_York")),
        "row 1.*not of UTC",
    ),
    "epochs at 16:00": (
        "BTC.csv",
        lines(day=lambda d: str(int(d.timestamp()) + 57600)),
        "line 2.*16:00:00 UTC",
    ),
    "epochs rounded by a spreadsheet": (
        "BTC.csv",
        lines(day=lambda d: f"{d.timestamp():.4e}"),
        "stands at",
    ),
    "one stamp of another zone": (
        "BTC.csv",
        replaced(9, lines(day="{:%Y-%m-%d} 00:00:00+02:00").splitlines()[8]),
        "line 9, column date",
    ),
    "four hours": (
        "BTC.csv",
        f"{OWN}\n2024-01-01 00:00:00,1,2,1,2,5\n2024-01-01 04:00:00,2,3,2,3,5\n",
        "intraday bars, one every 4 hours",
    ),
    "minutes": (
        "BTC.csv",
        f"{OWN}\n" + "".join(f"{1700000000 + 60 * i},1,2,1,2,5\n" for i in range(9)),
        "intraday bars, one every few minutes",
    ),
    "hours beside days": (
        "BTC.csv",
        lines("date,time,open,high,low,close,volume", "{day},0400,{o},{h},{w},{c},{v}"),
        "stands at 04:00:00",
    ),
    "day first": (
        "BTC.csv",
        lines(day="{:%d/%m/%Y}"),
        "line 2, column date.*tells day and month apart",
    ),
    "month first": ("BTC.csv", lines(day="{:%m-%d-%y}"), "tells day and month apart"),
    "no day of the calendar": (
        "BTC.csv",
        replaced(3, "2023-02-30,1,1,1,1,1"),
        "line 3.*no day of the cal",
    ),
    "a month alone": (
        "BTC.csv",
        lines(day="{:%Y-%m}"),
        "line 2, column date: '2023-02' is not a date",
    ),
    "a date that is a number": (
        "BTC.csv",
        replaced(4, "45000,1,1,1,1,1"),
        "line 4, column date: '45000'",
    ),
    "an empty date": ("BTC.csv", replaced(5, ",1,1,1,1,1"), "line 5, column date: '' is missing"),
    "thousands commas": (
        "BTC.csv",
        f'{OWN}\n2024-01-01,"95,643","98,619","95,364","97,460","27,701"\n',
        "line 2, column open: '95,643' holds a comma that may part",
    ),
    "thousands commas and points": (
        "BTC.csv",
        f'{OWN}\n2024-01-01,"95,643.9","98,619.9","95,364.9","97,460.0",27\n',
        "column open.*holds a comma",
    ),
    "abbreviated volume": (
        "BTC.csv",
        lines(row="{day},{o},{h},{w},{c},1.2B"),
        "column volume: '1.2B' is abbreviated",
    ),
    "currency signs": (
        "BTC.csv",
        lines(row="{day},${o},{h},{w},{c},{v}"),
        r"column open: '\$.*not a number",
    ),
    "underscores in numbers": (
        "BTC.csv",
        replaced(6, "2023-02-13,1_0,10,10,10,1"),
        "line 6, column open",
    ),
    "a word among numbers": (
        "BTC.csv",
        f"{OWN}\n\n2024-01-01,1,3,0.5,2,10\n\n2024-01-02,2,3,1.5,x,11\n",
        "line 5, column close: 'x' is not a number",
    ),
    "close twice": (
        "BTC.csv",
        lines("date,open,high,low,close,close,volume", OHLCV + ",1"),
        "has the column close twice",
    ),
    "close twice in other letters": (
        "BTC.csv",
        lines(OWN + ",Close", OHLCV + ",1"),
        "the column close twice",
    ),
    "two names for open": (
        "BTC.csv",
        lines(OWN + ",Open Price", OHLCV + ",1"),
        "2 columns for open: open, Open Price",
    ),
    "no volume": (
        "BTC.csv",
        lines("date,open,high,low,close", "{day},{o},{h},{w},{c}"),
        "has no column volume; it has date, open",
    ),
    "adjusted close alone": (
        "BTC.csv",
        lines("date,open,high,low,adj close,volume"),
        "has no column close",
    ),
    "closes alone": (
        "BTC.csv",
        lines("snapped_at,price,market_cap,total_volume", "{day},{c},1,{v}"),
        "names no columns that are known",
    ),
    "another coin's columns": (
        "BTC.csv",
        WITH_HEADER["yfinance"].replace("BTC-USD", "ETH-USD"),
        "has no column open.*ETH-USD",
    ),
    "an adjusted close where the volume would stand": (
        "BTC.csv",
        lines("", "{day},{o},{h},{w},{c},{c},{v}"),
        "column 6 is taken as the volume, and here it repeats the close",
    ),
    "two coins in one file": (
        "BTC.csv",
        lines("symbol," + OWN, "BTC," + OHLCV) + "ETH,2024-01-01,1,1,1,1,1\n",
        "column symbol: BTC, ETH in the file of BTC",
    ),
    "another coin by its column": (
        "BTC.csv",
        lines("symbol," + OWN, "ETH/BTC," + OHLCV),
        "column symbol: ETH/BTC in the file of BTC",
    ),
    "a coin whose name begins alike": (
        "BTC.csv",
        lines("Symbol," + OWN, "BTCZUSDT," + OHLCV),
        "column Symbol: BTCZUSDT in the file of BTC",
    ),
    "a day before there were coins": (
        "BTC.csv",
        replaced(3, "1970-01-01,1,1,1,1,1"),
        "line 3, column date: '1970-01-01' is not of 2009 to 2100",
    ),
    "a year that no clock holds": (
        "BTC.csv",
        replaced(3, "9999-12-31,1,1,1,1,1"),
        "line 3, column date: '9999-12-31' is not of 2009",
    ),
    "two dates that differ": (
        "BTC.csv",
        lines("unix," + OWN, "{s}," + OHLCV).replace("2023-02-15,", "2023-02-16,"),
        "line 8, column date: the day 2023-02-16 is not that of column unix, 2023-02-15",
    ),
    "order of Coinbase without a header": (
        "BTC.csv",
        lines("", "{s},{w},{h},{o},{c},{v}"),
        "without a header the columns are taken as date,open",
    ),
    "a header below rows": (
        "BTC.csv",
        "2023-01-01,1,1,1,1,1\n" + lines(),
        "line 1: numbers before the header",
    ),
    "a row too short": ("BTC.csv", lines()[:-30], "line 31: . fields where 6 are expected"),
    "a row too long": (
        "BTC.csv",
        replaced(4, "2023-02-12,1,1,1,1,1,9,9"),
        "line 4: 8 fields where 6",
    ),
    "a quote never closed": (
        "BTC.csv",
        replaced(5, '2023-02-13,"1,1,1,1,1'),
        "line 5: cannot be read as CSV",
    ),
    "nothing": ("BTC.csv", "", "is empty"),
    "blanks alone": ("BTC.csv", " \n\n", "is empty"),
    "a header alone": ("BTC.csv", OWN + "\n", "holds no rows"),
    "a Parquet header alone": ("BTC.parquet", parquet(BARS.iloc[:0]), "holds no rows"),
    "prose": (
        "BTC.csv",
        "Dear reader,\nno bars today\n",
        "line 1: 'Dear reader,' names no columns",
    ),
    "a web page": (
        "BTC.csv",
        "<!DOCTYPE html><html><body>Sign in</body></html>",
        "holds a web page",
    ),
    "JSON": ("BTC.csv", '[[1735689600000,"1","1","1","1","1"]]', "holds JSON"),
    "an Excel workbook": (
        "BTC.csv",
        zipped(**{"[Content_Types].xml": "", "xl/a": ""}),
        "is an Excel workbook",
    ),
    "an old Excel workbook": (
        "BTC.csv",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 40,
        "is no text",
    ),
    "two files in one zip": ("BTC.csv.zip", zipped(a=lines(), b=lines()), "holds 2 files"),
    "half a gzip": ("BTC.csv.gz", gzip.compress(lines().encode())[:-20], "cannot be unpacked"),
    "half a zip": ("BTC.csv.zip", zipped(a=lines())[:-30], "cannot be unpacked"),
    "half a Parquet": ("BTC.parquet", parquet(BARS)[:-40], "cannot be read as PARQUET"),
    "text called Parquet": ("BTC.parquet", "garbage", "cannot be read as PARQUET"),
    "Parquet of flags": (
        "BTC.parquet",
        parquet(BARS.assign(low=True)),
        "row 1, column low: True is not a number",
    ),
    "Parquet of times as prices": (
        "BTC.parquet",
        parquet(BARS.assign(low=BARS.index)),
        "row 1, column low",
    ),
    "Parquet with close twice": (
        "BTC.parquet",
        parquet(BARS.assign(Close=BARS["close"])),
        "the column close twice",
    ),
}
