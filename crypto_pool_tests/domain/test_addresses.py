"""What is shown of an address."""

import json
from urllib.parse import urlencode

from crypto_pool.domain.addresses import spellings, without_credentials


def test_a_password_is_not_shown_where_a_store_does_not_answer():
    shown = without_credentials("postgresql+psycopg2://pool:top%3Asecret@db.internal:5432/mlflow")
    assert shown == "postgresql+psycopg2://db.internal:5432/mlflow"
    assert without_credentials("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"


def test_a_secret_is_known_however_it_is_written():
    secret = 'a b+c/d"e\\f&<g>%h'
    for text in (secret, urlencode({"apikey": secret}), json.dumps({"Note": f"key {secret}."})):
        shown = text
        for written in spellings(secret):
            shown = shown.replace(written, "***")
        assert "***" in shown
        assert not {"c", "h"} & set(shown.replace("apikey", "").replace("Note", ""))
    assert spellings("") == []
