"""A headless Chromium for tests of pages; CRYPTO_POOL_TEST_BROWSER names another executable."""

import os
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from crypto_pool_tests.conftest import PATIENCE_SECONDS
from drills import foreign_pages

COUNTED = ("moderate", "serious", "critical")
# Dagster's page loads megabytes of script and then its whole graph: on a machine that runs other
# tests too, more than the five seconds that Playwright waits by itself.
PATIENCE_MS = 1000 * PATIENCE_SECONDS
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module; without one its tests are skipped, unless CI is set.

    Its event loop runs in the main thread until it closes, and nothing else that needs one
    there can run meanwhile: hence no browser for the whole session.
    """
    named = os.environ.get("CRYPTO_POOL_TEST_BROWSER")
    executable = named or next(filter(None, map(shutil.which, foreign_pages.NAMES)), None)
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found: the page tests have to run here; install chromium")
        pytest.skip("no Chromium found: install it, or name one in CRYPTO_POOL_TEST_BROWSER")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", *foreign_pages.BROWSER_ARGUMENTS]
        started = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield started
        started.close()


def faults_of_access(page: Page) -> list[str]:
    """Name the accessibility faults axe finds, but for minor ones, with their elements."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for fault in found
        if fault["impact"] in COUNTED
        for node in fault["nodes"]
    ]


def fits(page: Page) -> bool:
    """Whether nothing but the tables' own boxes has to be moved sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
