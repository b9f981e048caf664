"""The examples of docs/extending.md work with the real parts."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from crypto_pool.adapters import extensions
from crypto_pool.adapters.alerts import CHANNELS, Alert, Alerts
from crypto_pool.adapters.extensions import Extensions, loaded_extensions
from crypto_pool.adapters.providers import PROVIDERS
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.defs.market_data import build_provider
from crypto_pool.domain.bar_validation import validate_bars
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import build_features, feature_names
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.errors import InvalidFeatures, UnknownSymbol
from crypto_pool.settings import load_settings
from crypto_pool.workflow.code_version import code_version, training_version
from crypto_pool.workflow.training import train_candidate, training_key
from crypto_pool_tests.conftest import ROOT
from crypto_pool_tests.extensions.loading import LAST, NAMES, RECIPE, example, load, task_of


def test_the_page_shows_the_modules_that_are_tested_here():
    page = (ROOT / "docs" / "extending.md").read_text()
    for name in NAMES:
        assert f"```python\n{example(name)}```" in page, name


def test_each_kind_is_registered_by_its_name(tmp_path):
    assert load(tmp_path, **{name: example(name) for name in NAMES}) == {}
    assert list(CANDIDATES)[-1] == "LogisticRegression"
    assert feature_names()[19:] == ("volume_surprise",)
    assert (list(PROVIDERS), list(CHANNELS)) == (["one_file"], ["my_file"])
    extensions._load.cache_clear()
    assert Extensions(NAMES, str(tmp_path)).load() == {}  # and again, by another way


def test_the_candidate_is_trained_stored_and_read_back(tmp_path, bars):
    load(tmp_path, my_candidate=example("my_candidate"))
    task = task_of(bars, "LogisticRegression", tmp_path / "fits")
    trained = train_candidate(task)
    assert 0 < trained.metrics["brier_score"] < 0.5
    model = task.registry.runs.load_model(trained.run_id)
    assert model.algorithm == "LogisticRegression"


def test_its_code_is_part_of_its_training_key_and_of_no_other(tmp_path, bars):
    def keys() -> list[str]:
        task = task_of(bars, "LogisticRegression", tmp_path / "fits")
        return [training_key(task, name) for name in ("LogisticRegression", "LightGBM")]

    _, plain = keys()
    load(tmp_path, my_candidate=example("my_candidate"))
    first, known = keys()
    version = training_version()
    assert known == plain
    assert version != code_version()
    del CANDIDATES["LogisticRegression"]
    load(tmp_path, my_candidate=example("my_candidate") + "# changed\n")
    second, known = keys()
    assert second != first
    assert known == plain
    assert training_version() != version


def test_the_feature_joins_the_19_and_does_not_look_ahead(tmp_path, bars):
    plain = build_features(compute_indicators(bars))
    terms = RECIPE.terms(plain.columns)
    load(tmp_path, my_feature=example("my_feature"))
    with pytest.raises(InvalidFeatures, match="volume_surprise: features of extensions need bars"):
        build_features(compute_indicators(bars))
    built = build_features(compute_indicators(bars), bars=bars)
    pd.testing.assert_frame_equal(built[plain.columns], plain.loc[built.index])
    said = RECIPE.terms(built.columns).difference(terms.to_tags())
    assert said == "feature volume_surprise is new"
    changed = bars.copy()
    changed.iloc[400:] = changed.iloc[400:].to_numpy()[::-1]
    other = build_features(compute_indicators(changed), bars=changed)
    before = bars.index[399]
    pd.testing.assert_frame_equal(built.loc[:before], other.loc[:before])


def test_a_pool_pulls_from_the_provider_its_settings_name(tmp_path, bars, monkeypatch):
    (tmp_path / "my_provider.py").write_text(example("my_provider"))
    bars.assign(symbol="BTC").reset_index().to_parquet(tmp_path / "bars.parquet")
    (tmp_path / "pool.toml").write_text(
        'extensions = ["my_provider"]\nprovider = "one_file"\nmarket_data_dir = "."\n'
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    load_settings.cache_clear()
    try:
        provider = build_provider(load_settings())
    finally:
        load_settings.cache_clear()
    checked = validate_bars(provider.daily_bars("BTC", LAST), "BTC", LAST)
    assert len(checked.bars) == len(bars)
    with pytest.raises(UnknownSymbol, match=r"ETH: .* has no row of it"):
        provider.daily_bars("ETH", LAST)


def test_the_channel_is_told_and_one_that_raises_is_told_again(tmp_path, monkeypatch, caplog):
    load(tmp_path, my_channel=example("my_channel"))
    now = datetime(2024, 1, 1, tzinfo=UTC)
    alerts = Alerts(tmp_path / "alerts.json", None, ["s3cret"], lambda: now)
    monkeypatch.delenv("MY_ALERTS", raising=False)
    alerts.send([Alert("a", "first s3cret")])
    assert "alert channel my_file failed (KeyError: 'MY_ALERTS')" in caplog.text
    assert alerts.recent()[0].is_pending
    monkeypatch.setenv("MY_ALERTS", str(tmp_path / "told"))
    alerts.send([Alert("b", "second")])
    alerts.send([])
    assert (tmp_path / "told").read_text() == "first ***\nsecond\n"
    assert not any(one.is_pending for one in alerts.recent())


def knows(name: str) -> tuple[str, bool]:
    return name, name in CANDIDATES


def test_worker_processes_have_what_the_pool_has(tmp_path):
    load(tmp_path, my_candidate=example("my_candidate"))
    assert loaded_extensions() == Extensions(("my_candidate",), str(tmp_path))
    answers = WorkerPool(2).map_unordered(knows, ["LogisticRegression", "Nothing"])
    assert dict(answer for _, answer in answers) == {"LogisticRegression": True, "Nothing": False}
