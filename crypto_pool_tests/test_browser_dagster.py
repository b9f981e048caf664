"""The Dagster UI and MLflow as a person uses them, by its GraphQL and in a browser.

One `up` serves the module, and ends with Ctrl-C in its last test.
"""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import date

import dagster as dg
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_pool.defs.assets.models import candidate_key
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool_tests.browser import PATIENCE_MS, browser
from crypto_pool_tests.conftest import PATIENCE_SECONDS, PoolFolder
from crypto_pool_tests.running_pool import Services, materialised
from drills import foreign_pages, loopback

__all__ = ["browser"]
pytestmark = pytest.mark.long
DAY = date(2023, 6, 30)
LOCATION = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "crypto_pool.definitions",
}
BY_SYMBOL = [dg.AssetKey(name) for name in ("daily_bars", "raw_indicators", "feature_table")]
CHOSEN = [candidate_key("HistGradientBoosting"), candidate_key("KNeighbors")]
# Two corners of symbol x trend: no range and no rectangle covers them without a third.
CORNERS = {"BTC|uptrend", "ETH|downtrend"}
REPOSITORY = """
query Repository($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) {
    __typename
    ... on Repository { assetNodes { assetKey { path } } }
    ... on PythonError { message }
  }
}
"""


@pytest.fixture(scope="module")
def services(new_pool) -> Iterator[Services]:
    running = Services(new_pool(symbols="BTC,ETH", workers="2", sandbox_predictability="0.5"))
    running.wait_for(f"http://127.0.0.1:{running.dagster}/server_info")
    running.wait_for(f"http://127.0.0.1:{running.mlflow}/health")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def features(services: Services) -> None:
    """Bars and features of both coins, materialised by the UI's own mutation."""
    both = {key.to_user_string(): {"BTC", "ETH"} for key in BY_SYMBOL}
    launched = services.launch(BY_SYMBOL, ["BTC", "ETH"])
    # The daemon looks at backfills every 30 s: the features are there before it says so.
    services.wait_until(
        lambda: services.is_done(launched) or materialised(services.pool, BY_SYMBOL) == both,
        "the features of two coins",
    )
    assert materialised(services.pool, BY_SYMBOL) == both, services.log()


@pytest.fixture(scope="module")
def corners(services: Services, features: None) -> str:
    """The backfill that makes two algorithms' candidates of partitions that are no rectangle."""
    return services.launch(CHOSEN, sorted(CORNERS))


@pytest.fixture
def page(services: Services, corners: str, browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1600, "height": 1000})
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


def test_the_code_location_shows_every_candidate(services: Services):
    repository = services.ask(REPOSITORY, selector=LOCATION)
    assert repository["__typename"] == "Repository", f"{repository}; {services.log()}"
    shown = {tuple(node["assetKey"]["path"]) for node in repository["assetNodes"]}
    assert {tuple(candidate_key(name).path) for name in CANDIDATES} <= shown


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
    picture = page.get_by_role("img", name="BTC (synthetic): SMA10 moves 5 % in 10 days")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 500


def test_a_subset_of_a_candidates_partitions_is_materialised_by_clicks_and_logged(
    services: Services, page: Page
):
    asset = f"http://127.0.0.1:{services.dagster}/assets/candidates/RidgeClassifier"
    page.goto(asset)
    page.get_by_role("button", name="Materialize").first.click()
    # Of what a candidate is made from, the features are there; without a panel it has no anchor.
    warning = page.get_by_role("dialog").filter(has_text="have not been materialized yet")
    expect(warning.get_by_text("panel_forecasts")).to_be_visible()
    expect(warning.get_by_text("feature_table")).to_have_count(0)
    warning.get_by_role("button", name="Confirm").click()
    page.get_by_text("Select a partition or create one").first.click()
    page.locator("label", has_text="BTC").click()
    page.get_by_text("Launch runs to materialize").click()
    page.get_by_role("button", name="All", exact=True).last.click()
    expect(page.get_by_text("2 partitions", exact=True)).to_be_visible()
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()
    page.goto(f"{asset}?view=partitions")
    # The daemon looks at backfills every 30 s.
    expect(page.get_by_text("Materialized (2)")).to_be_visible(timeout=2 * PATIENCE_MS)
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


