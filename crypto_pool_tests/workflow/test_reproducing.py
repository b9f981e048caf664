"""A version trained again from its stored rows predicts the same, whatever kind of model it is."""

import pytest

from crypto_pool.domain.recipe import Recipe
from crypto_pool.workflow.code_version import code_version
from crypto_pool.workflow.reproducing import reproduce
from crypto_pool.workflow.snapshots import store_snapshot
from crypto_pool_tests.workflow.small_pool import FIRST, MEMBER, SmallPool


@pytest.mark.parametrize(
    ("algorithm", "policy"),
    [
        ("XGBoost", "purged_walk_forward"),
        ("RidgeClassifier", "purged_walk_forward"),
        ("NeuralNet", "holdout"),
    ],
)
def test_each_kind_of_model_is_reproduced(tmp_path, algorithm, policy):
    pool = SmallPool(
        tmp_path,
        algorithms=(algorithm,),
        recipe=Recipe(training_rows=240, evaluation_policy=policy),
    )
    pool.write_features()
    pool.train(FIRST)
    table = pool.table(FIRST)
    run = pool.registry.runs.latest(
        MEMBER.name, store_snapshot(pool.store, table), pool.recipe, code_version()
    )[algorithm]
    version = pool.registry.versions.register(MEMBER.name, run, {})
    done = reproduce(pool.store, pool.registry, MEMBER, version)
    assert done.is_equal, done
    assert (done.algorithm, done.rows, done.trained_by_other_code) == (algorithm, 240, False)
