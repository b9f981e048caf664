"""Evaluation frames with the overlap that labels of the pool have."""

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm


def smooth(random: np.random.Generator, rows: int, width: int = 20) -> np.ndarray:
    noise = random.normal(size=rows + width - 1)
    return np.convolve(noise, np.full(width, width**-0.5), mode="valid")


def frame(seed: int, rows: int = 660, noise: float = 0.15) -> pd.DataFrame:
    """Labels that overlap, a calibrated reference, and a candidate that is it with noise."""
    random = np.random.default_rng(seed)
    reference = np.clip(norm.cdf(0.8 * smooth(random, rows) - 0.8), 0.02, 0.98)
    label = (norm.cdf(smooth(random, rows)) < reference).astype(int)
    return pd.DataFrame(
        {
            "label": label,
            "probability": blurred(reference, random, noise),
            "reference_probability": reference,
            "decision_threshold": 0.5,
            "fold": np.repeat([2, 3, 4, 5], -(-rows // 4))[:rows],
        },
        index=pd.date_range("2020-01-01", periods=rows),
    )


def blurred(reference: np.ndarray, random: np.random.Generator, noise: float) -> np.ndarray:
    return expit(np.log(reference / (1 - reference)) + noise * smooth(random, len(reference)))
