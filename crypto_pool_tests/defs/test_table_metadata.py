"""What the Dagster UI shows of a day."""

from crypto_pool.defs.table_metadata import forecast_list

ROW = {
    "symbol": "BTC",
    "trend": "downtrend",
    "probability": 0.25,
    "reference_probability": 0.5,
    "signal": None,
    "status": "baseline",
    "algorithm": "Panel",
    "model_version": None,
}


def test_a_days_forecasts_are_a_table_with_a_link_to_each_member():
    rows = [ROW, {**ROW, "trend": "uptrend", "signal": True, "model_version": "3"}]
    shown = forecast_list(rows, "http://pool").value.splitlines()
    assert shown[2:] == [
        "| [BTC_uptrend](http://pool/members/BTC_uptrend.html) | 0.250 | 0.500 | signal | baseline "
        "| Panel v3 |",
        "| [BTC_downtrend](http://pool/members/BTC_downtrend.html) | 0.250 | 0.500 |  | baseline "
        "| Panel |",
    ]
