"""A subset of partitions of one candidate, materialised by clicks in the Dagster UI."""

import subprocess
import sys

import dagster as dg
import pytest
from playwright.sync_api import Browser, expect

from crypto_pool.defs.assets.models import candidate_key
from crypto_pool_tests.browser import browser
from crypto_pool_tests.running_pool import Services, materialised

__all__ = ["browser"]
FILL = """
from crypto_pool.building import FEATURES, open_instance, run_layers
from crypto_pool.settings import load_settings
settings = load_settings()
with open_instance(settings) as instance:
    failures = run_layers(instance, settings, settings.last_closed(), (FEATURES,), print).failures
assert not failures, failures
"""


@pytest.fixture
def services(new_pool):
    pool = new_pool(symbols="BTC,ETH", evaluation_policy="holdout")
    filled = [sys.executable, "-c", FILL]
    subprocess.run(filled, env=pool.environment, cwd=pool.home, check=True, timeout=120)
    running = Services(pool)
    yield running
    running.stop()


def test_a_subset_of_a_candidates_partitions_is_materialised_by_clicks(
    services: Services,
    browser: Browser,
):
    services.wait_for(f"http://127.0.0.1:{services.dagster}/server_info", 60)
    page = browser.new_page()
    page.set_default_timeout(30_000)
    asset = f"http://127.0.0.1:{services.dagster}/assets/candidates/RidgeClassifier"
    page.goto(asset)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").first.click()
    page.locator("label", has_text="BTC").click()
    page.get_by_text("Launch runs to materialize").click()
    page.get_by_role("button", name="All", exact=True).last.click()
    expect(page.get_by_text("2 partitions", exact=True)).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible(timeout=30_000)
    page.goto(f"{asset}?view=partitions")
    # The daemon looks at backfills every 30 s.
    expect(page.get_by_text("Materialized (2)")).to_be_visible(timeout=300_000)
    expect(page.get_by_text("Missing (2)")).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    key = candidate_key("RidgeClassifier")
    made = materialised(services.pool, [key, dg.AssetKey("champion")])
    assert made == {
        "candidates/RidgeClassifier": {"BTC|uptrend", "BTC|downtrend"},
        "champion": set(),
    }
