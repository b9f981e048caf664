"""A stored model answers as it did when it was stored."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crypto_pool.adapters.mlflow.artifact import load_model
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.errors import ModelUnavailable
from crypto_pool_tests.adapters.conftest import FEATURES, SaveModel


@pytest.mark.parametrize("algorithm", list(CANDIDATES))
def test_a_stored_model_gives_the_same_probabilities(
    algorithm: str, saved: SaveModel, fitted: Callable[[str], Any], rows: pd.DataFrame
) -> None:
    folder, hashes = saved(algorithm)

    loaded = load_model(folder, hashes)

    expected = fitted(algorithm).predict_proba(rows[list(FEATURES)])[:, 1]
    np.testing.assert_allclose(loaded.predict_probability(rows), expected, atol=1e-6)
    assert set(hashes) == {"estimator.skops", "calibration.json"}
    assert loaded.feature_names == FEATURES


def test_columns_are_taken_by_name_not_by_place(saved: SaveModel, rows: pd.DataFrame) -> None:
    loaded = load_model(*saved("LightGBM"))

    np.testing.assert_array_equal(
        loaded.predict_probability(rows[rows.columns[::-1]]), loaded.predict_probability(rows)
    )


def test_the_calibration_is_part_of_the_answer(saved: SaveModel, rows: pd.DataFrame) -> None:
    class Doubled:
        def apply(self, probability: np.ndarray, reference_logit: np.ndarray) -> np.ndarray:
            return 2 * probability + reference_logit

    loaded = load_model(*saved("LightGBM"))

    served = replace(loaded, calibration=Doubled()).predict_probability(rows)

    np.testing.assert_allclose(served, 2 * loaded.predict_raw(rows) + rows["reference_logit"])


def test_forecasting_with_a_net_needs_neither_keras_nor_jax(
    saved: SaveModel, rows: pd.DataFrame, tmp_path: Path
) -> None:
    folder, _ = saved("NeuralNet")
    rows.to_parquet(tmp_path / "rows.parquet")
    code = f"""
import sys
from pathlib import Path
import pandas as pd
from crypto_pool.adapters.mlflow.artifact import load_model
load_model(Path({str(folder)!r}), None).predict_probability(
    pd.read_parquet({str(tmp_path / "rows.parquet")!r})
)
sys.exit(", ".join({{"keras", "jax"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        load_model(tmp_path / "nowhere", None)
