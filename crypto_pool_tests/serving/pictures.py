"""Takes the pictures of the pool's pages in docs/images.

`python -m crypto_pool_tests.serving.pictures DATA_DIR COINS NOW MEMBER`: of a pool that lived
there, with its coins as in `CRYPTO_POOL_SYMBOLS`, as it was at that moment, and of a member.
"""

import shutil
import sys
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from crypto_pool.serving.app import create_app
from crypto_pool_tests.serving.conftest import Server, pool_settings
from crypto_pool_tests.serving.test_pages import LOOKS
from drills.foreign_pages import NAMES

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def take(browser: Browser, url: str, member: str) -> None:
    """Save the pool page and one member's page in each look."""
    for look, options in LOOKS.items():
        page = browser.new_page(**options)
        for name, path in (("pool", "/"), ("member", f"/members/{member}.html")):
            page.goto(url + path)
            for picture in page.get_by_role("img").all():
                picture.evaluate("image => image.decode()")
            target = IMAGES / f"{name}-page-{look}.png"
            page.screenshot(path=target, full_page=True)
            print(target)
        page.close()


def main(data: str, coins: str, now: str, member: str) -> None:
    """Serve the pool and take its pictures."""
    app = create_app(pool_settings(Path(data), symbols=coins, simulated_now=now))
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
