"""A file is held by one process at a time, and as long as that lives."""

import subprocess
import sys
from pathlib import Path

from crypto_pool.adapters.held_files import hold, is_held

HOLDER = """
import sys
from pathlib import Path
from crypto_pool.adapters.held_files import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_is_held_once_and_again_when_it_was_let_go(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "held"
    assert not is_held(path)
    assert not path.exists()
    first = hold(path)
    assert first is not None
    assert is_held(path)
    assert hold(path) is None
    first.release()
    assert not is_held(path)
    again = hold(path)
    assert again is not None
    again.release()


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "held"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_held(path)
        assert hold(path) is None
        holder.kill()
    assert not is_held(path)
