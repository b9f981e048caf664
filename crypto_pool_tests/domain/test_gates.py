"""A candidate is registered only where it exceeds each gate."""

import pytest

from crypto_pool.domain.gates import Gates


@pytest.mark.parametrize(
    ("name", "limit", "word"),
    [
        ("positive_accuracy", 0.5, "recall"),
        ("negative_accuracy", 0.5, "specificity"),
        ("overall_score", 0.6, "overall score"),
    ],
)
def test_each_gate_must_be_exceeded(name, limit, word):
    passing = {"positive_accuracy": 0.51, "negative_accuracy": 0.51, "overall_score": 0.61}
    assert Gates().failures(passing) == ()
    at_the_limit = {**passing, name: limit}
    said = f"{word} {limit}, more than {limit} is needed"
    assert Gates().failures(at_the_limit) == (said,)
    assert Gates(**{name: 0.4}).failures(at_the_limit) == ()
    said = f"{word} is undefined, more than {limit} is needed"
    assert Gates().failures({**passing, name: None}) == (said,)
