"""Every command of the README is run: here, or by the test that is named for it."""

import inspect
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.running_pool import Services

ROOT = Path(__file__).parents[1]
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    for line in block.splitlines()
]
# What is too slow to run twice, or ends only with Ctrl-C, and where it is run.
RUN_ELSEWHERE = {
    "make demo": "the same target as `SYMBOLS=BTC,ETH make demo`",
    "SYMBOLS=all make demo": "the same target as `SYMBOLS=BTC,ETH make demo`",
    "make test": "what runs this",
    "make up": "what test_ui.py and test_browser_dagster.py drive",
}
# One coin goes through the same as the two on the page, in half the time.
TWO, ONE = "BTC,ETH", "BTC"


def recipe(target: str, symbols: str = "") -> str:
    """The command behind a target of the Makefile, without the installation before it."""
    asked = ["make", "--dry-run", target, *([f"SYMBOLS={symbols}"] if symbols else [])]
    # Within `make test` a make is told to speak of its directory too.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(asked, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[-1].replace(".venv/bin/", "").strip()


def runnable(line: str) -> str:
    symbols, target = re.fullmatch(r"(?:SYMBOLS=(\S+) )?make (\w+)", line).groups()
    return recipe(target, symbols or "")


@pytest.fixture(scope="module")
def pool(new_pool):
    """An empty pool, quick to train, and beside it the reader's own bars."""
    made = new_pool(training_rows="300")
    market = SyntheticMarket(seed=3, predictability=0.5)
    (made.home / "my_bars").mkdir()
    bars = market.bars("AAA", date(2021, 12, 31))
    bars.to_csv(made.home / "my_bars" / f"{ONE}.csv")
    return made


def test_every_command_runs_in_the_order_of_the_page(pool):
    environment = dict(pool.environment)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    said = {}
    for line in COMMANDS:
        if line in RUN_ELSEWHERE:
            continue
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=", 1)
            environment[name] = value.replace(TWO, ONE)
            continue
        command = runnable(line.replace(TWO, ONE)) if "make " in line else line
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            cwd=pool.home,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        said[line] = done.stdout
    assert "version 1 serves, version 2 does no more" in said["crypto-pool rollback BTC_uptrend"]
    assert "predictions are equal" in said["crypto-pool reproduce BTC_uptrend 1"]


def test_the_commands_run_elsewhere_are_on_the_page_and_are_run_there():
    assert set(RUN_ELSEWHERE) <= set(COMMANDS)
    assert recipe("up") == "crypto-pool up"
    assert 'command("up"' in inspect.getsource(Services)
    assert recipe("demo", "all") == "crypto-pool demo --symbols all"
    assert recipe("demo") == "crypto-pool demo"
    assert recipe("test").startswith("pytest ")


def test_every_fenced_block_is_read_as_shell():
    fences = re.findall(r"^```(\w*)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert fences == ["sh", ""] * (len(fences) // 2)
