"""Answers once paid for: kept as received, found whole or not at all."""

import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_pool.adapters.response_cache import ResponseCache, read_answer
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.errors import CorruptPartition

ASKED = {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"}
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
BODY = b'{"a":\n "\xc3\xa9"}\r\n'


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / "raw_answers", "alpha_vantage", lambda: NOON)


def test_an_answer_is_kept_byte_for_byte_with_how_it_came(cache: ResponseCache) -> None:
    path = cache.keep(ASKED, BODY)
    head = json.loads(gzip.decompress(path.read_bytes()).partition(b"\n")[0])
    assert (head["received_at_utc"], head["parameters"]) == (NOON.isoformat(), ASKED)
    assert head["sha256"] == hashlib.sha256(BODY).hexdigest()
    name = "DIGITAL_CURRENCY_DAILY-dc4ee667b1d0532d.json.gz"  # by which a later release finds it
    assert path == cache.folder / "2024-06-01" / "BTC" / name
    assert cache.find(ASKED) == read_answer(path) == BODY


def test_other_parameters_another_source_and_another_day_are_other_answers(
    cache: ResponseCache,
) -> None:
    cache.keep(ASKED, BODY)
    assert cache.find({**ASKED, "market": "EUR"}) is None
    assert ResponseCache(cache.folder, "another", lambda: NOON).find(ASKED) is None
    tomorrow = NOON + timedelta(days=1)
    assert ResponseCache(cache.folder, "alpha_vantage", lambda: tomorrow).find(ASKED) is None


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwritten(content: bytes) -> bytes:
    return b"no gzip at all"


def emptied(content: bytes) -> bytes:
    return b""


def forged(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b'"a"', b'"b"'))


def headless(content: bytes) -> bytes:
    return gzip.compress(BODY)


@pytest.mark.parametrize("damage", [truncated, overwritten, emptied, forged, headless])
def test_a_damaged_file_is_set_aside_and_asked_for_again(cache: ResponseCache, damage) -> None:
    path = cache.keep(ASKED, BODY)
    evidence = damage(path.read_bytes())
    path.write_bytes(evidence)
    with pytest.raises(CorruptPartition, match="delete it"):
        read_answer(path)
    assert cache.find(ASKED) is None
    assert not path.exists()
    (aside,) = path.parent.glob("*.damaged")
    assert aside.read_bytes() == evidence
    cache.keep(ASKED, BODY)
    assert cache.find(ASKED) == BODY


def test_a_write_cut_short_is_never_an_answer(cache: ResponseCache) -> None:
    path = cache.path(ASKED)
    path.parent.mkdir(parents=True)
    name_unfinished(path).write_bytes(b"half")
    assert cache.find(ASKED) is None
