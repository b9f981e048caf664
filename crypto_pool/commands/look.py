"""Commands that only read: `query` and `status`."""

from typing import TYPE_CHECKING, Annotated

import typer

from crypto_pool.commands.options import chosen_settings
from crypto_pool.commands.printing import console, print_frame, print_json, records

if TYPE_CHECKING:
    from crypto_pool.settings import Settings

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def query(
    sql: Annotated[str, typer.Argument(help="SQL over the published DuckDB file.")],
    as_json: JsonOption = False,
) -> None:
    """Ask the published DuckDB file, read-only."""
    from crypto_pool.adapters.prediction_tables import query as ask

    frame = ask(chosen_settings().state_dir, sql)
    if as_json:
        print_json(records(frame))
    else:
        print_frame(frame)


def status(as_json: JsonOption = False) -> None:
    """Show every member: its champion, and its latest forecast."""
    from crypto_pool.adapters.prediction_tables import query as ask
    from crypto_pool.domain.market import Trend

    settings = chosen_settings()
    frame = ask(
        settings.state_dir,
        """
        WITH latest AS (
            SELECT * FROM predictions
            QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY prediction_date DESC) = 1
        )
        SELECT c.symbol, c.trend, c.algorithm, c.model_version AS version, c.trained_through,
               c.overall_score, c.precision, l.prediction_date, l.probability,
               l.reference_probability AS reference, l.signal, l.status
        FROM champions c LEFT JOIN latest l USING (symbol, trend)
        ORDER BY c.symbol, c.trend DESC
        """,
    )
    have = {(row["symbol"], row["trend"]) for row in frame.to_dict("records")}
    without = [
        f"{symbol}_{trend}"
        for symbol in settings.symbols
        for trend in Trend
        if (symbol, str(trend)) not in have
    ]
    requests = _requests(settings)
    if as_json:
        print_json(
            {
                "provider": settings.provider,
                "data_dir": str(settings.state_dir),
                "members": records(frame),
                "without_champion": without,
                "requests": requests,
            }
        )
        return
    print_frame(frame)
    console.print(f"Source of bars: {settings.provider}. Data: {settings.state_dir}")
    if without:
        console.print(f"Without a champion: {', '.join(without)}")
    if requests:
        left = requests["left_today"]
        console.print(
            f"Requests in the last 24 hours: {requests['spent_today']}, "
            f"{'no daily limit' if left is None else f'{left} left'} (plan: {requests['plan']})"
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
