"""The 15 indicator requests of Alpha Vantage, and which column each of their fields becomes."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_pool.domain.recipe import SeriesType


@dataclass(frozen=True)
class IndicatorPull:
    """One indicator request: our columns by the provider's fields, and its parameters."""

    function: str
    columns: Mapping[str, str]
    parameters: Mapping[str, str]


def indicator_pulls(time_period: int, series_type: SeriesType) -> tuple[IndicatorPull, ...]:
    """The requests for one look-back and price."""
    period = {"time_period": str(time_period)}
    series = {"series_type": series_type}

    def named(function: str, parameters: Mapping[str, str], *fields: str) -> IndicatorPull:
        columns = {field.replace("Aroon ", "Aroon").replace(" ", "_"): field for field in fields}
        return IndicatorPull(function, columns, parameters)

    def daily(function: str, parameters: Mapping[str, str]) -> IndicatorPull:
        return IndicatorPull(function, {f"{time_period}_day_{function}": function}, parameters)

    averages = [
        IndicatorPull("SMA", {f"{days}_day_SMA": "SMA"}, {"time_period": str(days), **series})
        for days in (10, 2, 20)
    ]
    return (
        *averages,
        IndicatorPull("OBV", {"OBV": "OBV"}, {}),
        IndicatorPull("AD", {"Chaikin A/D": "Chaikin A/D"}, {}),
        daily("ADX", period),
        named("AROON", period, "Aroon Down", "Aroon Up"),
        named("MACD", series, "MACD", "MACD_Signal", "MACD_Hist"),
        daily("RSI", {**period, **series}),
        named("STOCH", {}, "SlowK", "SlowD"),
        daily("MFI", period),
        daily("DX", period),
        IndicatorPull("TRIX", {"TRIX": "TRIX"}, {**period, **series}),
        named("BBANDS", {**period, **series}, "Real Upper Band", "Real Lower Band"),
        IndicatorPull("PPO", {"PPO": "PPO"}, series),
    )
