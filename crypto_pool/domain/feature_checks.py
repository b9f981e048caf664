"""What features must satisfy before a model may be trained on them."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pandas as pd

from crypto_pool.domain.features import feature_names
from crypto_pool.domain.market import name_dates
from crypto_pool.errors import InvalidFeatures

ROUNDING = 1e-6
"""What sums in floating point may go beyond a bound."""
NAMED_FAULTS = 3
PERCENTAGES = ("AroonDown", "AroonUp", "SlowK", "SlowD")
PERIOD_PERCENTAGES = ("ADX", "RSI", "MFI", "DX")


def check_features(features: pd.DataFrame, symbol: str, time_period: int = 7) -> None:
    """Raise InvalidFeatures unless all values are finite and within their definition."""
    faults = "; ".join(islice(_faults(features, time_period), NAMED_FAULTS))
    if faults:
        raise InvalidFeatures(
            f"{symbol}: these features must not be trained on: {faults}; "
            f"look at raw_indicators of {symbol} and materialise it again"
        )


def _faults(features: pd.DataFrame, time_period: int) -> Iterator[str]:
    names, days = feature_names(time_period), pd.DatetimeIndex(features.index)
    if tuple(features.columns) != names:
        missing = [f"{name} is missing" for name in names if name not in features]
        extra = [f"{name} is none of them" for name in features if name not in names]
        yield from [*missing, *extra] or ["they are in another order"]
        return
    if not (days.is_monotonic_increasing and days.is_unique and days.equals(days.normalize())):
        yield "their days are not whole days that ascend"
    percentages = {*PERCENTAGES, *(f"{time_period}_day_{name}" for name in PERIOD_PERCENTAGES)}
    for name in names:
        values = features[name].to_numpy(dtype=np.float64)
        yield from _named(name, "missing or infinite", days[~np.isfinite(values)])
        negative = values < -ROUNDING
        if name in percentages:
            outside = negative | (values > 100 + ROUNDING)
            yield from _named(name, "outside 0 to 100", days[outside])
        elif name == "BBANDS_distance_pct":
            # (upper - lower) / lower: after a price has soared the lower band is negative, and as
            # the bands lie around a positive mean, the distance then is below -200 %.
            no_mean = negative & (values >= -200 + ROUNDING)
            yield from _named(name, "of bands around no positive mean", days[no_mean])


def _named(name: str, fault: str, days: pd.DatetimeIndex) -> list[str]:
    return [f"{name} is {fault} on {name_dates(days)}"] if len(days) else []
