"""A file whose rows are not those of its table is damage, named with what mends it."""

import errno
import io
import re
from datetime import date
from pathlib import Path
from typing import Never

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.stored_files import StoredFiles
from crypto_pool.errors import CorruptPartition, MissingPartition
from crypto_pool_tests.adapters.conftest import make_frame

BARS = {"open": 2.0, "high": 3.0, "low": 1.0, "close": 2.0, "volume": 5.0}


def test_missing_and_corrupt_partitions_name_path_and_way_out(store: FrameStore) -> None:
    """A missing table has no keys; a broken file is not a missing one."""
    assert store.keys("bars") == []
    assert store.read_all("bars").empty
    assert not store.exists("bars", "BTC")
    with pytest.raises(MissingPartition, match=r"bars/BTC\.parquet does not exist; run"):
        store.read("bars", "BTC")
    files = StoredFiles(store.root)
    name = store.write("bars", "BTC", make_frame()).removeprefix(f"{files.path}/")
    content = files.read(name)
    for broken in (b"", b"garbage", content[: len(content) // 2], content[:-9] + b"012345678"):
        files.put(name, broken)
        with pytest.raises(CorruptPartition, match=r"bars/BTC\.parquet .*delete it, then"):
            store.read("bars", "BTC")


def test_what_is_damaged_is_named_and_the_rest_is_read(store: FrameStore) -> None:
    """Each with what mends it; a table that is no longer known says so too."""
    for key in ("2024-01-01", "2024-01-02"):
        path = store.write("daily_predictions", key, make_frame(1).assign(symbol="A", trend="up"))
    files = StoredFiles(store.root)
    name = path.removeprefix(f"{files.path}/")
    files.put(name, files.read(name)[:-20])
    frame, faults = store.read_sound("daily_predictions", "day")
    assert list(frame["day"]) == ["2024-01-01"]
    assert list(faults) == ["2024-01-02"]
    assert "delete it, then run `crypto-pool predict --date 2024-01-02`" in str(
        faults["2024-01-02"]
    )
    with pytest.raises(CorruptPartition, match="2024-01-02"):
        store.read_all("daily_predictions")


def edited(store: FrameStore, table: str, key: str, rows: pd.DataFrame) -> CorruptPartition | None:
    """What is said of a file that a hand has written these rows into."""
    store.write(table, key, rows)
    return store.read_sound(table, keys=[key])[1].get(key)


def test_rows_that_are_not_those_of_the_table_are_damage_too(store: FrameStore) -> None:
    """A column is missing, of another type, or a key is there twice; more columns are none."""
    members = pd.DataFrame({"symbol": ["A", "B"], "trend": "uptrend", "probability": 0.5})
    keyless = pd.DataFrame({"algorithm": ["Panel"]})  # whose key is the name of the file
    assert edited(store, "champions", "A|uptrend", keyless) is None
    for sound in (
        members.assign(mine="x"),
        members.assign(probability=[0.0, 1.0]),
        members.assign(model_version=[2.0**31 - 1, -(2.0**31)]),
        members.assign(prediction_date=pd.Timestamp("2024-01-01")),
        members.assign(features='{"RSI": null}'),
        members.assign(status=pd.Categorical(["active"] * 2)),
        members.assign(status=pd.array(["active"] * 2, pd.ArrowDtype(pa.large_string()))),
    ):
        assert edited(store, "daily_predictions", "2024-01-01", sound) is None
    for rows, says in (
        (members.drop(columns="trend"), "has no column trend; delete it, then run `crypto-pool p"),
        (members.assign(probability="high"), "column probability is of type (large_)?string"),
        (members.assign(signal="yes"), "column signal is of type"),
        (members.assign(prediction_date="today"), "column prediction_date is of type"),
        (pd.concat([members, members]), "has a symbol trend twice"),
        (members.assign(probability=[1.5, 2.5]), "column probability holds 1.5, out of 0 to 1"),
        (members.assign(probability=[0.5, -0.1]), "column probability holds -0.1, out of 0 to 1"),
        (members.assign(model_version=["1", "first"]), "column model_version holds 'first'"),
        (members.assign(model_version=2.0**31), r"holds 2.14748e\+09, out of -2.14748e\+09 to"),
        (members.assign(features='{"RSI": "high"}'), 'column features holds \'{"RSI": "high"}\''),
        (members.assign(model_version=-(2.0**31) - 1), r"holds -2.14748e\+09, out of"),
        (members.assign(features="[1]"), r"column features holds '\[1\]'"),
        (members.assign(features='{"RSI": [1]}'), "column features holds"),
        (members.assign(features="x" * 41), f"column features holds '{'x' * 40}';"),
        (members.assign(top_contributions="{half"), "column top_contributions holds '{half'"),
        (
            members.assign(prediction_date=[date(2024, 1, 1), date(2024, 1, 2)]),
            "has rows of prediction_date 2024-01-02",
        ),
    ):
        fault = edited(store, "daily_predictions", "2024-01-01", rows)
        assert re.search(
            rf"daily_predictions/2024-01-01.parquet is no file of .*{says}", f"{fault}"
        )
    assert edited(store, "daily_predictions", "2024-01-01", members.head(0)) is None
    for table in ("promotions", "champions", "candidate_scores", "daily_bars", "feature_table"):
        for nothing in (members.head(0), pd.DataFrame()):  # what is never stored of a coin
            assert "it has no rows; delete it" in f"{edited(store, table, 'A', nothing)}"
    members = members.assign(algorithm="x")
    assert edited(store, "candidate_scores", "A|uptrend", members.head(1)) is None
    for own in ("A|downtrend", "B|uptrend"):
        assert "has rows of" in f"{edited(store, 'candidate_scores', own, members.head(1))}"
    bars = make_frame(3).assign(open=1.0, high=9.0, low=0.1, volume=1.0)
    assert edited(store, "daily_bars", "A", bars) is None
    assert edited(store, "daily_bars", "A", bars.assign(volume=2**60 + 1)) is None
    assert "missing or inf" in f"{edited(store, 'daily_bars', 'A', bars.assign(volume=None))}"
    assert "no column close" in f"{edited(store, 'daily_bars', 'A', bars.drop(columns='close'))}"
    assert "has a date twice" in f"{edited(store, 'daily_bars', 'A', pd.concat([bars, bars]))}"
    assert "SMA is of type" in f"{edited(store, 'feature_table', 'A', bars.assign(SMA='x'))}"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        *((lambda b, n=name: b.assign(**{n: np.nan}), "missing or infinite") for name in BARS),
        *((lambda b, n=name: b.assign(**{n: np.inf}), "missing or infinite") for name in BARS),
        *((lambda b, n=name: b.assign(**{n: -1.0}), "not above 0, or volume") for name in BARS),
        *((lambda b, n=name: b.assign(**{n: 0.0}), "not above 0") for name in list(BARS)[:4]),
        (lambda b: b.assign(high=b["low"] * 0.9), "do not bound"),
        (lambda b: b.assign(low=b["high"] * 1.1), "do not bound"),
        (lambda b: b.iloc[::-1], "no days in order"),
        (lambda b: b.shift(6, freq="h"), "no days in order"),
        (lambda b: b.tz_localize("UTC"), "no index of UTC days"),
        (lambda b: b.reset_index(), "no index of UTC days"),
    ],
)
def test_bars_that_cannot_be_are_damage_wherever_they_are_read(store, spoil, says) -> None:
    """One bar among good ones is told by its day, with the way out."""
    days = pd.date_range("2024-01-01", periods=4, name="date")
    bars = pd.DataFrame(BARS, index=days)
    assert edited(store, "daily_bars", "A", bars) is None
    spoilt = spoil(bars)
    if len(spoilt) == len(bars) and spoilt.index.equals(days):
        spoilt = pd.concat([bars.iloc[:2], spoilt.iloc[2:3], bars.iloc[3:]])
        says = f"on 2024-01-03 .*{says}"
    fault = edited(store, "daily_bars", "A", spoilt)
    assert re.search(f"A.parquet is no file of daily_bars: .*{says}.*; delete it, then", f"{fault}")


