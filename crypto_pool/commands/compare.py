"""The command that says whether a candidate or a feature adds anything."""

from typing import Annotated, Any

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import messages, show
from crypto_pool.commands.replay import day_progress, finish, plan_of, pulled
from crypto_pool.errors import InvalidSetting


def compare(
    start: options.Start,
    end: options.End,
    candidate: Annotated[str | None, typer.Option(help="The candidate in question.")] = None,
    feature: Annotated[
        str | None, typer.Option(help="The feature of an extension in question.")
    ] = None,
    retrain_every_days: Annotated[
        int, typer.Option(help="Days from one training to the next.")
    ] = 60,
    symbols: options.Symbols = None,
    provider: options.Provider = None,
    algorithms: options.Algorithms = None,
    workers: options.Workers = None,
    as_json: options.Json = False,
) -> None:
    """Replay with and without a candidate or feature.

    The interval of their paired losses says whether it adds anything.

    Run again with the same dates, it goes on where it was stopped.
    """
    if (candidate is None) == (feature is None):
        raise InvalidSetting("name one thing to compare: --candidate NAME or --feature NAME")
    settings = options.chosen_settings(symbols, provider)
    from crypto_pool.replay.comparison import Comparison

    plan = plan_of(settings, start, end, retrain_every_days, algorithms)
    speak = messages(as_json)
    source, market, _ = pulled(settings, plan, speak)
    kind, name = ("candidate", candidate) if candidate else ("feature", feature)
    folder = settings.state_dir / "comparisons"
    comparison = Comparison(
        kind, str(name), plan, market, source, folder, workers or settings.workers
    )
    with day_progress(speak) as progress:
        bars: dict[str, Any] = {}
        for label, days in comparison.live():
            if label not in bars:
                bars[label] = progress.add_task(f"{label} it, days", total=days)
            progress.advance(bars[label])
    document = comparison.report()
    show(as_json, document, *_lines(document))
    finish(document, speak)


def _lines(result: dict[str, Any]) -> list[str]:
    """Return the comparison in words."""
    from crypto_pool.replay.page import show_figure

    interval = result["gain_interval"]
    certain = (
        f"[{interval[0]:+.4f}, {interval[1]:+.4f}], 90 %"
        if interval
        else f"no interval: {result['days']} days, {result['days_needed']} are needed"
    )
    gain = "none" if result["gain"] is None else f"{result['gain']:+.4f} Brier ({certain})"
    lines = [
        f"{result['compared']}: {result['verdict']}",
        f"Gain: {gain}",
        f"Skill over the reference: {show_figure(result['skill_with'])} with it, "
        f"{show_figure(result['skill_without'])} without",
        f"Won {result['champions_won']} of {result['trainings']} decisions on a champion, and "
        f"served {result['forecasts_served']} forecasts",
        f"Paper account, total return: {show_figure(result['account_with'])} with it, "
        f"{show_figure(result['account_without'])} without",
    ]
    return [*lines, f"Unscored: {result['unscored']}"] if result["unscored"] else lines
