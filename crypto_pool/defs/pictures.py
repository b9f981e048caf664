"""Pictures in the metadata of assets, as the Dagster UI shows them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from crypto_pool.adapters.providers import MeteredProvider
from crypto_pool.defs.resources import PoolResource
from crypto_pool.domain.labels import label_target
from crypto_pool.domain.members import Trend
from crypto_pool.workflow.promotion.promoting import PromotionResult

Pictures = dict[str, dg.MarkdownMetadataValue]
LONGEST_BAR = 60


def price_picture(pool: PoolResource, symbol: str) -> Pictures:
    """The last year of a coin, and from which days on a trend followed."""
    from crypto_pool.adapters.charts import as_markdown, draw_labelled_price

    target, bars = pool.recipe.target, pool.store.read("daily_bars", symbol)
    labels = {str(trend): label_target(bars, trend, target) for trend in Trend}
    note = " (synthetic)" if pool.provider.synthetic else ""
    title = f"{symbol}{note}: {target.level} moves {100 * target.pct:g} % in {target.horizon} days"
    png = draw_labelled_price(bars, labels, title)
    return {"price_with_labels": dg.MetadataValue.md(as_markdown(png, title))}


def requests_metadata(pool: PoolResource) -> dict[str, Any]:
    """What has been spent of the request budget over the day; nothing if none is kept."""
    if not isinstance(pool.provider, MeteredProvider):
        return {}
    budget = pool.provider.budget
    left, shown = budget.left_today(), draw_requests(budget.moments_today(), pool.now())
    return {
        "requests_spent_today": budget.spent_today(),
        "requests_left_today": "no daily limit" if left is None else left,
        "requests_over_the_day": dg.MetadataValue.md(shown),
    }


def draw_requests(moments: Sequence[datetime], now: datetime) -> str:
    """Draw the requests of each of the last 24 hours as text: a day's run loads no plots."""
    spent = Counter((now - moment) // timedelta(hours=1) for moment in moments)
    lines = [
        f"`until {now - timedelta(hours=ago):%H:%M}` {'█' * min(spent[ago], LONGEST_BAR)} "
        f"{spent[ago]}"
        for ago in sorted(spent, reverse=True)
    ]
    return "\n\n".join([f"{len(moments)} requests in the 24 hours before {now:%H:%M} UTC", *lines])


def judgement_picture(pool: PoolResource, decision: PromotionResult) -> Pictures:
    """How the version that serves was judged, as drawn for MLflow; nothing if none serves."""
    version = decision.serving
    if version is None:
        return {}
    from crypto_pool.adapters.charts import JUDGEMENT_FILE, as_markdown

    title = f"{decision.member.name}: version {version.version}, {version.tags['classifier']}"
    png = pool.registry.runs.load_file(version.run_id, JUDGEMENT_FILE)
    return {"calibration_roc_confusion": dg.MetadataValue.md(as_markdown(png, title))}
