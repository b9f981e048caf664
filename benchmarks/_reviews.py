"""How often a review condemns a champion, on simulated lives whose truth is known.

A champion has noise of deviation 0.4 and half-life 10 or 60 and is looked at daily for a year, its
mean excess loss taken out and the gap added to each day's loss. With a bad predecessor, 300 days
of skill -0.5 stand before it.
"""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import t as students_t

from benchmarks._rates import SEED, rate
from benchmarks._walks import noise, walks
from crypto_pool.domain.label_windows import MIN_BLOCKS, purge_gap
from crypto_pool.domain.review import ReviewRules, record_of

DEVIATION = 0.4


def reviews(lives: int) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Yield how often a champion is quarantined within a year of its first forecast."""
    rules = ReviewRules()
    for half_life in (10, 60):
        excess, unit = _lives(np.random.default_rng(SEED + half_life), half_life, 2 * 365, lives)
        lived = excess - excess.mean()
        name = f"half_life_{half_life}"
        first, second = _years(lived, rules)
        yield rate(f"false_alarms_first_year_{name}", first)
        yield rate(f"false_alarms_second_year_{name}", second[~first])
        yield rate(f"false_alarms_after_bad_predecessor_{name}", _after_bad(lived, unit, rules))
        for gap, key in ((0.12, "012"), (0.24, "024")):
            yield rate(f"caught_{key}_{name}", _years(lived[:, :365] + gap * unit, rules)[0])
    biased, unit = _lives(np.random.default_rng(SEED), 10, 365, lives, bias=0.8)
    skill = -biased.mean() / unit
    yield rate(f"of_skill_{skill:.2f}_by_bias_caught", _years(biased, rules)[0])


def _lives(
    random: np.random.Generator, half_life: int, days: int, lives: int, bias: float = 0.0
) -> tuple[np.ndarray, float]:
    """Return daily excess losses over the reference, lives by days, and its mean loss."""
    excess, losses = [], []
    moved_by = noise(random, days, half_life, lives)
    for member, moves in zip(walks(random, days, lives), moved_by, strict=True):
        reference = (member.served - member.label) ** 2
        moved = expit(member.logit + bias + DEVIATION * moves)
        excess.append((moved - member.label) ** 2 - reference)
        losses.append(reference.mean())
    return np.array(excess), float(np.mean(losses))


def _years(lived: np.ndarray, rules: ReviewRules) -> tuple[np.ndarray, np.ndarray]:
    """Return who is quarantined within the first year, and who within the second."""
    caught = np.zeros((2, len(lived)), dtype=bool)
    for day in range(MIN_BLOCKS * purge_gap(rules.horizon), lived.shape[1] + 1):
        known = lived[:, max(0, day - rules.window_days) : day - rules.horizon]
        caught[int(day > 365)] |= condemned(known, rules) & ~caught.any(axis=0)
    return caught[0], caught[1]


def condemned(excess: np.ndarray, rules: ReviewRules) -> np.ndarray:
    """Return whom a look at these daily excess losses, lives by days, condemns.

    What `review_champion` decides of each, for all at once.
    """
    width, block = excess.shape[1], purge_gap(rules.horizon)
    blocks = width // block
    if blocks < MIN_BLOCKS:
        return np.zeros(len(excess), dtype=bool)
    sums = excess[:, width - blocks * block :].reshape(len(excess), blocks, block).sum(axis=2)
    error = sums.std(axis=1, ddof=1) * np.sqrt(blocks) / (blocks * block)
    limit = students_t.isf(rules.level(width), blocks - 1)
    return np.asarray(excess.mean(axis=1) > np.maximum(0.0, limit * error))


def _after_bad(lived: np.ndarray, unit: float, rules: ReviewRules) -> np.ndarray:
    """Return who is quarantined within a year of following a version of skill -0.5."""
    bad, start = 300, pd.Timestamp("2021-01-01")
    ledger = pd.DataFrame(
        {
            "decision": ["promoted", "quarantined", "replaced"],
            "serving_version": ["1", "1", "2"],
            "algorithm": ["A", "A", "B"],
            "as_of": [(start + timedelta(days=day)).date() for day in (0, bad - 1, bad)],
        }
    )
    days = pd.date_range(start, periods=bad + 365)
    rows = pd.DataFrame({"prediction_date": days, "model_version": ["1"] * bad + ["2"] * 365})
    whole = np.hstack([np.full((len(lived), bad), 0.5 * unit), lived[:, :365]])
    return _years(whole[:, record_of(ledger, "2").rows(rows).index], rules)[0]
