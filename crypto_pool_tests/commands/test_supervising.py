"""Services end with their supervisor, however that ends, and are begun again if they end alone."""

import contextlib
import signal
import subprocess
import sys
from time import monotonic

import psutil
import pytest

from crypto_pool.commands.supervising import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Running, Service
from crypto_pool_tests.conftest import PATIENCE_SECONDS

SUPERVISE = r"""
import sys
from crypto_pool.commands.supervising import Service, supervise
code = "import sys; sys.stdout.write('begun\\n'); sys.stdout.flush(); sys.stdin.read()"
services = [Service(name, (sys.executable, "-c", code)) for name in ("one", "two")]
told = lambda service, how: print(f"mended {service.name} that {how}", flush=True)
sys.exit(supervise(services, told))
"""


@pytest.fixture
def supervisor():
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    children = psutil.Process(process.pid).children()
    yield process, children
    for left in (*children, psutil.Process(process.pid) if process.poll() is None else None):
        if left is not None and left.is_running():
            left.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_services_and_is_no_failure(supervisor, number):
    process, children = supervisor
    assert len(children) >= 2
    process.send_signal(number)
    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert process.stdout.read() == ""  # no trace of a service that was stopped as it began
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_services_end_with_a_killed_supervisor(supervisor):
    process, children = supervisor
    process.kill()
    process.wait(timeout=PATIENCE_SECONDS)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_a_killed_service_is_begun_again_and_ends_with_a_killed_supervisor(supervisor):
    process, children = supervisor
    killed = next(child for child in children if "begun" in child.cmdline()[2])
    killed.kill()
    said = [process.stdout.readline() for _ in range(3)]
    assert "was ended by SIGKILL" in said[0]
    assert said[1].startswith("mended one that was ended by SIGKILL")
    assert said[2] == "begun\n"
    now = psutil.Process(process.pid).children()
    assert len(now) == len(children)
    process.kill()
    process.wait(timeout=PATIENCE_SECONDS)
    _, alive = psutil.wait_procs(now, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_a_killed_guard_is_replaced_and_still_ends_all(supervisor):
    process, children = supervisor
    guard = next(child for child in children if "killpg" in child.cmdline()[2])
    guard.kill()
    new = wait_for_child(process, "killpg", but=guard.pid)
    process.kill()
    process.wait(timeout=PATIENCE_SECONDS)
    _, alive = psutil.wait_procs([*children, new], timeout=PATIENCE_SECONDS)
    assert alive == []


def test_a_service_that_cannot_run_is_a_failure_and_stops_the_others(supervisor):
    process, children = supervisor
    process.stdin.close()  # both read it, and end by themselves with 0
    process.stdin = None
    assert process.wait(timeout=PATIENCE_SECONDS) == 1
    assert "cannot run; stopping the others" in process.stdout.read()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_the_pause_is_longer_after_each_quick_end():
    running = Running(Service("one", ("true",)), subprocess.Popen(["true"]), monotonic())
    running.process.wait()
    pauses = []
    for _ in range(8):
        running.note_end()
        pauses.append(running.pause_seconds)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[1] < pauses[-1] == LONGEST_PAUSE_SECONDS
    running.begun_at -= STEADY_SECONDS
    running.note_end()
    assert running.pause_seconds < pauses[0]


def wait_for_child(process, word, but):
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                if child.pid != but and word in child.cmdline()[2]:
                    return child
    pytest.fail(f"no new process with {word}")


def test_what_services_say_goes_to_a_file_each_and_a_failure_shows_its_end(tmp_path):
    code = (
        "import sys; from pathlib import Path; from crypto_pool.commands.supervising import *\n"
        "loud = Service('the loud one', (sys.executable, '-c', 'print(3); raise SystemExit(3)'))\n"
        f"raise SystemExit(supervise([loud], print, logs=Path({str(tmp_path)!r})))"
    )
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == 1
        assert "the loud one ended with 3 and cannot run; stopping the others." in ended.stdout
        assert ended.stdout.endswith("3\n\n")
    assert (tmp_path / "loud_one.log").read_text() == "3\n"
    assert (tmp_path / "loud_one.log.1").read_text() == "3\n"
