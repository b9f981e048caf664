"""Scored forecasts with labels that overlap as those of the pool do."""

import numpy as np
import pandas as pd


def scored(days, *, bias=0.0, seed=0, start="2023-01-01", coins=("BTC",), version="1"):
    """Forecasts off the base rate by `bias`."""
    generator = np.random.default_rng(seed)
    frames = []
    for coin in coins:
        shocks = generator.standard_normal(days + 19)
        level = np.convolve(shocks, np.ones(20), "valid") / np.sqrt(20)
        reference = np.full(days, 0.21)
        frames.append(
            pd.DataFrame(
                {
                    "prediction_date": pd.date_range(start, periods=days).date,
                    "symbol": coin,
                    "trend": "uptrend",
                    "probability": reference + bias + 0.001 * generator.standard_normal(days),
                    "signal": generator.random(days) < 0.3,
                    "status": "active",
                    "late": False,
                    "in_sample": False,
                    "reference_probability": reference,
                    "outcome": (level > 0.8).astype(float),
                    "model_version": version,
                    "promised_precision": 0.6,
                    "promised_recall": 0.5,
                    "promised_brier_score": 0.15,
                    "promised_skill_over_reference": 0.01,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def opposite(days, **options):
    """Forecasts that expect the opposite of what happens."""
    rows = scored(days, **options)
    return rows.assign(probability=0.9 - 0.8 * rows["outcome"])
