"""What a model is made by, and how it differs from what the pool asks for."""

from dataclasses import replace

import pytest

from crypto_pool.domain.recipe import Recipe, Target, Terms
from crypto_pool.errors import InvalidSetting

TERMS = Recipe().terms(["RSI", "MACD"])
TAGS = TERMS.to_tags()


def test_a_model_on_the_same_terms_does_not_differ():
    assert TERMS.difference(TAGS) == ""
    assert TERMS.difference({}) == "", "a term without a tag is not compared"
    assert TERMS.difference({"classifier": "LightGBM"}) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(TERMS, time_period=6), "time_period was 7 and is 6"),
        (replace(TERMS, time_period=8), "time_period was 7 and is 8"),
        (replace(TERMS, series_type="high"), "series_type was close and is high"),
        (replace(TERMS, series_type="open"), "series_type was close and is open"),
        (replace(TERMS, indicator_source="provider"), "indicator_source was local and is provider"),
        (replace(TERMS, target=Target(pct=0.04)), "target_pct was 0.05 and is 0.04"),
        (replace(TERMS, target=Target(pct=0.06)), "target_pct was 0.05 and is 0.06"),
        (replace(TERMS, target=Target(horizon=12)), "prediction_window_days was 10 and is 12"),
        (replace(TERMS, target=Target("forward_return")), "was sma_shift and is forward_return"),
        (replace(TERMS, feature_names=("RSI", "MACD", "PPO")), "feature PPO is new"),
        (replace(TERMS, feature_names=("RSI",)), "feature MACD is gone"),
        (replace(TERMS, feature_names=("MACD", "RSI")), "the features are in another order"),
    ],
)
def test_each_term_that_differs_is_told_with_both_values(changed: Terms, said: str):
    assert changed.difference(TAGS).endswith(said)
    assert ", " not in changed.difference(TAGS)


def test_several_differences_are_told_together():
    changed = replace(TERMS, time_period=9, feature_names=("ADX", "MACD"))
    assert changed.difference(TAGS) == (
        "time_period was 7 and is 9, feature ADX is new, feature RSI is gone"
    )


@pytest.mark.parametrize("name", ["evaluation_policy", "calibration", "selection", "target"])
def test_a_choice_that_is_unknown_is_named_with_those_there_are(name):
    with pytest.raises(
        InvalidSetting, match=rf"{name.replace('_', ' ')} 'x' is unknown; known: \w+"
    ):
        Recipe.from_settings({name: "x"})


def test_a_recipe_is_read_back_from_its_settings():
    given = {"target": "forward_return", "target_pct": "0.1", "prediction_window_days": "30"}
    recipe = Recipe.from_settings({**given, "seed": 3, "evaluation_policy": "holdout"})
    assert recipe.target == Target("forward_return", 0.1, 30)
    assert Recipe.from_settings(recipe.to_settings()) == recipe
    assert (recipe.horizon, recipe.is_classic, Recipe().is_classic) == (30, True, False)
    assert set(recipe.to_settings()) - set(recipe.fit_settings()) == {"selection"}
    assert (recipe.target.level, Target().level) == ("close", "SMA10")


def test_who_chooses_nothing_forecasts_five_percent_in_ten_days_by_a_thousand_rows():
    told = Recipe().to_settings()
    names = ("target_pct", "prediction_window_days", "training_rows", "time_period", "seed")
    assert [told[name] for name in names] == [0.05, 10, 1000, 7, 7]
