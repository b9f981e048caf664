"""The 15 indicator requests of Alpha Vantage, and which column each field becomes."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_pool.domain.indicators import SMA_PERIODS
from crypto_pool.domain.recipe import SeriesType


@dataclass(frozen=True)
class IndicatorPull:
    """One indicator request: our columns by the provider's fields, and its parameters."""

    function: str
    columns: Mapping[str, str]
    parameters: Mapping[str, str]


def indicator_pulls(time_period: int, series_type: SeriesType) -> tuple[IndicatorPull, ...]:
    """Return the requests for one look-back and price, in the order of `compute_indicators`."""
    period = {"time_period": str(time_period)}
    series = {"series_type": series_type}

    def named(function: str, parameters: Mapping[str, str], *fields: str) -> IndicatorPull:
        columns = {field.replace("Aroon ", "Aroon").replace(" ", "_"): field for field in fields}
        return IndicatorPull(function, columns, parameters)

    def daily(function: str, parameters: Mapping[str, str]) -> IndicatorPull:
        return IndicatorPull(function, {f"{time_period}_day_{function}": function}, parameters)

    averages = [
        IndicatorPull("SMA", {f"{days}_day_SMA": "SMA"}, {"time_period": str(days), **series})
        for days in SMA_PERIODS
    ]
    return (
        daily("ADX", period),
        named("AROON", period, "Aroon Down", "Aroon Up"),
        named("MACD", series, "MACD", "MACD_Signal", "MACD_Hist"),
        daily("RSI", {**period, **series}),
        named("STOCH", {}, "SlowK", "SlowD"),
        daily("MFI", period),
        daily("DX", period),
        named("TRIX", {**period, **series}, "TRIX"),
        named("PPO", series, "PPO"),
        named("OBV", {}, "OBV"),
        IndicatorPull("AD", {"Chaikin A/D": "Chaikin A/D"}, {}),
        named("BBANDS", {**period, **series}, "Real Upper Band", "Real Lower Band"),
        *averages,
    )
