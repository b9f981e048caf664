"""What a member is trained on, and what it is asked with."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
import pandas as pd

from crypto_pool.domain.labels import label_target
from crypto_pool.domain.members import Trend
from crypto_pool.domain.recipe import DEFAULT_RECIPE, Recipe
from crypto_pool.domain.reference import logit, random_walk_probability
from crypto_pool.domain.served_model import BASELINES, PANEL_LOGIT, REFERENCE_LOGIT, Anchor
from crypto_pool.domain.splits import judged_rows


@dataclass(frozen=True)
class TrainingTable:
    """Labelled rows in time order: features, 0/1 labels, reference and panel beside them.

    The panel's probability is NaN where it has none.
    """

    features: pd.DataFrame
    labels: np.ndarray
    reference_probability: np.ndarray
    panel_probability: np.ndarray | None = None

    @property
    def index(self) -> pd.DatetimeIndex:
        """The bar dates."""
        return pd.DatetimeIndex(self.features.index)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns that estimators are fitted on."""
        return tuple(map(str, self.features.columns))

    @property
    def baseline(self) -> str:
        """`Panel` where at least half of the judged rows have a panel forecast, or `RandomWalk`."""
        if self.panel_probability is None or not len(self):
            return "RandomWalk"
        judged = self.panel_probability[judged_rows(len(self))]
        return "Panel" if np.isfinite(judged).mean() >= 0.5 else "RandomWalk"

    @property
    def anchor(self) -> Anchor:
        """What candidates are anchored to."""
        return BASELINES[self.baseline]

    @cached_property
    def anchor_logit(self) -> np.ndarray:
        """Log odds of the anchor, NaN where it has none."""
        return served_rows(self)[self.anchor].to_numpy(dtype=np.float64)

    @property
    def anchor_probability(self) -> np.ndarray:
        """What the baseline serves, NaN where it has nothing."""
        from scipy.special import expit

        return np.asarray(expit(self.anchor_logit))  # to the last digit what a calibration serves

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.features)

    def rows(self, chosen: np.ndarray) -> "TrainingTable":
        """Return the rows that a mask chooses."""
        panel = self.panel_probability
        return TrainingTable(
            self.features.loc[chosen],
            self.labels[chosen],
            self.reference_probability[chosen],
            None if panel is None else panel[chosen],
        )


def training_table(
    bars: pd.DataFrame,
    features: pd.DataFrame,
    trend: Trend | str,
    as_of: pd.Timestamp,
    recipe: Recipe = DEFAULT_RECIPE,
    panel: pd.Series | None = None,
) -> TrainingTable:
    """Take the latest `training_rows` of the recipe whose label is known once `as_of` has closed.

    `panel` is the panel's probability of the trend by bar date. Bars after `as_of` may be there and
    change nothing. A row without a reference forecast is left out, so that every score can be
    stated over it.
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
        panel_probability=None
        if panel is None
        else panel.reindex(chosen).to_numpy(dtype=np.float64),
    )


def prediction_input(
    features: pd.DataFrame, reference: pd.Series, panel: pd.Series | None = None
) -> pd.DataFrame:
    """Put both log odds behind the features: the input of a served model.

    Without a panel `panel_logit` is null.
    """
    known = pd.Series(np.nan, index=features.index) if panel is None else panel
    return features.assign(
        **{
            REFERENCE_LOGIT: logit(reference.reindex(features.index)),
            PANEL_LOGIT: logit(known.reindex(features.index)),
        }
    )


def served_rows(table: TrainingTable) -> pd.DataFrame:
    """The rows of a training table as a served model takes them."""
    panel = table.panel_probability
    return prediction_input(
        table.features,
        pd.Series(table.reference_probability, index=table.index),
        None if panel is None else pd.Series(panel, index=table.index),
    )


def data_hash(table: TrainingTable) -> str:
    """Fingerprint everything a fit can see: dates, names, features, labels, reference, panel."""
    digest = sha256("\n".join(map(str, table.features.columns)).encode())
    days = table.index.to_numpy().astype("datetime64[D]").astype("<i8")
    for values, kind in (
        (days, "<i8"),
        (table.features.to_numpy(), "<f8"),
        (table.labels, "<i8"),
        (table.reference_probability, "<f8"),
    ):
        digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    if table.panel_probability is not None:
        digest.update(np.ascontiguousarray(table.panel_probability, dtype="<f8").tobytes())
    return digest.hexdigest()
