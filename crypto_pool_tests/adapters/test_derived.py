"""What follows from stored files holds as long as those have their marks."""

from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.derived import COLUMNS, Derived, digest
from crypto_pool.adapters.frame_store import DERIVED, FrameStore


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(str(tmp_path))


def test_a_value_holds_as_long_as_its_mark_and_others_beside_it(store: FrameStore) -> None:
    Derived(store, "sums").keep({"a": "1", "b": "1"}, {"a": {"sum": 2.5}, "b": None})
    Derived(store, "sums").keep({"b": "2", "c": "1"}, {"b": [3]})
    kept = Derived(store, "sums")
    assert kept.current({"a": "1", "b": "2", "c": "1"}) == {"a": {"sum": 2.5}, "b": [3]}
    assert kept.current({"a": "2", "b": "1"}) == {}
    assert Derived(store, "others").current({"a": "1"}) == {}


def test_what_is_kept_as_it_was_is_not_written_again(store: FrameStore) -> None:
    Derived(store, "sums").keep({"a": "1", "b": "1"}, {"a": 1, "b": 2})
    written = store.marks(DERIVED)
    Derived(store, "sums").keep({"a": "1", "b": "1"}, {"a": 1, "b": 2})
    assert store.marks(DERIVED) == written
    Derived(store, "sums").keep({"a": "1", "b": "1"}, {"a": 1, "b": 3})
    assert store.marks(DERIVED) != written


@pytest.mark.parametrize(
    "spoilt", [b"half a file", pd.DataFrame({"key": ["a"], "mark": ["1"], "values": ["2"]})]
)
def test_what_cannot_be_read_was_never_kept(store: FrameStore, spoilt) -> None:
    Derived(store, "sums").keep({"a": "1"}, {"a": 1})
    if isinstance(spoilt, bytes):
        Path(store.path(DERIVED, "sums")).write_bytes(spoilt)
    else:
        store.write(DERIVED, "sums", spoilt)
    kept = Derived(store, "sums")
    assert kept.current({"a": "1"}) == {}
    kept.keep({"a": "1"}, {"a": 2})
    assert Derived(store, "sums").current({"a": "1"}) == {"a": 2}
    assert list(store.read(DERIVED, "sums")) == COLUMNS


def test_a_digest_tells_values_apart_and_is_the_same_for_equal_ones() -> None:
    assert digest("a", ("b", 1)) == digest("a", ("b", 1))
    assert len({digest("ab"), digest("a", "b"), digest(("a", "b")), digest("a", b"b")}) == 4
