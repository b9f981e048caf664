"""A running `crypto-pool up`, asked as its users ask it."""

import contextlib
import json
import subprocess
import time
import urllib.request

import dagster as dg
import psutil
import pytest

from crypto_pool_tests.conftest import PATIENCE_SECONDS
from drills._engines import free_port

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}
"""
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status error { message } }
    ... on PythonError { message }
  }
}
"""


class Services:
    """A running `crypto-pool up`."""

    def __init__(self, pool):
        self.pool = pool
        self._seen = []
        self.ports = {name: free_port() for name in ("dagster", "mlflow", "pool")}
        self.dagster, self.mlflow = self.ports["dagster"], self.ports["mlflow"]
        self.log_file = pool.home / "up.log"
        ports = [f"--{name}-port={port}" for name, port in self.ports.items()]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                pool.command("up", *ports),
                env=pool.environment,
                cwd=pool.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self):
        return f"the end of the log of `up`:\n{self.log_file.read_text()[-8000:]}"

    def children(self):
        try:
            self._seen = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return self._seen

    def wait_for(self, url):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"`up` ended by itself; {self.log()}"
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(url, timeout=PATIENCE_SECONDS),
            ):
                return
            time.sleep(0.1)
        pytest.fail(f"no answer from {url} in {PATIENCE_SECONDS} s; {self.log()}")

    def ask(self, query, **variables):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.dagster}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            said = json.load(answer)
        assert not said.get("errors"), f"{said['errors']}; {self.log()}"
        return next(iter(said["data"].values()))

    def launch(self, asset_keys, partitions):
        """Launch a backfill as the UI's dialog does; return its id."""
        launched = self.ask(
            LAUNCH,
            params={
                "assetSelection": [{"path": list(key.path)} for key in asset_keys],
                "partitionNames": partitions,
            },
        )
        assert launched["__typename"] == "LaunchBackfillSuccess", f"{launched}; {self.log()}"
        return launched["backfillId"]

    def is_done(self, backfill_id):
        state = self.ask(BACKFILL, id=backfill_id)
        assert state.get("status") in ("REQUESTED", "COMPLETED_SUCCESS"), f"{state}; {self.log()}"
        return state["status"] == "COMPLETED_SUCCESS"

    def wait_until(self, is_so, what):
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"{what}: not yet; {self.log()}"
            time.sleep(1)

    def stop(self):
        """Kill whatever a failed test left; nothing is left after a clean end."""
        left = [*self._seen, *self.children()]
        left += [self.process] if self.process.poll() is None else []
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(timeout=PATIENCE_SECONDS)


def materialised(pool, keys):
    with dg.DagsterInstance.from_config(str(pool.home)) as instance:
        return {key.to_user_string(): instance.get_materialized_partitions(key) for key in keys}
