"""The command `alert`: what was told, and whether the channels hear it."""

from typing import Annotated

import typer

from crypto_pool.commands import options
from crypto_pool.commands.printing import show
from crypto_pool.errors import ExitCode, InvalidSetting

LATEST = 20


def alert(
    test: Annotated[
        bool, typer.Option("--test", help="Tell each channel that this is a test.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show the latest alerts, or try each channel with --test."""
    from crypto_pool.adapters.alerts import CHANNELS, Alert
    from crypto_pool.defs.alerting import pool_alerts

    settings = options.chosen_settings()
    alerts = pool_alerts(settings)
    if test:
        if settings.alert_webhook_url is None and not CHANNELS:
            raise InvalidSetting(
                "no channel to try: set CRYPTO_POOL_ALERT_WEBHOOK_URL in the environment or in "
                f"{settings.dagster_home / '.env'}"
            )
        home = settings.dagster_home.resolve().name
        text = f"test of the alerts of the pool {home}: whoever reads this is told of incidents"
        alerts.send([Alert(f"test:{settings.now().isoformat()}", text)])
    latest = alerts.recent()[-LATEST:]
    is_refused = test and latest[-1].is_pending
    rows = [
        {"told_at_utc": one.sent_at_utc[:16], "sent": not one.is_pending, "text": one.text}
        for one in latest
    ]
    answer = (
        "Not every channel took it; it is offered again with the next alert."
        if is_refused
        else "Every channel took it."
    )
    show(as_json, [vars(one) for one in latest], answer if test else rows)
    if is_refused:
        raise typer.Exit(ExitCode.PROVIDER)
