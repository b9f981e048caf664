"""How files come to the artifacts of a run, in a folder or in an object store."""

from pathlib import Path
from unittest.mock import create_autospec

import pytest
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.adapters.mlflow.recording import put_files


def test_files_come_in_place_of_those_of_the_same_name_wherever_artifacts_lie(
    registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store takes whole folders, and has none to write into."""
    kept = LocalArtifactRepository(str(tmp_path / "bucket"))
    other = create_autospec(ArtifactRepository, instance=True)
    other.log_artifacts.side_effect = kept.log_artifacts
    monkeypatch.setitem(_artifact_repository_registry._registry, "other", lambda *_, **__: other)
    for address in ("other://run", str(tmp_path / "folder")):
        put_files(registry.client, address, {"rows": b"old", "artifacts/net": b"weights"})
        put_files(registry.client, address, {"rows": b"new"})
    for place in ("bucket", "folder"):
        assert (tmp_path / place / "rows").read_bytes() == b"new"
        assert (tmp_path / place / "artifacts" / "net").read_bytes() == b"weights"
