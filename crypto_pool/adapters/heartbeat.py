"""A dead man's switch: somebody elsewhere who hears of each day, and misses the one that fails."""

import json
import logging
import os
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from filelock import FileLock

from crypto_pool.adapters.alerts import TIMEOUT_SECONDS
from crypto_pool.adapters.unfinished_files import name_unfinished

logger = logging.getLogger("crypto_pool.alerts")


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
            if self._fetch(url):
                beside = name_unfinished(self.file)
                beside.write_text(json.dumps({**told, what: f"{day}"}))
                os.replace(beside, self.file)

    def _fetch(self, url: str) -> bool:
        import requests

        try:
            answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as fault:  # its text holds the address, which is secret
            said = type(fault).__name__
        else:
            if 200 <= answer.status_code < 300:
                return True
            said = f"status {answer.status_code}"
        logger.error(
            "the host of CRYPTO_POOL_HEARTBEAT_URL did not take a heartbeat (%s); it is sent again",
            said,
        )
        return False

    def _read(self) -> dict[str, str]:
        try:
            told: dict[str, str] = json.loads(self.file.read_text())
        except (FileNotFoundError, ValueError):  # at worst a day is told twice
            return {}
        return told
