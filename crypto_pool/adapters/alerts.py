"""Alerts: to the log always, and to a Slack-compatible webhook where one is set.

Each incident has a key and is told once; a file remembers which were. What the webhook did not
take is offered again with the next call.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from crypto_pool.adapters.unfinished_files import replacing
from crypto_pool.domain.addresses import without_credentials

TIMEOUT_SECONDS = (5, 10)
LONGEST_TEXT = 3000
REMEMBERED = timedelta(days=180)
logger = logging.getLogger("crypto_pool.alerts")


@dataclass(frozen=True)
class Alert:
    """An incident; the same key is the same incident."""

    key: str
    text: str


@dataclass(frozen=True)
class ToldAlert(Alert):
    """An incident that was told; `is_owed` while the webhook has not taken it."""

    told_at_utc: str
    is_owed: bool


class Alerts:
    """Tells incidents; `secrets` never appear in what is told."""

    def __init__(
        self,
        file: Path,
        webhook_url: str | None,
        secrets: Sequence[str],
        now: Callable[[], datetime],
    ) -> None:
        """Use a state file and a webhook; nothing is opened before it is needed."""
        self.file = file
        self._url = webhook_url
        self._secrets = [text for text in (*secrets, webhook_url) if text]
        self._now = now

    def tell(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Tell what is new, and what the webhook still owes an answer for; return the new ones."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.file}.lock"):
            known = self._read()
            new: list[Alert] = []
            for alert in alerts:
                if alert.key in known:
                    continue
                new.append(alert)
                text = self.redact(alert.text)
                logger.warning("%s", text)
                known[alert.key] = {
                    "told_at_utc": self._now().astimezone(UTC).isoformat(),
                    "text": text,
                    "unsent": None if self._url is None else text,
                }
            if new:
                self._write(known)
            for entry in known.values():
                if entry["unsent"] is not None and self._url is not None:
                    if not self._post(entry["unsent"]):
                        break
                    entry["unsent"] = None
                    self._write(known)
        return new

    def recent(self) -> list[ToldAlert]:
        """Return what was told within the time that is remembered, the oldest first."""
        return [
            ToldAlert(key, entry["text"], entry["told_at_utc"], entry["unsent"] is not None)
            for key, entry in self._read().items()
        ]

    def redact(self, text: str) -> str:
        """Take secrets out, and cut what is too long."""
        for secret in self._secrets:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        text = without_credentials(text)
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]} ... ({len(text) - LONGEST_TEXT} characters more)"
        return text

    def _post(self, text: str) -> bool:
        assert self._url is not None
        shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return is_taken("POST", self._url, "CRYPTO_POOL_ALERT_WEBHOOK_URL", {"text": shown})

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read what was told within the time that is remembered; a damaged file is put aside."""
        try:
            known: dict[str, dict[str, Any]] = json.loads(self.file.read_text())
            since = self._now() - REMEMBERED
            return {
                key: {"text": "", **entry, "unsent": entry["unsent"]}
                for key, entry in known.items()
                if datetime.fromisoformat(entry["told_at_utc"]) >= since
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged = self.file.with_suffix(".damaged")
            os.replace(self.file, damaged)
            logger.error("%s is damaged and was moved to %s", self.file, damaged)
            return {}

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        with replacing(self.file) as beside:
            beside.write_text(json.dumps(known, indent=1))


def is_taken(method: str, url: str, setting: str, content: Any = None) -> bool:
    """Send a request to the address that a setting holds; a refusal is logged, not the address."""
    import requests

    try:
        answer = requests.request(
            method, url, json=content, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )
    except requests.RequestException as fault:  # its text holds the address, which is secret
        reason = type(fault).__name__
    else:
        if 200 <= answer.status_code < 300:  # `ok` is true of a redirect too
            return True
        reason = f"status {answer.status_code}"
    logger.error(
        "the host of %s did not take what was sent (%s); it is sent again", setting, reason
    )
    return False
