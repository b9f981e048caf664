"""Bar files with a fault of a day or a number: the file, its content and what is said of it."""

from crypto_pool_tests.adapters.bar_file_samples import OWN, lines, parquet, replaced, with_day

VALUE_FAULTS: dict[str, tuple[str, str | bytes, str]] = {
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
    "thousands points": (
        "BTC.csv",
        f"{OWN}\n2024-01-01,41.234,42.100,40.900,41.500,27\n",
        "in '41.234', as in every number there with a point, it may part .*41234 or 41.2340",
    ),
    "thousands points and decimal commas": (
        "BTC.csv",
        f"{OWN}\n".replace(",", ";") + "2024-01-01;41.234;42.100;40.900;41.500;1.234,50\n",
        "column volume: '1.234,50' holds a comma",
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
}
