"""What is shown of an address."""

from crypto_pool.domain.addresses import without_credentials


def test_a_password_is_not_shown_where_a_store_does_not_answer():
    shown = without_credentials("postgresql+psycopg2://pool:top%3Asecret@db.internal:5432/mlflow")
    assert shown == "postgresql+psycopg2://db.internal:5432/mlflow"
    assert without_credentials("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
