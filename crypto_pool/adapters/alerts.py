"""Alerts: to the log always, to a Slack-compatible webhook where one is set, and to extensions.

Each incident has a key and is sent once; a file remembers which were. What a channel did not
take is offered again with the next call.
"""

import html
import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

from crypto_pool.adapters.unfinished_files import replace_file
from crypto_pool.domain.addresses import spellings, without_credentials
from crypto_pool.errors import InvalidSetting, let_interrupts_pass

TIMEOUT_SECONDS = (5, 10)
LONGEST_TEXT = 3000
WEBHOOK = "webhook"
REMEMBERED = timedelta(days=180)
_REFUSES_CONTENT = (400, 403, 413, 422)
logger = logging.getLogger("crypto_pool.alerts")


@dataclass(frozen=True)
class Alert:
    """An incident; the same key is the same incident."""

    key: str
    text: str


@dataclass(frozen=True)
class SentAlert(Alert):
    """An incident that was sent; `is_pending` while a channel has not taken it."""

    sent_at_utc: str
    is_pending: bool


@dataclass(frozen=True)
class AlertChannel:
    """A channel of an extension: `send(text)` sends one incident, and raises where it cannot."""

    name: str
    send: Callable[[str], object]
    code: str = ""

    def check(self) -> None:
        """Raise InvalidSetting for what is no channel."""
        if not callable(self.send):
            raise InvalidSetting(f"alert channel {self.name}: send must be a function of a text")


CHANNELS: dict[str, AlertChannel] = {}
"""Channels of extensions, by name, as they are loaded."""


class Alerts:
    """Sends incidents; `secrets` never appear in what is sent."""

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

    def send(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Send what is new, and again what a channel has not taken; return the new ones."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        with FileLock(f"{self.file}.lock"):
            known, channels = self._read(), self._channels()
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
                    "pending": list(channels),
                }
            if new:
                self._write(known)
            for name, is_taken_by in channels.items():
                for entry in known.values():
                    if name in entry["pending"]:
                        taken = is_taken_by(entry["text"])
                        if taken:
                            entry["pending"].remove(name)
                            self._write(known)
                        elif taken is False:
                            break
        return new

    def recent(self) -> list[SentAlert]:
        """Return what was sent within the time that is remembered, the oldest first."""
        return [
            SentAlert(key, entry["text"], entry["told_at_utc"], bool(entry["pending"]))
            for key, entry in self._read().items()
        ]

    def redact(self, text: str) -> str:
        """Take secrets out, and cut what is too long."""
        for written in chain.from_iterable(map(spellings, self._secrets)):
            text = text.replace(written, "***")
        text = without_credentials(text)
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]} ... ({len(text) - LONGEST_TEXT} characters more)"
        return text

    def _channels(self) -> dict[str, Callable[[str], bool | None]]:
        """Return the channels beside the log by name; each says whether it took a text.

        None is that it refused this text, and may take another.
        """
        webhook: dict[str, Callable[[str], bool | None]] = {}
        if self._url is not None:
            webhook[WEBHOOK] = self._post
        return webhook | {name: partial(self._is_sent, one) for name, one in CHANNELS.items()}

    def _is_sent(self, channel: AlertChannel, text: str) -> bool:
        """Send by an extension's code, which may fail or hang: then the others are asked."""
        ended: list[str] = []

        def send() -> None:
            try:
                channel.send(text)
            except BaseException as fault:
                let_interrupts_pass(fault)
                ended.append(f"{type(fault).__name__}: {fault}")
            else:
                ended.append("")

        thread = Thread(target=send, name=f"alert channel {channel.name}", daemon=True)
        if all(one.name != thread.name for one in threading.enumerate()):
            thread.start()
            thread.join(sum(TIMEOUT_SECONDS))
        reason = ended[0] if ended else f"no end of it in {sum(TIMEOUT_SECONDS)} s"
        if reason:
            reason = self.redact(reason)
            logger.error("alert channel %s failed (%s); it is sent again", channel.name, reason)
        return not reason

    def _post(self, text: str) -> bool | None:
        assert self._url is not None
        shown = {"text": html.escape(text, quote=False)}
        return is_taken("POST", self._url, "CRYPTO_POOL_ALERT_WEBHOOK_URL", shown)

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read what was sent within the time that is remembered; a damaged file is put aside."""
        try:
            known: dict[str, dict[str, Any]] = json.loads(self.file.read_text("utf-8"))
            since = self._now() - REMEMBERED
            return {
                key: {
                    "text": str(entry.get("text", "")),
                    "told_at_utc": entry["told_at_utc"],
                    # 1.0.0 had the text that the webhook had not taken.
                    "pending": list(
                        entry["pending"]
                        if "pending" in entry
                        else [WEBHOOK] * bool(entry["unsent"])
                    ),
                }
                for key, entry in known.items()
                if datetime.fromisoformat(entry["told_at_utc"]) >= since
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError):
            damaged = self.file.with_suffix(".damaged")
            os.replace(self.file, damaged)
            logger.error("%s is damaged and was moved to %s", self.file, damaged)
            return {}

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        replace_file(self.file, json.dumps(known))


def is_taken(method: str, url: str, setting: str, content: Any = None) -> bool | None:
    """Send a request to the address that a setting holds; a refusal is logged, not the address.

    None is an answer that finds fault with the request, so that another may be taken.
    """
    import requests

    refused: bool | None = False
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
        if answer.status_code in _REFUSES_CONTENT:
            refused = None
    logger.error(
        "the host of %s did not take what was sent (%s); it is sent again", setting, reason
    )
    return refused
