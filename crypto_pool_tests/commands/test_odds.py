"""`crypto-pool odds` on a published file."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.cli import app
from crypto_pool.errors import InvalidSetting
from crypto_pool.settings import load_settings
from crypto_pool.workflow.history import retire
from crypto_pool_tests.pool_frames import LAST, pool_frames


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    load_settings.cache_clear()
    publish(tmp_path / "data", pool_frames())
    yield tmp_path
    load_settings.cache_clear()


def test_says_the_stored_probability_at_the_targets_own_move(published: Path) -> None:
    stored = pool_frames()["panel_forecasts"].iloc[0]
    told = CliRunner().invoke(app, ["odds", "btc", "--move", "5%", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["probability"] == pytest.approx(stored["panel_up"], abs=1e-6)
    words = CliRunner().invoke(app, ["odds", "BTC", "--move", "5%"]).stdout
    assert f"{stored['panel_up']:.4f}" in words
    assert "Expected of SMA10, the mean of the last ten closes, then 50,000 USD" in words
    assert "80 % between" in words


def test_a_coin_that_has_left_is_told_so(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTO_POOL_SIMULATED_NOW", f"{LAST + timedelta(days=3)}T12:00:00Z")
    asked = ["odds", "BTC", "--move", "5%"]
    assert "2 days before the last closed day" in CliRunner().invoke(app, asked).stdout
    since = LAST + timedelta(days=1)
    retire(FrameStore(load_settings().frames_root), "BTC", since, datetime.now(UTC))
    said = CliRunner().invoke(app, asked).stdout
    assert f"Stale: the coin was retired from {since} on" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["NOPE", "--move", "8%"], "no coin of this pool"),
        (["ETH", "--move", "8%"], "no panel forecast yet"),
        (["BTC", "--move=-100%"], "cannot fall by 100 %"),
    ],
)
def test_refuses_with_a_way_out(published: Path, arguments: list[str], says: str) -> None:
    refused = CliRunner().invoke(app, ["odds", *arguments])
    assert isinstance(refused.exception, InvalidSetting)
    assert says in str(refused.exception)
