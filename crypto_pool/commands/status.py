"""The command `status`: the pool as it is published, on one screen."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from crypto_pool.commands import options
from crypto_pool.commands.printing import page, print_json, records
from crypto_pool.domain.members import Trend
from crypto_pool.errors import CryptoPoolError, InvalidSetting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from crypto_pool.settings import Settings

SIGNAL, ABSTAINS, OLD, LATE = "▲", "~", "!", "late"
MEMBERS = """
    WITH known AS (
        -- A file of 1.0.0 lacks the column.
        FROM predictions UNION ALL BY NAME SELECT NULL::BOOLEAN AS late WHERE false
    ), serving AS (
        FROM champions UNION ALL BY NAME SELECT NULL::DOUBLE AS added_points WHERE false
    ), latest AS (
        SELECT * FROM known
        QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY prediction_date DESC) = 1
    )
    SELECT symbol, trend, c.symbol IS NOT NULL AS has_champion,
           c.algorithm, c.model_version AS version, c.trained_through,
           c.overall_score, c.precision, c.skill_over_reference, c.added_points,
           coalesce(r.signals, 0) AS live_signals, r.precision AS realised_precision,
           r.promised_precision, r.verdict,
           l.prediction_date, l.probability, l.reference_probability AS reference,
           l.algorithm AS forecast_algorithm, l.model_version AS forecast_version,
           l.signal, l.status, coalesce(l.late, false) AS late, l.abstain_reason, l.synthetic
    FROM serving c
    FULL JOIN latest l USING (symbol, trend)
    LEFT JOIN {record} r USING (symbol, trend)
    ORDER BY symbol, trend DESC
"""
RECORD = "SELECT * FROM {record} WHERE symbol = 'all'"
VIEWS = "SELECT view_name FROM duckdb_views() WHERE view_name = 'track_record'"
NO_RECORD = """(
    SELECT NULL::VARCHAR AS symbol, NULL::VARCHAR AS trend, NULL::BIGINT AS signals,
           NULL::DOUBLE AS precision, NULL::DOUBLE AS promised_precision, NULL::VARCHAR AS verdict,
           NULL::DOUBLE AS skill_over_reference, NULL::DOUBLE AS skill_low,
           NULL::DOUBLE AS skill_high
    WHERE false
)"""
HELD = """
    SELECT DISTINCT symbol
    FROM (SELECT symbol FROM daily_bars UNION SELECT symbol FROM champions)
    ORDER BY symbol
