"""A build that is stopped or killed leaves nothing half done, and goes on to the same end."""

import signal
import subprocess

import pandas as pd
import pytest

from crypto_pool.building import stopping_on_signal
from crypto_pool.errors import ExitCode
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.test_building import BAR_DATE, comparable, running_mlflow_runs, write_market


def stop_in_training(pool, stop):
    """Start the build, send it a signal once a candidate is scored, give its code and words."""
    process = subprocess.Popen(
        pool.command("build", "--date", BAR_DATE),
        env=pool.environment,
        cwd=pool.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "scored" in line:
            break
    process.send_signal(stop)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said


@pytest.mark.campaign
def test_stopped_and_killed_in_training_and_run_again_ends_in_the_same_state(new_pool, tmp_path):
    """A panel is of all coins, so the twin that nothing disturbs has the same one."""
    market = write_market(tmp_path / "market", ["EEE"])
    given = {"symbols": "EEE", "provider": "directory", "market_data_dir": str(market)}
    pool, twin = (new_pool(**given, workers="2") for _ in range(2))
    code, said = stop_in_training(pool, signal.SIGINT)
    assert code == ExitCode.INTERRUPTED
    assert "candidates and champions ..." in said
    assert "forecasts ..." not in said
    code, _ = stop_in_training(pool, signal.SIGKILL)
    assert code == -signal.SIGKILL
    for each in (pool, twin):
        done = each.run("build", "--date", BAR_DATE)
        assert done.returncode == 0, done.stdout + done.stderr
    undisturbed = twin.table("predictions")
    assert len(undisturbed) > 0
    pd.testing.assert_frame_equal(
        comparable(pool.table("predictions")).drop(columns="model_version"),
        comparable(undisturbed).drop(columns="model_version"),
    )
    assert running_mlflow_runs(pool) == 0
    assert not list(pool.data.rglob("*.tmp*"))


def test_a_signal_that_another_handler_forgets_still_stops_the_build():
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with pytest.raises(KeyboardInterrupt), stopping_on_signal():
            signal.raise_signal(signal.SIGINT)
        with stopping_on_signal():
            pass
    finally:
        signal.signal(signal.SIGINT, before)
