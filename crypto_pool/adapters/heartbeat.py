"""A dead man's switch: somebody elsewhere who hears of each day, and misses the one that fails."""

import json
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from filelock import FileLock

from crypto_pool.adapters.alerts import is_taken
from crypto_pool.adapters.unfinished_files import replacing


class Heartbeat:
    """Fetches an address once for each day; what is not taken is sent again with the next call."""

    def __init__(self, file: Path, url: str) -> None:
        """Use a state file and an address; nothing is opened before it is needed."""
        self.file = file
        self._url = url

    def tell_published(self, day: date) -> None:
        """Tell that a day's forecasts are published, unless it or a later one was told."""
        self._tell("published", day, self._url)

    def tell_failed(self, day: date) -> None:
        """Tell that a day failed, once, and not where it is published all the same."""
        parts = urlsplit(self._url)
        self._tell("failed", day, parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl())

    def _tell(self, what: Literal["published", "failed"], day: date, url: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.file}.lock"):
            told = self._read()
            if f"{day}" <= max(told.get(what, ""), told.get("published", "")):
                return
            if is_taken("GET", url, "CRYPTO_POOL_HEARTBEAT_URL"):
                with replacing(self.file) as beside:
                    beside.write_text(json.dumps({**told, what: f"{day}"}))

    def _read(self) -> dict[str, str]:
        try:
            told: dict[str, str] = json.loads(self.file.read_text())
        except (FileNotFoundError, ValueError):  # at worst a day is told twice
            return {}
        return told
