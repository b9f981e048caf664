"""The wheel holds all that the pool needs: it runs in a folder that knows nothing of the clone."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from crypto_pool_tests.conftest import ROOT

TOP_LEVEL = ["pyproject.toml", "README.md", "LICENSE"]
IGNORED = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing of the build lands in the clone."""
    source = tmp_path_factory.mktemp("source")
    for name in TOP_LEVEL:
        shutil.copy(ROOT / name, source)
    for name in ("crypto_pool", "dagster_home/dagster.yaml"):
        target = source / name
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, symlinks=True, ignore=IGNORED)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, target)
    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*built, "--wheel-dir", "dist", "."], cwd=source, check=True, timeout=300)
    [found] = (source / "dist").glob("*.whl")
    return found


def test_the_wheel_is_the_package_whole_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "crypto_pool"
    expected = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == expected


def test_a_pool_is_built_where_the_wheel_alone_is_installed(wheel, tmp_path):
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    folder.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, timeout=300)
    kept = {
        name: value
        for name, value in os.environ.items()
        if "CRYPTO_POOL" not in name and name != "DAGSTER_HOME"
    }
    environment = {
        **kept,
        "PYTHONPATH": str(site),
        "CRYPTO_POOL_EVALUATION_POLICY": "holdout",
        "CRYPTO_POOL_EXPLAINED_ROWS": "10",
        "CRYPTO_POOL_TRAINING_ROWS": "300",
        "CRYPTO_POOL_WORKERS": "1",
    }
    where = [sys.executable, "-c", "import crypto_pool; print(crypto_pool.__file__)"]
    found = subprocess.run(
        where, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.startswith(str(site))
    command = [str(site / "bin" / "crypto-pool"), "demo", "--symbols", "BTC"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = folder / "dagster_home"
    assert (made / "dagster.yaml").read_text() == (
        ROOT / "dagster_home" / "dagster.yaml"
    ).read_text()
    asked = [
        str(site / "bin" / "crypto-pool"),
        "query",
        "SELECT count(*) AS n FROM candidate_scores",
    ]
    answer = subprocess.run(
        asked, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(answer.stdout.split()[-1]) == 20
