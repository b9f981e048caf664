"""Make `v1_0_0.tar.gz`, a small pool as crypto_pool 1.0.0 left it: its own `crypto-pool backup`.

`python -m crypto_pool_tests.homes.make_v1_0_0` checks the commit out of this repository and works
with its code alone; it needs an environment with that commit's requirements.lock installed, and
some minutes. The pool lives at a path that no machine has for anything else. It ends as a user's
would after a month: champions by `holdout` on one date and by the default policy on the next,
from three of the four artifact formats; forecasts of five days, three of them scored. Of the
backup are then left out what its steps printed, the event logs of all runs but the last two, and
colours of the pictures.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import date, timedelta
from pathlib import Path

from PIL import Image

from crypto_pool_tests.homes import SETTINGS, V1_0_0

COMMIT = "2ff3983"
ROOT = Path(__file__).parents[2]
PLACE = Path("/tmp/crypto_pool_1.0.0")
CODE, HOME, BACKUP = PLACE / "code", PLACE / "home", PLACE / "pool.tar.gz"
COMMAND = "from crypto_pool.cli import main; main()"
STAGES = "import runpy; runpy.run_module('drills._pool', run_name='__main__', alter_sys=True)"
# Bar date, policy, and what each coin is trained with.
LIFE = (
    ("2023-06-30", "holdout", {"BTC": "XGBoost,NeuralNet", "ETH": "LightGBM,RidgeClassifier"}),
    ("2023-07-01", "holdout", {}),
    ("2023-07-02", "holdout", {}),
    ("2023-07-30", "purged_walk_forward", {"BTC": "XGBoost,NeuralNet", "ETH": "LightGBM"}),
    ("2023-07-31", "purged_walk_forward", {}),
)


def main() -> None:
    """Live the life of the pool and keep its backup."""
    shutil.rmtree(PLACE, ignore_errors=True)
    CODE.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(CODE, filter="data")
    for day, policy, trained in LIFE:
        for symbol, algorithms in trained.items():
            own = {"CRYPTO_POOL_SYMBOLS": symbol, "DRILL_ALGORITHMS": algorithms}
            run(day, policy, STAGES, "build", day, **own)
        if not trained:
            run(day, policy, STAGES, "features", day)
        run(day, policy, COMMAND, "predict", "--date", day)
    run(day, policy, COMMAND, "backup", str(BACKUP))
    shrink(BACKUP, V1_0_0)
    print(f"{V1_0_0}: {V1_0_0.stat().st_size} bytes")


def run(day: str, policy: str, code: str, *arguments: str, **own: str) -> None:
    """Run the commit's code at noon of the day after a bar date."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CRYPTO_POOL_")}
    environment = {
        **inherited,
        **SETTINGS,
        "CRYPTO_POOL_EVALUATION_POLICY": policy,
        "CRYPTO_POOL_SIMULATED_NOW": f"{date.fromisoformat(day) + timedelta(days=1)}T12:00:00Z",
        "DAGSTER_HOME": str(HOME),
        "PYTHONPATH": str(CODE),
        "KERAS_BACKEND": "jax",
        **own,
    }
    print(day, *arguments, *own.values(), flush=True)
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=CODE, env=environment, check=True)


def shrink(source: Path, target: Path) -> None:
    """Copy a backup without most logs and with 16 colours a picture, in its order."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz", compresslevel=9) as new:
        members = old.getmembers()
        of_runs = [one for one in members if one.name.startswith("dagster/history/runs/")]
        logs = [one for one in of_runs if not one.name.endswith("/index.db")]
        left_out = {one.name for one in sorted(logs, key=lambda one: one.mtime)[:-2]}
        for member in members:
            if member.name in left_out or "/compute_logs/" in member.name:
                continue
            content = old.extractfile(member).read()
            if member.name.endswith(".png"):
                picture = io.BytesIO()
                Image.open(io.BytesIO(content)).quantize(16).save(picture, "PNG", optimize=True)
                content = picture.getvalue()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main()
