"""What explaining a champion costs, and how far from converged SHAP values it ends.

Run `python -m benchmarks.explanation_cost`. For each algorithm, fitted on a thousand
synthetic rows and served by an anchored calibration, the 60 latest rows are explained on one
core and compared with `shap.PermutationExplainer`, which walks many orders over the same 200
background rows. It ends with 1 if one algorithm takes too long or ends too far away.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.training_cost import training_rows
from crypto_pool.domain.calibrations import AnchoredCalibration, IdentityCalibration
from crypto_pool.domain.candidates import CANDIDATES, ClassBalance
from crypto_pool.domain.explanation import contributions, explain
from crypto_pool.domain.fitting import BACKGROUND_ROWS, subsample
from crypto_pool.domain.served_model import ServedModel
from crypto_pool.domain.training import served_rows

SECONDS_LIMIT = 15.0
ERROR_LIMIT = 0.01
EXPLAINED_ROWS = 60
SEED = 7
ORDERS = 30

Result = TypeVar("Result")


def fit_models(algorithms: Sequence[str]) -> dict[str, ServedModel]:
    """Fit each algorithm on the first 940 rows; the forest is served uncalibrated too."""
    table = training_rows()
    features, labels = table.features[:-EXPLAINED_ROWS], table.labels[:-EXPLAINED_ROWS]
    models = {}
    for name in algorithms:
        estimator = CANDIDATES[name].build(ClassBalance.of(labels), SEED).fit(features, labels)
        model = ServedModel(
            name,
            AnchoredCalibration(reference_weight=0.7, candidate_weight=0.5, intercept=-0.1),
            tuple(map(str, features.columns)),
            estimator,
        )
        models[name] = model
        if CANDIDATES[name].explainer != "sampled":
            models[f"{name}, uncalibrated"] = replace(model, calibration=IdentityCalibration())
    return models


def converged_means(
    model: ServedModel, background: pd.DataFrame, rows: pd.DataFrame, orders: int
) -> np.ndarray:
    """Let SHAP's own explainer walk `orders` orders a row, there and back."""
    import shap

    def on_arrays(values: np.ndarray) -> np.ndarray:
        return model.predict_probability(pd.DataFrame(values, columns=rows.columns))

    explainer = shap.PermutationExplainer(
        on_arrays, shap.maskers.Independent(background, max_samples=len(background)), seed=SEED
    )
    evaluations = orders * (2 * rows.shape[1] + 1)
    explained = explainer(rows.to_numpy(), max_evals=evaluations, silent=True)
    return np.asarray(explained.values).mean(axis=0)


def measure(
    model: ServedModel, background: pd.DataFrame, rows: pd.DataFrame, orders: int
) -> dict[str, Any]:
    """Time one explanation and one forecast's contributions, and compare with SHAP's."""
    columns = [*model.feature_names, model.anchor]
    background, rows = background[columns], rows[columns]
    one = partial(contributions, model, background, rows[-1:], SEED)
    one()  # compiles, and imports what is imported on first use
    daily, _ = _timed(one)
    seconds, explanation = _timed(partial(explain, model, background, rows, SEED))
    means = explanation.values.mean().to_numpy()
    errors = np.abs(means - converged_means(model, background, rows, orders))
    return {
        "seconds": round(seconds, 2),
        "error": round(float(errors.max()), 5),
        "stated_error": round(explanation.standard_error, 5),
        "largest_mean": round(float(np.abs(means).max()), 4),
        "daily_seconds": round(daily, 3),
        "method": explanation.method,
    }


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Give seconds of processor time, for a core may be shared while this runs."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def run(algorithms: Sequence[str], orders: int) -> dict[str, dict[str, Any]]:
    """Measure each algorithm with one thread, print a line for each, and return all."""
    rows = served_rows(training_rows())
    background = subsample(rows[:-EXPLAINED_ROWS], BACKGROUND_ROWS)
    report = {}
    print(f"{'algorithm':<28}{'s':>7}{'error':>9}{'stated':>9}{'largest':>9}{'daily s':>9}  method")
    with threadpool_limits(limits=1):
        for name, model in fit_models(algorithms).items():
            found = measure(model, background, rows[-EXPLAINED_ROWS:], orders)
            report[name] = found
            print(
                f"{name:<28}{found['seconds']:>7.2f}{found['error']:>9.5f}"
                f"{found['stated_error']:>9.5f}{found['largest_mean']:>9.4f}"
                f"{found['daily_seconds']:>9.3f}  {found['method'].partition(':')[0]}",
                flush=True,
            )
    return report


def figures() -> dict[str, float]:
    """Give the dearest explanation, the dearest forecast's contributions, the largest error."""
    found = run(list(CANDIDATES), ORDERS).values()
    return {
        "explanation_s": max(one["seconds"] for one in found),
        "explanation_error": max(one["error"] for one in found),
        "daily_contributions_s": max(one["daily_seconds"] for one in found),
    }


def main() -> int:
    """Print the table and, with --json, write what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithms", nargs="+", default=list(CANDIDATES), choices=[*CANDIDATES])
    parser.add_argument(
        "--orders", type=int, default=ORDERS, help="orders a row of the converged run"
    )
    parser.add_argument("--json", help="file to write the figures to")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    report = run(chosen.algorithms, chosen.orders)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
    missed = [
        name
        for name, found in report.items()
        if found["seconds"] > SECONDS_LIMIT or found["error"] > ERROR_LIMIT
    ]
    if missed:
        print(f"over {SECONDS_LIMIT:g} s or {ERROR_LIMIT:g}: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
