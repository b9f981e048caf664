"""What changed is published in place of what was there; the rest stays as it was."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crypto_pool.adapters.prediction_tables import LINK_NAME, publish, query
from crypto_pool.adapters.publication_rows import Change
from crypto_pool.errors import QueryError
from crypto_pool_tests.adapters.prediction_rows import make_prediction

MONDAY, TUESDAY = ("2024-01-29",), ("2024-01-30",)


def of(day: tuple[str], probability: float, *symbols: str) -> pd.DataFrame:
    own = {"prediction_date": date.fromisoformat(day[0]), "probability": probability}
    return pd.DataFrame([make_prediction(symbol, **own) for symbol in symbols])


def shown(folder: Path) -> dict[tuple[str, str], float]:
    rows = query(folder, "SELECT prediction_date AS day, symbol, probability FROM predictions")
    keys = zip(rows["day"].dt.strftime("%Y-%m-%d"), rows["symbol"], strict=True)
    return dict(zip(keys, rows["probability"], strict=True))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forecasts of two coins on two days, in a folder whose name SQL would end at."""
    made = tmp_path_factory.mktemp("new") / "one's own" / "data"
    whole = [of(MONDAY, 0.1, "BTC", "ETH"), of(TUESDAY, 0.1, "BTC", "ETH")]
    publish(made, {"predictions": Change([pd.DataFrame(), *whole])})
    return made


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "one's own", symlinks=True))


def test_the_rows_of_a_group_are_replaced_and_those_of_others_stay(folder: Path) -> None:
    change = Change([of(TUESDAY, 0.2, "BTC", "ADA")], frozenset({TUESDAY}))
    publish(folder, {"predictions": change})
    monday = {(*MONDAY, "BTC"): 0.1, (*MONDAY, "ETH"): 0.1}
    assert shown(folder) == monday | {(*TUESDAY, "BTC"): 0.2, (*TUESDAY, "ADA"): 0.2}
    publish(folder, {"predictions": Change([], frozenset({TUESDAY}))})
    publish(folder, {"predictions": Change([], frozenset())})
    assert shown(folder) == monday
    publish(folder, {"champions": Change([], frozenset())})  # and what is not given is empty
    assert shown(folder) == {}


def test_of_a_damaged_group_the_rows_of_the_last_publication_stay(folder: Path) -> None:
    """Those that were written anew go before them, whether all is made anew or a part."""
    for groups in (None, frozenset({MONDAY, TUESDAY})):
        frames = [of(MONDAY, 0.3, "BTC"), of(TUESDAY, 0.3, "BTC")]
        publish(folder, {"predictions": Change(frames, groups, {TUESDAY})})
        assert shown(folder) == {
            (*MONDAY, "BTC"): 0.3,
            (*TUESDAY, "BTC"): 0.3,
            (*TUESDAY, "ETH"): 0.1,
        }


def test_of_a_damaged_group_and_a_damaged_publication_nothing_stays(folder: Path) -> None:
    (folder / LINK_NAME).resolve().write_bytes(b"half a file")
    publish(folder, {"predictions": Change([of(MONDAY, 0.3, "BTC")], None, {TUESDAY})})
    assert shown(folder) == {(*MONDAY, "BTC"): 0.3}
    (folder / LINK_NAME).unlink()
    publish(folder, {"predictions": Change([of(MONDAY, 0.4, "BTC")], None, {TUESDAY})})
    assert shown(folder) == {(*MONDAY, "BTC"): 0.4}


def test_of_a_publication_with_other_columns_those_stay_that_there_still_are(folder: Path) -> None:
    with duckdb.connect(str((folder / LINK_NAME).resolve())) as before:
        before.execute("ALTER TABLE predictions DROP signal")
        before.execute("ALTER TABLE predictions ADD mine INTEGER")
    publish(folder, {"predictions": Change([], None, {TUESDAY})})
    assert shown(folder) == {(*TUESDAY, "BTC"): 0.1, (*TUESDAY, "ETH"): 0.1}
    assert query(folder, "SELECT signal FROM predictions")["signal"].isna().all()


def test_a_key_that_comes_twice_is_refused_whether_all_is_made_anew_or_a_part(folder: Path) -> None:
    before = shown(folder)
    for groups in (None, frozenset({TUESDAY})):
        change = Change([of(TUESDAY, 0.2, "BTC"), of(TUESDAY, 0.3, "BTC")], groups)
        with pytest.raises(QueryError, match="predictions do not fit it: duplicate key 2024-01-30"):
            publish(folder, {"predictions": change})
    assert shown(folder) == before


def features(symbol: str, **columns: float) -> pd.DataFrame:
    index = pd.DatetimeIndex(["2024-01-29"], name="date")
    return pd.DataFrame({"symbol": symbol, **columns}, index=index)


def test_a_feature_that_is_new_for_one_coin_is_a_column_without_values_for_others(
    folder: Path,
) -> None:
    publish(folder, {"feature_tables": Change([features("BTC", MACD=1.0)])})
    added = Change([features("ETH", MACD=2.0, volume_surprise=3.0)], frozenset({("ETH",)}))
    publish(folder, {"feature_tables": added})
    rows = query(folder, "FROM feature_tables ORDER BY symbol")
    assert list(rows) == ["symbol", "date", "MACD", "volume_surprise"]
    assert rows["MACD"].tolist() == [1.0, 2.0]
    assert rows["volume_surprise"].isna().tolist() == [True, False]
    described = query(
        folder, "SELECT comment FROM duckdb_columns() WHERE table_name = 'feature_tables'"
    )
    assert described["comment"].notna().all()
