"""Exit codes differ by cause, cover the whole error tree, and are documented."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from crypto_pool import cli
from crypto_pool.building import gave_nothing
from crypto_pool.commands.exit_codes import disk_fault, exit_code, way_out
from crypto_pool.defs.batches import PartitionFailure
from crypto_pool.errors import (
    CorruptPartition,
    CryptoPoolError,
    DailyQuotaExhausted,
    ExitCode,
    InsufficientHistory,
    InvalidSetting,
    MembersFailed,
    NothingPublished,
    QueryError,
    UntrustedModel,
)
from crypto_pool_tests.conftest import ROOT

PAGE = ROOT / "docs" / "operating.md"


def tree(kind: type[CryptoPoolError]) -> list[type[CryptoPoolError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MembersFailed, 1),
        (InvalidSetting, 2),
        (QueryError, 2),
        (InsufficientHistory, 2),
        (DailyQuotaExhausted, 3),
        (CorruptPartition, 4),
        (NothingPublished, 4),
        (UntrustedModel, 5),
    ],
)
def test_each_cause_has_its_code(kind, code):
    assert kind.exit_code == code


def test_every_error_of_the_tree_has_a_code_of_a_known_cause():
    causes = {kind.exit_code for kind in tree(CryptoPoolError)}
    assert causes == set(ExitCode) - {ExitCode.DONE, ExitCode.DEFECT, ExitCode.INTERRUPTED}


def test_a_full_disk_is_storage_and_an_unknown_error_a_defect():
    assert exit_code(OSError(28, "No space left on device")) == ExitCode.STORAGE
    assert exit_code(NotADirectoryError(20, "Not a directory")) == ExitCode.STORAGE
    assert exit_code(OSError(36, "File name too long")) == ExitCode.STORAGE
    assert exit_code(OSError(24, "Too many open files")) == ExitCode.STORAGE
    assert exit_code(OSError(27, "File too large")) == ExitCode.STORAGE
    assert exit_code(FileNotFoundError(2, "No usable temporary directory")) == ExitCode.STORAGE
    assert exit_code(OSError(2, "No such file")) == ExitCode.DEFECT
    assert exit_code(ZeroDivisionError()) == ExitCode.DEFECT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DailyQuotaExhausted("25 requests used; go on tomorrow"), 3),
        (PermissionError(13, "Permission denied", "/data"), 4),
        (InvalidSetting("my[bold]bars\x1b[31m"), 2),
    ],
)
def test_a_command_ends_with_one_message_and_the_code(monkeypatch, capsys, error, code):
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert str(error).replace("\x1b", r"\u001b") in said.replace("\n", " ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "command", [("new", "/proc/home"), ("build",), ("train",), ("up",), ("serve",)], ids=" ".join
)
def test_a_home_where_none_can_be_made_is_named(command, new_pool):
    done = new_pool().run("--home", "/proc/home", *command)
    assert done.returncode == ExitCode.STORAGE
    assert "it cannot be made there: '/proc/home'; mend the path" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_defect_keeps_its_trace_and_has_a_code_of_its_own(monkeypatch, capsys):
    def fail() -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == ExitCode.DEFECT
    assert "ZeroDivisionError: a defect" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"no database at all " * 99, "cut"])
def test_a_damaged_database_is_named_and_no_defect(new_pool, empty_store, content):
    pool = new_pool()
    file = pool.data / "mlflow" / "mlflow.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(empty_store[:50_000] if content == "cut" else content)
    done = pool.ask("explain", "BTC_uptrend")
    assert done.returncode == ExitCode.STORAGE
    assert f"a database is damaged: {file}: " in done.stderr
    assert "restore a backup" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_a_library_could_not_read_is_damaged_stored_data():
    wrapped = RuntimeError("(sqlite3.DatabaseError) file is not a database")
    wrapped.__cause__ = sqlite3.DatabaseError("file is not a database")
    assert exit_code(wrapped) == ExitCode.STORAGE
    assert exit_code(sqlite3.OperationalError("no such table: x")) == ExitCode.DEFECT


def test_a_database_that_finds_no_room_is_storage_whoever_wraps_it(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/full.db", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT zeroblob(9000)"))
        connection.execute(text("PRAGMA max_page_count = 4"))
        with pytest.raises(OperationalError, match="full") as full:
            connection.execute(text("INSERT INTO t VALUES (zeroblob(90000))"))
    assert exit_code(full.value) == ExitCode.STORAGE
    assert "full" in str(disk_fault(full.value))
    with pytest.raises(OperationalError) as unknown, engine.begin() as connection:
        connection.execute(text("SELECT * FROM nothing"))
    assert exit_code(unknown.value) == ExitCode.DEFECT


def test_a_database_that_another_program_holds_is_told_as_such(tmp_path):
    address, options = f"sqlite:///{tmp_path}/held.db", {"timeout": 0}
    engine = create_engine(address, connect_args=options, poolclass=NullPool)
    with closing(sqlite3.connect(tmp_path / "held.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OperationalError) as held, engine.begin() as connection:
            connection.execute(text("CREATE TABLE t (x)"))
    fault = disk_fault(held.value)
    assert exit_code(held.value) == ExitCode.STORAGE
    assert (str(fault), way_out(fault)[:15]) == ("database is locked", "another program")


def test_nothing_published_is_a_message_with_the_way_out(new_pool):
    done = new_pool().ask("query", "SELECT 1")
    assert done.returncode == 4
    assert "crypto-pool build" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1  # so that it can be searched for, however long


def test_the_operating_page_shows_each_code():
    page = PAGE.read_text()
    shown = re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)
    assert [int(code) for code in shown] == sorted(ExitCode)


def test_the_operating_page_says_what_to_do_about_each_error():
    named = set(re.findall(r"`(\w+)`", PAGE.read_text().partition("## Troubleshooting")[2]))
    assert {kind.__name__ for kind in tree(CryptoPoolError)[1:]} <= named


def test_a_source_gave_nothing_if_it_is_the_reason_of_each_coin():
    unknown = PartitionFailure("daily_bars", "BTC", "UnknownSymbol: no such coin")
    short = PartitionFailure("daily_bars", "ETH", "InsufficientHistory: 20 usable bars")
    stored = PartitionFailure("daily_bars", "ETH", "CorruptPartition: cannot be read")
    assert gave_nothing([unknown, short], ["BTC", "ETH"])
    assert not gave_nothing([unknown, stored], ["BTC", "ETH"])
    assert not gave_nothing([unknown], ["BTC", "ETH"])
    for useless in ("UnfitBars: BTC: volume is 0", "BrokenHistory: BTC is blocked"):
        assert not gave_nothing([PartitionFailure("daily_bars", "BTC", useless)], ["BTC"])


def test_a_build_for_which_the_source_gave_nothing_names_it_by_its_code(new_pool):
    pool = new_pool(symbols="GONE,AWAY")
    pool.settings["market_data_dir"] = str(pool.home)
    (pool.home / "AWAY.csv").write_text("date,open\n2023-01-01,1\n")
    done = pool.run("build", "--provider", "directory", "--date", "2023-06-30", "--json")
    assert done.returncode == ExitCode.PROVIDER, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["predictions"] == []
    assert sorted(text.partition(":")[0] for text in said["failures"]) == [
        "daily_bars [AWAY]",
        "daily_bars [GONE]",
    ]
    assert "2 failed:" in done.stderr
