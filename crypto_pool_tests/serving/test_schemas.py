"""What the API says of itself is true of the pool."""

from typing import get_args

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.decisions import Decision
from crypto_pool.serving.schemas import LedgerEntry, Model, Prediction


def test_examples_name_algorithms_of_the_zoo():
    for schema in (Model, Prediction):
        for example in schema.model_config["json_schema_extra"]["examples"]:
            assert example["algorithm"] in CANDIDATES


def test_every_decision_of_the_ledger_is_described():
    described = LedgerEntry.model_fields["decision"].description
    assert all(decision in described for decision in get_args(Decision))
