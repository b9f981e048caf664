"""An incident is told once: to the log, and to a webhook that listens on loopback."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from crypto_pool.adapters.alerts import CHANNELS, Alert, AlertChannel, Alerts
from crypto_pool.errors import InvalidSetting
from crypto_pool_tests.webhook import webhook

__all__ = ["webhook"]
NOW = datetime(2023, 6, 2, 12, tzinfo=UTC)


@pytest.fixture
def alerts(tmp_path, webhook) -> Alerts:
    return Alerts(tmp_path / "alerts.json", webhook.url, ["s3cr/et"], lambda: NOW)


def test_an_incident_is_told_once_in_the_log_and_to_the_webhook(alerts, webhook, caplog):
    assert alerts.send([Alert("a", "first"), Alert("a", "again")]) == [Alert("a", "first")]
    assert alerts.send([Alert("a", "first"), Alert("b", "second")]) == [Alert("b", "second")]
    assert webhook.texts == ["first", "second"]
    assert [record.getMessage() for record in caplog.records] == ["first", "second"]


def test_two_processes_know_of_each_other(alerts, tmp_path, webhook):
    alerts.send([Alert("a", "first")])
    other = Alerts(tmp_path / "alerts.json", webhook.url, [], lambda: NOW)
    assert other.send([Alert("a", "first")]) == []
    assert webhook.texts == ["first"]


@pytest.mark.parametrize("status", [500, 302, 300, 404])
def test_what_the_webhook_did_not_take_is_offered_again_and_logged_without_its_address(
    alerts, webhook, caplog, status
):
    webhook.status = status
    alerts.send([Alert("a", "first")])
    assert webhook.texts == []
    assert f"did not take what was sent (status {status})" in caplog.text
    webhook.status = 200
    assert alerts.send([]) == []
    alerts.send([])
    assert webhook.texts == ["first"]
    assert "secret-path" not in caplog.text


def test_a_webhook_that_is_not_there_stops_nothing(tmp_path, caplog):
    gone = Alerts(tmp_path / "a.json", "http://127.0.0.1:9/secret-path", [], lambda: NOW)
    assert gone.send([Alert("a", "first")]) == [Alert("a", "first")]
    assert "did not take what was sent (ConnectionError)" in caplog.text
    assert "secret-path" not in caplog.text


def test_secrets_are_redacted_everywhere_and_long_texts_cut(alerts, webhook, caplog, tmp_path):
    alerts.send([Alert("a", f's3cr/et s3cr%2Fet {webhook.url} https://x/?apikey=abc123&y <b>"')])
    assert webhook.texts == ['*** *** *** https://x/?apikey=***&amp;y &lt;b&gt;"']
    for place in (caplog.text, (tmp_path / "alerts.json").read_text()):
        assert not any(word in place for word in ("s3cr", "secret-path", "abc123"))
    for length, ending in ((3007, "x ... (7 characters more)"), (3001, "(1 characters more)")):
        alerts.send([Alert(f"{length}", "x" * length)])
        assert webhook.texts[-1] == "x" * 3000 + f" ... {ending.removeprefix('x ... ')}"
    alerts.send([Alert("3000", "x" * 3000)])
    assert webhook.texts[-1] == "x" * 3000


def test_without_a_webhook_the_log_alone_is_told_and_none_comes_later(tmp_path, webhook, caplog):
    file = tmp_path / "a new" / "folder" / "a.json"
    Alerts(file, None, [], lambda: NOW).send([Alert("a", "first")])
    assert "first" in caplog.text
    Alerts(file, webhook.url, [], lambda: NOW).send([])
    assert webhook.texts == []


PENDING_NOTHING = '{"a": {"told_at_utc": "2023-06-02T12:00:00+00:00", "pending": null}}'


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": {}}', '{"a": {"told_at_utc": 7}}', '{"a": 7}', PENDING_NOTHING]
)
def test_a_damaged_memory_is_put_aside(alerts, tmp_path, caplog, text):
    (tmp_path / "alerts.json").write_text(text)
    assert alerts.send([Alert("a", "first")]) == [Alert("a", "first")]
    assert (tmp_path / "alerts.damaged").read_text() == text
    assert "is damaged and was moved" in caplog.text


def test_a_folder_in_the_place_of_the_memory_is_put_aside(alerts, tmp_path, webhook):
    (tmp_path / "alerts.json").mkdir()
    alerts.send([Alert("a", "first")])
    assert webhook.texts == ["first"]
    assert (tmp_path / "alerts.damaged").is_dir()


def test_an_incident_is_remembered_for_half_a_year(alerts, tmp_path, webhook):
    alerts.send([Alert("a", "first")])
    for age, told in ((timedelta(days=180), 0), (timedelta(days=180, seconds=1), 1)):
        later = Alerts(tmp_path / "alerts.json", webhook.url, [], lambda age=age: NOW + age)
        assert len(later.send([Alert("a", "first")])) == told


def test_what_is_pending_is_offered_in_its_order_and_not_beyond_a_refusal(alerts, webhook, caplog):
    webhook.status = 503
    alerts.send([Alert("a", "first"), Alert("b", "second")])
    assert caplog.text.count("did not take what was sent") == 1
    assert [(one.key, one.is_pending) for one in alerts.recent()] == [("a", True), ("b", True)]
    webhook.status = 200
    alerts.send([Alert("c", "third")])
    assert webhook.texts == ["first", "second", "third"]
    assert [one.is_pending for one in alerts.recent()] == [False] * 3
    assert {one.sent_at_utc for one in alerts.recent()} == {NOW.isoformat()}


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_text_that_is_refused_stops_no_other_and_is_offered_again(alerts, webhook, status):
    """A host may find fault with words, or with a length, that a later text has not."""
    webhook.refused = (status, "DROP TABLE")
    alerts.send([Alert("a", "failed: DROP TABLE bars"), Alert("b", "second")])
    alerts.send([Alert("c", "third")])
    assert webhook.texts == ["second", "third"]
    assert [one.is_pending for one in alerts.recent()] == [True, False, False]
    webhook.refused = (0, "")
    alerts.send([])
    assert webhook.texts == ["second", "third", "failed: DROP TABLE bars"]


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_success_takes_a_text(alerts, webhook, status):
    webhook.status = status
    alerts.send([Alert("a", "first")])
    assert [one.is_pending for one in alerts.recent()] == [False]


@pytest.mark.parametrize(("unsent", "is_pending"), [("first", True), (None, False)])
def test_what_version_one_had_not_sent_is_sent(alerts, tmp_path, webhook, unsent, is_pending):
    entry = {"told_at_utc": NOW.isoformat(), "text": "first", "unsent": unsent}
    (tmp_path / "alerts.json").write_text(json.dumps({"a": entry}))
    assert [one.is_pending for one in alerts.recent()] == [is_pending]
    assert alerts.send([Alert("a", "first")]) == []
    assert webhook.texts == (["first"] if is_pending else [])


def test_a_channel_of_an_extension_that_fails_stops_no_other_and_is_offered_again(
    alerts, webhook, caplog, monkeypatch
):
    taken, broken = [], [True]

    def send(text):
        if broken:
            raise ValueError(f"no route for {text}")
        taken.append(text)

    monkeypatch.setitem(CHANNELS, "mine", AlertChannel("mine", send))
    CHANNELS["mine"].check()
    alerts.send([Alert("a", "s3cr/et")])
    assert "alert channel mine failed (ValueError: no route for ***)" in caplog.text
    assert (webhook.texts, [one.is_pending for one in alerts.recent()]) == (["***"], [True])
    broken.clear()
    alerts.send([])
    assert (taken, webhook.texts) == (["***"], ["***"])
    assert [one.is_pending for one in alerts.recent()] == [False]
    with pytest.raises(InvalidSetting, match="alert channel none: send must be a function"):
        AlertChannel("none", "text").check()
