"""What is found in rows that must not be published, or judged by."""

import pandas as pd
import pytest

from crypto_pool.domain.soundness import forecast_faults, outcome_faults


def forecasts(*members, **changed):
    rows = [
        {
            "symbol": name.split("_")[0],
            "trend": name.split("_")[1],
            "probability": 0.4,
            "reference_probability": 0.3,
            "model_version": "2",
        }
        for name in members
    ]
    return pd.DataFrame(rows).assign(**changed)


def outcomes(*members, **changed):
    return forecasts(*members).assign(**{"outcome": 1.0, **changed})


def test_sound_rows_have_no_faults():
    both = ("BTC_uptrend", "BTC_downtrend")
    assert forecast_faults(forecasts(*both)) == {}
    for outcome in (0.0, 1.0):
        scored = outcomes(*both, outcome=outcome)
        assert outcome_faults(scored, forecasts(*both, "ETH_uptrend")) == {}
    for edge in (0.0, 1.0):
        assert forecast_faults(forecasts(*both, probability=edge, reference_probability=edge)) == {}
    assert forecast_faults(pd.DataFrame()) == {}
    assert outcome_faults(pd.DataFrame(), forecasts(*both)) == {}


@pytest.mark.parametrize("value", [float("nan"), None, -0.1, 1.1])
@pytest.mark.parametrize("column", ["probability", "reference_probability"])
def test_what_is_no_probability_is_named(column, value):
    found = forecast_faults(forecasts("BTC_uptrend", **{column: value}))
    assert found == {"BTC_uptrend": f"{column} {value}"}


@pytest.mark.parametrize(
    ("scored", "fault"),
    [
        (outcomes("BTC_uptrend", outcome=0.5), "outcome 0.5"),
        (outcomes("BTC_uptrend", outcome=-1.0), "outcome -1.0"),
        (outcomes("BTC_uptrend", outcome=2.0), "outcome 2.0"),
        (outcomes("BTC_uptrend", outcome=float("nan")), "outcome nan"),
        (outcomes("BTC_uptrend", probability=0.2), "another probability than its forecast"),
        (outcomes("BTC_uptrend", probability=0.6), "another probability than its forecast"),
        (outcomes("BTC_uptrend", model_version="1"), "another model_version than its forecast"),
        (outcomes("BTC_uptrend", model_version="3"), "another model_version than its forecast"),
        (
            outcomes("BTC_uptrend", probability=0.6, model_version="1"),
            "another probability than its forecast",
        ),
    ],
)
def test_outcomes_that_nobody_may_be_judged_by_are_named(scored, fault):
    assert outcome_faults(scored, forecasts("BTC_uptrend")) == {"BTC_uptrend": fault}


def test_an_outcome_without_a_forecast_is_named():
    found = outcome_faults(outcomes("BTC_uptrend", "ETH_uptrend"), forecasts("BTC_uptrend"))
    assert found == {"ETH_uptrend": "no forecast"}
