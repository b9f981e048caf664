"""The project's wheel, and a folder that has nothing of the project but it."""

import shutil
import subprocess
import sys
from pathlib import Path

from crypto_pool_tests.conftest import PATIENCE_SECONDS, ROOT

TOP_LEVEL = ["pyproject.toml", "README.md", "LICENSE"]
IGNORED = shutil.ignore_patterns("__pycache__")
PIP = [sys.executable, "-m", "pip"]


def build_wheel(source: Path) -> Path:
    """Build from a copy in an empty folder, so that nothing of the build lands in the clone."""
    for name in TOP_LEVEL:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "crypto_pool", source / "crypto_pool", symlinks=True, ignore=IGNORED)
    (source / "dagster_home").mkdir()
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", source / "dagster_home")
    build = [*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist"]
    subprocess.run([*build, "."], cwd=source, check=True, timeout=3 * PATIENCE_SECONDS)
    [found] = (source / "dist").glob("*.whl")
    return found


def install_wheel(wheel: Path, site: Path) -> None:
    """Install it alone; what it needs is where this interpreter finds it."""
    install = [*PIP, "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, timeout=3 * PATIENCE_SECONDS)
