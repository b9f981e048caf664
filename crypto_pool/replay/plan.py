"""What is replayed: the days, the retraining, and all that a trained model depends on."""

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.errors import InvalidSetting
from crypto_pool.workflow.code_version import TRAINING, code_version

# What a stored piece of a replay depends on, beside the domain it reaches.
_PIECE_MAKERS = ("history.py", "rounds.py")


@dataclass(frozen=True)
class ReplayPlan:
    """Retrain on `start` and every `retrain_every_days` after it, forecast through `end`.

    Both are bar dates. A retraining on a date knows the bars up to and including it and
    serves from the day after.
    """

    start: date
    end: date
    retrain_every_days: int
    algorithms: tuple[str, ...] = tuple(CANDIDATES)
    min_history_bars: int = 365
    recipe: Recipe = DEFAULT_RECIPE

    def __post_init__(self) -> None:
        """Refuse what cannot be replayed."""
        if self.end <= self.start:
            raise InvalidSetting(
                f"a replay from {self.start} to {self.end} holds no day after its first "
                "training; give a later --to"
            )
        if self.retrain_every_days < 1:
            raise InvalidSetting(
                f"--retrain-every-days is {self.retrain_every_days}; it must be at least 1"
            )
        unknown = [name for name in self.algorithms if name not in CANDIDATES]
        if unknown or not self.algorithms:
            raise InvalidSetting(
                f"algorithms {', '.join(unknown) or 'none'}: known are {', '.join(CANDIDATES)}"
            )

    @property
    def retrain_dates(self) -> tuple[date, ...]:
        """The dates of training, all before `end`."""
        days = range(0, (self.end - self.start).days, self.retrain_every_days)
        return tuple(self.start + timedelta(days=day) for day in days)

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

    def fingerprint(self, source: str) -> str:
        """Name everything but coins and policies that the stored pieces depend on."""
        code = code_version(*TRAINING, "features")
        digest = sha256(json.dumps([self.to_json(), source, code], default=str).encode())
        for name in _PIECE_MAKERS:
            digest.update(Path(__file__).with_name(name).read_bytes())
        return digest.hexdigest()[:16]
