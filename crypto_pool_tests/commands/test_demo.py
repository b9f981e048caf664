"""Which coins `crypto-pool demo` takes."""

import os
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from crypto_pool.cli import app
from crypto_pool.commands import build, options
from crypto_pool.settings import load_settings


class Begun(Exception):
    """The demo has begun, and is to go no further."""


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Run the demo until it begins, and give its coins."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("CRYPTO_POOL_")}
    monkeypatch.chdir(tmp_path)

    def stop(settings):
        raise Begun

    monkeypatch.setattr(build, "running_sandbox", stop)

    def run(*options):
        monkeypatch.setattr(os, "environ", {**outside, "DAGSTER_HOME": str(tmp_path)})
        load_settings.cache_clear()
        assert isinstance(CliRunner().invoke(app, ["demo", *options]).exception, Begun)
        return load_settings().symbols

    yield run
    load_settings.cache_clear()


def test_an_option_wins_over_the_file_and_the_file_over_the_few_of_the_demo(demo, tmp_path):
    assert demo() == tuple(build.DEMO_SYMBOLS.split(","))
    (tmp_path / ".env").write_text("CRYPTO_POOL_SYMBOLS=UNI,GRT\n")
    assert demo() == ("UNI", "GRT")
    assert demo("--symbols", "ADA") == ("ADA",)


def test_the_home_then_names_the_coins_of_the_demo(demo, tmp_path):
    demo("--symbols", "ADA")
    assert 'symbols = ["ADA"]' in (tmp_path / "pool.toml").read_text()
    begun = load_settings().first_prediction_date
    assert begun == load_settings().last_closed() - timedelta(days=build.DEMO_DAYS - 1)
    assert demo("--symbols", "BTC,ETH") == ("BTC", "ETH")
    assert 'symbols = ["BTC", "ETH"]' in (tmp_path / "pool.toml").read_text()
    assert demo() == ("BTC", "ETH")
    (tmp_path / "pool.toml").write_text('symbols = ["SOL"]\n')
    assert demo() == ("SOL",)
    assert (tmp_path / "pool.toml").read_text() == 'symbols = ["SOL"]\n'


def test_its_market_trends_in_some_coins_and_stays_what_it_was(demo, tmp_path):
    demo()
    settings = options.chosen_settings(None, "sandbox")
    market = settings.synthetic_market()
    drifts = {symbol: market.planted_drift(symbol) for symbol in settings.symbols}
    assert set(drifts.values()) == {0.0, 0.6}
    demo("--symbols", "ADA")
    load_settings.cache_clear()
    assert options.chosen_settings(None, "sandbox").synthetic_market() == market
