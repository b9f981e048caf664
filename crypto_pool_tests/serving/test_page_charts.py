"""The charts of the pages: their newest days, what lies below a finger, and their colours."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from crypto_pool.adapters.prediction_tables import publish
from crypto_pool_tests.browser import faults_of_access
from crypto_pool_tests.pool_frames import LAST, bars_of, pool_frames
from crypto_pool_tests.serving.conftest import LOOKS, Served

KEEP_WHAT_IS_WRITTEN = """
    window.written = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
      window.written.push(text);
      return write.call(this, text, ...place);
    };
"""


def told(page: Page) -> list[str]:
    """What the legend of the price chart says: the day, and the close of it."""
    values = page.locator("#price-chart .u-legend").first.locator(".u-value")
    return [values.nth(number).inner_text() for number in (0, 1)]


def below_a_finger(page: Page) -> list[str]:
    """What is told of the chart's left end, once it is touched."""
    plot = page.locator("#price-chart .u-over").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    assert box["width"] > 250
    page.touchscreen.tap(box["x"] + 5, box["y"] + 40)
    return told(page)


def test_a_chart_shows_its_newest_days_and_the_value_below_a_finger(
    browser: Browser, pool: Served
) -> None:
    context = browser.new_context(base_url=pool.url, **LOOKS["phone"])
    page = context.new_page()
    page.goto("/members/BTC_uptrend.html")
    newest = told(page)
    assert newest[0] == "2026-11-23"
    expect(page.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")
    first, close = below_a_finger(page)
    assert "2026-11-03" <= first <= "2026-11-06"
    assert close != newest[1]
    page.get_by_role("button", name="all").tap()
    assert below_a_finger(page)[0] < "2026-06-01"
    context.close()


def test_charts_follow_the_colours_of_the_page(desk: Page) -> None:
    desk.goto("/")
    marker = desk.locator("#account-chart .u-marker").nth(1)
    assert "rgb(31, 95, 191)" in (marker.get_attribute("style") or "")
    desk.emulate_media(color_scheme="dark")
    expect(marker).to_have_attribute("style", re.compile("rgb.127, 176, 255"))
    assert faults_of_access(desk) == []


def test_the_axis_of_a_young_pool_names_each_day_once(
    serve: Callable[..., Served], tmp_path: Path, browser: Browser
) -> None:
    frames = pool_frames()
    days = frames["predictions"]["prediction_date"]
    frames["predictions"] = frames["predictions"][days >= LAST - timedelta(days=4)]
    publish(tmp_path, frames)
    page = browser.new_page(base_url=serve(tmp_path).url, **LOOKS["light"])
    page.add_init_script(KEEP_WHAT_IS_WRITTEN)
    page.goto("/")
    expect(page.locator("#account-chart .u-over")).to_be_visible()
    page.wait_for_function("window.written.length > 0")
    named = [text for text in page.evaluate("window.written") if text.endswith("Nov")]
    assert named == ["19 Nov", "20 Nov", "21 Nov", "22 Nov"]
    page.close()


def test_the_axis_of_a_year_names_the_year(
    serve: Callable[..., Served], tmp_path: Path, browser: Browser
) -> None:
    publish(tmp_path, {**pool_frames(), "daily_bars": bars_of("BTC", LAST, 400)})
    page = browser.new_page(base_url=serve(tmp_path).url, **LOOKS["light"])
    page.add_init_script(KEEP_WHAT_IS_WRITTEN)
    page.goto("/members/BTC_uptrend.html")
    page.wait_for_function("window.written.length > 0")
    days = r"\d+ [A-Z][a-z]+( \d{4})?"
    for span, has_year in (("30 days", False), ("all", True)):
        page.evaluate("window.written = []")
        page.get_by_role("button", name=span).click()
        page.wait_for_function("window.written.some(text => text.endsWith('%'))")
        named = [text for text in page.evaluate("window.written") if re.fullmatch(days, text)]
        assert named, span
        assert {bool(re.search(r"20\d\d", text)) for text in named} == {has_year}, span
    page.close()
