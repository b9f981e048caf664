"""How many days and rows are enough for what rests on labels that overlap."""

import numpy as np
import pandas as pd
import pytest

from crypto_pool.domain.label_windows import purge_gap, review_days_needed, rows_needed
from crypto_pool.domain.splits import judged_rows, walk_forward_folds
from crypto_pool.errors import UnscoredCandidate


@pytest.mark.parametrize(
    ("horizon", "folds", "gap", "rows", "days"), [(10, 5, 20, 126, 110), (30, 3, 40, 164, 230)]
)
def test_what_is_enough_leaves_rows_to_train_on(horizon, folds, gap, rows, days):
    assert purge_gap(horizon) == gap
    assert rows_needed(horizon, folds) == rows
    assert review_days_needed(horizon) == days
    for count in range(rows, rows + 40):
        index = pd.date_range("2020-01-01", periods=count)
        parts = walk_forward_folds(index, horizon, folds)
        assert len(parts[0].train) > 0
        assert [part.test[0] - part.train[-1] for part in parts] == [gap + 1] * folds
        judged = np.concatenate([part.test for part in parts[1:]])
        assert np.array_equal(np.arange(count)[judged_rows(count, folds)], judged)
    with pytest.raises(UnscoredCandidate, match="too few"):
        walk_forward_folds(pd.date_range("2020-01-01", periods=(folds + 1) * gap), horizon, folds)
