"""Takes the pictures of the pool's pages in docs/images.

`make pictures`, after `make demo`: of the pool in dagster_home and of one of its members, at the
moment of its latest publication. Two arguments are another data folder and another member.
"""

import shutil
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from crypto_pool.adapters.prediction_tables import LINK_NAME
from crypto_pool.serving.app import create_app
from crypto_pool.settings import Settings
from crypto_pool_tests.serving.conftest import LOOKS, Server
from drills.foreign_pages import NAMES

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def take(browser: Browser, url: str, member: str) -> None:
    """Save the pool page and one member's page in each look."""
    for look, options in LOOKS.items():
        page = browser.new_page(**options)
        for name, path in (("pool", "/"), ("member", f"/members/{member}.html")):
            page.goto(url + path)
            page.locator("figure.chart canvas").first.wait_for()
            target = IMAGES / f"{name}-page-{look}.png"
            page.screenshot(path=target, full_page=True)
            print(target)
        page.close()


def main(data: str = "dagster_home/data", member: str = "BTC_uptrend") -> None:
    """Serve the pool and take its pictures."""
    published = (Path(data) / LINK_NAME).resolve().stat().st_mtime
    moment = datetime.fromtimestamp(published, UTC)
    app = create_app(Settings(_env_file=None, data_dir=Path(data), simulated_now=moment))
    server = Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    server.started_up.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    executable = next(filter(None, map(shutil.which, NAMES)))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            take(browser, f"http://127.0.0.1:{port}", member)
            browser.close()
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
