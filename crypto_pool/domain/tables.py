"""Each stored table once; schemas, the DuckDB file and docs/tables.md are derived from here."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from crypto_pool.domain.columns import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    MAP,
    TIMESTAMP,
    VARCHAR,
    VERSION,
    Column,
    Table,
)
from crypto_pool.domain.features import feature_names

_COIN = VARCHAR("symbol", "Coin, such as BTC.")
_MEMBER = (_COIN, VARCHAR("trend", "uptrend or downtrend."))
MEMBER = tuple(column.name for column in _MEMBER)
_DAY = DATE("prediction_date", "Bar date: the UTC day of the closed bar it is made from.")
_TERMS = (
    VARCHAR("target", "What is forecast: sma_shift or forward_return."),
    DOUBLE("target_pct", "How far the target must move, as a share: 0.05 is 5 %.", 0),
    INTEGER("prediction_window_days", "Horizon, in days after the bar date."),
)
_PROBABILITY = DOUBLE("probability", "Probability that the trend comes, calibrated.", 0, 1)
_SIGNAL = BOOLEAN("signal", "Probability above the decision threshold; never while it abstains.")
_REFERENCE = DOUBLE(
    "reference_probability", "What the random-walk reference says: the yardstick.", 0, 1
)
_PANEL = DOUBLE(
    "panel_probability", "What the panel says; NULL where it has no row of that day.", 0, 1
)
_IN_SAMPLE = BOOLEAN(
    "in_sample", "What taught or chose the model reaches into the row's label: never live."
)
_STATUS = VARCHAR("status", "active, abstain (no signal) or baseline (no champion, no signal).")
_LATE = BOOLEAN("late", "Made after the day that follows the bar date: counted apart from live.")
_MODEL = (
    VARCHAR("model_name", "Registered model in MLflow."),
    VERSION("model_version", "Its version."),
    VARCHAR("algorithm", "Algorithm, or Panel or RandomWalk for a baseline."),
)
_RUN = VARCHAR("dagster_run_id", "Dagster run that wrote the row.")
_SYNTHETIC = BOOLEAN("synthetic", "Made from a synthetic market, not from real bars.")
_THRESHOLD = DOUBLE("decision_threshold", "A probability above it is a signal.", 0, 1)
_TRAINED = DATE("trained_through", "Bar date of the last labelled row the model was fitted on.")
_POLICY = VARCHAR("evaluation_policy", "How candidates were evaluated.")
_DATA_HASH = VARCHAR("data_hash", "Fingerprint of the rows it was trained on.")
_SCORES = (
    DOUBLE("accuracy", "Share of forecasts that were right, out of fold.", 0, 1),
    DOUBLE("precision", "Share of signals that came true, out of fold.", 0, 1),
    DOUBLE("positive_accuracy", "Recall of the trend: share of its days that were flagged.", 0, 1),
    DOUBLE("negative_accuracy", "Recall of the other days: share not flagged.", 0, 1),
    DOUBLE("overall_score", "0.1 accuracy + 0.4 precision + 0.2 and 0.3 of the recalls.", 0, 1),
    DOUBLE("brier_score", "Mean squared error of the probability; lower is better.", 0, 1),
    DOUBLE("reference_brier_score", "The same of the reference, on the same rows.", 0, 1),
    DOUBLE("added_points", "Mean distance from the baseline, in percentage points.", 0, 100),
)


def _interval(name: str, meaning: str, *limits: float) -> tuple[Column, ...]:
    return (
        DOUBLE(name, meaning, *limits),
        DOUBLE(f"{name}_low", "Lower end of its 90 % interval."),
        DOUBLE(f"{name}_high", "Upper end of it."),
    )


_INTERVALS = (
    DOUBLE("precision_low", "Lower end of the 90 % interval of precision.", 0, 1),
    DOUBLE("precision_high", "Upper end of it.", 0, 1),
    *_interval("skill_over_reference", "1 - Brier score / the reference's: above 0 is better."),
)


PREDICTIONS = Table(
    "predictions",
    "Each member's forecast of each day, made once its bar has closed.",
    (
        _DAY,
        *_MEMBER,
        _PROBABILITY,
        _SIGNAL,
        _STATUS,
        _LATE,
        VARCHAR("abstain_reason", "Why it abstains; empty if it does not."),
        DOUBLE("input_distance", "How many training spans the farthest input lies outside.", 0),
        VARCHAR("furthest_input", "That input."),
        _THRESHOLD,
        _REFERENCE,
        _PANEL,
        *_MODEL,
        *_TERMS,
        _TRAINED,
        _IN_SAMPLE,
        MAP("features", "The model's inputs of that day, by name."),
        JSON("top_contributions", "The three inputs that moved the probability most (SHAP)."),
        TIMESTAMP("predicted_at_utc", "When it was made, UTC."),
        _RUN,
        _SYNTHETIC,
    ),
    key=("prediction_date", *MEMBER),
    partitioned_by=("prediction_date",),
    stored_as="daily_predictions",
    remedy="run `crypto-pool predict --date {key}`; its rows then count as late",
)
OUTCOMES = Table(
    "prediction_outcomes",
    "What became of each forecast, once its horizon has passed.",
    (
        _DAY,
        *_MEMBER,
        _PROBABILITY,
        _SIGNAL,
        _REFERENCE,
        _STATUS,
        DOUBLE("outcome", "1 if the trend came, 0 if not.", 0, 1),
        DOUBLE("change_pct", "The realised change of the target: 0.05 is 5 %.", -1),
        BOOLEAN("inside_range", "It lay in the panel's 80 % range; NULL where there was none."),
        _IN_SAMPLE,
        _LATE,
        VERSION("model_version", "Version that made the forecast."),
        TIMESTAMP("scored_at_utc", "When it was scored, UTC."),
    ),
    key=PREDICTIONS.key,
    partitioned_by=PREDICTIONS.partitioned_by,
    remedy="run `crypto-pool predict`, which scores what has matured",
)
MISSING_FORECASTS = Table(
    "missing_forecasts",
    "Members without a forecast of a day, and why.",
    (
        _DAY,
        *_MEMBER,
        VARCHAR("reason", "Why there is none, in words."),
        BOOLEAN("has_bar", "The coin had the bar of that day: asking again changes nothing."),
    ),
    key=PREDICTIONS.key,
    partitioned_by=PREDICTIONS.partitioned_by,
    remedy="run `crypto-pool predict --date {key}`, which says anew who has none",
)
# Two versions may forecast in a champion's shadow: its challenger and its predecessor.
SHADOW_PREDICTIONS = Table(
    "shadow_predictions",
    "What a member's challenger and its previous version would have said.",
    PREDICTIONS.columns,
    key=(*PREDICTIONS.key, "model_version"),
    partitioned_by=PREDICTIONS.partitioned_by,
    remedy=PREDICTIONS.remedy,
)
SHADOW_OUTCOMES = Table(
    "shadow_outcomes",
    "What became of the forecasts made in the shadow.",
    OUTCOMES.columns,
    key=SHADOW_PREDICTIONS.key,
    partitioned_by=PREDICTIONS.partitioned_by,
    remedy=OUTCOMES.remedy,
)
PERFORMANCE = (
    INTEGER("rows", "Matured live forecasts of champions: in time, not abstained."),
    INTEGER("days", "Days they were made of."),
    DOUBLE("effective_sample_size", "Label windows in those days that do not overlap.", 0),
    INTEGER("signals", "Signals among them."),
    *_interval("precision", "Share of the signals that came true.", 0, 1),
    DOUBLE("promised_precision", "What the versions that signalled had promised.", 0, 1),
    *_interval("recall", "Share of the days with the trend that were signalled.", 0, 1),
    DOUBLE("promised_recall", "What was promised of it.", 0, 1),
    *_interval("brier_score", "Mean squared error of the probability.", 0),
    DOUBLE("promised_brier_score", "What was promised of it.", 0, 1),
    DOUBLE("reference_brier_score", "The reference's, on the same rows.", 0, 1),
    *_interval("skill_over_reference", "Brier skill: above 0 is better than the reference."),
    DOUBLE("promised_skill_over_reference", "What was promised of it."),
    DOUBLE("base_rate", "Share of the days on which the trend came.", 0, 1),
    DOUBLE("mean_probability", "Mean forecast.", 0, 1),
    DOUBLE("p_value", "One as good as the reference does this badly so often.", 0, 1),
    VARCHAR("verdict", "Better or worse than the reference, or cannot be told from it."),
    INTEGER("baseline_rows", "Live forecasts of the baseline, for want of a champion."),
    *_interval("baseline_skill", "Their skill over the reference."),
    *_interval("skill_with_baseline", "Skill with the baseline's forecasts among the champions'."),
    *_interval("inside_range", "Share of outcomes in the panel's range, of 0.8 promised.", 0, 1),
)
REALISED_PERFORMANCE = Table(
    "realised_performance",
    "What champions delivered, as they were reviewed; symbol and trend `all` is the pool.",
    (
        DATE("as_of", "Bar date of the review."),
        *_MEMBER,
        VERSION("model_version", "Version that served then."),
        INTEGER("window_days", "How many days back it looked."),
        *PERFORMANCE,
        INTEGER("record_rows", "Live forecasts of the champion's own record."),
        DOUBLE("record_skill", "Its skill over the reference."),
        DOUBLE("record_p_value", "One as good as the reference does this badly so often.", 0, 1),
        VARCHAR("action", "keep, quarantine or roll back."),
        VARCHAR("reason", "Why, in words."),
    ),
    key=("as_of", *MEMBER),
    partitioned_by=("as_of",),
    remedy="run `crypto-pool predict`; the review of that day alone is lost",
)
CHAMPIONS = Table(
    "champions",
    "Who serves each member now, and what was promised of it.",
    (
        *_MEMBER,
        *_MODEL,
        VARCHAR("run_id", "MLflow run of its training."),
        *_TERMS,
        INTEGER("time_period", "Look-back of the indicators it takes, in days."),
        VARCHAR("series_type", "The price they are computed from."),
        VARCHAR("indicator_source", "Who computes them: local or provider."),
        VARCHAR("fault", "Why it abstains until trained anew; NULL where it may speak."),
        _TRAINED,
        DATE("chosen_through", "Bar date of the last row it was chosen on."),
        DATE("as_of", "Bar date of its training."),
        _THRESHOLD,
        _POLICY,
        _DATA_HASH,
        *_SCORES,
        *_INTERVALS,
        DOUBLE(
            "effective_sample_size",
            "How many independent rows the overlapping ones of its promise are worth.",
            0,
        ),
        *_interval("promised_precision", "Precision, corrected for having been chosen."),
        *_interval("promised_recall", "Recall, so corrected."),
        *_interval("promised_brier_score", "Brier score, so corrected."),
        *_interval("promised_skill_over_reference", "Skill, so corrected."),
        DOUBLE("probability_of_overfitting", "Chance that it only looked best.", 0, 1),
        INTEGER("candidates_tried", "How many candidates it was the best of."),
        JSON("feature_importance", "Mean signed SHAP value of each input, in probability."),
        JSON("feature_importance_absolute", "Mean absolute SHAP value: how far each moves it."),
        TIMESTAMP("registered_at_utc", "When it was registered, UTC."),
        _SYNTHETIC,
    ),
    key=MEMBER,
    partitioned_by=MEMBER,
    remedy="run `crypto-pool train`",
)
CANDIDATE_SCORES = Table(
    "candidate_scores",
    "Each algorithm's latest training for each member.",
    (
        *_MEMBER,
        VARCHAR("algorithm", "Algorithm."),
        VARCHAR("status", "scored or unscored."),
        VARCHAR("reason", "Why it could not be scored."),
        *_SCORES,
        DOUBLE("log_loss", "Mean negative log likelihood.", 0),
        DOUBLE("roc_auc", "Area under the ROC curve.", 0, 1),
        DOUBLE("base_rate", "Share of rows with the trend.", 0, 1),
        INTEGER("slice_size", "Rows it was scored on."),
        DOUBLE("reference_precision", "The reference's precision on them.", 0, 1),
        DOUBLE("reference_overall_score", "The reference's overall score.", 0, 1),
        DOUBLE("reference_roc_auc", "The reference's area under the ROC curve.", 0, 1),
        *_INTERVALS,
        DOUBLE(
            "effective_sample_size",
            "How many independent rows the overlapping ones it was scored on are worth.",
            0,
        ),
        VARCHAR("run_id", "MLflow run of the training."),
        DATE("as_of", "Bar date of the training."),
        _POLICY,
        _DATA_HASH,
    ),
    key=(*MEMBER, "algorithm"),
    partitioned_by=MEMBER,
    remedy="run `crypto-pool train`",
)
PROMOTIONS = Table(
    "promotions",
    "The ledger: every decision about who serves.",
    (
        TIMESTAMP("decided_at_utc", "When, UTC."),
        DATE("as_of", "Bar date it was decided on."),
        *_MEMBER,
        VARCHAR("model_name", "Registered model in MLflow."),
        VERSION("model_version", "Version it is about."),
        VARCHAR("algorithm", "Algorithm of that version."),
        VARCHAR(
            "decision",
            "promoted, replaced, refreshed (expired in 1.0), kept, rejected, stood down, rolled "
            "back or quarantined.",
        ),
        VERSION("serving_version", "Version that serves after it."),
        VARCHAR("reason", "Why, in words."),
        JSON("champion_metrics", "What the version that served before promised and scored."),
        JSON("challenger_metrics", "The same of the challenger."),
        _DATA_HASH,
        JSON("model_sha256", "SHA-256 of each file of the version that it is about."),
        VARCHAR("code_version", "Version of the code that trained."),
        _RUN,
    ),
    key=(*MEMBER, "decided_at_utc"),
    partitioned_by=MEMBER,
    remedy="run `crypto-pool train`, which decides anew, or restore it from a backup",
)
_BAR_DAY = DATE("date", "Bar date, UTC.")
DAILY_BARS = Table(
    "daily_bars",
    "Closed daily bars, in USD.",
    (
        _COIN,
        _BAR_DAY,
        DOUBLE("open", "First price of the day, USD.", 0),
        DOUBLE("high", "Highest price, USD.", 0),
        DOUBLE("low", "Lowest price, USD.", 0),
        DOUBLE("close", "Last price, USD.", 0),
        DOUBLE("volume", "Coins traded.", 0),
    ),
    key=("symbol", "date"),
    partitioned_by=("symbol",),
)
_MEANINGS = {
    "ADX": "Average directional index, 0 to 100: how strong a trend is.",
    "AroonDown": "Aroon down, 0 to 100: how recent the lowest low is.",
    "AroonUp": "Aroon up, 0 to 100: how recent the highest high is.",
    "MACD": "Moving average convergence/divergence 12/26, USD.",
    "MACD_Signal": "Its signal line, EMA 9, USD.",
    "MACD_Hist": "MACD less its signal line, USD.",
    "RSI": "Relative strength index, 0 to 100.",
    "SlowK": "Slow stochastic %K, 0 to 100.",
    "SlowD": "Slow stochastic %D, 0 to 100.",
    "MFI": "Money flow index, 0 to 100.",
    "DX": "Directional movement index, 0 to 100.",
    "TRIX": "Change of the triple smoothed close, in hundredths of a percent.",
    "PPO": "Percentage price oscillator 12/26, percent.",
    "OBV_pct_change": "Day-on-day change of on-balance volume, percent.",
    "AD_pct_change": "Day-on-day change of the Chaikin A/D line, percent.",
    "BBANDS_distance_pct": "Width of the Bollinger bands over the lower one, percent.",
    "SMA_pct_diff": "Shorter moving average over the longer one less 1, percent.",
}


def _feature(name: str) -> Column:
    return DOUBLE(name, _MEANINGS.get(name.rpartition("_day_")[2], "An added feature."))


FEATURE_TABLES = Table(
    "feature_tables",
    "The model's features of each day.",
    (_COIN, _BAR_DAY, *map(_feature, feature_names())),
    key=DAILY_BARS.key,
    partitioned_by=DAILY_BARS.partitioned_by,
    stored_as="feature_table",
)

PANEL_FORECASTS = Table(
    "panel_forecasts",
    "What one model of all coins says of each coin and day: how far the target moves.",
    (
        DATE("bar_date", "Bar date: the UTC day of the closed bar it is made from."),
        _COIN,
        DOUBLE("panel_up", "Probability of an uptrend.", 0, 1),
        DOUBLE("panel_down", "Probability of a downtrend, from the same sigma.", 0, 1),
        DOUBLE("sigma", "Daily volatility expected over the horizon, as a share.", 0),
        DOUBLE("position", "Log change of the target expected over the horizon."),
        DOUBLE("drift", "The part of position that is half the martingale drift."),
        DOUBLE(
            "level_usd", "SMA10 of that day for sma_shift, its close for forward_return, USD.", 0
        ),
        DOUBLE("change_10_pct", "10 % point of the target's change: 0.05 is 5 %.", -1),
        DOUBLE("change_50_pct", "50 % point of it.", -1),
        DOUBLE("change_90_pct", "90 % point of it: 80 % of outcomes lie between.", -1),
        DATE("origin", "Bar date up to which the fit knew the bars."),
        *_TERMS,
    ),
    key=("bar_date", "symbol"),
    partitioned_by=("origin",),
)

TABLES: Mapping[str, Table] = {
    table.name: table for table in tuple(vars().values()) if isinstance(table, Table)
}


def remedy(stored_as: str, key: str) -> str:
    """Return what makes a file of the store that is not there."""
    known = {table.store_name: table.remedy for table in TABLES.values()}
    return known.get(stored_as, Table.remedy).format(key=key)


def with_features(names: Iterable[str]) -> Table:
    """Return `feature_tables` with these features in place of the standard ones; none: as it is."""
    head = FEATURE_TABLES.columns[:2]
    features = [_feature(name) for name in names if name not in FEATURE_TABLES.key]
    return replace(FEATURE_TABLES, columns=(*head, *features)) if features else FEATURE_TABLES
