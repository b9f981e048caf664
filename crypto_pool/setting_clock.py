"""The time by which the pool lives: of the machine or simulated, and when its daily run is due."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from crypto_pool.domain.dates import read_date
from crypto_pool.errors import InvalidSetting
from crypto_pool.setting_groups import Groups


class ClockSettings(Groups):
    """What the settings say of time; every time is UTC."""

    @property
    def is_clock_simulated(self) -> bool:
        """Whether the time stands still until somebody sets it."""
        return self.simulated_now is not None or self.simulated_now_file is not None

    def now(self) -> datetime:
        """The UTC time, simulated if so set.

        Raises:
            InvalidSetting: simulated_now_file is not there, or holds no time.
        """
        simulated = self.simulated_now
        if self.simulated_now_file is not None:
            simulated = _time_in(self.simulated_now_file)
        if simulated is None:
            return datetime.now(UTC)
        return simulated.replace(tzinfo=simulated.tzinfo or UTC)

    def last_closed(self) -> date:
        """The latest UTC day whose bar is closed."""
        return self.now().astimezone(UTC).date() - timedelta(days=1)

    def closed_day(self, name: str, text: str | None) -> date:
        """Read the bar date that an option or a field gives; without one, the latest closed day.

        Raises:
            InvalidSetting: it is none, or its bar is not closed, and what came of it could change.
        """
        last_closed = self.last_closed()
        bar_date = read_date(name, text) if text else last_closed
        if bar_date > last_closed:
            raise InvalidSetting(
                f"{name} {bar_date} is not closed yet; the latest closed day is {last_closed}."
            )
        return bar_date

    @property
    def daily_time(self) -> time:
        """The UTC time of the daily run."""
        return time.fromisoformat(self.daily_at_utc)

    def daily_cron(self, after: timedelta) -> str:
        """Return the cron line of every day, so long after the daily run begins."""
        at = datetime.combine(datetime.min, self.daily_time) + after
        return f"{at.minute} {at.hour} * * *"

    def daily_run_of(self, bar_date: date) -> datetime:
        """When the daily run of a bar date begins."""
        return datetime.combine(bar_date + timedelta(days=1), self.daily_time, UTC)

    def daily_begun(self) -> datetime:
        """When the latest daily run was to begin; after midnight that may be yesterday."""
        now = self.now().astimezone(UTC)
        begun = datetime.combine(now.date(), self.daily_time, UTC)
        return begun if begun <= now else begun - timedelta(days=1)


def _time_in(clock: Path) -> datetime:
    try:
        return datetime.fromisoformat(clock.read_text("utf-8").strip())
    except (OSError, ValueError) as fault:
        raise InvalidSetting(
            f"CRYPTO_POOL_SIMULATED_NOW_FILE: {clock} must hold a UTC time such as "
            f"2024-03-01T00:20:00: {fault}"
        ) from fault
