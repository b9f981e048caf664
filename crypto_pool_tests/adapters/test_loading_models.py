"""A stored model is checked as it is loaded; one that does not load is named, with the ways out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.mlflow import ModelRegistry, artifact, store
from crypto_pool.adapters.mlflow.artifact import hashes_of
from crypto_pool.errors import ModelUnavailable, UntrustedModel
from crypto_pool_tests.adapters.conftest import MEMBER, MakeFit, log


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_model_that_does_not_load_is_named_with_the_ways_out(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    record = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER, record, {})
    next((tmp_path / "artifacts").rglob("estimator.skops")).unlink()
    if where == "remote":
        monkeypatch.setattr(store, "local_path", lambda uri: None)

    with pytest.raises(UntrustedModel, match=r"^BTC_uptrend_model version 1: ") as refused:
        registry.versions.load(MEMBER, version)
    said = str(refused.value)
    assert str(tmp_path / "artifacts") in said  # where it is, not where it was copied to
    assert said.endswith(
        "; let another version serve with `crypto-pool rollback BTC_uptrend`, "
        "or train the member again"
    )
    with pytest.raises(UntrustedModel, match=f"^the model of run {record.run_id}: "):
        registry.runs.load_model(record.run_id)


def test_a_model_that_the_ledger_does_not_name_is_tried_in_a_child_first(
    registry: ModelRegistry, candidate_fit: MakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER, record, {})
    monkeypatch.setattr(artifact, "LOADING_SECONDS", 0)
    monkeypatch.setattr(artifact, "wait", lambda *_: [])  # it has not answered yet
    with pytest.raises(UntrustedModel, match=r"version 1: .* done in 0 s of .*; let another"):
        registry.versions.load(MEMBER, version)
    assert registry.versions.load(MEMBER, version, record.model_hashes).algorithm


def test_a_swapped_artifact_is_refused(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {})
    stored = next((tmp_path / "artifacts").rglob("estimator.skops"))
    stored.write_bytes(stored.read_bytes() + b" ")

    with pytest.raises(UntrustedModel, match=r"estimator\.skops is not what was logged"):
        registry.versions.load(MEMBER, version)


def test_what_the_ledger_knows_of_a_model_goes_before_what_mlflow_says(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    record = log(registry, candidate_fit())
    version = registry.versions.register(MEMBER, record, {})
    stored = next((tmp_path / "artifacts").rglob("calibration.json"))
    stored.write_bytes(stored.read_bytes() + b" ")
    swapped = {**record.model_hashes, **hashes_of({"calibration.json": stored.read_bytes()})}
    registry.versions.tag(MEMBER, version, {"model_sha256": json.dumps(swapped)})
    assert registry.versions.load(MEMBER, version).algorithm
    with pytest.raises(UntrustedModel, match=r"calibration\.json is not what was logged"):
        registry.versions.load(MEMBER, version, record.model_hashes)


def test_a_remote_artifact_is_fetched_and_checked(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    rows: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {})
    expected = registry.versions.load(MEMBER, version).predict_probability(rows)
    monkeypatch.setattr(store, "local_path", lambda uri: None)

    np.testing.assert_array_equal(
        registry.versions.load(MEMBER, version).predict_probability(rows), expected
    )

    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with pytest.raises(ModelUnavailable, match="cannot fetch"):
        registry.versions.load(MEMBER, version)


def test_what_is_not_there_is_unavailable(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    for gone in ("9", "one", "1.0", "9" * 20):
        with pytest.raises(ModelUnavailable, match=f"BTC_uptrend_model has no version {gone}"):
            registry.versions.load(MEMBER, gone)
    version = registry.versions.register(MEMBER, log(registry, candidate_fit()), {})
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with pytest.raises(ModelUnavailable, match="No model folder"):
        registry.versions.load(MEMBER, version)
