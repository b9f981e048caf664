"""What the requests of a free day are spent on, and where the next day goes on."""

from datetime import timedelta
from pathlib import Path

import pandas as pd

from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.request_plans import UNLIMITED
from crypto_pool.sandbox.server import SandboxMarketServer, serving
from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import load_settings
from crypto_pool_tests.defs.refreshed import LAST, MARKET, NOON, Refreshed


def metered(url: str, folder: Path) -> dict[str, str]:
    """The settings of a pool on Alpha Vantage's stand-in, with the free plan's day."""
    return {
        "provider": "alpha_vantage",
        "alpha_vantage_api_key": "CANARYKEY0123456",
        "alpha_vantage_base_url": url,
        "alpha_vantage_plan": "25/day",
        "request_budget_dir": str(folder / "budget"),
        "simulated_now": NOON.isoformat(),
    }


def pulled(market: SandboxMarketServer) -> list[str]:
    return [arrival.symbol for arrival in market.arrivals]


def test_twenty_coins_fit_the_free_day_and_a_second_run_asks_nothing(tmp_path, monkeypatch):
    """As many as a pool has unless its settings say otherwise."""
    market = SandboxMarketServer(MARKET.bars, UNLIMITED, lambda: NOON)
    with serving(market) as url:
        for name, value in metered(url, tmp_path).items():
            monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", value)
        monkeypatch.setenv("CRYPTO_POOL_DATA_DIR", str(tmp_path / "data"))

        def pull(*symbols: str) -> tuple[str, int]:
            """Pull coins in a new process's stead: what was to be asked, and has been by now."""
            load_settings.cache_clear()
            pool = PoolResource(bar_date="", only=[])
            plan = pool.puller.plan(symbols or pool.settings.symbols, with_indicators=False)
            assert plan.deferred == ()
            for symbol in plan.fits:
                merge, _ = pool.puller.pull(symbol)
                pd.testing.assert_frame_equal(merge.bars, MARKET.bars(symbol, LAST))
            return plan.message, len(market.arrivals)

        first = pull()
        second = pull("BTC", "ETH")
    load_settings.cache_clear()
    assert first == ("20 requests needed, 25 left of 25 today", 20)
    assert sorted(pulled(market)) == sorted(DEFAULT_SYMBOLS)
    assert second == ("0 requests needed, 5 left of 25 today", 20)


def test_provider_indicators_stop_at_the_quota_and_go_on_the_next_day(new_pool, tmp_path):
    """16 requests a coin, whole coins only; the one left out comes first the next day."""
    market = SandboxMarketServer(MARKET.bars, UNLIMITED)
    with serving(market) as url:
        settings = metered(url, tmp_path)
        pool = new_pool(
            with_stores=True, **settings, symbols="AAA,EEE", indicator_source="provider"
        )
        for now, coin in ((NOON, "AAA"), (NOON + timedelta(hours=25), "EEE")):
            market.now = lambda now=now: now
            pool.settings["simulated_now"] = now.isoformat()
            market.arrivals.clear()
            refreshed = Refreshed(pool)
            assert list(refreshed.made) == [coin]
            assert refreshed.made[coin]["requests_spent_today"] == 1
            assert {symbol.removesuffix("USDT") for symbol in pulled(market)} == {coin}
            assert len(market.arrivals) == 16
            (waiting,) = refreshed.failures
            assert "DailyQuotaExhausted" in waiting
            assert "32 requests needed, 25 left of 25 today" in waiting
    for path in pool.home.rglob("*"):
        if path.is_file():
            assert b"CANARYKEY0123456" not in path.read_bytes(), path
    assert "CANARYKEY0123456" not in refreshed.said
