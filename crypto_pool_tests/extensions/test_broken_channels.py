"""A channel of alerts that is broken is named, and holds up no other."""

import threading
from datetime import UTC, datetime

import pytest

from crypto_pool.adapters import alerts
from crypto_pool.adapters.alerts import Alert, Alerts
from crypto_pool_tests.extensions.loading import example, load


@pytest.mark.parametrize(
    ("send", "said"),
    [
        ("exit(3)", "alert channel slow failed (SystemExit: 3)"),
        ("time.sleep(600)", "alert channel slow failed (no end of it in 0.2 s)"),
    ],
)
def test_a_channel_that_ends_or_hangs_holds_up_no_other(tmp_path, monkeypatch, caplog, send, said):
    monkeypatch.setattr(alerts, "TIMEOUT_SECONDS", (0.1, 0.1))
    told = tmp_path / "told"
    monkeypatch.setenv("MY_ALERTS", str(told))
    source = (
        "import time\n"
        "from crypto_pool.adapters.alerts import AlertChannel\n"
        f"slow = AlertChannel('slow', lambda text: {send})\n"
    )
    load(tmp_path, my_slow=source, my_channel=example("my_channel"))
    sender = Alerts(tmp_path / "alerts.json", None, [], lambda: datetime(2024, 1, 1, tzinfo=UTC))
    sender.send([Alert("a", "first")])
    sender.send([Alert("b", "second")])
    assert said in caplog.text
    assert told.read_text() == "first\nsecond\n"
    assert sum(one.name == "alert channel slow" for one in threading.enumerate()) <= 1
