"""The thresholds a candidate must exceed to be registered."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_pool.domain.evaluation import Metric
from crypto_pool.domain.recipe import ROUNDING


@dataclass(frozen=True)
class Gates:
    """What a candidate must exceed to be registered."""

    positive_accuracy: float = 0.5
    negative_accuracy: float = 0.5
    overall_score: float = 0.6

    def failures(self, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
        """Say in words which gates are not passed; a metric that is None fails its gate."""
        limits = (
            ("recall", "positive_accuracy", self.positive_accuracy),
            ("specificity", "negative_accuracy", self.negative_accuracy),
            ("overall score", "overall_score", self.overall_score),
        )
        failed = []
        for word, name, limit in limits:
            value = metrics.get(name)
            if value is None or not value > limit + ROUNDING:
                shown = "is undefined" if value is None else f"{value:.3g}"
                failed.append(f"{word} {shown}, more than {limit:g} is needed")
        return tuple(failed)
