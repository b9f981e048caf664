"""How far the latest features are from what came before."""

import pandas as pd

RECENT_ROWS = 30
FEWEST_EARLIER_ROWS = 200
SPAN = (0.005, 0.995)


def unseen_share(features: pd.DataFrame, recent_rows: int = RECENT_ROWS) -> pd.Series:
    """Give for each feature the share of its latest rows beyond the span of all earlier ones.

    The span is the central 99 %, so steady features give about 0.01. Empty if fewer than
    200 earlier rows are there to compare with.
    """
    earlier, recent = features.iloc[:-recent_rows], features.iloc[-recent_rows:]
    if len(earlier) < FEWEST_EARLIER_ROWS:
        return pd.Series(dtype=float)
    low, high = earlier.quantile(SPAN[0]), earlier.quantile(SPAN[1])
    return ((recent < low) | (recent > high)).mean()