def test_a_feature_that_is_no_number_is_damage_too(store: FrameStore) -> None:
    rows = make_frame(3).assign(PPO=[1.0, np.nan, 2.0])
    assert "on 2024-01-02 a value is missing" in f"{edited(store, 'feature_table', 'A', rows)}"


def test_a_file_in_another_s_place_is_damage_though_its_rows_name_nobody(store: FrameStore) -> None:
    """As after a copy that went to the wrong coin; a file of an earlier release says nothing."""
    files = StoredFiles(store.root)
    names = {
        key: store.write("feature_table", key, make_frame()).removeprefix(f"{files.path}/")
        for key in ("BTC", "SOL")
    }
    files.put(names["SOL"], files.read(names["BTC"]))
    said = "feature_table/SOL.parquet is no file of feature_table: it is that of feature_table/BTC"
    with pytest.raises(CorruptPartition, match=re.escape(said)):
        store.read("feature_table", "SOL")
    assert len(store.read("feature_table", "BTC"))
    buffer = io.BytesIO()
    make_frame().to_parquet(buffer)
    files.put(names["SOL"], buffer.getvalue())
    assert store.read("feature_table", "SOL").equals(make_frame())


def test_a_folder_in_the_place_of_a_file_stops_no_other(tmp_path: Path) -> None:
    store = FrameStore(str(tmp_path))
    store.write("t", "A", make_frame(1))
    Path(store.path("t", "B")).mkdir()
    frame, faults = store.read_sound("t")
    assert (len(frame), list(faults)) == (1, ["B"])


def test_a_file_that_may_not_be_read_is_damage_of_it_alone(tmp_path, monkeypatch) -> None:
    store = FrameStore(str(tmp_path))
    store.write("t", "A", make_frame(1))

    def refuse(files: StoredFiles, name: str) -> Never:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(StoredFiles, "read", refuse)
    frame, faults = store.read_sound("t")
    assert frame.empty
    assert "A.parquet cannot be read" in str(faults["A"])
    assert "Permission denied" in str(faults["A"])


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO])
def test_what_the_machine_refuses_is_no_damage_of_a_file(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Nobody is told to delete a file that is whole."""
    store.write("bars", "BTC", make_frame())

    def refuse(files: StoredFiles, name: str) -> Never:
        raise OSError(code, "refused", name)

    with monkeypatch.context() as patch:
        patch.setattr(StoredFiles, "read", refuse)
        with pytest.raises(OSError, match="refused") as raised:
            store.read_sound("bars")
    assert raised.value.errno == code
    pd.testing.assert_frame_equal(store.read("bars", "BTC"), make_frame())
