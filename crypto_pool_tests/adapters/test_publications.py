"""Publications of the DuckDB file: each a whole file, its readers undisturbed, who only read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crypto_pool.adapters.held_files import is_held
from crypto_pool.adapters.prediction_tables import (
    LINK_NAME,
    note_sources,
    noted_sources,
    publish,
    publishing,
    query,
    query_arrow,
    remove_old_publications,
    set_folders_aside,
)
from crypto_pool.adapters.unfinished_files import name_unfinished
from crypto_pool.errors import ExitCode, NothingPublished, QueryError
from crypto_pool_tests.adapters.prediction_rows import make_prediction, make_predictions

DEAD_PROCESS = 2**22 + 1  # above the largest process id Linux gives


def test_interrupted_publication_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C before the rename changes nothing that is visible."""
    publish(tmp_path, make_predictions(make_prediction()))
    before = sorted(path.name for path in tmp_path.iterdir())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(query(tmp_path, "FROM predictions")) == 1


def test_open_reader_keeps_reading_while_new_files_are_published(tmp_path: Path) -> None:
    """Neither waits for the other, even when the reader's file is removed."""
    publish(tmp_path, make_predictions(make_prediction()))
    with duckdb.connect(str((tmp_path / LINK_NAME).resolve()), read_only=True) as reader:
        count = "SELECT count(*) FROM predictions"
        for _ in range(5):
            publish(tmp_path, make_predictions(make_prediction(), make_prediction("ETH")))
            assert reader.execute(count).fetchone() == (1,)
            assert query(tmp_path, count).iat[0, 0] == 2


def test_only_the_newest_publications_are_kept(tmp_path: Path) -> None:
    """Three by default; the link names the last, relative, so that the folder can move."""
    published = [publish(tmp_path, {}) for _ in range(5)]
    assert sorted(tmp_path.glob("crypto_pool-*.duckdb")) == published[-3:]
    assert os.readlink(tmp_path / LINK_NAME) == published[-1].name
    for keep in (1, 0):
        publish(tmp_path, {}, keep=keep)
        assert len(list(tmp_path.iterdir())) == 2
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert query(moved, "FROM predictions").empty


def test_wal_of_a_stranger_spoils_nothing(tmp_path: Path) -> None:
    """Left beside the link by a writer of another file, or beside an old publication."""
    old = publish(tmp_path, {})
    foreign = tmp_path / "elsewhere.duckdb"
    writer = duckdb.connect(str(foreign))
    writer.execute("CREATE TABLE t AS SELECT 1")
    wal = foreign.with_name("elsewhere.duckdb.wal").read_bytes()
    writer.close()
    assert wal
    (tmp_path / f"{LINK_NAME}.wal").write_bytes(wal)
    old.with_name(f"{old.name}.wal").write_bytes(wal)
    publish(tmp_path, make_predictions(make_prediction()))
    assert len(query(tmp_path, "FROM predictions")) == 1
    publish(tmp_path, {}, keep=1)
    assert not old.with_name(f"{old.name}.wal").exists()


