"""A file is written beside its place, brought to the disk, and only then there."""

import os
from pathlib import Path

import pytest

from crypto_pool.adapters.unfinished_files import make_folder, replace_file, replacing, sync_tree


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was brought to the disk, as it was called then."""
    found, to_disk = [], os.fsync

    def fsync(descriptor: int) -> None:
        found.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        to_disk(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_file_and_the_names_of_it_and_its_new_folders_are_on_the_disk(tmp_path, synced):
    path = tmp_path / "a" / "b" / "file"
    for content in ("first", "second"):
        with replacing(path) as beside:
            beside.write_text(content)
    first, second = (one for one in synced if one.name.startswith(".file"))
    assert synced == [tmp_path, tmp_path / "a", first, path.parent, second, path.parent]
    assert path.read_text() == "second"
    make_folder(path.parent)
    assert len(synced) == 6


def test_of_many_writers_one_wins_where_a_file_is_to_stay(tmp_path):
    for content in ("first", "second"):
        with replacing(tmp_path / "file", unless_there=True) as beside:
            beside.write_text(content)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]


def test_what_fails_by_a_name_of_its_own_keeps_it(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, replacing(tmp_path / "file"):
        (tmp_path / "another").read_text()
    assert raised.value.filename == str(tmp_path / "another")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc", "a file"])
def test_a_place_that_takes_no_files_is_named(place, tmp_path):
    (tmp_path / "a file").touch()
    for path in (tmp_path / place / "file", tmp_path / place / "a" / "b" / "file"):
        with pytest.raises(NotADirectoryError, match="it cannot be made there") as raised:
            replace_file(path, "content")
        assert Path(raised.value.filename) in (path, *path.parents)


def test_a_tree_is_on_the_disk_with_every_folder_above_it(tmp_path, synced):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("kept")
    sync_tree(tmp_path / "a")
    within = {tmp_path / "a" / "b" / "file", tmp_path / "a" / "b", tmp_path / "a"}
    assert set(synced) == within | {tmp_path, *tmp_path.parents}
