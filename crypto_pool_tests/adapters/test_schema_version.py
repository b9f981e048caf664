"""A data folder says which layout it has; older ones are migrated, newer ones refused."""

import pytest

from crypto_pool.adapters.schema_version import (
    FILE_NAME,
    check_version,
    known_version,
    open_data_folder,
    stored_version,
)
from crypto_pool.errors import IncompatibleData

FRAMES = "memory://frames"


def chain(done):
    """Two migrations that write down what they did, and where."""
    return {
        2: lambda folder, frames: done.append((2, folder, frames)),
        3: lambda folder, frames: done.append((3, folder, frames)),
    }


def test_a_new_folder_gets_the_known_version_and_no_migration(tmp_path):
    done = []
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "a" / "new" / "data", tmp_path / "empty"):
        open_data_folder(folder, FRAMES, chain(done))
        assert stored_version(folder) == 4
    assert done == []


def test_a_folder_from_before_the_file_is_migrated_from_the_first_version(tmp_path):
    (tmp_path / "provenance.json").write_text("{}")
    done = []
    open_data_folder(tmp_path, FRAMES, chain(done))
    assert done == [(2, tmp_path, FRAMES), (3, tmp_path, FRAMES)]
    assert stored_version(tmp_path) == 4
    open_data_folder(tmp_path, FRAMES, chain(done))
    assert len(done) == 2


def test_an_interrupted_chain_goes_on_with_the_step_that_was_not_finished(tmp_path):
    (tmp_path / FILE_NAME).write_text("2\n")
    done = []

    def fail(folder, frames):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        open_data_folder(tmp_path, FRAMES, {**chain(done), 3: fail})
    assert stored_version(tmp_path) == 3
    open_data_folder(tmp_path, FRAMES, chain(done))
    assert [step for step, *_ in done] == [2, 3]


def test_a_folder_of_a_later_version_is_refused_with_the_way_out(tmp_path):
    (tmp_path / FILE_NAME).write_text("9\n")
    with pytest.raises(IncompatibleData, match=r"version 9.*up to 4: update it.*DATA_DIR"):
        open_data_folder(tmp_path, FRAMES)
    assert stored_version(tmp_path) == 9
    check_version(known_version(), "anything")


def test_a_file_without_a_number_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_text("one")
    with pytest.raises(IncompatibleData, match="schema_version holds 'one'"):
        open_data_folder(tmp_path, FRAMES)


def test_a_build_refuses_a_later_folder(new_pool):
    pool = new_pool()
    pool.data.mkdir()
    (pool.data / FILE_NAME).write_text("9\n")
    done = pool.ask("build")
    assert done.returncode == 4
    assert "schema version 9" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
