"""Takes the pictures of the Dagster UI and MLflow in docs/images, of a pool that was built.

`python -m crypto_pool_tests.tool_pictures`, while `crypto-pool up` serves it at its usual ports;
two arguments are other addresses of Dagster and MLflow.
"""

import shutil
import sys

from playwright.sync_api import Page, expect, sync_playwright

from crypto_pool_tests.serving.pictures import IMAGES
from drills.foreign_pages import NAMES

WIDE = {"width": 1700, "height": 1110}
GRAPH = {"x": 480, "y": 140, "width": 810, "height": 880}  # where the groups lie, far enough out
DIALOG = {"x": 480, "y": 150, "width": 740, "height": 640}
LOOK_MS = 2000  # both UIs glide into place


def save(page: Page, name: str, **options: object) -> None:
    page.wait_for_timeout(LOOK_MS)
    page.screenshot(path=IMAGES / name, **options)
    print(IMAGES / name)


def take_graph(page: Page, dagster: str) -> None:
    """The whole graph, all groups open and the side bars away."""
    page.goto(f"{dagster}/asset-groups")
    expect(page.locator("svg").get_by_text("models", exact=True)).to_be_visible()
    page.get_by_text("Hide navigation").click()
    page.get_by_role("button", name="panel_show_right").click()
    page.keyboard.press("Alt+e")
    expect(page.locator("svg").get_by_text("champion", exact=True)).to_be_visible()
    page.wait_for_timeout(LOOK_MS)
    page.get_by_role("button", name="zoom_out").click(click_count=4)  # until all groups are in it
    save(page, "asset-graph.png", clip=GRAPH)


def take_champion(page: Page, dagster: str) -> None:
    """A champion's judgement in the metadata of its asset."""
    page.goto(f"{dagster}/assets/champion?view=partitions&partition=BTC%7Cdowntrend")
    page.get_by_text("[Show Markdown]").last.click()
    expect(page.get_by_role("img", name="BTC_downtrend: version")).to_be_visible()
    save(page, "champion-in-dagster.png")


def take_subset(page: Page, dagster: str) -> None:
    """Two partitions of one candidate, chosen to be materialised; the dialog is left as it is."""
    page.goto(f"{dagster}/assets/candidates/RidgeClassifier")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").first.click()
    page.locator("label", has_text="BTC").click()
    page.get_by_text("Launch runs to materialize").click()
    page.get_by_role("button", name="All", exact=True).last.click()
    expect(page.get_by_text("2 partitions", exact=True)).to_be_visible()
    save(page, "materialise-a-subset.png", clip=DIALOG)


def take_run(page: Page, mlflow: str) -> None:
    """A candidate's run with its metrics."""
    page.goto(f"{mlflow}/#/experiments")
    page.get_by_text("Model training").click()
    page.get_by_role("link", name="BTC_downtrend").first.click()
    page.get_by_role("link", name="HistGradientBoosting").first.click()
    expect(page.get_by_role("heading", name="HistGradientBoosting")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    save(page, "mlflow-run.png")


def main(dagster: str = "http://127.0.0.1:3000", mlflow: str = "http://127.0.0.1:5000") -> None:
    """Take each picture with a page of its own."""
    executable = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        of_dagster = [(take, dagster) for take in (take_graph, take_champion, take_subset)]
        for take, address in (*of_dagster, (take_run, mlflow)):
            page = browser.new_page(viewport=WIDE)
            page.set_default_timeout(60_000)
            take(page, address)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
