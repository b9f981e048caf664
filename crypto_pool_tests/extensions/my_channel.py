"""An alert channel of my own."""

import os

from crypto_pool.adapters.alerts import AlertChannel


def _append(text: str) -> None:
    with open(os.environ["MY_ALERTS"], "a") as file:
        file.write(f"{text}\n")


channel = AlertChannel("my_file", _append)
