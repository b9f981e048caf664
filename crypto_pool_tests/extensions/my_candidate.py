"""A candidate of my own."""

from typing import Any

from crypto_pool.domain.candidates import Candidate, ClassBalance


def _logistic_regression(balance: ClassBalance, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight=balance.weights, random_state=seed)
    )


candidate = Candidate("LogisticRegression", _logistic_regression)
