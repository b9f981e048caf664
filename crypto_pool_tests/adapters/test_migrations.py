"""What an older crypto_pool stored is read by this one as if it had been written by it."""

import fsspec
import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.migrations import gather_rows
from crypto_pool.adapters.schema_version import (
    known_version,
    open_data_folder,
    open_store,
    stored_version,
)
from crypto_pool.adapters.stored_files import StoredFiles
from crypto_pool.errors import IncompatibleData

DAYS = ("2023-01-01", "2023-01-02", "2023-01-03")


def forecast(day: str, trend: str, status: str, made: str) -> dict:
    """A row as 1.0.0 wrote it."""
    return {
        "prediction_date": pd.Timestamp(day).date(),
        "symbol": "BTC",
        "trend": trend,
        "model_version": "1",
        "status": status,
        "predicted_at_utc": pd.Timestamp(made),
    }


ALGORITHMS = ("LightGBM", "RidgeClassifier")
SINGLE = {
    "promotions": [f"{number:020x}" for number in range(3)],
    "candidate_scores": ALGORITHMS,
}


def single_files(store: FrameStore) -> None:
    """Decisions and scores in a file each, as 1.0.0 left them; a column may hold nothing yet."""
    for symbol in ("BTC", "ETH"):
        own = {"symbol": symbol, "trend": "uptrend"}
        for number, name in enumerate(SINGLE["promotions"]):
            moment = pd.Timestamp(2023, 6, 1 + number)
            row = {
                **own,
                "decided_at_utc": moment,
                "model_version": str(number) if number else None,
            }
            store.write("promotions", f"{symbol}|uptrend|{name}", pd.DataFrame([row]))
        for name in ALGORITHMS:
            row = {**own, "algorithm": name, "brier_score": 0.2}
            store.write("candidate_scores", f"{symbol}|uptrend|{name}", pd.DataFrame([row]))


def rows_of(store: FrameStore, table: str) -> list[tuple]:
    frame = store.read_all(table)
    return sorted(map(tuple, frame.astype(object).where(frame.notna(), None).to_numpy()))


@pytest.fixture(params=["below the data folder", "elsewhere"])
def frames_root(request, tmp_path) -> str:
    elsewhere = request.param == "elsewhere"
    return f"memory://{tmp_path.name}" if elsewhere else str(tmp_path / "parquet")


@pytest.fixture
def store(frames_root, tmp_path) -> FrameStore:
    (tmp_path / "schema_version").write_text("2\n")
    made = FrameStore(frames_root)
    for day in DAYS:
        rows = pd.DataFrame(
            [
                forecast(day, "uptrend", "late", "2023-01-03 23:59:59.999999"),
                forecast(day, "downtrend", "active", "2023-01-03 23:59:59.999999"),
            ]
        )
        made.write("daily_predictions", day, rows)
        outcomes = rows[["prediction_date", "symbol", "trend", "model_version"]]
        made.write("prediction_outcomes", day, outcomes.assign(outcome=1.0))
    made.write("daily_predictions", "2022-12-31", pd.DataFrame())
    measured = pd.DataFrame(
        [{"symbol": "all", "trend": "all", "separate_windows": 6.0, "chance": 0.5}]
    )
    made.write("realised_performance", DAYS[0], measured)
    return made


def test_a_late_forecast_of_1_0_0_is_late_in_a_column_of_its_own(store, frames_root, tmp_path):
    """Its status was late, or it was made after the day that follows its bar date."""
    open_data_folder(tmp_path, frames_root)
    assert stored_version(tmp_path) == known_version() == 4
    rows = store.read_all("daily_predictions").set_index(["trend", "prediction_date"])
    assert set(rows["status"]) == {"active"}
    assert rows.loc["uptrend", "late"].tolist() == [True] * 3
    assert rows.loc["downtrend", "late"].tolist() == [True, False, False]  # the second just not
    outcomes = store.read_all("prediction_outcomes")
    assert outcomes.groupby("trend")["late"].sum().to_dict() == {"uptrend": 3, "downtrend": 1}
    assert set(outcomes["status"]) == {"active"}
    measured = store.read("realised_performance", DAYS[0])
    assert list(measured) == ["symbol", "trend", "effective_sample_size", "p_value"]


