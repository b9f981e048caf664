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


@pytest.mark.parametrize("text", ["", "one", "-4", "0", "1", "4.0", "9" * 5000, "\xff"])
def test_a_file_without_a_version_is_named(text, tmp_path):
    (tmp_path / FILE_NAME).write_text(text, "latin-1")
    with pytest.raises(IncompatibleData, match=r"schema_version holds .* no version; write 4 into"):
        open_data_folder(tmp_path, FRAMES)


@pytest.mark.parametrize("version", ["9", "999999999"])
@pytest.mark.parametrize(
    "command",
    [
        *(("build",), ("predict",), ("explain", "BTC_uptrend"), ("rollback", "BTC_uptrend")),
        *(("retire", "BTC"), ("accept-break", "BTC", "2024-01-01"), ("restart-history", "BTC")),
    ],
    ids=" ".join,
)
def test_a_command_that_opens_the_store_refuses_a_later_folder(new_pool, command, version):
    pool = new_pool()
    pool.data.mkdir()
    (pool.data / FILE_NAME).write_text(f"{version}\n")
    done = pool.ask(*command)
    assert done.returncode == 4
    assert f"schema version {version}, " in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert {path.name.strip(".") for path in pool.data.iterdir()} <= {
        FILE_NAME,
        f"{FILE_NAME}.lock",
    }
