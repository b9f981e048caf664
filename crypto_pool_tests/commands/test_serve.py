"""`crypto-pool serve`, as a user starts and stops it."""

import signal
import socket
import subprocess
from collections.abc import Callable

import httpx

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.conftest import PATIENCE_SECONDS, PoolFolder
from crypto_pool_tests.pool_frames import pool_frames


def test_the_command_serves_until_ctrl_c(new_pool: Callable[..., PoolFolder]) -> None:
    folder = new_pool(symbols="BTC,ETH")
    publish(folder.data, pool_frames())
    server = subprocess.Popen(
        folder.command("serve", "--port", "0"),
        env=folder.environment,
        cwd=folder.home,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        said = next(line for line in server.stderr if "running on" in line)
        url = said.split("running on ")[1].split()[0]
        answer = httpx.get(
            f"{url}/prediction?symbol=ETH&trend_type=uptrend", timeout=PATIENCE_SECONDS
        )
        assert answer.json()["prediction_probabilities"] == 0.62
    finally:
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=PATIENCE_SECONDS)[1]
    assert "Traceback" not in rest
    assert "leaked" not in rest
    assert server.returncode == 0


def test_a_port_that_is_taken_is_refused_with_the_way_out(
    new_pool: Callable[..., PoolFolder],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        refused = new_pool(serving_port=str(port)).ask("serve")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"port {port} is taken: choose another with --port N or CRYPTO_POOL_SERVING_PORT\n"
    )


def test_the_command_refuses_to_be_exposed(new_pool: Callable[..., PoolFolder]) -> None:
    refused = new_pool().ask("serve", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "CRYPTO_POOL_SERVING_TOKEN" in refused.stderr
    assert "Traceback" not in refused.stderr
