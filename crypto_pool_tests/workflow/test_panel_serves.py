"""The panel as anchor, as baseline and as a champion, from training to a day's row."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.ledger import Ledger
from crypto_pool.domain.recipe import Recipe, Target
from crypto_pool.domain.served_model import PANEL_LOGIT
from crypto_pool.errors import MissingFeatures
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.baseline import Baseline
from crypto_pool.workflow.forecasting import choose_forecaster, forecast
from crypto_pool.workflow.frames import FrameCache
from crypto_pool.workflow.panel import stored_forecasts, update_panel
from crypto_pool.workflow.promotion.reconciling import champions_of
from crypto_pool.workflow.reproducing import reproduce
from crypto_pool_tests.workflow.small_pool import FIRST, MEMBER, SmallPool, noon_after


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    """One member on a market without drift, whose panel rests on seven coins."""
    recipe = Recipe(training_rows=700)
    made = SmallPool(tmp_path_factory.mktemp("panel"), recipe, predictability=0.0)
    made.write_features()
    market = SyntheticMarket(seed=3, predictability=0.0)
    for symbol in ("BTC", "ETH", "ADA", "LTC", "SOL", "XRP"):
        made.store.write("daily_bars", symbol, market.bars(symbol, FIRST))
    update_panel(made.store, Target(), FIRST)
    made.train(FIRST)
    made.appoint(FIRST)
    return made


def test_rows_are_anchored_to_the_panel_and_their_hash_covers_it(pool: SmallPool) -> None:
    table = pool.table(FIRST)
    assert (table.baseline, table.anchor) == ("Panel", PANEL_LOGIT)
    panel = stored_forecasts(pool.store, Target()).xs(MEMBER.symbol, level="symbol")
    known = table.index.intersection(panel.index)
    assert len(known) > len(table) / 2
    ours = pd.Series(table.panel_probability, index=table.index)[known]
    assert ours.to_list() == panel.loc[known, "panel_up"].to_list()


def test_every_candidate_is_judged_where_there_is_a_panel_and_told_what_it_adds(
    pool: SmallPool,
) -> None:
    from crypto_pool.domain.training import data_hash
    from crypto_pool.workflow.code_version import code_version

    table = pool.table(FIRST)
    runs = pool.registry.runs.latest(MEMBER.name, data_hash(table), pool.recipe, code_version())
    assert {"Panel", "LightGBM", "RidgeClassifier"} <= runs.keys()
    panel = pd.Series(table.panel_probability, index=table.index)
    for name, run in runs.items():
        judged = run.evaluation
        assert panel[judged.index].notna().all()
        assert judged["baseline_probability"].to_list() == pytest.approx(
            panel[judged.index].clip(0.01, 0.99).to_list()
        )
        assert (run.metrics["added_points"] < 1e-9) is (name == "Panel")


def test_where_no_candidate_adds_enough_the_panel_serves_under_its_name(pool: SmallPool) -> None:
    champion = champions_of(pool.registry, Ledger(pool.store).by_member(), [MEMBER])[MEMBER]
    assert champion.version is not None
    tags = champion.version.tags
    assert tags["classifier"] == "Panel"
    importance = json.loads(tags["feature_importance"])
    assert set(importance) == {"reference", "volatility", "drift"}
    assert all(importance.values())
    assert reproduce(pool.store, pool.registry, MEMBER, champion.version.version).is_equal


@pytest.mark.parametrize("is_torn", [False, True])
def test_a_day_is_forecast_by_the_stored_panel_whatever_the_features(
    pool: SmallPool, is_torn: bool
) -> None:
    champion = champions_of(pool.registry, Ledger(pool.store).by_member(), [MEMBER])[MEMBER]
    terms = pool.recipe.terms(pool.table(FIRST).features.columns)
    decisions = Ledger(pool.store).of_member(MEMBER)
    chosen = choose_forecaster(pool.registry, champion, decisions, FIRST, terms)
    assert chosen is not None
    features = Path(pool.store.path("feature_table", MEMBER.symbol))
    whole = features.read_bytes()
    features.write_bytes(whole[:100] if is_torn else whole)
    frames, panel = FrameCache(pool.store), stored_forecasts(pool.store, Target())
    baseline = Baseline(frames, panel, Target())
    row = forecast(frames, pool.registry, chosen, FIRST, noon_after(FIRST), 7, None, baseline)
    features.write_bytes(whole)
    stored = panel.loc[(pd.Timestamp(FIRST), MEMBER.symbol), "panel_up"]
    assert row["status"] == "active"
    assert (row["algorithm"], row["panel_probability"]) == ("Panel", stored)
    assert row["probability"] == pytest.approx(np.clip(stored, 0.01, 0.99))
    parts = {one["feature"]: one["contribution"] for one in json.loads(row["top_contributions"])}
    assert 0.5 + sum(parts.values()) == pytest.approx(stored)


def test_a_version_is_given_no_panel_of_another_target_and_says_its_fault(
    pool: SmallPool,
) -> None:
    champion = champions_of(pool.registry, Ledger(pool.store).by_member(), [MEMBER])[MEMBER]
    further, decisions = Target(pct=0.1), Ledger(pool.store).of_member(MEMBER)
    terms = Recipe(further).terms(pool.table(FIRST).features.columns)
    chosen = choose_forecaster(pool.registry, champion, decisions, FIRST, terms)
    assert chosen is not None
    frames, panel = FrameCache(pool.store), stored_forecasts(pool.store, Target())
    baseline = Baseline(frames, panel, further)
    assert baseline.panel_of(MEMBER, FIRST) is not None
    with pytest.raises(MissingFeatures, match=r"target_pct was 0\.05 and is 0\.1"):
        forecast(frames, pool.registry, chosen, FIRST, noon_after(FIRST), 7, None, baseline)