def test_what_is_migrated_again_stays_as_it_is(store, frames_root, tmp_path):
    """As after an interruption; of a late forecast nothing but the column says so by then."""
    open_data_folder(tmp_path, frames_root)
    tables = ("daily_predictions", "prediction_outcomes", "realised_performance")
    before = [store.read_all(table) for table in tables]
    (tmp_path / "schema_version").write_text("2\n")
    open_data_folder(tmp_path, frames_root)
    for table, rows in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(store.read_all(table), rows)


def test_a_version_raised_by_hand_brings_nothing_up_to_date_and_is_refused(
    store, frames_root, tmp_path
):
    file = tmp_path / "schema_version"
    file.write_text("4\n")
    with pytest.raises(IncompatibleData, match=r"schema_version says 4.*are of version 2: write 2"):
        open_store(tmp_path, frames_root)
    file.write_text("2\n")
    assert "late" in open_store(tmp_path, frames_root).read("daily_predictions", DAYS[0])


@pytest.mark.parametrize("table", ["daily_predictions", "prediction_outcomes"])
def test_a_damaged_day_keeps_no_folder_closed(store, frames_root, tmp_path, table):
    with fsspec.open(f"{frames_root}/{table}/{DAYS[0]}.parquet", "wb") as file:
        file.write(b"half")
    opened = open_store(tmp_path, frames_root)
    assert stored_version(tmp_path) == 4
    sound, damaged = opened.read_sound("daily_predictions")
    assert sound["late"].notna().all()
    assert set(opened.read_sound(table)[1]) == {DAYS[0]}
    assert len(sound) + 2 * len(damaged) == 2 * len(DAYS)


def test_decisions_and_scores_lie_in_one_file_a_member_as_they_were(store, frames_root, tmp_path):
    single_files(store)
    before = {table: rows_of(store, table) for table in SINGLE}
    open_data_folder(tmp_path, frames_root)
    for table, rows in before.items():
        assert store.keys(table) == ["BTC|uptrend", "ETH|uptrend"]
        assert rows_of(store, table) == rows


def test_what_a_process_from_before_the_upgrade_writes_on_is_gathered_too(
    store, frames_root, tmp_path
):
    single_files(store)
    open_data_folder(tmp_path, frames_root)
    before = {table: rows_of(store, table) for table in SINGLE}
    single_files(store)
    opened = open_store(tmp_path, frames_root)
    for table, rows in before.items():
        assert opened.keys(table) == ["BTC|uptrend", "ETH|uptrend"]
        assert rows_of(opened, table) == rows


@pytest.mark.parametrize("writes", range(14))
def test_a_kill_while_files_are_gathered_loses_and_doubles_nothing(tmp_path, monkeypatch, writes):
    """Done again it goes on, whichever write or removal was the last."""
    (tmp_path / "schema_version").write_text("3\n")
    store, done = FrameStore(str(tmp_path / "parquet")), []
    single_files(store)
    before = {table: rows_of(store, table) for table in SINGLE}
    with monkeypatch.context() as dying:
        for name in ("write", "remove"):
            dying.setattr(FrameStore, name, dies_after(done, writes, getattr(FrameStore, name)))
        with pytest.raises(KeyboardInterrupt):
            gather_rows(tmp_path, str(tmp_path / "parquet"))
    assert {table: sorted(set(rows_of(store, table))) for table in SINGLE} == before
    open_data_folder(tmp_path, str(tmp_path / "parquet"))
    for table, rows in before.items():
        assert store.keys(table) == ["BTC|uptrend", "ETH|uptrend"]
        assert rows_of(store, table) == rows


def dies_after(done: list, writes: int, act):
    def acts(*given):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(given[1:])
        return act(*given)

    return acts


def test_a_damaged_decision_stays_where_it_is_and_is_named(store, frames_root, tmp_path):
    single_files(store)
    files = StoredFiles(store.root)
    damaged = store.path("promotions", f"ETH|uptrend|{SINGLE['promotions'][1]}")
    files.put(damaged.removeprefix(f"{files.path}/"), b"half")
    open_data_folder(tmp_path, frames_root)
    kept, faults = store.read_sound("promotions")
    assert list(faults) == [f"ETH|uptrend|{SINGLE['promotions'][1]}"]
    assert len(kept) == 5
