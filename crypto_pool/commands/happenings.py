"""What happens in a pool while `up` runs: a line each for forecasts, trainings and alerts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from dagster import DagsterInstance
    from rich.console import Console

    from crypto_pool.settings import Settings

LOOK_AGAIN_SECONDS = 2.0
FORECASTS = """
    SELECT prediction_date, count(*) AS members, count(*) FILTER (signal) AS signals,
           count(*) FILTER (status = 'abstain') AS abstaining, max(predicted_at_utc) AS at
    FROM predictions WHERE predicted_at_utc > TIMESTAMP '{since}'
    GROUP BY prediction_date ORDER BY prediction_date
"""
DECISIONS = """
    SELECT symbol || '_' || trend AS member, decision, model_version, decided_at_utc AS at
    FROM promotions WHERE decided_at_utc > TIMESTAMP '{since}' ORDER BY decided_at_utc
"""


class Happenings:
    """Follows the publications and the alerts of a pool from the moment it is made."""

    def __init__(self, settings: "Settings") -> None:
        from crypto_pool.defs.alerting import pool_alerts

        self._settings, self._folder = settings, settings.state_dir
        self._troubles: set[str] = set()
        self._alerts = pool_alerts(settings)
        self._publication = self._latest()
        begun = datetime.now(UTC) if not settings.is_clock_simulated else settings.now()
        self._since = {FORECASTS: begun, DECISIONS: begun}
        self._told = {alert.key for alert in self._alerts.recent()}

    def follow(self, ending: Event, console: "Console") -> None:
        """Print each line as it happens, until `ending` is set."""
        from crypto_pool.building import open_instance

        with open_instance(self._settings) as instance:
            while not ending.wait(LOOK_AGAIN_SECONDS):
                for line in (*self.look(), *self.troubles(instance)):
                    console.print(f"{datetime.now(UTC):%H:%M} {line}", soft_wrap=True)

    def troubles(self, instance: "DagsterInstance") -> Iterator[str]:
        """Say once who holds the slots for which steps wait, and what a killed `dg dev` left.

        What is gone holds none any more.
        """
        from crypto_pool.recovery import left_by_dev, pools_waited_for, taken_slots

        pools = pools_waited_for(instance)
        held = taken_slots(instance, pools) if pools else ""
        waiting = f"a run waits for slots that are held: {held}" if held else ""
        now = {line for line in (waiting, left_by_dev(self._settings.dagster_home)) if line}
        yield from now - self._troubles
        self._troubles = now

    def look(self) -> Iterator[str]:
        """Give what has happened since the last look."""
        latest = self._latest()
        if latest != self._publication:
            self._publication = latest
            decisions = self._ask(DECISIONS)
            if len(decisions):
                yield decisions_in_words(decisions)
            for row in self._ask(FORECASTS).to_dict("records"):
                resting = f", {row['abstaining']} abstaining" if row["abstaining"] else ""
                yield (
                    f"forecast {row['prediction_date']:%Y-%m-%d}: {row['members']} members, "
                    f"{row['signals']} signals{resting}"
                )
        for alert in self._alerts.recent():
            if alert.key not in self._told:
                self._told.add(alert.key)
                yield f"alert: {alert.text}"

    def _latest(self) -> Path | None:
        from crypto_pool.adapters.prediction_tables import LINK_NAME

        link = self._folder / LINK_NAME
        return link.resolve() if link.exists() else None

    def _ask(self, sql: str) -> "pd.DataFrame":
        from crypto_pool.adapters.prediction_tables import query

        rows = query(self._folder, sql.format(since=f"{self._since[sql]:%Y-%m-%d %H:%M:%S.%f}"))
        if len(rows):
            self._since[sql] = rows["at"].max().to_pydatetime()
        return rows


def decisions_in_words(rows: "pd.DataFrame") -> str:
    """Say in one line what was decided, by name where another version serves now."""
    parts = []
    for decision, of_kind in rows.groupby("decision", sort=False):
        names = ", ".join(
            f"{row.member} v{row.model_version}"
            for row in of_kind.itertuples()
            if decision not in ("kept", "rejected")
        )
        parts.append(f"{len(of_kind)} {decision}{f' ({names})' if names else ''}")
    return f"champions: {', '.join(parts)}"
