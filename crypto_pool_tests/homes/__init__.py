"""Pools as earlier versions left them, for the tests of what an upgrade must open."""

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

V1_0_0 = Path(__file__).with_name("v1_0_0.tar.gz")
SETTINGS = {
    "CRYPTO_POOL_SYMBOLS": "BTC,ETH",
    "CRYPTO_POOL_TRAINING_ROWS": "400",
    "CRYPTO_POOL_EXPLAINED_ROWS": "10",
    "CRYPTO_POOL_WORKERS": "1",
    "CRYPTO_POOL_SANDBOX_PREDICTABILITY": "0.5",
    "CRYPTO_POOL_FIRST_PREDICTION_DATE": "2023-06-25",
    "CRYPTO_POOL_SIMULATED_NOW": "2023-08-01T12:00:00+00:00",
}


def unpack_v1_0_0(home: Path) -> Path:
    """Lay the pool of 1.0.0 out as it lay there, its settings in `.env`; give its data folder.

    By hand and not by `crypto-pool restore`, so that nothing is brought up to date on the way.
    """
    stage, data = home / "unpacked", home / "data"
    with tarfile.open(V1_0_0) as archive:
        archive.extractall(stage, filter="data")
    header = json.loads((stage / "backup.json").read_text())
    shutil.move(stage / "data", data)
    shutil.move(stage / "parquet", data / "parquet")
    shutil.move(stage / "mlflow", data / "mlflow")
    for folder in (stage / "dagster").iterdir():
        shutil.move(folder, home / folder.name)
    shutil.rmtree(stage)
    (data / "crypto_pool.duckdb").symlink_to(header["publication"])
    _relocate(data / "mlflow" / "mlflow.db", header["artifact_root"], data / "mlflow" / "artifacts")
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
    return data


def _relocate(database: Path, old_root: str, artifacts: Path) -> None:
    """Let MLflow's absolute paths begin with another root."""
    with closing(sqlite3.connect(database)) as store, store:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for _, column, *_ in store.execute(f'PRAGMA table_info("{table}")').fetchall():
                store.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                    f"""WHERE typeof("{column}") = 'text' AND instr("{column}", ?)""",
                    (old_root, artifacts.as_uri(), old_root),
                )
