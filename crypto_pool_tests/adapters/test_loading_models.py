"""A stored model is checked as it is loaded; one that does not load is named, with the ways out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters import model_registry
from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.errors import ModelUnavailable, UntrustedModel

MEMBER = "BTC_uptrend"
MakeFit = Callable[..., CandidateFit]


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_model_that_does_not_load_is_named_with_the_ways_out(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    record = registry.log_candidate(candidate_fit())
    version = registry.register(MEMBER, record, {})
    next((tmp_path / "artifacts").rglob("estimator.ubj")).unlink()
    if where == "remote":
        monkeypatch.setattr(model_registry, "local_path", lambda uri: None)

    with pytest.raises(UntrustedModel, match=r"^BTC_uptrend_model version 1: ") as refused:
        registry.load(MEMBER, version)
    said = str(refused.value)
    assert str(tmp_path / "artifacts") in said  # where it is, not where it was copied to
    assert said.endswith(
        "; let another version serve with `crypto-pool rollback BTC_uptrend`, "
        "or train the member again"
    )
    with pytest.raises(UntrustedModel, match=f"^the model of run {record.run_id}: "):
        registry.load_run(record.run_id)


def test_a_swapped_artifact_is_refused(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    version = registry.register(MEMBER, registry.log_candidate(candidate_fit()), {})
    stored = next((tmp_path / "artifacts").rglob("estimator.ubj"))
    stored.write_bytes(stored.read_bytes() + b" ")

    with pytest.raises(UntrustedModel, match=r"estimator\.ubj is not what was logged"):
        registry.load(MEMBER, version)


def test_a_remote_artifact_is_fetched_and_checked(
    registry: ModelRegistry,
    candidate_fit: MakeFit,
    rows: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = registry.register(MEMBER, registry.log_candidate(candidate_fit()), {})
    expected = registry.load(MEMBER, version).predict_probability(rows)
    monkeypatch.setattr(model_registry, "local_path", lambda uri: None)

    np.testing.assert_array_equal(
        registry.load(MEMBER, version).predict_probability(rows), expected
    )

    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with pytest.raises(ModelUnavailable, match="cannot fetch"):
        registry.load(MEMBER, version)


def test_what_is_not_there_is_unavailable(
    registry: ModelRegistry, candidate_fit: MakeFit, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailable, match="BTC_uptrend_model version 9"):
        registry.load(MEMBER, "9")
    version = registry.register(MEMBER, registry.log_candidate(candidate_fit()), {})
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with pytest.raises(ModelUnavailable, match="No model folder"):
        registry.load(MEMBER, version)
