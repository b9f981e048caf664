"""Pages as paper, a phone and a reader aloud have them: nothing cut, parted or without its zone."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from playwright.sync_api import Browser

from crypto_pool.adapters.alerts import Alert, Alerts
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.browser import fits
from crypto_pool_tests.pool_frames import LAST, pool_frames
from crypto_pool_tests.serving.conftest import LOOKS, NOW, Served


def test_no_figure_is_parted_from_its_unit_and_no_moment_from_its_zone(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    decided = {"decided_at_utc": NOW, "as_of": LAST, "decision": "kept", "reason": "young"}
    ledger = pd.DataFrame([{"symbol": "BTC", "trend": "uptrend", **decided}])
    publish(tmp_path, {**pool_frames(), "promotions": ledger})
    Alerts(tmp_path / "alerts.json", None, (), lambda: NOW).send([Alert("run:abc", "it failed")])
    served = serve(tmp_path)
    for path in ("/", "/members/BTC_uptrend.html", "/problems.html"):
        text = re.sub(r"<script.*?</script>|<svg.*?</svg>", "", served.get(path).text, flags=re.S)
        assert re.findall(r"\d+</?\w*>? %|\d %", text) == [], path
        moments = re.findall(r"\d\d:\d\d(?!:)(.{4})", re.sub(r'datetime="[^"]*"', "", text))
        assert set(moments) == {" UTC"}, path


def test_names_of_any_length_fit_on_a_phone(
    serve: Callable[..., Served], tmp_path: Path, browser: Browser
) -> None:
    frames, name = pool_frames(members=[("LONGESTCOINNAME12345", "uptrend")]), "Ensemble" * 9
    frames["champions"] = frames["champions"].assign(algorithm=name)
    frames["predictions"] = frames["predictions"].assign(algorithm=name)
    publish(tmp_path, frames)
    served = serve(tmp_path, symbols="LONGESTCOINNAME12345")
    context = browser.new_context(base_url=served.url, **LOOKS["phone"])
    page = context.new_page()
    for path in ("/", "/members/LONGESTCOINNAME12345_uptrend.html", "/problems.html"):
        page.goto(path)
        assert fits(page), path
    context.close()


def test_a_printed_page_hides_no_column(browser: Browser, pool: Served) -> None:
    context = browser.new_context(base_url=pool.url, viewport={"width": 718, "height": 1000})
    page = context.new_page()
    page.emulate_media(media="print")
    for path in ("/", "/members/BTC_uptrend.html"):
        page.goto(path)
        assert fits(page), path
        assert set(page.locator(".scroll").evaluate_all(
            "all => all.map(one => getComputedStyle(one).overflowX)")) == {"visible"}  # fmt: skip
    context.close()
