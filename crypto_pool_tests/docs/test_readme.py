"""Every command of the README is run: here, or by the test that is named for it.

They run from the installed wheel, in a folder that knows nothing of the clone.
"""

import os
import re
import subprocess
import sys
import zipfile
from datetime import date

import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import query
from crypto_pool.domain.who_serves import Standing
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT
from crypto_pool_tests.docs.test_sql_cookbook import QUERIES
from crypto_pool_tests.wheel import build_wheel, install_wheel

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
    "make up": "what test_browser_dagster.py drives",
}
# One coin goes through the same as the two on the page, and a demo of forty days the same as one of
# 120, in less time.
TWO, ONE = "BTC,ETH", "ETH"
DEMO_DAYS = 40


def recipe(target: str, symbols: str = "") -> str:
    """The command behind a target of the Makefile, without the installation before it."""
    asked = ["make", "--dry-run", target, *([f"SYMBOLS={symbols}"] if symbols else [])]
    # Within `make test` a make is told to speak of its directory too.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(asked, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[-1].replace(".venv/bin/", "").strip()


def what_a_rollback_says(decisions: pd.DataFrame, member: str) -> tuple[int, str]:
    """Its exit code and a part of its answer, as the member's decisions, oldest first, have it."""
    standing = Standing.of(decisions)
    if standing.serving is None:
        return 5, f"{member} has no champion to roll back"
    if standing.previous is None:
        return 5, f"{member} has no previous version"
    return 0, f"version {standing.previous} serves, version {standing.serving} does no more"


def runnable(line: str) -> str:
    symbols, target = re.fullmatch(r"(?:SYMBOLS=(\S+) )?make (\w+)", line).groups()
    days = f" --days {DEMO_DAYS}" if target == "demo" else ""
    return recipe(target, symbols or "") + days


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def pool(new_pool, wheel):
    """A folder with the reader's own bars, quick to train in; the wheel is beside it."""
    made = new_pool(training_rows="300")
    install_wheel(wheel, made.home / "site")
    market = SyntheticMarket(seed=3, predictability=0.5)
    (made.home / "my_bars").mkdir()
    bars = market.bars("AAA", date(2021, 12, 31))
    bars.to_csv(made.home / "my_bars" / f"{ONE}.csv")
    return made


def test_the_wheel_is_the_package_whole_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert files == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "crypto_pool").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.long
def test_every_command_runs_in_the_order_of_the_page(pool):
    site = pool.home / "site"
    environment = {**pool.environment, "PYTHONPATH": str(site)}
    environment["COLUMNS"] = "80"
    environment["PATH"] = f"{site / 'bin'}:{environment['PATH']}"
    del environment["DAGSTER_HOME"]
    said = {}

    def attempt(command):
        return subprocess.run(
            ["bash", "-c", command],
            env=environment,
            cwd=pool.home,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_SECONDS,
        )

    def run(command, line):
        done = attempt(command)
        both = done.stdout + done.stderr
        assert done.returncode == 0, f"{line}\n{both[-8000:]}"
        assert "…" not in both, line
        assert "Traceback" not in both, f"{line}\n{both[-8000:]}"
        return done.stdout

    where = f'{sys.executable} -c "import crypto_pool; print(crypto_pool.__file__)"'
    assert run(where, where).startswith(str(site))
    for line in COMMANDS:
        if line in RUN_ELSEWHERE:
            continue
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=", 1)
            environment[name] = value.replace(TWO, ONE)
            continue
        asked = line.replace(TWO, ONE)
        said[line] = run(runnable(asked) if "make " in line else asked, line)
        if line.startswith(("crypto-pool query", "crypto-pool status")):
            assert max(map(len, said[line].splitlines())) <= 80, said[line]
    ledger = pd.concat(
        pd.read_parquet(file)
        for file in (pool.home / "my_pool/data/parquet/promotions").glob("*.parquet")
    ).sort_values("decided_at_utc")
    for trend in ("uptrend", "downtrend"):
        member = f"{ONE}_{trend}"
        its = ledger[(ledger["symbol"] == ONE) & (ledger["trend"] == trend)]
        line = f"crypto-pool rollback {member}"
        done = attempt(line)
        code, words = what_a_rollback_says(its, member)
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        assert words in " ".join((done.stdout + done.stderr).split())
    assert "predictions are equal" in said["crypto-pool reproduce ETH_uptrend 1"]
    scored = "SELECT 'scored' FROM prediction_outcomes WHERE prediction_date = '2021-08-31'"
    assert run(f'crypto-pool query "{scored}"', scored).count("scored") > 1
    for sql in QUERIES:
        found = query(pool.home / "dagster_home" / "data", sql.replace("BTC", ONE))
        assert len(found) > 0, sql
    made = pool.home / "dagster_home" / "dagster.yaml"
    assert made.read_text() == (ROOT / "dagster_home" / "dagster.yaml").read_text()


def test_the_commands_run_elsewhere_are_on_the_page_and_are_run_there():
    assert set(RUN_ELSEWHERE) <= set(COMMANDS)
    assert recipe("up") == "crypto-pool up"
    assert recipe("demo", "all") == "crypto-pool demo --symbols all"
    assert recipe("demo") == "crypto-pool demo"
    assert recipe("test").startswith("pytest ")


def test_every_fenced_block_is_read_as_shell():
    fences = re.findall(r"^```(\w*)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert fences == ["sh", ""] * (len(fences) // 2)
