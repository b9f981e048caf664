"""The pages, opened in a browser and looked at as a person would."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_pool.adapters.alerts import Alert, Alerts
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.domain.recipe import LEVELS
from crypto_pool.serving.pages import UNIT
from crypto_pool_tests.browser import faults_of_access, fits
from crypto_pool_tests.pool_frames import LAST, pool_frames
from crypto_pool_tests.serving.conftest import LOOKS, NOW, Served


def first_column(page: Page) -> list[str]:
    rows = page.locator("#table tbody tr:visible th").all_inner_texts()
    return [" ".join(row.replace("▲", "").replace("▼", "").split()) for row in rows]


def test_the_pool_page_answers_both_questions(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="What the pool says today")).to_be_visible()
    expect(page.get_by_label("Synthetic data")).to_contain_text("Synthetic market")
    verdict = page.get_by_role("region", name="May I believe it?")
    expect(verdict).to_contain_text("Of 108 live signals that have come due, 67 % came true")
    expect(verdict).to_contain_text("66 % were promised")
    expect(page.get_by_role("link", name="BTC uptrend: 62 % reference 55 % signal")).to_be_visible()
    expect(page.get_by_role("link", name="SOL uptrend: no champion")).to_be_visible()
    row = page.locator("#table tbody tr", has_text="BTC").first
    expect(row).to_contain_text("7_day_RSI 0.25 widths outside")
    expect(row).to_contain_text("2026-12-23")
    expect(page.get_by_text("what a random walk gives for the same day").first).to_be_visible()
    assert fits(page)
    assert faults_of_access(page) == []


def test_a_member_page_shows_what_came_of_its_forecasts(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="BTC uptrend: 62 %").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("BTC")
    expect(page.get_by_label("Synthetic data")).to_be_visible()
    expect(page.get_by_text("the reference says 55 %")).to_be_visible()
    move = page.get_by_role("region", name="Expected move in 10 days")
    expect(move).to_contain_text("Of SMA10, the mean of the last ten closes")
    expect(move).to_contain_text("+2 % (\N{MINUS SIGN}7 to +12 %)")
    latest = page.get_by_role("region", name="Latest forecasts").locator("tbody tr")
    expect(latest.first).to_contain_text("2026-11-23")
    expect(latest.first).to_contain_text("pending")
    expect(latest).to_have_count(7)
    earlier = page.get_by_text("did not come").first
    expect(earlier).to_be_hidden()
    page.get_by_text("The 23 before").click()
    expect(earlier).to_be_visible()
    expect(page.get_by_role("region", name="May I believe it?")).to_contain_text("were promised")
    expect(page.locator("#price-chart canvas")).to_have_count(2)
    expect(page.get_by_role("img", name="Share of forecasts that came true")).to_be_visible()
    inputs = page.get_by_role("region", name="What moves the champion").locator("tbody th")
    assert inputs.all_inner_texts() == ["7_day_RSI", "2_day_SMA_10_day_SMA_pct_diff", "PPO"]
    expect(page.get_by_text("No decision is on record yet.")).to_be_visible()
    assert fits(page)
    assert faults_of_access(page) == []


def test_the_pages_say_all_without_scripts(browser: Browser, pool: Served) -> None:
    context = browser.new_context(base_url=pool.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    account = page.get_by_role("region", name="The account as a table")
    expect(account).to_contain_text("buying and holding")
    worst_falls = account.locator("td:last-child").all_inner_texts()
    assert all(re.fullmatch(rf"\d+{UNIT}", fall) for fall in worst_falls), worst_falls
    page.goto("/members/BTC_uptrend.html")
    expect(page.locator("#price-chart noscript")).to_be_visible()
    latest = page.get_by_role("region", name="Latest forecasts").locator("tbody tr")
    expect(latest).to_have_count(7)
    page.get_by_text("The 23 before").click()
    earlier = page.get_by_role("region", name="Earlier forecasts").locator("tbody tr")
    expect(earlier).to_have_count(23)
    context.close()


def test_the_page_of_problems_says_who_has_no_forecast_and_what_failed(
    desk: Page, serve: Callable[..., Served], tmp_path: Path
) -> None:
    frames = pool_frames()
    frames["missing_forecasts"] = pd.DataFrame(
        [{"prediction_date": LAST, "symbol": "SOL", "trend": "uptrend", "reason": "no bar",
          "has_bar": False}]
    )  # fmt: skip
    publish(tmp_path, frames)
    failed = Alert("run:abc", "predict_day failed (run abc):\nSOL: <b>down</b>")
    alerts = Alerts(tmp_path / "alerts.json", None, (), lambda: NOW)
    alerts.send([failed, Alert("digest:2026-11-23", "2 signals")])
    desk.goto(f"{serve(tmp_path).url}/problems.html")
    expect(desk.get_by_role("row", name="SOL uptrend 2026-11-23 no bar")).to_be_visible()
    expect(desk.get_by_text("SOL: <b>down</b>")).to_be_visible()
    expect(desk.get_by_text("2 signals")).to_have_count(0)
    log = desk.get_by_role("link", name="Its log in Dagster")
    expect(log).to_have_attribute("href", "http://127.0.0.1:3000/runs/abc")
    assert faults_of_access(desk) == []


def test_each_link_of_each_page_is_answered(pool: Served) -> None:
    asked, to_ask = set[str](), {"/", "/problems.html", "/docs"}
    while to_ask:
        path = to_ask.pop()
        asked.add(path)
        answer = pool.get(path)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html"):
            linked = re.findall(r'(?:href|src)="([^"]*)"', answer.text)
            pages = {urldefrag(urljoin(path, html.unescape(one))).url for one in linked}
            to_ask |= {one for one in pages if one.startswith("/")} - asked
    assert {"/members/BTC_uptrend.html", "/odds?symbol=BTC&move=8", "/openapi.json"} <= asked


def test_the_table_sorts_and_filters_in_place(desk: Page) -> None:
    desk.goto("/")
    assert len(first_column(desk)) == 6
    desk.get_by_role("columnheader", name="Champion").get_by_role("link").press("Enter")
    assert first_column(desk)[0] == "ETH uptrend"  # AdaBoost
    heading = desk.get_by_role("columnheader", name="Champion")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    desk.get_by_role("textbox", name="Coin").fill("bt")
    assert sorted(first_column(desk)) == ["BTC downtrend", "BTC uptrend"]
    expect(desk.get_by_role("status")).to_have_text("2 of 6 members")
    desk.get_by_label("downtrend", exact=True).check()
    assert first_column(desk) == ["BTC downtrend"]


def test_the_table_sorts_and_filters_without_scripts(browser: Browser, pool: Served) -> None:
    context = browser.new_context(base_url=pool.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("textbox", name="Coin").fill("btc")
    page.get_by_role("button", name="Show").click()
    assert first_column(page) == ["BTC uptrend", "BTC downtrend"]
    page.get_by_role("columnheader", name="Champion").get_by_role("link").click()
    assert first_column(page) == ["BTC downtrend", "BTC uptrend"]  # RandomForest first
    page.get_by_role("columnheader", name="Champion").get_by_role("link").click()
    assert first_column(page) == ["BTC uptrend", "BTC downtrend"]
    context.close()


def test_what_is_stored_cannot_inject_markup(
    browser: Browser, serve: Callable[..., Served], tmp_path: Path
) -> None:
    frames = pool_frames()
    frames["champions"]["algorithm"] = '<img src=x onerror="document.title=1"><b>bold'
    publish(tmp_path, frames)
    served = serve(tmp_path)
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#table")).to_contain_text("<b>bold")
    assert page.title().startswith("What the pool says today")
    assert served.get("/?coin=%22%3E%3Cb%3Ex").text.count("<b>x") == 0
    context.close()


def test_without_a_publication_the_page_says_what_to_do(
    desk: Page, serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve(tmp_path)
    answer = desk.goto(served.url)
    assert answer is not None
    assert answer.status == 503
    expect(desk.get_by_text("run `crypto-pool build`")).to_be_visible()
    assert faults_of_access(desk) == []


def test_the_api_is_described_and_tried_without_a_network(desk: Page, pool: Served) -> None:
    asked: list[str] = []
    faults: list[str] = []
    desk.on("request", lambda request: asked.append(request.url))
    desk.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    desk.goto("/")
    desk.get_by_role("link", name="API", exact=True).click()
    operation = desk.locator(".opblock", has_text="/members").first
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text("BTC_uptrend")
    assert [url for url in asked if not url.startswith((pool.url, "data:"))] == []
    assert faults == []


def test_the_page_and_the_data_of_a_member_are_neighbours(pool: Served) -> None:
    names = [state["member"] for state in pool.get("/members").json()]
    assert "BTC_uptrend" in names
    assert pool.get("/members/BTC_uptrend").json()["state"]["member"] == "BTC_uptrend"
    page = pool.get("/members/BTC_uptrend.html")
    assert page.headers["content-type"].startswith("text/html")
    old = pool.get("/pool/BTC_uptrend", follow_redirects=False)
    assert (old.status_code, old.headers["location"]) == (308, "/members/BTC_uptrend.html")


def test_a_trend_is_defined_with_its_formula_a_click_away(desk: Page) -> None:
    desk.goto("/")
    formula = desk.get_by_text("change = (SMA10 in 10 days")
    expect(formula).to_be_hidden()
    desk.get_by_text("A trend here is a move of 5 % or more in 10 days").click()
    expect(formula).to_be_visible()


@pytest.mark.parametrize("kind", LEVELS)
def test_the_words_for_a_trend_are_those_of_the_target(
    serve: Callable[..., Served], tmp_path: Path, kind: str
) -> None:
    frames = pool_frames()
    for name in ("predictions", "champions", "panel_forecasts"):
        frames[name] = frames[name].assign(target=kind)
    publish(tmp_path, frames)
    pool = serve(tmp_path, simulated_now=NOW)
    home, member = (pool.get(path).text for path in ("/", "/members/BTC_uptrend.html"))
    level, words = LEVELS[kind]
    assert f"It is measured on {words}: change = ({level} in 10 days" in home
    assert f"Of {words}: from" in member
    for other, _ in LEVELS.values():
        assert other == level or f"{other} " not in home
    answer = pool.get("/prediction?symbol=BTC&trend_type=uptrend").json()
    assert (answer["target"], answer["expected_move"]["target"]) == (kind, kind)


def test_old_forecasts_are_no_signals_of_today(
    serve: Callable[..., Served], tmp_path: Path, browser: Browser
) -> None:
    publish(tmp_path, pool_frames())
    old = serve(tmp_path, simulated_now="2026-11-27T12:00:00")
    context = browser.new_context(base_url=old.url, **LOOKS["light"])
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("What the pool said on 2026-11-23")
    expect(page.get_by_text("These forecasts are 3 days old")).to_be_visible()
    assert page.locator("dt", has_text="Signals today").locator("xpath=../dd").inner_text() == "0"
    page.get_by_role("link", name="Problems").click()
    row = page.get_by_role("row", name="BTC uptrend 2026-11-23")
    expect(row).to_contain_text("3 days before the last closed day 2026-11-26")
    context.close()


def test_a_member_links_to_its_model_and_its_trainings(desk: Page) -> None:
    desk.goto("/members/BTC_uptrend.html")
    links = (
        desk.get_by_label("Breadcrumb")
        .locator("a")
        .evaluate_all("all => all.map(one => one.getAttribute('href'))")
    )
    assert links == [
        "/",
        "http://127.0.0.1:5000/#/models/BTC_uptrend_model/versions/3",
        "http://127.0.0.1:3000/assets/champion?partition=BTC%7Cuptrend",
        "/members/BTC_uptrend",
    ]
