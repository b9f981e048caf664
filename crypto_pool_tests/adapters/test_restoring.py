"""What is no backup of this pool is refused before anything is written."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from crypto_pool.adapters.backup import HEADER, Archived, PoolFolders
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.restoring import Bounds, inspect_backup, restore_backup
from crypto_pool.errors import BackupError, IncompatibleData
from crypto_pool_tests.adapters.pool_folders import folders_in


def archive(path: Path, header: dict[str, object] | None, *members: tarfile.TarInfo) -> Path:
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as made:
        if header is not None:
            first = tarfile.TarInfo(HEADER)
            content = json.dumps(header).encode()
            first.size = len(content)
            made.addfile(first, io.BytesIO(content))
        for member in members:
            made.addfile(member, io.BytesIO(b"x" * member.size))
    return path


GOOD = {"format": 1, "schema_version": 1, "artifact_root": "file:///a", "publication": None}


def member(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


DATABASE = member("mlflow/mlflow.db", size=100)
IT, BELOW_IT = (member(f"parquet/a.parquet{end}") for end in ("", "/b.parquet"))


@pytest.mark.parametrize(
    ("header", "members", "error", "told"),
    [
        ({**GOOD, "format": 2}, [], IncompatibleData, "format 2.*up to 1: update it"),
        ({**GOOD, "schema_version": 9}, [], IncompatibleData, "schema version 9.*update it"),
        ({**GOOD, "publication": "../x"}, [], BackupError, "malformed"),
        ({"format": 1}, [], BackupError, "malformed"),
        ({**GOOD, "format": None}, [], BackupError, "malformed"),
        ({**GOOD, "format": "one"}, [], BackupError, "malformed"),
        ({"format": 1, "schema_version": 1, "publication": None}, [], BackupError, "malformed"),
        (None, [member("a.txt")], BackupError, "does not begin with backup.json"),
        (GOOD, [], BackupError, "holds no pool"),
        (GOOD, [member("../outside", size=1)], BackupError, "../outside. leads out.*refused"),
        (GOOD, [member("data/../../../outside", size=1)], BackupError, "leads out.*refused"),
        *(
            (GOOD, [member("mlflow/mlflow.db", **fields)], BackupError, "is no regular file; ref")
            for fields in (
                {"type": tarfile.SYMTYPE, "linkname": "/etc"},
                {"type": tarfile.LNKTYPE, "linkname": HEADER},
                {"type": tarfile.CHRTYPE},
                {"type": tarfile.GNUTYPE_SPARSE},
                {"mtime": 2**33},
                {"mtime": -1},
            )
        ),
        (GOOD, [member("dagster/dagster.yaml")], BackupError, "dagster.yaml' is nothing that"),
        (GOOD, [member("dagster/storage/io_manager_pickle")], BackupError, "is nothing that"),
        (GOOD, [member("data/pool.toml")], BackupError, "is nothing that"),
        (GOOD, [member("parquet/.hidden/a.parquet")], BackupError, "is nothing that"),
        (GOOD, [member("./mlflow/mlflow.db")], BackupError, "is nothing that"),
        (GOOD, [member("parquet/a\n.parquet")], BackupError, "is nothing that"),
        (GOOD, [member("mlflow/mlflow.db")] * 2, BackupError, "twice; refused"),
        (GOOD, [BELOW_IT, IT], BackupError, "twice; refused"),
        (GOOD, [IT, BELOW_IT], BackupError, "twice; refused"),
        (
            GOOD,
            [member(f"parquet/a.parquet{end}") for end in ("", "/b.parquet")],
            BackupError,
            "twice",
        ),
        (
            GOOD,
            [member(f"parquet/a.parquet{end}") for end in ("/b.parquet", "")],
            BackupError,
            "twice",
        ),
        ({**GOOD, "publication": "crypto_pool-1.duckdb"}, [DATABASE], BackupError, "holds no pool"),
        (GOOD, [DATABASE], BackupError, "mlflow/mlflow.db cannot be read .*nothing was restored"),
    ],
)
def test_what_is_no_backup_of_this_pool_is_refused(tmp_path, header, members, error, told):
    made = archive(tmp_path / "made.tar.gz", header, *members)
    home = tmp_path / "in" / "home"
    new = PoolFolders(home / "data", str(home / "data" / "parquet"), home)
    with pytest.raises(error, match=told):
        restore_backup(made, new)
    assert not new.data_dir.exists()
    assert not (tmp_path / "in" / "outside").exists()
    assert not (tmp_path / "outside").exists()
    assert not any((tmp_path / "in").rglob("*.*"))  # no stage and no lock either


def test_an_absolute_path_is_refused(tmp_path):
    outside = tmp_path / "outside"
    made = archive(tmp_path / "made.tar.gz", GOOD, member(str(outside), size=1))
    home = tmp_path / "home"
    with pytest.raises(BackupError, match=r"outside. leads out of the backup; refused"):
        restore_backup(made, PoolFolders(home / "data", str(home / "data" / "parquet"), home))
    assert not outside.exists()


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([20_000_000], "holds more than 0.01 GB.*allow more with --max-gb N"),
        ([3_000_000] * 4, "holds more than 0.01 GB.*allow more with --max-gb N"),
        ([0] * 2_001, "holds more than 2000 files.*allow more with --max-files N"),
    ],
)
def test_a_bomb_is_refused_before_anything_is_written(tmp_path, sizes, told):
    files = [member(f"parquet/{number}.parquet", size=size) for number, size in enumerate(sizes)]
    made = archive(tmp_path / "made.tar.gz", GOOD, *files)
    new = folders_in(tmp_path / "in" / "home")
    for attempt in (inspect_backup, restore_backup):
        with pytest.raises(BackupError, match=told):
            attempt(made, new, Bounds(bytes=10_000_000, files=2_000))
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(
    ("size", "told"), [(2**20, "BackupError"), (2**20 + 1, "a header of 1049088")]
)
def test_what_a_header_claims_is_read_up_to_a_megabyte(tmp_path, size, told):
    claiming = member("name", type=tarfile.GNUTYPE_LONGNAME, size=size)
    with gzip.open(archive(tmp_path / "made.tar.gz", GOOD)) as packed:
        content = packed.read()[:1024]
    with gzip.open(tmp_path / "claiming.tar.gz", "wb") as packed:
        packed.write(content + claiming.tobuf(tarfile.GNU_FORMAT) + bytes(4_000_000))
    with pytest.raises(BackupError) as raised:
        restore_backup(tmp_path / "claiming.tar.gz", folders_in(tmp_path / "in" / "home"))
    assert told in repr(raised.value)
    assert ("a header of" in str(raised.value)) is (size > 2**20)


def test_a_header_of_any_length_and_an_endless_tail_are_refused(tmp_path):
    """What a tar header claims of the next one is read at once by the standard library."""
    claiming = member("name", type=tarfile.GNUTYPE_LONGNAME, size=3_000_000_000)
    made = archive(tmp_path / "made.tar.gz", GOOD)
    with gzip.open(made) as packed:
        content = packed.read()[:1024]
    with gzip.open(tmp_path / "claiming.tar.gz", "wb") as packed:
        packed.write(content + claiming.tobuf(tarfile.GNU_FORMAT) + bytes(4_000_000))
    with gzip.open(tmp_path / "tail.tar.gz", "wb") as packed:
        packed.write(content + bytes(20_000_000))
    new = folders_in(tmp_path / "in" / "home")

    for name, told in (("claiming", "a header of"), ("tail", "holds more than 0.01 GB")):
        with pytest.raises(BackupError, match=told):
            restore_backup(tmp_path / f"{name}.tar.gz", new, Bounds(bytes=10_000_000))
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("there", ["storage/kept", "history/runs.db", "data/notes.txt"])
def test_nothing_that_is_there_is_touched(tmp_path, there):
    made = archive(tmp_path / "made.tar.gz", GOOD, DATABASE)
    kept = tmp_path / "home" / there
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    (tmp_path / "home" / "dagster.yaml").write_text("mine too")
    with pytest.raises(BackupError, match="exists, and a backup is restored into an empty pool"):
        restore_backup(made, folders_in(tmp_path / "home"))
    assert kept.read_text() == "mine"
    assert (tmp_path / "home" / "dagster.yaml").read_text() == "mine too"


def test_a_store_of_frames_that_holds_any_is_no_empty_pool_s(tmp_path):
    made = archive(tmp_path / "made.tar.gz", GOOD, DATABASE)
    frames = f"memory://{tmp_path.name}"
    FrameStore(frames).claim("sandbox")
    with pytest.raises(BackupError, match=r"provenance\.json exists, and a backup"):
        restore_backup(made, PoolFolders(tmp_path / "data", frames, tmp_path))


def test_as_much_as_is_allowed_is_inspected_and_a_byte_or_a_file_more_is_refused(tmp_path):
    """A tar of some files is of ten kilobytes."""
    latest = member("parquet/a.parquet", size=3, mtime=2**33 - 1)
    made, new = archive(tmp_path / "made.tar.gz", GOOD, DATABASE, latest), folders_in(tmp_path)
    assert inspect_backup(made, new, Bounds(bytes=10_240, files=2)) == Archived(2, 103)
    assert inspect_backup(made, new, Bounds()) == Archived(2, 103)
    assert Bounds() == Bounds(bytes=5_000_000_000, files=250_000)
    with pytest.raises(BackupError, match="holds more than 1 files"):
        inspect_backup(made, new, Bounds(bytes=10_240, files=1))
    with pytest.raises(BackupError, match=r"holds more than 1\.0239e-05 GB"):
        inspect_backup(made, new, Bounds(bytes=10_239, files=2))


def test_more_than_the_disk_has_room_for_is_refused(tmp_path, monkeypatch):
    made = archive(tmp_path / "made.tar.gz", GOOD, DATABASE)
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr("crypto_pool.adapters.restoring.shutil.disk_usage", lambda _: usage)
    assert inspect_backup(made, folders_in(tmp_path / "in" / "home"), Bounds()).bytes == 100
    usage.free = 99
    text = r"holds 0\.0 GB, and .* has room for 0\.0 GB; set CRYPTO_POOL_DATA_DIR"
    with pytest.raises(BackupError, match=text):
        restore_backup(made, folders_in(tmp_path / "in" / "home"))
    assert not (tmp_path / "in").exists()
