"""What is no backup of this pool is refused before anything is written."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from crypto_pool.adapters.backup import HEADER, PoolFolders
from crypto_pool.adapters.restoring import restore_backup
from crypto_pool.errors import BackupError, IncompatibleData


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


@pytest.mark.parametrize(
    ("header", "members", "error", "told"),
    [
        ({**GOOD, "format": 2}, [], IncompatibleData, "format 2.*up to 1: update it"),
        ({**GOOD, "schema_version": 9}, [], IncompatibleData, "schema version 9.*update it"),
        ({**GOOD, "publication": "../x"}, [], BackupError, "malformed"),
        ({"format": 1}, [], BackupError, "malformed"),
        (None, [member("a.txt")], BackupError, "does not begin with backup.json"),
        (GOOD, [], BackupError, "holds no pool"),
        (GOOD, [member("../outside", size=1)], BackupError, "../outside leads out.*refused"),
        (GOOD, [member("data/../../../outside", size=1)], BackupError, "leads out.*refused"),
        (GOOD, [member("link", type=tarfile.SYMTYPE, linkname="/etc")], BackupError, "refused"),
        (GOOD, [member("link", type=tarfile.LNKTYPE, linkname=HEADER)], BackupError, "refused"),
        (GOOD, [member("device", type=tarfile.CHRTYPE)], BackupError, "refused"),
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
    assert list((tmp_path / "in" / "home").iterdir()) == []  # no stage and no lock either


def test_an_absolute_path_is_refused(tmp_path):
    outside = tmp_path / "outside"
    made = archive(tmp_path / "made.tar.gz", GOOD, member(str(outside), size=1))
    home = tmp_path / "home"
    with pytest.raises(BackupError, match="outside leads out of the backup; refused"):
        restore_backup(made, PoolFolders(home / "data", str(home / "data" / "parquet"), home))
    assert not outside.exists()
