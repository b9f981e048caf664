"""Extensions of somebody who has the installed wheel alone."""

import json
import subprocess
import sys
from datetime import date

import pytest

from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.extensions.loading import example
from crypto_pool_tests.wheel import build_wheel, install_wheel

DISTRIBUTION = """\
Metadata-Version: 2.1
Name: my-package
Version: 1.0
"""
ENTRY_POINTS = """\
[crypto_pool.candidates]
mine = my_candidate:candidate

[crypto_pool.alerts]
mine = my_channel:channel
broken = my_nothing:channel
"""
SHOW_GRAPH = """
from crypto_pool.definitions import defs
print([key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()])
"""


@pytest.mark.long
def test_an_installed_wheel_builds_replays_and_serves_with_all_of_them(new_pool, tmp_path):
    """A candidate and a channel by entry points, a feature and a provider from the home."""
    site = tmp_path / "site"
    (tmp_path / "source").mkdir()
    install_wheel(build_wheel(tmp_path / "source"), site)
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DISTRIBUTION)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    for name in ("my_candidate", "my_channel"):
        (site / f"{name}.py").write_text(example(name))
    pool = new_pool(training_rows="300", workers="2")
    for name in ("my_feature", "my_provider"):
        (pool.home / f"{name}.py").write_text(example(name))
    day = date(2021, 12, 31)
    bars = SyntheticMarket(seed=3, predictability=0.5).bars("BTC", day)
    bars.assign(symbol="BTC").reset_index().to_parquet(pool.home / "bars.parquet")
    (pool.home / "pool.toml").write_text(
        'symbols = ["BTC"]\nextensions = ["my_feature", "my_provider"]\n'
        'provider = "one_file"\nmarket_data_dir = "."\n'
    )
    environment = {**pool.environment, "PYTHONPATH": str(site), "MY_ALERTS": str(tmp_path / "told")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=pool.home,
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    command = ["-m", "crypto_pool.cli"]
    built = run(*command, "build", "--date", f"{day}")
    assert built.stderr.count("my_nothing is broken and left out: ModuleNotFoundError") >= 1
    scores = pool.table("candidate_scores")
    mine = scores[scores["algorithm"] == "LogisticRegression"]
    assert list(mine["status"]) == ["scored", "scored"]
    assert "volume_surprise" in pool.table("feature_tables")
    assert "candidates/LogisticRegression" in run("-c", SHOW_GRAPH).stdout
    algorithms = ("--algorithms", "LogisticRegression,KNeighbors")
    dates = ("--from", "2021-11-01", "--to", "2021-11-04")
    said = run(*command, "replay", *dates, *algorithms, "--policies", "holdout", "--json")
    assert json.loads(said.stdout)["plan"]["algorithms"] == ["LogisticRegression", "KNeighbors"]
    serve = "from crypto_pool.serving.app import create_app; from crypto_pool.settings import *; "
    run("-c", f"{serve}create_app(load_settings())")
    doctor = subprocess.run(
        [sys.executable, *command, "doctor", "BTC", "--json"],
        env=environment,
        cwd=pool.home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    found = {one["name"]: one["is_ok"] for one in json.loads(doctor.stdout)}
    assert found["extension features volume_surprise"]
    assert found["extension my_nothing"] is False
