"""Bar files with a fault of columns, rows or form: the file, its content and what is said of it."""

import gzip

import pandas as pd
import pyarrow as pa

from crypto_pool_tests.adapters.bar_file_samples import (
    BARS,
    OHLCV,
    OWN,
    WITH_HEADER,
    lines,
    of_arrow,
    parquet,
    replaced,
    zipped,
)

LAYOUT_FAULTS: dict[str, tuple[str, str | bytes, str]] = {
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
        "column 6 is taken as the volume, and here it lies between low and high",
    ),
    "an adjusted close of fewer digits where the volume would stand": (
        "BTC.csv",
        lines("", "{day},{o},{h},{w},{c},{c:.2f}"),
        "column 6 is taken as the volume, and here it lies between low and high",
    ),
    "a volume where Kraken's average price would stand": (
        "BTC.csv",
        lines("", "{ms},{o},{h},{w},{c},{v},9,5"),
        "column 6 is taken as the average price, and here it is not always a price",
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
    "another coin by a ticker of five letters": (
        "BTC.csv",
        lines("coin," + OWN, "Matic," + OHLCV),
        "column coin: Matic in the file of BTC",
    ),
    "four coins in one file": (
        "BTC.csv",
        lines("symbol," + OWN, "BTC," + OHLCV)
        + "".join(f"{coin},2024-01-01,1,1,1,1,1\n" for coin in ("ADA", "XRP", "ETH")),
        "column symbol: ADA, BTC, ETH in the file of BTC",
    ),
    "three names of the six": (
        "BTC.csv",
        lines("date,open,close", "{day},{o},{c}"),
        "has no column high, low, volume; it has date, open, close, and needs",
    ),
    "two names of the six": (
        "BTC.csv",
        lines("date,close", "{day},{c}"),
        "line 1: 'date,close' names no columns that are known",
    ),
    "names of another language, in quotes": (
        "BTC.csv",
        lines('"Datum";"Schluss";"Hoch";"Tief"', '"{day}";"{c}";"{h}";"{w}"'),
        "line 1: .*Datum.* names no columns that are known",
    ),
    "a long line of prose": (
        "BTC.csv",
        "x" * 81 + "\n",
        f"line 1: '{'x' * 80}' names no columns",
    ),
    "a word in a row without a header": (
        "BTC.csv",
        lines("") + "2024-01-01,1,x,1,1,1\n",
        "line 31, column 3: 'x' is not a number",
    ),
    "no day in a row without a header": (
        "BTC.csv",
        "1e400,1,1,1,1,1\n",
        "line 1: '1e400,1,1,1,1,1' names no columns",
    ),
    "the name of a date below the header, and a word": (
        "BTC.csv",
        replaced(2, "Date,x,,,,"),
        "line 2, column (date|open): '(Date|x)'",
    ),
    "a web page of other letters": ("BTC.csv", " <HTML><BODY>Sign in</BODY></HTML>", "a web page"),
    "JSON of an object": ("BTC.csv", '\n{"bars": []}', "holds JSON"),
    "another coin by the column of its base": (
        "BTC.csv",
        lines("baseCurrency," + OWN, "eth," + OHLCV),
        "column baseCurrency: eth in the file of BTC",
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
    "a header below more than eleven comments": (
        "BTC.csv",
        "# made by me\n" * 12 + lines(),
        "line 1: '# made by me' names no columns that are known",
    ),
    "minutes of many months": (
        "BTC.csv",
        lines(OWN) + "2024-01-01 00:01:00,1,1,1,1,1\n" * 100_000,
        "holds more than 100000 rows, more than there are days: these are intraday bars",
    ),
    "minutes of many months, without a header": (
        "BTC.csv",
        lines("") + "2024-01-01 00:01:00,1,1,1,1,1\n" * 100_000,
        "holds more than 100000 rows",
    ),
    "Parquet of minutes of many months": (
        "BTC.parquet",
        of_arrow(OWN.split(","), **{name: [1.0] * 100_001 for name in OWN.split(",")}),
        "holds more than 100000 rows",
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
    "a quote in the header never closed": (
        "BTC.csv",
        '"' + lines(bars=pd.concat([BARS] * 100)),
        "line 1: cannot be read as CSV: field larger",
    ),
    "nothing": ("BTC.csv", "", "is empty"),
    "separators alone": ("BTC.csv", ",,,\n;;\n", "is empty"),
    "quotes alone": ("BTC.csv", '"",""\n""\n', "is empty"),
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
    "packed in a way that is not known": (
        "BTC.csv",
        b"7z\xbc\xaf\x27\x1c" + b"\0\1\2" * 40,
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
    "Parquet of a day that no calendar holds": (
        "BTC.parquet",
        of_arrow(OWN.split(","), date=pa.array([2**50] * len(BARS), pa.timestamp("ms"))),
        "cannot be read as PARQUET: OverflowError",
    ),
    "Parquet of a zone that no clock knows": (
        "BTC.parquet",
        of_arrow(OWN.split(","), date=pa.array([0] * len(BARS), pa.timestamp("ms", "Mars/Phobos"))),
        "cannot be read as PARQUET: .*Mars/Phobos",
    ),
    "Parquet of epochs that are no numbers": (
        "BTC.parquet",
        of_arrow(OWN.split(","), date=[float("nan")] * len(BARS)),
        "row 1, column date: 'nan' is no date of daily bars",
    ),
    "Parquet with two columns of one name": (
        "BTC.parquet",
        of_arrow([*OWN.split(","), "close"]),
        "the column close twice",
    ),
    "Parquet with close twice": (
        "BTC.parquet",
        parquet(BARS.assign(Close=BARS["close"])),
        "the column close twice",
    ),
}
