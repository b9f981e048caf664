"""What is replayed: the days, the retraining, and the rules that the pool lives by."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.promotion import PromotionRules
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.review import ReviewRules
from crypto_pool.domain.staleness import RetrainRules
from crypto_pool.errors import InvalidSetting

DAILY_RUN = time(0, 20)


@dataclass(frozen=True)
class Life:
    """The bar dates from `start` through `end`, which a pool lives through or replays.

    Members are trained on `start` and every `retrain_every_days` after it; without a number by
    the rules of staleness. A training knows the bars up to its day and its champions forecast it.
    """

    start: date
    end: date
    retrain_every_days: int | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without steps."""
        if self.retrain_every_days is not None and self.retrain_every_days < 1:
            raise InvalidSetting(
                f"--retrain-every-days is {self.retrain_every_days}; it must be at least 1"
            )

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that is lived."""
        return tuple(
            self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)
        )

    def is_training_day(self, day: date) -> bool:
        """Whether the grid has a training on a day."""
        return self.retrain_every_days is not None and (
            (day - self.start).days % self.retrain_every_days == 0
        )


@dataclass(frozen=True)
class ReplayPlan(Life):
    """A life by the rules of a pool, of which nothing is read from its settings."""

    algorithms: tuple[str, ...] = field(default_factory=lambda: tuple(CANDIDATES))
    min_history_bars: int = 365
    recipe: Recipe = DEFAULT_RECIPE
    promotion: PromotionRules = field(default_factory=PromotionRules)
    review: ReviewRules = field(default_factory=ReviewRules)
    retrain: RetrainRules = field(default_factory=RetrainRules)
    abstain_beyond_widths: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be replayed."""
        super().__post_init__()
        if self.end <= self.start:
            raise InvalidSetting(
                f"a replay from {self.start} to {self.end} holds no day after its first "
                "training; give a later --to"
            )
        unknown = [name for name in self.algorithms if name not in CANDIDATES]
        if unknown or not self.algorithms:
            raise InvalidSetting(
                f"algorithms {', '.join(unknown) or 'none'}: known are {', '.join(CANDIDATES)}"
            )

    @property
    def scored_through(self) -> date:
        """The bar that makes the last forecast's outcome known."""
        return self.end + timedelta(days=self.recipe.horizon)

    def to_json(self) -> dict[str, Any]:
        """Return what is replayed, the recipe by the names of its settings."""
        plain = asdict(self)
        del plain["recipe"]
        return {**plain, **self.recipe.to_settings()}

    def recipe_of(self, policy: str) -> Recipe:
        """Return the recipe with another evaluation policy; raises InvalidSetting."""
        return Recipe.from_settings({**self.recipe.to_settings(), "evaluation_policy": policy})


def daily_run_of(bar_date: date) -> datetime:
    """Return when a day is lived: at its daily run, once its bar has closed."""
    return datetime.combine(bar_date + timedelta(days=1), DAILY_RUN, UTC)
