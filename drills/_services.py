"""A running `crypto-pool up`, driven as its users drive it: GraphQL, and signals to its parts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from drills._engines import free_port

LOCATION = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "crypto_pool.definitions",
}
TICK = """
  __typename
  ... on PythonError { message }
  ... on DryRunInstigationTick { evaluationResult {
    cursor skipReason error { message }
    runRequests { runKey runConfigYaml tags { key value } assetSelection { path } }
  } }
"""
SCHEDULE_TICK = f"""
mutation Tick($selector: ScheduleSelector!, $timestamp: Float) {{
  scheduleDryRun(selectorData: $selector, timestamp: $timestamp) {{ {TICK} }}
}}
"""
SENSOR_TICK = f"""
mutation Tick($selector: SensorSelector!, $cursor: String) {{
  sensorDryRun(selectorData: $selector, cursor: $cursor) {{ {TICK} }}
}}
"""
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
# How Dagster marks a failed run that its daemon will make again, and the run it made for it.
WILL_RETRY, RETRIED_BY = "dagster/will_retry", "dagster/auto_retry_run_id"
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.2


class Services:
    """The processes of one `crypto-pool up`, and the Dagster instance they share."""

    def __init__(self, up: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.up = up
        self.port = port
        self.log = log

    def tick_schedule(self, name: str, timestamp: float) -> dict[str, Any]:
        """What a schedule asks for in the code location, and why it asks for nothing."""
        selector = {**LOCATION, "scheduleName": name}
        return self._tick(SCHEDULE_TICK, selector=selector, timestamp=timestamp)

    def tick_sensor(self, name: str, cursor: str | None) -> dict[str, Any]:
        """What a sensor asks for in the code location, and its next cursor."""
        selector = {**LOCATION, "sensorName": name}
        return self._tick(SENSOR_TICK, selector=selector, cursor=cursor)

    def submit(self, job: str, selection: Sequence[dg.AssetKey], request: dg.RunRequest) -> str:
        """Put a run that was asked for into the queue of the daemon; give its id."""
        tags = {**request.tags, "dagster/run_key": str(request.run_key)}
        launched = self._ask(
            LAUNCH,
            params={
                "selector": {
                    **LOCATION,
                    "jobName": job,
                    "assetSelection": [{"path": list(key.path)} for key in selection],
                },
                "runConfigData": request.run_config,
                "executionMetadata": {
                    "tags": [{"key": key, "value": value} for key, value in tags.items()]
                },
            },
        )
        if launched["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"{request.run_key} was not launched: {launched}")
        return str(launched["run"]["runId"])

    def process(self, word: str) -> psutil.Process | None:
        """The youngest process of `up` itself with a word in its command, if it is running."""
        found = []
        for process in psutil.Process(self.up.pid).children():
            # One may end meanwhile; a zombie has no command.
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word in part for part in process.cmdline()):
                    found.append(process)
        return max(found, key=psutil.Process.create_time, default=None)

    def await_answer(self) -> None:
        """Wait until the web server answers."""

        def answers() -> bool:
            with contextlib.suppress(OSError):
                address = f"http://127.0.0.1:{self.port}/server_info"
                with urllib.request.urlopen(address, timeout=5):
                    return True
            return False

        self.wait_until(answers, "an answer of the Dagster UI")

    def wait_until(self, is_so: Any, what: str) -> None:
        """Look until something is so; `up` must not end meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            if self.up.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"waited in vain for {what}:\n{self.log.read_text()[-8000:]}")
            time.sleep(POLL_SECONDS)  # other processes announce nothing to this one

    def _tick(self, query: str, **variables: Any) -> dict[str, Any]:
        tick = self._ask(query, **variables)
        result: dict[str, Any] | None = tick.get("evaluationResult")
        if result is None or result["error"] is not None:
            raise RuntimeError(f"the tick failed: {tick}")
        return result

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        if said.get("errors"):
            raise RuntimeError(f"GraphQL: {said['errors']}")
        found: dict[str, Any] = next(iter(said["data"].values()))
        return found


@contextmanager
def running_up(home: Path) -> Iterator[Services]:
    """Run `crypto-pool up` with this process's environment on ports of its own."""
    ports = {name: free_port() for name in ("dagster", "mlflow", "pool")}
    command = [str(Path(sys.executable).parent / "crypto-pool"), "up"]
    for name, port in ports.items():
        command += [f"--{name}-port", str(port)]
    log = home / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            command, cwd=home, stdout=output, stderr=output, start_new_session=True
        )
    try:
        services = Services(up, ports["dagster"], log)
        services.await_answer()
        yield services
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)


def is_settled(instance: dg.DagsterInstance) -> bool:
    """Whether all runs have ended, and each that is to be made again has been."""
    for run in instance.get_runs():
        if not run.is_finished:
            return False
        if run.tags.get(WILL_RETRY) == "true" and RETRIED_BY not in run.tags:
            return False
    return True


def kill(process_id: int) -> None:
    """Kill one process without notice."""
    os.kill(process_id, signal.SIGKILL)
