"""Where the parts of a pool lie that is backed up and restored."""

from datetime import UTC, datetime
from pathlib import Path

from crypto_pool.adapters.backup import PoolFolders
from crypto_pool.adapters.ledger import Promotion
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.members import Member
from crypto_pool_tests.decisions import a_decision

NOW = datetime(2023, 6, 1, 12, tzinfo=UTC)
MEMBER = Member.parse("BTC|uptrend")


def folders_in(home: Path) -> PoolFolders:
    return PoolFolders(home / "data", str(home / "data" / "parquet"), home)


def registry_of(folders: PoolFolders) -> ModelRegistry:
    database = folders.mlflow / "mlflow.db"
    return ModelRegistry(f"sqlite:///{database}", str(folders.mlflow / "artifacts"))


def decision(version: str, number: int) -> Promotion:
    moment = NOW.replace(microsecond=number)
    return a_decision(MEMBER, moment, model_version=version, decision="rolled back")