def test_any_partitions_of_any_algorithms_are_built(services: Services, corners: str):
    services.wait_until(lambda: services.is_done(corners), f"{CHOSEN} of {CORNERS}")
    clicked = candidate_key("RidgeClassifier")
    others = [key for name in CANDIDATES if (key := candidate_key(name)) != clicked]
    made = materialised(services.pool, [*others, dg.AssetKey("champion")])
    assert {key: partitions for key, partitions in made.items() if partitions} == {
        key.to_user_string(): CORNERS for key in CHOSEN
    }, services.log()


@pytest.fixture(scope="module")
def trained(services: Services, corners: str) -> PoolFolder:
    """The pool, once a command has trained and forecast in it in a process of its own."""
    services.wait_until(lambda: services.is_done(corners), f"{CHOSEN} of {CORNERS}")
    links = {"page_url": "pool", "mlflow_url": "mlflow"}
    at = {link: f"http://127.0.0.1:{services.ports[name]}" for link, name in links.items()}
    pool = PoolFolder(services.pool.home, {**services.pool.settings, **at})
    built = pool.build_few(DAY)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return pool


def test_the_home_page_shows_the_runs_of_a_command(
    services: Services, trained: PoolFolder, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{services.dagster}/")
    expect(page).to_have_url(re.compile("/overview"))
    page.get_by_role("link", name="predict_day").click()
    page.locator("a[href$='/jobs/predict_day/runs']").click()
    expect(page.get_by_text("Success").first).to_be_visible()


def test_a_champion_leads_to_its_version_and_to_its_page(
    services: Services, trained: PoolFolder, page: Page
) -> None:
    serving = trained.table("champions").iloc[0]
    symbol, trend = serving["symbol"], serving["trend"]
    name, version = f"{symbol}_{trend}", serving["model_version"]
    partition = f"view=partitions&partition={symbol}%7C{trend}"
    page.goto(f"http://127.0.0.1:{services.dagster}/assets/champion?{partition}")
    for address, heading in (
        (f":{services.mlflow}/#/models/{name}_model/versions/{version}", f"{name}_model"),
        (f":{services.ports['pool']}/members/{name}.html", "Price, forecasts"),
    ):
        with page.expect_popup() as opened:
            page.get_by_role("link", name=address).click()
        expect(opened.value.get_by_text(heading).first).to_be_visible()
        opened.value.close()


def test_up_listens_on_loopback_only_and_answers_to_no_foreign_name(services: Services):
    figures = loopback.look_at(services.process, services.ports)
    assert figures["services"] == 3
    assert figures["listening_on_loopback"] >= 3
    assert figures["listening_beyond_loopback"] == 0
    assert (figures["own_names_answered"], figures["own_names_refused"]) == (6, 0)
    assert (figures["foreign_names_refused"], figures["foreign_names_answered"]) == (9, 0)
    assert (figures["own_graphql_status"], figures["foreign_graphql_status"]) == (200, 400)


def test_no_page_of_another_site_gets_through(services: Services, browser: Browser):
    figures = foreign_pages.attack(browser, services.ports)
    assert figures.pop("attacks") == 18
    assert figures.pop("links_to_pages") == 6
    assert all(not found for found in figures.values()), figures


def test_ctrl_c_ends_all(services: Services):
    children = services.children()
    assert len(children) >= 3
    services.process.send_signal(signal.SIGINT)
    try:
        code = services.process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"`up` still runs {PATIENCE_SECONDS} s after Ctrl-C; {services.log()}")
    left = []
    for process in children:
        with suppress(psutil.NoSuchProcess):  # nor has a zombie a command
            left.append(process.cmdline())
    assert left == [], services.log()
    assert code == 0, services.log()
