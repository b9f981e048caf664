"""Takes the pictures in docs/images: `python -m crypto_pool_tests.serving.pictures [DATA_DIR]`.

Of the pool in DATA_DIR; without one, of a small pool with a known past.
"""

import shutil
import sys
import tempfile
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.serving.app import create_app
from crypto_pool_tests.browser import NAMES
from crypto_pool_tests.serving.conftest import NOW, Server, pool_settings
from crypto_pool_tests.serving.pool_frames import MEMBERS, pool_frames
from crypto_pool_tests.serving.test_pages import LOOKS

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MORE = [("ADA", "uptrend"), ("ADA", "downtrend"), ("XRP", "downtrend")]


def take(browser: Browser, url: str, member: str) -> None:
    """Save the pool page and one member's page in each look."""
    for look, options in LOOKS.items():
        page = browser.new_page(**options)
        for name, path in (("pool", "/"), ("member", f"/pool/{member}")):
            page.goto(url + path)
            for picture in page.get_by_role("img").all():
                picture.evaluate("image => image.decode()")
            target = IMAGES / f"{name}-page-{look}.png"
            page.screenshot(path=target, full_page=True)
            print(target)
        page.close()


def main(data: Path | None) -> None:
    """Serve the pool and take its pictures."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"simulated_now": None, "symbols": "BTC"} if data else {"simulated_now": NOW}
        if data is None:
            data = Path(folder)
            publish(data, pool_frames(members=[*MEMBERS, *MORE]))
        config = uvicorn.Config(
            create_app(pool_settings(data, **values)), port=0, log_level="warning"
        )
        server = Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        server.started_up.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        executable = next(filter(None, map(shutil.which, NAMES)))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=executable, args=["--no-sandbox"]
                )
                take(browser, f"http://127.0.0.1:{port}", "BTC_uptrend")
                browser.close()
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
