"""The Dagster UI and MLflow in a browser, as a person uses them: one `up` serves the module."""

import re
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_pool.defs.assets.models import candidate_key
from crypto_pool_tests.browser import PATIENCE_MS, browser
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


@pytest.fixture(scope="module")
def services(new_pool) -> Iterator[Services]:
    pool = new_pool(symbols="BTC,ETH")
    filled = [sys.executable, "-c", FILL]
    subprocess.run(filled, env=pool.environment, cwd=pool.home, check=True, timeout=120)
    running = Services(pool)
    yield running
    running.stop()


@pytest.fixture
def page(services: Services, browser: Browser) -> Iterator[Page]:
    services.wait_for(f"http://127.0.0.1:{services.dagster}/server_info", 60)
    opened = browser.new_page(viewport={"width": 1600, "height": 1000})
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


def test_the_graph_reads_from_bars_to_forecasts(services: Services, page: Page):
    page.goto(f"http://127.0.0.1:{services.dagster}/asset-groups")
    places = []
    for group in ("raw", "features", "models", "predictions"):
        shown = page.locator("svg").get_by_text(group, exact=True).first
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box is not None
        places.append(box["x"])
    assert places == sorted(places)


def test_a_coins_price_is_drawn_with_its_labels(services: Services, page: Page):
    page.goto(f"http://127.0.0.1:{services.dagster}/assets/daily_bars?view=partitions")
    page.goto(f"{page.url}&partition=BTC")
    expect(page.get_by_text("price_with_labels")).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_role("img", name="BTC (synthetic): sma_shift of 5% within 10 days")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500


def test_a_subset_of_a_candidates_partitions_is_materialised_by_clicks_and_logged(
    services: Services, page: Page
):
    asset = f"http://127.0.0.1:{services.dagster}/assets/candidates/RidgeClassifier"
    page.goto(asset)
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").first.click()
    page.locator("label", has_text="BTC").click()
    page.get_by_text("Launch runs to materialize").click()
    page.get_by_role("button", name="All", exact=True).last.click()
    expect(page.get_by_text("2 partitions", exact=True)).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()
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
    find_its_run_in_mlflow(services, page)


def find_its_run_in_mlflow(services: Services, page: Page) -> None:
    """From the list of experiments to the run: its scores, the reference's, its rows, its files."""
    page.goto(f"http://127.0.0.1:{services.mlflow}/#/experiments")
    page.get_by_text("Model training").click()
    page.get_by_role("link", name="BTC_uptrend").first.click()
    page.get_by_role("link", name="RidgeClassifier").first.click()
    expect(page.get_by_role("heading", name="RidgeClassifier")).to_be_visible()
    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^BTC_uptrend \([0-9a-f]+\)$"))).to_be_visible()
    page.get_by_placeholder("Search metrics").fill("brier")
    for metric in ("brier_score", "reference_brier_score"):
        expect(page.get_by_role("link", name=metric, exact=True)).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    expect(page.get_by_text("evaluation.parquet").first).to_be_visible()
