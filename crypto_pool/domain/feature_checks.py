"""What features must satisfy before a model may be trained on them."""

import warnings
from typing import TYPE_CHECKING

import pandas as pd

from crypto_pool.domain.features import feature_names
from crypto_pool.errors import InvalidFeatures

if TYPE_CHECKING:
    import pandera.pandas as pandera

ROUNDING = 1e-6
"""What sums in floating point may go beyond a bound."""
NAMED_FAULTS = 3
PERCENTAGES = ("AroonDown", "AroonUp", "SlowK", "SlowD")
PERIOD_PERCENTAGES = ("ADX", "RSI", "MFI", "DX")


def check_features(features: pd.DataFrame, symbol: str, time_period: int = 7) -> None:
    """Raise InvalidFeatures unless all values are finite and within their definition."""
    faults = _faults(_feature_schema(time_period), features)
    if faults:
        raise InvalidFeatures(
            f"{symbol}: these features must not be trained on: {faults}; "
            f"look at raw_indicators of {symbol} and materialise it again"
        )


def _feature_schema(time_period: int) -> "pandera.DataFrameSchema":
    import pandera.pandas as pandera

    bounded = {*PERCENTAGES, *(f"{time_period}_day_{name}" for name in PERIOD_PERCENTAGES)}
    percentage = pandera.Check.in_range(-ROUNDING, 100 + ROUNDING)
    # (upper - lower) / lower: after a price has soared the lower band is negative, and as the
    # bands lie around a positive mean, the distance then is below -200 %.
    spread = pandera.Check(
        lambda distance: (distance >= -ROUNDING) | (distance < -200 + ROUNDING),
        name="around_a_positive_mean",
    )
    finite = pandera.Check(lambda values: values.abs() < float("inf"), name="finite values")
    ranges = {**dict.fromkeys(bounded, percentage), "BBANDS_distance_pct": spread}
    ascending = pandera.Check(
        lambda days: bool(days.is_monotonic_increasing), name="ascending days"
    )
    whole = pandera.Check(lambda days: days == days.dt.normalize(), name="whole days")
    return pandera.DataFrameSchema(
        {
            name: pandera.Column(float, [finite, ranges[name]] if name in ranges else finite)
            for name in feature_names(time_period)
        },
        index=pandera.Index("datetime64[ns]", [ascending, whole], unique=True, coerce=True),
        ordered=True,
        strict=True,
    )


def _faults(schema: "pandera.DataFrameSchema", frame: pd.DataFrame) -> str:
    """The first faults by column, check and day, empty if there are none."""
    import pandera.errors

    try:
        with warnings.catch_warnings():
            # pandera joins its own tables of failures in a way pandas is about to change.
            warnings.filterwarnings("ignore", message=".*concatenation with empty or all-NA")
            schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as found:
        cases = found.failure_cases.sort_values("schema_context", kind="stable")
    else:
        return ""
    named = []
    for (column, check), rows in cases.groupby(["column", "check"], sort=False, dropna=False):
        where = "table" if pd.isna(column) else str(column)
        if check in ("column_in_dataframe", "column_in_schema"):
            where = ", ".join(map(str, rows["failure_case"]))
        days = [str(day)[:10] for day in rows["index"].dropna().unique()[:NAMED_FAULTS]]
        place = f" on {', '.join(days)} ({len(rows)} values)" if days else ""
        named.append(f"{where} fails {check}{place}")
    return "; ".join(named[:NAMED_FAULTS])
