"""What a member is trained on, and what it is asked with."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from crypto_pool.domain.labels import label_target
from crypto_pool.domain.market import Trend
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.reference import logit, random_walk_probability

REFERENCE_LOGIT = "reference_logit"


@dataclass(frozen=True)
class TrainingTable:
    """Labelled rows in time order: 19 features, 0/1 labels, the reference beside them."""

    features: pd.DataFrame
    labels: np.ndarray
    reference_probability: np.ndarray

    @property
    def index(self) -> pd.DatetimeIndex:
        """The bar dates."""
        return pd.DatetimeIndex(self.features.index)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.features)


def training_table(
    bars: pd.DataFrame,
    features: pd.DataFrame,
    trend: Trend | str,
    as_of: pd.Timestamp,
    recipe: Recipe = DEFAULT_RECIPE,
) -> TrainingTable:
    """Take the latest rows whose label is known once bar date `as_of` has closed.

    Bars after `as_of` may be there and change nothing. A row without a reference
    forecast is left out, so that every score can be stated over it.
    """
    labels = label_target(bars, trend, recipe.target).reindex(features.index)
    reference = random_walk_probability(bars, trend, recipe.target).reindex(features.index)
    dates = pd.DatetimeIndex(features.index)
    known = dates + pd.Timedelta(days=recipe.horizon) <= pd.Timestamp(as_of)
    usable = dates[known & labels.notna().to_numpy() & reference.notna().to_numpy()]
    chosen = usable[-recipe.training_rows :] if recipe.training_rows > 0 else usable[:0]
    return TrainingTable(
        features=features.loc[chosen],
        labels=labels.loc[chosen].to_numpy(dtype=np.int64),
        reference_probability=reference.loc[chosen].to_numpy(dtype=np.float64),
    )


def prediction_input(features: pd.DataFrame, reference: pd.Series) -> pd.DataFrame:
    """Put `reference_logit` behind the features: the input of a served model."""
    return features.assign(**{REFERENCE_LOGIT: logit(reference.reindex(features.index))})


def served_rows(table: TrainingTable) -> pd.DataFrame:
    """The rows of a training table as a served model takes them."""
    return prediction_input(
        table.features, pd.Series(table.reference_probability, index=table.index)
    )


def data_hash(table: TrainingTable) -> str:
    """Fingerprint everything a fit can see: dates, names, features, labels, reference."""
    digest = sha256("\n".join(map(str, table.features.columns)).encode())
    days = table.index.to_numpy().astype("datetime64[D]").astype("<i8")
    for values, kind in (
        (days, "<i8"),
        (table.features.to_numpy(), "<f8"),
        (table.labels, "<i8"),
        (table.reference_probability, "<f8"),
    ):
        digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return digest.hexdigest()
