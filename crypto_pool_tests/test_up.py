"""However `up` ends, its services end too."""

import signal
import subprocess
import sys

import psutil
import pytest

SUPERVISE = """
import sys
from crypto_pool.commands.up import supervise
service = [sys.executable, "-c", "print('begun', flush=True); import time; time.sleep(300)"]
sys.exit(supervise([service, service]))
"""


@pytest.fixture
def supervisor():
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE], stdout=subprocess.PIPE, text=True, start_new_session=True
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
    assert process.wait(timeout=20) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_services_end_with_a_killed_supervisor(supervisor):
    process, children = supervisor
    process.kill()
    process.wait(timeout=10)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_service_that_ends_by_itself_is_a_failure_and_stops_the_others(supervisor):
    process, children = supervisor
    children[0].kill()
    assert process.wait(timeout=20) == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
