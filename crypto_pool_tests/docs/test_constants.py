"""What a page says in numbers of a rule is the constant of the rule."""

import re

import numpy as np
import pytest

from crypto_pool.adapters.dask_cluster import CONNECT_SECONDS
from crypto_pool.adapters.prediction_tables import KEPT
from crypto_pool.adapters.rate_limit import PATIENCE
from crypto_pool.defs.alerting import FORECAST_PATIENCE
from crypto_pool.defs.retention import ANSWERS_KEPT
from crypto_pool.domain import breaks, panel_fitting, review
from crypto_pool.domain.bar_validation import FORECAST_BARS
from crypto_pool.domain.drift import SHOCK_SIGMAS
from crypto_pool.domain.features import DAYS_AFTER_GAP, SMALLEST_PROVIDER_PRICE
from crypto_pool.domain.gates import Gates
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.signal_threshold import RECALL_NEEDED
from crypto_pool.domain.staleness import DOUBT, RetrainRules
from crypto_pool.domain.symbols import LONGEST_SYMBOL
from crypto_pool.setting_checks import REMOVED
from crypto_pool.workflow.day_plan import CatchUpWindow
from crypto_pool.workflow.monitoring import OBSERVED_AT_ONCE
from crypto_pool.workflow.panel_models import FITS_A_RUN
from crypto_pool_tests.conftest import ROOT

RETRAIN, RULES, GATES = RetrainRules(), PromotionRules(), Gates()
HOURS = FORECAST_PATIENCE.total_seconds() / 3600
CATCH_UP = CatchUpWindow.catch_up_days
WORDS = {2: "two", 10: "ten"}
REVIEW = ReviewRules()
SAID = {
    "README.md": [f"forecast from {FORECAST_BARS} bars on"],
    "docs/operating.md": [
        f"missed in the last {CATCH_UP} days",
        f"{RETRAIN.retrain_after_rows} labelled rows",
        f"once in {RETRAIN.cooldown_days} days",
        f"missing {HOURS:g} hours after the daily run",
        f"raw answers | {ANSWERS_KEPT.days} days",
        f"the latest {KEPT} |",
        f"a move of {WORDS[SHOCK_SIGMAS]} daily sigmas",
        f"fewer than {FORECAST_BARS} bars",
    ],
    "docs/market-data.md": [
        f"opens more than {np.exp(breaks.LARGEST_OVERNIGHT):.0f} times",
        f"closes more than {np.exp(breaks.LARGEST_DAY):.0f} times off",
        f"more than {np.exp(breaks.LARGEST_ACROSS_GAP):.0f} times off it after missing days",
        f"more than {breaks.LONGEST_GAP_DAYS} missing days",
        f"less than {DAYS_AFTER_GAP} days after one",
        f"of {breaks.VOLUME_BARS} bars are more than {breaks.APART:g} times",
        f"below {SMALLEST_PROVIDER_PRICE} USD",
        f"at most {LONGEST_SYMBOL} long",
    ],
    "docs/how-it-works.md": [
        f"above {GATES.positive_accuracy} and an `overall_score` above {GATES.overall_score}",
        f"both recalls are kept above {RECALL_NEEDED}",
        f"on at least {RULES.rows_to_be_better} rows",
        f"by {RULES.tolerance} or more, on {RULES.rows_to_refresh} unseen rows",
        f"every {panel_fitting.ORIGIN_DAYS} days",
        f"{panel_fitting.FIRST_ORIGIN_ROWS // 365} x 365 coin-days",
        f"(penalty {panel_fitting.RANGE_RIDGE}), once with x = r² ({panel_fitting.RETURN_RIDGE})",
        f"{WORDS[FITS_A_RUN]} a run, the latest first",
    ],
    "docs/decisions/0003-a-champion-is-judged-by-its-own-record.md": [
        f"to {review.LIMIT} standard errors",
        f"a window of {REVIEW.window_days - REVIEW.horizon} matured days",
        f"{review.WHOLE_LIMIT} is its limit",
        f"A p-value of {DOUBT} is enough",
    ],
    "docs/decisions/0005-a-day-of-requests-rolls.md": [
        f"up to {WORDS[PATIENCE.total_seconds() / 60]} minutes"
    ],
    "docs/scale-out.md": [
        f"ends after {CONNECT_SECONDS} seconds",
        f"{OBSERVED_AT_ONCE} members a tick",
    ],
}


@pytest.mark.parametrize(("page", "words"), [(page, one) for page in SAID for one in SAID[page]])
def test_a_page_states_the_constant(page, words):
    assert words in re.sub(r"\s+", " ", (ROOT / page).read_text())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("catch_up_days", CATCH_UP),
        ("retrain_after_rows", RETRAIN.retrain_after_rows),
        ("drift_limit", RETRAIN.drift_limit),
        ("retrain_cooldown_days", RETRAIN.cooldown_days),
        ("alert_deadline_hours", f"{HOURS:g}"),
        ("keep_raw_answers_days", ANSWERS_KEPT.days),
        ("keep_publications", KEPT),
    ],
)
def test_what_took_the_place_of_a_setting_is_told(name, value):
    assert REMOVED[name] == f"it is {value}"
