"""The queries that are published beside the tables, each with a name."""

from collections.abc import Iterable

from crypto_pool.domain.columns import View
from crypto_pool.domain.panel_fitting import PREDICTED_RANGE
from crypto_pool.domain.reference import PROBABILITY_FLOOR

_TODAY = """
SELECT symbol, trend, round(p.probability, 4) AS probability,
       round(reference_probability, 4) AS reference_probability,
       round(p.probability - reference_probability, 4) AS beyond_reference, signal, status,
       algorithm, model_version, late, abstain_reason, prediction_date,
       round(change_10_pct, 4) AS change_10_pct, round(change_50_pct, 4) AS change_50_pct,
       round(change_90_pct, 4) AS change_90_pct,
       level_usd * (1 + change_10_pct) AS price_10_usd,
       level_usd * (1 + change_50_pct) AS price_50_usd,
       level_usd * (1 + change_90_pct) AS price_90_usd, round(sigma, 4) AS sigma
FROM predictions p
LEFT JOIN (SELECT symbol, bar_date AS prediction_date, sigma, level_usd, change_10_pct,
                  change_50_pct, change_90_pct FROM panel_forecasts)
    USING (symbol, prediction_date)
WHERE prediction_date = (SELECT max(prediction_date) FROM predictions)
ORDER BY signal DESC, p.probability DESC"""
_MEMBERS = """
SELECT symbol, trend, coalesce(c.algorithm, p.algorithm) AS algorithm,
       coalesce(c.model_version, p.model_version) AS model_version, p.status,
       p.prediction_date, p.probability, p.reference_probability, p.signal,
       coalesce(c.promised_precision, c.precision) AS promised_precision,
       c.promised_skill_over_reference, c.skill_over_reference, c.added_points, r.verdict,
       c.trained_through, round(r.inside_range, 3) AS inside_range,
       round(r.inside_range_low, 3) AS inside_low, round(r.inside_range_high, 3) AS inside_high,
       {promised}::DOUBLE AS promised_inside
FROM champions c
FULL JOIN (
    SELECT * FROM predictions
    QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY prediction_date DESC) = 1
) p USING (symbol, trend)
LEFT JOIN (
    SELECT * FROM realised_performance
    QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY as_of DESC) = 1
) r USING (symbol, trend)
ORDER BY symbol, trend DESC"""
_TRACK_RECORD = """
SELECT symbol, trend, signals, round(precision, 3) AS precision,
       round(promised_precision, 3) AS promised_precision,
       round(skill_over_reference, 3) AS skill_over_reference, verdict,
       round(skill_over_reference_low, 3) AS skill_low,
       round(skill_over_reference_high, 3) AS skill_high, rows, model_version, as_of
FROM realised_performance
QUALIFY row_number() OVER (PARTITION BY symbol, trend ORDER BY as_of DESC) = 1
ORDER BY symbol, trend DESC"""
_MODEL_INPUT = """
SELECT prediction_date, symbol, trend, model_name, model_version,
       {features},
       {reference} AS reference_logit,
       {panel} AS panel_logit
FROM predictions"""
_LOGIT = f"ln(1 / (1 - least(greatest({{0}}, {PROBABILITY_FLOOR}), {1 - PROBABILITY_FLOOR})) - 1)"


def views(features: Iterable[str]) -> tuple[View, ...]:
    """Return the views of a pool whose models take these features."""
    columns = [f"map_extract(features, '{name}')[1] AS \"{name}\"" for name in features]
    model_input = _MODEL_INPUT.format(
        features=",\n       ".join(columns),
        reference=_LOGIT.format("reference_probability"),
        panel=_LOGIT.format("panel_probability"),
    )
    return (
        View(
            "today",
            "The latest day's forecasts, signals first, and each coin's expected move.",
            _TODAY,
        ),
        View(
            "members",
            "Who serves each member, its promise, its latest forecast, and its outcomes' range.",
            _MEMBERS.format(promised=PREDICTED_RANGE),
        ),
        View(
            "track_record",
            "What came of each member's forecasts at its last review; all is the pool.",
            _TRACK_RECORD,
        ),
        View("model_input", "What each forecast's model was given.", model_input),
    )
