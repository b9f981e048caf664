"""How long a source asks to be left alone."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from crypto_pool.adapters.providers import waiting
from crypto_pool.adapters.providers.waiting import burst_limit, read_body, seconds_to_wait

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
YEAR = 366 * 86_400


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 7 ", 7),
        (f"{YEAR}", YEAR),
        (f"{YEAR + 1}", YEAR),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        (format_datetime(NOW.replace(year=2030), usegmt=True), YEAR),
        ("Sat, 01 Jun 2024 12:01:30 -0000", 90),  # of no zone: UTC
        (None, 61),
        ("", 61),
        ("soon", 61),
        ("-5", 61),
        ("1.5", 61),
        (f"Sat, 01 Jun {'9' * 30} 12:00:00 GMT", 61),
    ],
)
def test_a_header_asks_for_seconds_or_a_date_and_a_year_at_most(header, seconds):
    assert seconds_to_wait(header, NOW) == seconds


class Dripping:
    """An answer of which a byte comes each second, by the clock that it sets."""

    def __init__(self, size: int) -> None:
        self.left, self.seconds, self.is_closed = size, 0.0, False
        self.elapsed, self.raw = timedelta(seconds=1), self

    def read1(self, _: int, decode_content: bool) -> bytes:
        assert decode_content
        if not self.left:
            return b""
        self.left -= 1
        self.seconds += 1.0
        return b"x"

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(("size", "is_whole"), [(9, True), (10, False)])
def test_an_answer_may_take_twice_its_silence_with_what_came_before(monkeypatch, size, is_whole):
    """Of twice five seconds one had gone when its head was there."""
    answer = Dripping(size)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: 100 + answer.seconds)
    if is_whole:
        read_body(answer, 5.0)
        assert answer._content == b"x" * size
    else:
        with pytest.raises(requests.Timeout):
            read_body(answer, 5.0)
    assert answer.is_closed


@pytest.mark.parametrize(("ahead", "least", "most"), [(300, 290, 300), (-300, 0, 0)])
def test_a_refusal_tells_the_moment_and_what_is_left_of_it(ahead, least, most):
    until = datetime.now(UTC) + timedelta(seconds=ahead)
    refusal = burst_limit("BTC: binance", "7", "banned", until)
    assert f"BTC: binance: banned; wait until {until:%Y-%m-%d %H:%M:%S} UTC" in str(refusal)
    assert least <= refusal.wait_seconds <= most
    told = burst_limit("BTC", "120")
    assert "too many requests" in str(told)
    assert told.wait_seconds == pytest.approx(120)
