"""The command that replays the pool's life over history."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import messages, show, write_json
from crypto_pool.domain.dates import read_date
from crypto_pool.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from crypto_pool.adapters.providers import MarketDataProvider
    from crypto_pool.replay.market import Market
    from crypto_pool.replay.plan import ReplayPlan
    from crypto_pool.settings import Settings


def replay(
    start: options.Start,
    end: options.End,
    retrain_every_days: Annotated[
        int | None,
        typer.Option(help="Days from one training to the next; default: whoever is stale."),
    ] = None,
    policies: Annotated[
        str, typer.Option(help="Evaluation policies, comma-separated.")
    ] = "purged_walk_forward,holdout",
    symbols: options.Symbols = None,
    provider: options.Provider = None,
    algorithms: options.Algorithms = None,
    output: options.Output = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write the report as one HTML page.")
    ] = None,
    workers: options.Workers = None,
    fee: Annotated[
        float, typer.Option(min=0, max=0.5, help="Fee of a paper trade, as a fraction.")
    ] = 0.001,
    slippage: Annotated[
        float, typer.Option(min=0, max=0.5, help="Slippage of a paper trade, as a fraction.")
    ] = 0.0005,
    as_json: options.Json = False,
) -> None:
    """Replay the pool over history, and report how it went.

    Run again with the same dates, it goes on where it was stopped.
    """
    from crypto_pool.replay.account import Costs
    from crypto_pool.replay.life import live_together, prepare_lives
    from crypto_pool.replay.page import render_page
    from crypto_pool.replay.report import build_report

    options.require_writable("--output", output)
    options.require_writable("--html", html_file)
    settings = options.chosen_settings(symbols, provider)
    plan = plan_of(settings, start, end, retrain_every_days, algorithms)
    recipes = {name: plan.recipe_of(name) for name in options.read_names(policies)}
    console = messages(as_json)
    source, market, skipped = pulled(settings, plan, console)
    folder = settings.state_dir / "replays"
    console.print(f"Fits, with which a stopped replay goes on: {folder}")
    lives = prepare_lives(plan, market, recipes, source, folder, workers or settings.workers)
    with day_progress(console) as progress:
        bar = progress.add_task("days", total=len(plan.days))
        for _ in live_together(list(lives.values())):
            progress.advance(bar)
        for life in lives.values():
            life.score_rest()
    report = build_report(lives, source.source, skipped, Costs(fee, slippage))
    write_json(report.document, output)
    if html_file is not None:
        html_file.write_text(render_page(report), "utf-8")
    show(as_json, report.document, *_summary(report.document))
    finish(report.document, console)


def finish(document: "Mapping[str, Any]", console: "Console") -> None:
    """Say what failed, and end with an exit code of its own if anything did."""
    for failure in document["failures"]:
        console.print(f"failed: {failure}")
    if document["failures"]:
        raise typer.Exit(ExitCode.MEMBERS_FAILED)


def plan_of(
    settings: "Settings",
    start: str,
    end: str,
    retrain_every_days: int | None,
    algorithms: str | None,
) -> "ReplayPlan":
    """Return the plan that options and settings ask for; raises InvalidSetting."""
    from crypto_pool.domain.candidates import CANDIDATES
    from crypto_pool.replay.plan import ReplayPlan

    return ReplayPlan(
        start=read_date("--from", start),
        end=settings.closed_day("--to", end),
        retrain_every_days=retrain_every_days,
        algorithms=options.read_names(algorithms) if algorithms else tuple(CANDIDATES),
        min_history_bars=settings.min_history_bars,
        recipe=settings.recipe,
        promotion=settings.promotion_rules,
        review=settings.review_rules,
        retrain=settings.retrain_rules,
        abstain_beyond_widths=settings.abstain_beyond_widths,
    )


def pulled(
    settings: "Settings", plan: "ReplayPlan", console: "Console"
) -> "tuple[MarketDataProvider, Market, list[str]]":
    """Return the source, its coins, and why some are left out, which is said."""
    from crypto_pool.defs.market_data import build_provider
    from crypto_pool.replay.market import pull_market

    source = build_provider(settings)
    market, skipped = pull_market(source, settings.symbols, plan, settings.last_closed())
    for reason in skipped:
        console.print(f"left out: {reason}")
    if source.synthetic:
        console.print(
            "[bold]Synthetic market[/bold]: nothing below is about real coins.", markup=True
        )
    return source, market, skipped


def day_progress(console: "Console") -> "Progress":
    """Return bars of the days that are lived."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _summary(document: "Mapping[str, Any]") -> "tuple[Sequence[Mapping[str, Any]] | str, ...]":
    """Return the figures of each policy as a table, and those of the market in words."""
    from crypto_pool.replay.page import FIGURE_ROWS, show_figure

    policies, (whole, *_) = document["policies"], document["panel"]
    figures = [
        {"figure": label} | {name: show_figure(p["pooled"][key]) for name, p in policies.items()}
        for label, key in FIGURE_ROWS
    ]
    account = {name: show_figure(p["account"]["total_return"]) for name, p in policies.items()}
    return (
        [*figures, {"figure": "Paper account, total return"} | account],
        f"Outcomes inside the panel's 80 % range: {show_figure(whole['inside_80'])} "
        f"({show_figure([whole['inside_80_low'], whole['inside_80_high']])})",
        f"Buy and hold of the same coins: {show_figure(document['buy_and_hold']['total_return'])}",
    )
