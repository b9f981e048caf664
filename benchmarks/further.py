"""Whether there is room to go further: three changes of the candidates, against the panel.

The mean of the candidates' logits as one more; MACD divided by the close, so that all inputs are
free of scale; BTC's features beside a coin's own. Each is trained and judged out of fold, anchored
to the panel, as a member is: six coins as of 2021-12-31, some 670 judged days a member, two
candidates that are fast (Ridge and nearest neighbours). A change is kept only if its gain over the
present recipe exceeds its standard error, and its skill over the panel is above 0.

Run `python -m benchmarks further` with CRYPTO_POOL_MARKET_DATA_DIR naming a folder of daily bars;
without it a synthetic market stands in. The mean of all ten is judged on the fits that a replay
left: `python -m benchmarks.further FOLDER`, a policy's folder in that which `crypto-pool replay`
names. Of each training the last 60 out-of-fold days count, so each day of a member counts once.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from benchmarks.gates import LAST, RECIPE, SYMBOLS, bars_of
from crypto_pool.domain.calibrations import clipped_logit
from crypto_pool.domain.candidates import CANDIDATES, Candidate, ClassBalance
from crypto_pool.domain.features import build_features
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.intervals import paired_difference
from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.panel_skill import BLOCK_DAYS
from crypto_pool.domain.policies import evaluate
from crypto_pool.domain.training import TrainingTable, training_table
from crypto_pool.replay.market import Market
from crypto_pool.workflow.panel import panel_probability

COINS = tuple(SYMBOLS[:6])
FAST = ("RidgeClassifier", "KNeighbors")
IN_USD = ["MACD", "MACD_Signal", "MACD_Hist"]
NORMAL_90 = 1.645
ROUND_DAYS = 60


@dataclass
class MeanOfLogits:
    """The mean of the log odds of several estimators, as a probability."""

    estimators: Sequence[Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what it is built with."""
        return {"estimators": self.estimators}

    def fit(self, rows: pd.DataFrame, labels: np.ndarray) -> Self:
        """Fit them all."""
        for estimator in self.estimators:
            estimator.fit(rows, labels)
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.array(rows.columns)
        return self

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Return both classes' probabilities."""
        own = [clipped_logit(one.predict_proba(rows)[:, 1]) for one in self.estimators]
        positive = expit(np.mean(own, axis=0))
        return np.column_stack([1 - positive, positive])


def mean_of(names: Sequence[str]) -> Candidate:
    """Return the candidate that is the mean of some others."""

    def build(balance: ClassBalance, seed: int) -> MeanOfLogits:
        return MeanOfLogits([CANDIDATES[name].build(balance, seed) for name in names])

    return Candidate("MeanOfLogits", build, "sampled")


def figures(coins: Sequence[str] = COINS, names: Sequence[str] = FAST) -> dict[str, float]:
    """Return skill over the panel and gain over the present recipe, in percent."""
    chosen = [CANDIDATES[name] for name in names]
    losses: dict[str, list[pd.DataFrame]] = {}
    with threadpool_limits(1):
        for table, scale_free, beside_btc in _tables(coins):
            for change, candidates, rows in (
                ("present", chosen, table),
                ("mean_of_logits", [mean_of(names)], table),
                ("scale_free", chosen, scale_free),
                ("beside_btc", chosen, beside_btc),
            ):
                losses.setdefault(change, []).append(_losses(candidates, rows))
    pooled = {change: pd.concat(frames) for change, frames in losses.items()}
    present = pooled.pop("present")
    unit = float(present["panel"].mean())
    found = {"further_present_skill_pct": 100 * (1 - float(present["own"].mean()) / unit)}
    for change, rows in pooled.items():
        gain = paired_difference(present["own"] - rows["own"], BLOCK_DAYS)
        assert gain.value is not None
        assert gain.low is not None
        assert gain.high is not None
        found |= {
            f"further_{change}_skill_pct": 100 * (1 - float(rows["own"].mean()) / unit),
            f"further_{change}_gain_pct": 100 * gain.value / unit,
            f"further_{change}_gain_error_pct": 100 * (gain.high - gain.low) / 2 / NORMAL_90 / unit,
        }
    return found


def _losses(candidates: Sequence[Candidate], table: TrainingTable) -> pd.DataFrame:
    """Return the squared errors by bar date: the candidates' mean as `own`, and the panel's."""
    judged = [evaluate(one, table, RECIPE).evaluation for one in candidates]
    panel = (judged[0]["baseline_probability"] - judged[0]["label"]) ** 2
    own = [(one["probability"] - one["label"]) ** 2 for one in judged]
    return pd.DataFrame({"own": pd.concat(own, axis=1).mean(axis=1), "panel": panel})


def _tables(
    coins: Sequence[str],
) -> Iterator[tuple[TrainingTable, TrainingTable, TrainingTable]]:
    """Return of each member its rows as they are, free of scale, and beside BTC's."""
    market = Market.of({coin: bars_of(coin) for coin in coins}, RECIPE, LAST)
    leader = build_features(compute_indicators(bars_of("BTC"))).add_prefix("BTC_")
    for coin in coins:
        for trend in Trend:
            panel = panel_probability(market.panel.forecasts, Member(coin, trend))
            bars, features = market.bars[coin], market.features[coin]
            table = training_table(bars, features, trend, pd.Timestamp(LAST), RECIPE, panel)
            closes = bars["close"].reindex(table.index)
            scaled = table.features.assign(
                **{name: 100 * table.features[name] / closes for name in IN_USD}
            )
            beside = table.features.join(leader).ffill().fillna(0.0)
            yield table, replace(table, features=scaled), replace(table, features=beside)


def mean_of_ten(replayed: Path) -> dict[str, float]:
    """Return what the mean of all candidates' logits gains over the panel, in percent."""
    judged = map(_mean_losses, sorted(replayed.glob("*/*/")))
    rows = pd.concat([one for one in judged if one is not None])
    rows = rows[~rows.set_index("member", append=True).index.duplicated()]
    gain, unit = paired_difference(rows["panel"] - rows["mean"], BLOCK_DAYS), rows["panel"].mean()
    ends = zip(("gain", "gain_low", "gain_high"), gain, strict=True)
    told = {f"mean_of_ten_{name}_pct": 100 * float(end) / unit for name, end in ends if end}
    return {"mean_of_ten_rows": len(rows), **told}


def _mean_losses(training: Path) -> pd.DataFrame | None:
    """Return a training's squared errors by bar date; None where one of the ten is missing."""
    files = {path.parent.name.partition("-")[0]: path for path in training.glob("*/evaluation.*")}
    if not files.keys() >= CANDIDATES.keys():
        return None
    frames = {name: pd.read_parquet(files[name]) for name in CANDIDATES}
    own = pd.DataFrame({name: frame["probability"] for name, frame in frames.items()})
    own = own.dropna().tail(ROUND_DAYS)
    rows = next(iter(frames.values())).loc[own.index]
    mean = expit(clipped_logit(own.to_numpy()).mean(axis=1))
    return pd.DataFrame(
        {
            "member": training.parent.name,
            "mean": (mean - rows["label"]) ** 2,
            "panel": (rows["baseline_probability"] - rows["label"]) ** 2,
        }
    )


if __name__ == "__main__":
    found = mean_of_ten(Path(sys.argv[1])) if sys.argv[1:] else figures()
    for name, value in found.items():
        print(f"{name}: {value:.3f}")
