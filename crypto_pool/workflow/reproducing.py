"""Train a registered version again from its stored rows, and compare the predictions."""

import json
from dataclasses import dataclass

import numpy as np

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.model_registry import ModelRegistry
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.market import Member
from crypto_pool.domain.policies import policy_of
from crypto_pool.domain.promotion import served_probability
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import served_rows
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
        ModelUnavailable: there is no such version.
        MissingPartition: its training rows are not stored.
    """
    record = registry.version(member.name, version)
    run = registry.run(record.run_id)
    parameters = registry.run_parameters(record.run_id)
    recipe = Recipe.from_settings(
        {
            "evaluation_policy": run.tags["evaluation_policy"],
            "seed": int(parameters["seed"]),
            **json.loads(run.tags["settings"]),
        }
    )
    table = load_snapshot(store, run.tags["data_hash"])
    candidate = CANDIDATES[run.algorithm]
    rows = served_rows(table)
    again = served_probability(candidate, policy_of(recipe).evaluate(candidate, table), rows)
    registered = registry.load(member.name, version).predict_probability(rows)
    return Reproduction(
        member=member,
        version=version,
        algorithm=run.algorithm,
        rows=len(rows),
        largest_difference=float(np.abs(again - registered).max()),
        trained_by_other_code=run.tags["code_version"] != code_version(),
    )