"""


def status(symbols: options.Symbols = None, as_json: options.Json = False) -> None:
    """Show on one screen what each member says.

    In JSON, algorithm, version and promise are those of the champion, forecast_algorithm and
    forecast_version of whoever made the forecast.
    """
    from crypto_pool.adapters.prediction_tables import LINK_NAME, query_arrow

    settings = options.chosen_settings()
    folder = settings.state_dir
    held = query_arrow(folder, HELD).column("symbol").to_pylist()
    shown = settings.chosen_symbols or held
    if symbols:
        shown = options.read_symbols(symbols)
        _require_known(shown, {*held, *settings.symbols})
    # A file of 1.0.0 has no such view, and is shown without what it tells.
    record = "track_record" if query_arrow(folder, VIEWS).num_rows else NO_RECORD
    rows = records(query_arrow(folder, MEMBERS.format(record=record)))
    retired = {} if symbols else _retired(settings, rows)
    shown = [symbol for symbol in shown if symbol not in retired]
    members = [row for row in rows if row["symbol"] in shown]
    published = datetime.fromtimestamp((folder / LINK_NAME).stat().st_mtime, UTC)
    report: dict[str, Any] = {
        "provider": settings.provider,
        "data_dir": str(folder),
        "published_at_utc": published.isoformat(timespec="seconds"),
        "symbols": list(shown),
        "members": members,
        "record": next(iter(records(query_arrow(folder, RECORD.format(record=record)))), None),
        "without_champion": _without_champion(shown, members),
        "retired_from": retired,
        "requests": _requests(settings),
    }
    if as_json:
        print_json(report)
    else:
        _print_screen(report, settings.last_closed(), page())


def _require_known(symbols: Iterable[str], known: set[str]) -> None:
    unknown = [symbol for symbol in symbols if symbol not in known]
    if unknown:
        raise InvalidSetting(
            f"{', '.join(unknown)}: no coin of this pool; it has {', '.join(sorted(known))}."
        )


def _retired(settings: "Settings", rows: list[dict[str, Any]]) -> dict[str, str]:
    """Since when the coins are retired that have no forecast of the latest day."""
    latest = max((row["prediction_date"] or "" for row in rows), default="")
    behind = sorted({row["symbol"] for row in rows if row["prediction_date"] != latest})
    if not behind:
        return {}
    from crypto_pool.adapters.frame_store import FrameStore
    from crypto_pool.workflow.history import retired_from

    try:
        days = retired_from(FrameStore(settings.frames_root), behind)
    except CryptoPoolError:  # a store that does not answer hides nothing of what is published
        return {}
    return {symbol: day.isoformat() for symbol, day in days.items()}


def _without_champion(symbols: list[str], members: list[dict[str, Any]]) -> list[str]:
    have = {(row["symbol"], row["trend"]) for row in members if row["has_champion"]}
    return [
        f"{symbol}_{trend}" for symbol in symbols for trend in Trend if (symbol, trend) not in have
    ]


def _print_screen(report: dict[str, Any], last_closed: date, screen: "Console") -> None:
    members, without = report["members"], report["without_champion"]
    days = [row["prediction_date"][:10] for row in members if row["prediction_date"]]
    latest = max(days, default=None)
    served = sum(row["has_champion"] for row in members)
    published = report["published_at_utc"][:16].replace("T", " ")
    screen.print(
        f"[bold]{served} of {served + len(without)} members have a champion[/bold]"
        f" · {_aged(latest, last_closed)} · published {published} UTC",
        markup=True,
    )
    if any(row["synthetic"] for row in members):
        screen.print(
            "[bold yellow]Synthetic market[/bold yellow]: nothing below is real", markup=True
        )
    screen.print(_grid(report["symbols"], members, latest))
    screen.print(
        f"p: probability. ref: what a random walk gives. {SIGNAL}: p is above the threshold. "
        "±: points by which a version moves its baseline."
    )
    if any(row["late"] for row in members):
        screen.print(f"{LATE}: made after the day that follows; counted apart from live ones.")
    successors = [
        f"{row['symbol']}_{row['trend']}: version {row['version']} serves now"
        for row in members
        if row["has_champion"]
        and row["prediction_date"]
        and row["forecast_version"] != row["version"]
        and (row["forecast_version"] or row["status"] != "abstain")  # by what stands in for it
    ]
    if successors:
        screen.print("; ".join(successors))
    record = report["record"]
    if record and record["signals"]:
        promised = record["promised_precision"]
        screen.print(
            f"Of {record['signals']} live signals that have come due, {record['precision']:.0%} "
            f"came true{'' if promised is None else f'; {promised:.0%} were promised'}"
        )
    else:
        screen.print("No live signal has come due yet: nothing is known of kept promises")
    if record and record["verdict"] and record["skill_over_reference"] is not None:
        low, high = record["skill_low"], record["skill_high"]
        ends = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
        screen.print(
            f"Skill over the reference {record['skill_over_reference']:+.3f}{ends}: "
            f"{record['verdict']}"
        )
    for note in _notes(members, latest):
        screen.print(note)
    if without:
        screen.print(f"Without a champion: {', '.join(without)}")
    if retired := report["retired_from"]:
        ended = (f"{symbol} from {day} on" for symbol, day in retired.items())
        screen.print(f"Retired: {', '.join(ended)}")
    screen.print(f"Source of bars: {report['provider']}. Data: {report['data_dir']}")
    requests = report["requests"]
    if requests:
        left = requests["left_today"]
        screen.print(
            f"Requests in the last 24 hours: {requests['spent_today']}, "
            f"{'no daily limit' if left is None else f'{left} left'} (plan: {requests['plan']})"
        )


def _grid(symbols: list[str], members: list[dict[str, Any]], latest: str | None) -> "Table":
    """One row a coin, both trends side by side: twenty coins on a screen of 80 columns."""
    from rich.table import Table

    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    grid.add_column("coin", style="bold", overflow="fold")
    for trend in Trend:
        grid.add_column("p", justify="right", no_wrap=True)
        grid.add_column("ref", justify="right", no_wrap=True)
        grid.add_column("", no_wrap=True)
        grid.add_column(f"{trend} by", overflow="fold")
    of = {(row["symbol"], row["trend"]): row for row in members}
    for symbol in symbols:
        cells = (_cells(of.get((symbol, trend)), latest) for trend in Trend)
        grid.add_row(symbol, *(cell for four in cells for cell in four))
    return grid


def _cells(row: dict[str, Any] | None, latest: str | None) -> "tuple[str | Text, ...]":
    from rich.text import Text

    if row is None:
        return "", "", "", Text("none", style="dim")
    if row["prediction_date"] is None:
        return "", "", "", _maker(row["algorithm"], row["version"], row["added_points"])
    added = row["added_points"] if row["forecast_version"] == row["version"] else None
    maker = _maker(row["forecast_algorithm"], row["forecast_version"], added)
    mark = _mark(row, latest)
    shown = Text(mark, style="bold green" if mark == SIGNAL else "yellow")
    if row["late"]:
        shown.append(f" {LATE}" if mark else LATE, style="yellow")
    return _share(row["probability"]), _share(row["reference"]), shown, maker


def _maker(algorithm: str, version: str | None, added_points: float | None) -> str:
    """Name who forecasts; a baseline that is no champion has no version."""
    named = algorithm if version is None else f"{algorithm} v{version}"
    return named if added_points is None else f"{named} ±{added_points:.1f}"


def _mark(row: dict[str, Any], latest: str | None) -> str:
    """Return the sign of a member's state; `_notes` says in words what it stands for."""
    if row["prediction_date"] is None or row["prediction_date"][:10] != latest:
        return OLD
    if row["status"] == "abstain":
        return ABSTAINS
    return SIGNAL if row["signal"] else ""


