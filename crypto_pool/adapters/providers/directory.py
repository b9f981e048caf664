"""Daily bars from a folder of files, one a coin: SYMBOL.csv or SYMBOL.parquet."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa

from crypto_pool.domain.market import BAR_COLUMNS
from crypto_pool.errors import InvalidBars, InvalidSetting, UnknownSymbol

_SUFFIXES = (".csv", ".parquet")
_FORM = "date,open,high,low,close,volume"


@dataclass(frozen=True)
class DirectoryProvider:
    """Bars from the files of one folder, with the columns date, open, high, low, close, volume."""

    folder: Path
    synthetic: bool = field(default=False, init=False)

    @property
    def source(self) -> str:
        """The folder, by its full path."""
        return f"directory:{Path(self.folder).resolve()}"

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Every row of the coin's file as it stands there; `last_closed` cuts nothing."""
        files = self._files()
        if symbol not in files:
            available = ", ".join(sorted(files)) or "none"
            raise UnknownSymbol(
                f"{symbol}: no {symbol}.csv or {symbol}.parquet in {self.folder}; "
                f"symbols with a file there: {available}"
            )
        if len(files[symbol]) > 1:
            raise InvalidBars(
                f"{symbol}: both {symbol}.csv and {symbol}.parquet are in {self.folder}; "
                "remove or rename one of them"
            )
        path = files[symbol][0]
        table = _read_table(path)
        dates = _parse_dates(path, table["date"])
        columns = {column: _parse_numbers(path, table[column]) for column in BAR_COLUMNS}
        return pd.DataFrame(
            {name: numbers.to_numpy() for name, numbers in columns.items()}, index=dates
        )

    def symbols(self) -> tuple[str, ...]:
        """Return the coins that have a file, in order of their names."""
        return tuple(sorted(self._files()))

    def require_folder(self) -> None:
        """Raise InvalidSetting unless the folder is there."""
        if not Path(self.folder).is_dir():
            raise InvalidSetting(
                f"the market data folder {self.folder} does not exist; "
                "set CRYPTO_POOL_MARKET_DATA_DIR to a folder of SYMBOL.csv or SYMBOL.parquet files"
            )

    def _files(self) -> dict[str, list[Path]]:
        """Files by symbol; found by listing, so that a symbol is never taken as a path."""
        self.require_folder()
        files: dict[str, list[Path]] = {}
        for path in sorted(Path(self.folder).iterdir()):
            if path.suffix in _SUFFIXES and path.is_file():
                files.setdefault(path.stem, []).append(path)
        return files


def _read_table(path: Path) -> pd.DataFrame:
    """Read a file with lower-case column names; every bar column and `date` is there."""
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        else:
            table = pd.read_parquet(path)
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        ValueError,
        pa.ArrowException,
    ) as fault:
        raise InvalidBars(
            f"{path} cannot be read as {path.suffix[1:].upper()}: {fault}; "
            f"write it again with the columns {_FORM}"
        ) from fault
    except OSError as fault:
        raise InvalidBars(f"{path} cannot be read: {fault}; check the file") from fault
    if table.index.name is not None:
        table = table.reset_index()
    table = table.rename(columns=lambda name: str(name).strip().lower())
    missing = [column for column in ("date", *BAR_COLUMNS) if column not in table.columns]
    if missing:
        raise InvalidBars(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}, "
            f"and needs {_FORM}"
        )
    repeated = sorted({name for name in table.columns[table.columns.duplicated()]})
    if repeated:
        raise InvalidBars(f"{path} has the column {', '.join(repeated)} twice; keep one")
    if table.empty:
        raise InvalidBars(f"{path} holds no rows; it needs one row for each daily bar")
    return table


def _parse_dates(path: Path, column: pd.Series) -> pd.DatetimeIndex:
    """UTC days; a value with a time of day or an offset counts for its UTC day."""
    if pd.api.types.is_numeric_dtype(column):
        raise InvalidBars(
            f"{path}, column date: numbers like {column.iloc[0]} are no dates; "
            "write days as YYYY-MM-DD"
        )
    texts = column.astype(str).str.strip()
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    _refuse_first(path, column, parsed.isna(), "a date; write days as YYYY-MM-DD")
    days = pd.DatetimeIndex(parsed).tz_localize(None).normalize().as_unit("ns")
    return days.rename("date")


def _parse_numbers(path: Path, column: pd.Series) -> pd.Series:
    """Floats; an empty cell is NaN, which the validation names."""
    if column.dtype == object or pd.api.types.is_string_dtype(column):
        texts = column.where(column.notna(), "").astype(str).str.strip()
        empty = texts.str.lower().isin(["", "nan", "null", "none", "na"])
        numbers = pd.to_numeric(texts.mask(empty), errors="coerce")
        _refuse_first(
            path, column, numbers.isna() & ~empty, "a number; write it like 1234.5, no separators"
        )
        return numbers.astype(float)
    if not pd.api.types.is_numeric_dtype(column):
        raise InvalidBars(f"{path}, column {column.name}: {column.dtype} values are no numbers")
    return column.astype(float)


def _refuse_first(path: Path, column: pd.Series, faulty: pd.Series, wanted: str) -> None:
    if not faulty.any():
        return
    position = int(faulty.to_numpy().argmax())
    place = f"line {position + 2}" if path.suffix == ".csv" else f"row {position + 1}"
    raise InvalidBars(
        f"{path}, {place}, column {column.name}: {column.iloc[position]!r} is not {wanted}"
    )
