"""A candidate is registered only where it exceeds each gate."""

import numpy as np
import pytest

from crypto_pool.domain.evaluation import classification_metrics
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


def test_a_score_of_exactly_the_limit_exceeds_it_by_no_last_digit():
    """0.1 and 0.2 and 0.3 of 0.5 and 0.4 of 0.75 are 0.6, and as floats a little more."""
    labels = np.array([1, 1, 1, 1, 1, 1, 0, 0])
    flagged = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    metrics = classification_metrics(labels, flagged, 0.5)
    assert metrics["overall_score"] > 0.6
    gates = Gates(positive_accuracy=0.4, negative_accuracy=0.4)
    assert gates.failures(metrics) == ("overall score 0.6, more than 0.6 is needed",)
