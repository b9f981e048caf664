"""A stored model that does not load: which one it is, where it lies, and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_pool.adapters import model_registry
from crypto_pool.adapters.model_records import CandidateFit
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.errors import UntrustedModel

MEMBER = "BTC_uptrend"


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_model_that_does_not_load_is_named_with_the_ways_out(
    registry: ModelRegistry,
    candidate_fit: Callable[..., CandidateFit],
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
