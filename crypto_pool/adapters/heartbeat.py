"""A dead man's switch: somebody elsewhere who hears of each day, and misses the one that fails."""

import json
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from filelock import FileLock

from crypto_pool.adapters.alerts import is_taken
from crypto_pool.adapters.unfinished_files import replace_file


def report_day(file: Path, url: str, what: Literal["published", "failed"], day: date) -> None:
    """Fetch an address, or its `/fail`, once for each day; `file` remembers which were reported.

    A day that is published, or a later one, is not reported as failed. What is not taken is sent
    again with the next call.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        days: dict[str, str] = {}  # at worst a day is reported twice
        with suppress(FileNotFoundError, ValueError, AttributeError, TypeError):
            reported = json.loads(file.read_text("utf-8")).items()
            days = {what: f"{date.fromisoformat(day)}" for what, day in reported}
        if f"{day}" <= max(days.get(what, ""), days.get("published", "")):
            return
        if what == "failed":
            parts = urlsplit(url)
            url = parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl()
        if is_taken("GET", url, "CRYPTO_POOL_HEARTBEAT_URL"):
            replace_file(file, json.dumps({**days, what: f"{day}"}))
