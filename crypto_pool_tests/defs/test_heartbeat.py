"""A dead man's switch hears of each published day once, of a failed one, and of no other."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from crypto_pool.adapters.heartbeat import report_day
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.defs.heartbeat import tell_failed, tell_published
from crypto_pool.settings import Settings

NOW = datetime(2023, 6, 2, 12, tzinfo=UTC)
DAY, EARLIER = date(2023, 6, 1), date(2023, 5, 31)
SECRET = "0b5c-of-the-pool"


class Switch:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://user:{SECRET}@127.0.0.1:{server.server_port}/{SECRET}"
        self.status = 200
        self.paths: list[str] = []


@pytest.fixture
def switch() -> Iterator[Switch]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.send_response(told.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Switch(server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path, switch) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, simulated_now=NOW, heartbeat_url=switch.url)


def publish_days(settings: Settings, *days: date) -> None:
    rows = {"prediction_date": days, "symbol": "BTC", "trend": "uptrend", "probability": 0.5}
    publish(settings.state_dir, {"predictions": pd.DataFrame(rows)})


def test_each_published_day_is_told_once(settings, switch):
    tell_published(settings)  # nothing is published at all
    publish_days(settings, EARLIER)
    tell_published(settings)  # a day without bars, and so without forecasts
    assert switch.paths == []
    publish_days(settings, EARLIER, DAY)
    for _ in range(2):
        tell_published(settings)
        tell_failed(settings, DAY)  # a later run of a day that is published
    assert switch.paths == [f"/{SECRET}"]
    tell_published(settings.model_copy(update={"simulated_now": NOW.replace(day=3)}))
    assert switch.paths == [f"/{SECRET}"]


def test_a_failed_day_is_told_once_and_once_more_when_it_is_published(settings, switch):
    for _ in range(2):
        tell_failed(settings, DAY)
    publish_days(settings, DAY)
    tell_published(settings)
    assert switch.paths == [f"/{SECRET}/fail", f"/{SECRET}"]


def test_what_is_not_taken_is_sent_again_and_names_no_address(settings, switch, caplog):
    publish_days(settings, DAY)
    switch.status = 503
    with caplog.at_level(logging.ERROR):
        tell_published(settings)
    dead = f"http://127.0.0.1:9/{SECRET}"  # nobody listens there
    report_day(settings.state_dir / "heartbeat.json", dead, "published", DAY)
    assert "status 503" in caplog.text
    assert "ConnectionError" in caplog.text
    assert SECRET not in caplog.text
    switch.status = 200
    for _ in range(2):
        tell_published(settings)
    assert len(switch.paths) == 2
    assert SECRET not in (settings.state_dir / "heartbeat.json").read_text()


def test_the_fail_address_keeps_its_query(switch, tmp_path):
    report_day(tmp_path / "a" / "new" / "told.json", f"{switch.url}/?rid=1", "failed", DAY)
    assert switch.paths == [f"/{SECRET}/fail?rid=1"]


@pytest.mark.parametrize("content", ["[]", "3", '{"published": 7}', "{half", "\xff"])
def test_a_file_that_a_hand_has_spoilt_is_begun_anew(switch, tmp_path, content):
    file = tmp_path / "heartbeat.json"
    file.write_bytes(content.encode("latin-1"))
    report_day(file, switch.url, "published", date(2024, 1, 2))
    assert json.loads(file.read_text())["published"] == "2024-01-02"


def test_without_an_address_nothing_is_told(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path, simulated_now=NOW)
    publish_days(settings, DAY)
    tell_published(settings)
    tell_failed(settings, DAY)
    assert not (tmp_path / "heartbeat.json").exists()
