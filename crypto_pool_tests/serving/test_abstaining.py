"""A forecast that abstains is no signal: not on the page, not in the record, not in `status`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crypto_pool.adapters.prediction_tables import publish, query
from crypto_pool.commands.status import MEMBERS
from crypto_pool_tests.pool_frames import LAST, pool_frames, reviewed
from crypto_pool_tests.serving.conftest import Served

WHY = "7_day_RSI lies 12 widths outside its training span"


@pytest.fixture(scope="module")
def pool(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Served:
    """All three champions are above their threshold; BTC's uptrend abstains, on every day."""
    frames = pool_frames()
    rows = frames["predictions"]
    silent = (rows["symbol"] == "BTC") & (rows["trend"] == "uptrend")
    rows.loc[silent, "status"] = "abstain"
    rows["abstain_reason"] = np.where(silent, WHY, "")
    scored = frames["prediction_outcomes"]
    scored.loc[(scored["symbol"] == "BTC") & (scored["trend"] == "uptrend"), "status"] = "abstain"
    frames["realised_performance"] = reviewed(scored, LAST)
    data: Path = tmp_path_factory.mktemp("data")
    publish(data, frames)
    return serve(data)


def test_the_page_counts_and_shows_the_others(pool: Served) -> None:
    page = pool.get("/").text
    assert "<dt>Signals today</dt><dd>2</dd>" in page
    assert page.count('data-signal="true"') == 2
    assert page.count('<span class="visually-hidden">signal</span>') == 2
    assert "2 of 6 members" in pool.get("/?signals=true").text


def test_why_it_abstains_is_told_with_it(pool: Served) -> None:
    assert f"The champion abstains: {WHY}." in pool.get("/members/BTC_uptrend.html").text
    detail = pool.get("/members/BTC_uptrend").json()
    assert detail["state"]["forecast"]["abstain_reason"] == WHY
    assert detail["predictions"][0]["abstain_reason"] == WHY
    assert pool.get("/members/ETH_uptrend").json()["state"]["forecast"]["abstain_reason"] is None


def test_the_live_record_leaves_it_out(pool: Served) -> None:
    record = pool.get("/members/BTC_uptrend").json()["state"]["record"]
    assert (record["scored"], record["signals"]) == (0, 0)
    assert (record["realised_precision"], record["brier_score"]) == (None, None)
    whole = pool.get("/pool").json()["record"]
    assert (whole["scored"], whole["signals"]) == (2 * 71, 2 * 36)


def test_status_counts_the_others(pool: Served) -> None:
    shown = query(pool.data, MEMBERS.format(record="track_record")).set_index(["symbol", "trend"])[
        "live_signals"
    ]
    assert shown.to_dict() == {
        ("BTC", "uptrend"): 0, ("BTC", "downtrend"): 36, ("ETH", "uptrend"): 36
    }  # fmt: skip
