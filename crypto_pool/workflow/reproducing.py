"""Train a registered version again from its stored rows, and compare the predictions."""

from dataclasses import dataclass

import numpy as np

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.members import Member
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.served_model import BASELINES
from crypto_pool.domain.training import served_rows
from crypto_pool.errors import ModelUnavailable
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.snapshots import load_snapshot

# A stored model is read back from text or another float width: the last digits may differ.
SAME_PROBABILITY = 1e-9


@dataclass(frozen=True)
class Reproduction:
    """How far the predictions of the version trained again are from the registered one's."""

    member: Member
    version: str
    algorithm: str
    rows: int
    largest_difference: float
    trained_by_other_code: bool

    @property
    def is_equal(self) -> bool:
        """Whether both predict the same."""
        return self.largest_difference <= SAME_PROBABILITY


def reproduce(
    store: FrameStore, registry: ModelRegistry, member: Member, version: str
) -> Reproduction:
    """Retrain with the seed, policy and settings of the version's run.

    Raises:
        ModelUnavailable: there is no such version, or its training rows cannot be read.
    """
    run = registry.runs.get(registry.versions.get(member.name, version).run_id)
    table = load_snapshot(store, run.data_hash)
    if run.algorithm not in {*CANDIDATES, *BASELINES}:
        raise ModelUnavailable(f"{run.algorithm} is of an extension that is not loaded")
    again = evaluate(CANDIDATES.get(run.algorithm), table, run.recipe).served
    registered = registry.versions.load(member.name, version)
    rows = served_rows(table).dropna(subset=[registered.anchor])
    difference = again.predict_probability(rows) - registered.predict_probability(rows)
    return Reproduction(
        member=member,
        version=version,
        algorithm=run.algorithm,
        rows=len(rows),
        largest_difference=float(np.abs(difference).max()),
        trained_by_other_code=run.code_version != code_version(),
    )