def _notes(members: list[dict[str, Any]], latest: str | None) -> list[str]:
    """One line for each member whose forecast is none of the day's that can be followed."""
    notes = []
    for row in members:
        name, mark = f"{row['symbol']}_{row['trend']}", _mark(row, latest)
        if row["prediction_date"] is None:
            notes.append(f"{name} has no forecast yet")
        elif mark == OLD:
            notes.append(f"{OLD} {name}: its latest forecast is of {row['prediction_date'][:10]}")
        elif mark == ABSTAINS:
            notes.append(f"{ABSTAINS} {name} abstains: {row['abstain_reason']}")
    return notes


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _aged(latest: str | None, last_closed: date) -> str:
    if latest is None:
        return "no forecast yet"
    age = (last_closed - date.fromisoformat(latest)).days
    if age < 0:
        return f"forecasts of {latest}, [yellow]which the clock here has yet to reach[/yellow]"
    return f"forecasts of {latest}" + (
        f", [yellow]{age} day{'s' if age > 1 else ''} old[/yellow]" if age > 0 else ""
    )


def _requests(settings: "Settings") -> "dict[str, int | str | None] | None":
    """What is spent and left of the key's budget, where one is counted."""
    if settings.provider != "alpha_vantage":
        return None  # before the import, which takes a second
    from crypto_pool.defs.market_data import request_budget

    budget = request_budget(settings)
    if budget is None:
        return None
    return {
        "plan": settings.alpha_vantage_plan,
        "spent_today": budget.spent_today(),
        "left_today": budget.left_today(),
    }
