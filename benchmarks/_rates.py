"""Rates of simulations with their exact intervals, and where their chance begins."""

import numpy as np
from scipy.stats import beta

SEED = 20_260_101


def rate(name: str, hits: object) -> tuple[str, float, tuple[float, float]]:
    """Return a share in percent with its exact 90 % interval (Clopper and Pearson 1934)."""
    found = np.asarray(hits, dtype=bool)
    count, total = int(found.sum()), max(1, len(found))
    low = beta.ppf(0.05, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.95, count + 1, total - count) if count < total else 1.0
    return name, 100 * count / total, (100 * float(low), 100 * float(high))
