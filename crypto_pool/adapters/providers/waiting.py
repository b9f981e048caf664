"""How long an answer may take, when it is none, and until when a source asks to be left alone."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from crypto_pool.errors import BurstLimit, MalformedAnswer

if TYPE_CHECKING:
    import requests

_CHUNK = 65_536
UNTOLD_WAIT_SECONDS = 61.0
LONGEST_WAIT_SECONDS = 366 * 86_400.0


def no_answer(why: str) -> MalformedAnswer:
    """Return the error of an answer that is none."""
    return MalformedAnswer(f"{why}; run again later, the stored data is untouched")


def burst_limit(
    what: str,
    retry_after: str | None,
    why: str = "too many requests",
    until: datetime | None = None,
) -> BurstLimit:
    """Return the error of an answer with a header Retry-After, or a moment, to wait for."""
    now = datetime.now(UTC)
    until = until or now + timedelta(seconds=seconds_to_wait(retry_after, now))
    error = BurstLimit(
        f"{what}: {why}; wait until {until:%Y-%m-%d %H:%M:%S} UTC and run again then, "
        "the stored data is untouched"
    )
    error.wait_seconds = max(0.0, (until - now).total_seconds())
    return error


def seconds_to_wait(retry_after: str | None, now: datetime) -> float:
    """Return how long a header Retry-After asks for, a year at most; a minute where it is unread.

    It holds seconds or an HTTP date.
    """
    text = (retry_after or "").strip()
    try:
        if text.isdecimal():
            return min(float(text), LONGEST_WAIT_SECONDS)
        until = parsedate_to_datetime(text)
        seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return UNTOLD_WAIT_SECONDS
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)


def read_body(response: "requests.Response", silence_seconds: float) -> None:
    """Read all of an answer within twice the silence it may hold; raises RequestException."""
    import requests
    from urllib3.exceptions import HTTPError

    chunks = []
    until = time.monotonic() - response.elapsed.total_seconds() + 2 * silence_seconds
    try:
        # One socket read at a time, so that a body sent in drips meets the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > until:
                raise requests.Timeout
    except HTTPError as fault:
        raise requests.ConnectionError(type(fault).__name__) from None
    finally:
        response.close()
    response._content = b"".join(chunks)
