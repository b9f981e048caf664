"""A small pool in a folder of its own, whose stages are processes that a drill may hurt."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crypto_pool_tests.stages import ALGORITHMS_VARIABLE, FEW, STAGES_COMMAND

if TYPE_CHECKING:
    from crypto_pool.adapters.mlflow import ModelRegistry

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "SYMBOLS": "BTC,ETH",
    "TRAINING_ROWS": "300",
    "EXPLAINED_ROWS": "10",
    "WORKERS": "1",
    "SANDBOX_PREDICTABILITY": "0.5",
}


@dataclass(frozen=True)
class DrillPool:
    """A pool below `home`; `settings` come on top of those that make it quick.

    `engines` is the environment of databases and stores that it uses.
    """

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    algorithms: Sequence[str] = FEW

    @classmethod
    def make(cls, home: Path, **settings: str) -> "DrillPool":
        """Make an empty pool."""
        home.mkdir(parents=True, exist_ok=True)
        return cls(home, settings)

    @property
    def frames_root(self) -> str:
        """Root of its Parquet files."""
        return self.settings.get("PARQUET_ROOT", str(self.data / "parquet"))

    @property
    def registry(self) -> "ModelRegistry":
        """Its MLflow store."""
        from crypto_pool.adapters.mlflow import ModelRegistry

        folder = self.data / "mlflow"
        return ModelRegistry(
            self.settings.get("MLFLOW_BACKEND_URI", f"sqlite:///{folder / 'mlflow.db'}"),
            self.settings.get("MLFLOW_ARTIFACT_ROOT", str(folder / "artifacts")),
        )

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.home / "data"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the pool's processes."""
        return {
            **environment_of(self.home, {**SETTINGS, **self.settings}),
            **self.engines,
            ALGORITHMS_VARIABLE: ",".join(self.algorithms),
        }

    def start(self, stages: str, *days: date) -> "subprocess.Popen[str]":
        """Start a process for stages, the leader of a group; it says when it has begun."""
        return subprocess.Popen(
            [*STAGES_COMMAND, stages, *(day.isoformat() for day in days)],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, stages: str, *days: date) -> tuple[int, str]:
        """Run stages to their end; give the exit code and what was printed."""
        process = self.start(stages, *days)
        printed, _ = process.communicate()
        return process.returncode, printed

    def complete(self, stages: str, *days: date) -> None:
        """Run stages that must come through."""
        code, printed = self.run(stages, *days)
        if code:
            raise RuntimeError(f"{stages} of {days} ended with {code}:\n{printed[-4000:]}")


def environment_of(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the processes of a pool below `home`, with no settings but these."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("CRYPTO_POOL_")}
    own = {f"CRYPTO_POOL_{name}": value for name, value in settings.items()}
    return {**others, **own, "DAGSTER_HOME": str(home), "KERAS_BACKEND": "jax"}


def figures_of(
    module: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Run a module in a process of its own; the last line it prints is its figures as JSON."""
    lived = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(lived.stdout.splitlines()[-1])
    return figures


def shortened(said: str, words: Sequence[str]) -> str:
    """The line of what was said that has the first of the words, without the pool's folder."""
    lines = [line.strip() for line in said.splitlines() if words[0] in line]
    return re.sub(r"/\S*?/data/", "", lines[0] if lines else said)[:300]