def test_leftover_of_a_killed_publication_goes_with_the_next(tmp_path: Path) -> None:
    """The half-built file and its log; a living writer's file stays."""
    alive = name_unfinished(tmp_path / "crypto_pool-1.duckdb")
    dead = Path(str(alive).replace(f".{os.getpid()}.", f".{DEAD_PROCESS}."))
    for path in (alive, dead, dead.with_name(f"{dead.name}.wal")):
        path.write_bytes(b"half")
    published = publish(tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, published.name, LINK_NAME}


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM predictions",
        "INSERT INTO champions (symbol) VALUES ('BTC')",
        "CREATE TABLE t (x INTEGER)",
        "DROP TABLE predictions",
        "COPY predictions TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.duckdb' AS other",
        "SET enable_external_access = true",
    ],
)
def test_writing_query_is_refused(tmp_path: Path, sql: str) -> None:
    """Tables, other files and the lock itself."""
    publish(tmp_path, make_predictions(make_prediction()))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(QueryError, match="for reading only"):
        query(tmp_path, sql.format(folder=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert len(query(tmp_path, "FROM predictions")) == 1


def test_of_many_statements_none_is_answered(tmp_path: Path) -> None:
    """The answer of the last would look like that of all."""
    publish(tmp_path, {})
    with pytest.raises(QueryError, match="one statement is taken, and these are 2"):
        query(tmp_path, "SELECT 1; SELECT 2")
    assert query(tmp_path, "-- nothing is asked")["answer"].tolist() == ["done"]
    for one in ("SELECT ';' AS x; -- one;", "PIVOT (SELECT 1 a, 2 x) ON a USING sum(x)"):
        assert len(query(tmp_path, one)) == 1


def test_the_file_is_one_that_clients_since_1_0_open(tmp_path: Path) -> None:
    """Its format is that of DuckDB 1.0, and it holds no index, which 1.0 cannot read."""
    header = publish(tmp_path, make_predictions(make_prediction())).read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64
    assert query(tmp_path, "FROM duckdb_indexes()").empty
    kinds = query(tmp_path, "SELECT DISTINCT constraint_type AS kind FROM duckdb_constraints()")
    assert set(kinds["kind"]) == {"NOT NULL"}


def test_faulty_query_gives_the_message_of_the_database(tmp_path: Path) -> None:
    """And without a file, the command that makes one."""
    with pytest.raises(QueryError, match="run `crypto-pool build` first"):
        query(tmp_path, "SELECT 1")
    publish(tmp_path, {})
    with pytest.raises(QueryError, match="forecasts does not exist"):
        query(tmp_path, "SELECT * FROM forecasts")
    with pytest.raises(QueryError, match="syntax error"):
        query(tmp_path, "SELEC 1")


def test_a_damaged_file_is_stored_data_that_cannot_be_read_and_no_wrong_query(
    tmp_path: Path,
) -> None:
    rows = pd.DataFrame({"symbol": "BTC", "date": pd.date_range("2020-01-01", periods=9_999)})
    whole = publish(tmp_path, {"daily_bars": rows.assign(close=rows.index * 0.1)}).read_bytes()
    middle = len(whole) // 2
    torn = whole[:middle] + bytes(2**18) + whole[middle + 2**18 :]
    for damaged in (b"", b"garbage" * 1000, whole[: len(whole) // 2], torn):
        (tmp_path / "crypto_pool.duckdb").resolve().write_bytes(damaged)
        with pytest.raises(
            NothingPublished, match=r"cannot be read: .*`crypto-pool build`"
        ) as said:
            query(tmp_path, "SELECT sum(close), max(date) FROM daily_bars")
        assert said.value.exit_code == ExitCode.STORAGE


READER = """
import sys, duckdb
assert duckdb.__version__ == sys.argv[2], duckdb.__version__
pool = duckdb.connect(sys.argv[1], read_only=True)
print(pool.execute("SELECT symbol, round(probability, 2) FROM today").fetchall())
"""


@pytest.mark.long
@pytest.mark.parametrize("release", ["1.0.0", "1.2.2", "1.4.1"])
def test_older_duckdb_reads_the_file(tmp_path: Path, release: str) -> None:
    publish(tmp_path, make_predictions(make_prediction()))
    older = tmp_path / "older"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    got = subprocess.run(
        [*install, "--target", str(older), f"duckdb=={release}"], capture_output=True, text=True
    )
    if got.returncode:
        pytest.skip(f"duckdb {release} cannot be had here: {got.stderr.strip()[-200:]}")
    reader = [sys.executable, "-c", READER, str(tmp_path / LINK_NAME), release]
    path = {**os.environ, "PYTHONPATH": str(older)}
    read = subprocess.run(reader, capture_output=True, text=True, env=path)
    assert read.stdout.strip() == "[('BTC', 0.3)]", read.stderr


def test_the_publication_the_link_points_at_stays_however_old(tmp_path):
    first = publish(tmp_path, {}, keep=9)
    for _ in range(3):
        publish(tmp_path, {}, keep=9)
    (tmp_path / LINK_NAME).unlink()
    (tmp_path / LINK_NAME).symlink_to(first.name)
    assert remove_old_publications(tmp_path, 1) == 2
    assert len(list(tmp_path.glob("crypto_pool-*.duckdb"))) == 2
    assert query(tmp_path, "SELECT count(*) AS rows FROM predictions")["rows"].tolist() == [0]


def test_one_publication_waits_for_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    for _ in range(2):
        with publishing(folder):
            assert is_held(folder / ".publication.lock")
        assert not is_held(folder / ".publication.lock")


def test_folders_in_the_place_of_publications_are_set_aside_by_name(tmp_path: Path) -> None:
    """Those of other names stay, and so do files and links to folders."""
    names = (LINK_NAME, ".published.json", "crypto_pool-1.duckdb")
    for name in (*names, "parquet"):
        (tmp_path / name / "mine").mkdir(parents=True)
    (tmp_path / "crypto_pool-2.duckdb").write_text("a file")
    (tmp_path / "crypto_pool-3.duckdb").symlink_to(tmp_path / "parquet")
    said = set_folders_aside(tmp_path)
    assert set(said) == set(names)
    for name in names:
        (aside,) = tmp_path.glob(f"aside-{8 * '?'}-{name}")
        assert (aside / "mine").is_dir()
        assert said[name].endswith(f"it is {aside.name} now")
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("aside-")}
    assert left == {"parquet", "crypto_pool-2.duckdb", "crypto_pool-3.duckdb"}
    assert set_folders_aside(tmp_path) == {}


def test_what_a_publication_was_made_of_is_known_while_it_is_the_last(tmp_path: Path) -> None:
    sources = {"predictions": {"2024-01-01": "mark"}, "champions": {}}
    assert noted_sources(tmp_path) == {}
    publish(tmp_path, {})
    note_sources(tmp_path, sources)
    assert noted_sources(tmp_path) == sources
    publish(tmp_path, {})
    assert noted_sources(tmp_path) == {}
    note_sources(tmp_path, sources)
    noted = json.loads((tmp_path / ".published.json").read_text())
    spoilt = [
        {},
        {"of": noted["of"]},
        *({**noted, "sources": one} for one in (2, {"champions": 2})),
    ]
    for broken in ("", "{", "[]", *map(json.dumps, spoilt)):
        (tmp_path / ".published.json").write_text(broken)
        assert noted_sources(tmp_path) == {}


def test_an_answer_in_arrow_tells_text_from_json_and_keeps_columns_of_one_name(
    tmp_path: Path,
) -> None:
    publish(tmp_path, make_predictions(make_prediction(), make_prediction("ETH")))
    both = "FROM predictions a JOIN predictions b USING (symbol, trend)"
    answer = query_arrow(tmp_path, f"SELECT a.probability, b.probability {both}")
    assert (answer.num_rows, len(set(answer.column_names))) == (2, 2)
    kinds = query_arrow(tmp_path, "SELECT '{}'::JSON AS j, 'x' AS t, 1 AS i")
    told = {field.name: field.metadata[b"is"] for field in kinds.schema}
    assert told == {"j": b"JSON", "t": b"VARCHAR", "i": b"INTEGER"}
