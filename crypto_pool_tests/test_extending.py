"""The examples of docs/extending.md work with the real parts, and broken ones stop nothing."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters import extensions
from crypto_pool.adapters.alerts import CHANNELS, Alert, Alerts
from crypto_pool.adapters.extensions import Extensions, loaded_extensions
from crypto_pool.adapters.providers import PROVIDERS
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.defs.market_data import build_provider
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import FEATURES, build_features, feature_names
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.market import Member, Trend, validate_bars
from crypto_pool.domain.recipe import Recipe
from crypto_pool.domain.training import training_table
from crypto_pool.errors import InvalidFeatures, InvalidSetting, UnknownSymbol
from crypto_pool.replay.memory import MemoryRegistry
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.settings import load_settings
from crypto_pool.workflow.code_version import code_version, training_version
from crypto_pool.workflow.training import (
    TrainingTask,
    Unscored,
    train_candidate,
    training_key,
)
from crypto_pool_tests.conftest import PATIENCE_SECONDS
from crypto_pool_tests.wheel import build_wheel, install_wheel

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "extensions"
NAMES = ("my_candidate", "my_feature", "my_provider", "my_channel")
LAST = date(2021, 11, 30)
RECIPE = Recipe(evaluation_policy="holdout")


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test loads is gone behind it."""
    tables = (CANDIDATES, FEATURES, PROVIDERS, CHANNELS)
    kept, modules, path = [dict(table) for table in tables], set(sys.modules), list(sys.path)
    extensions._load.cache_clear()
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith("my_"):
            del sys.modules[name]
    sys.path[:] = path
    extensions._load.cache_clear()
    Extensions().load()


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return SyntheticMarket(seed=3, predictability=0.5).bars("BTC", LAST).tail(600)


def load(home: Path, **sources: str) -> dict[str, str]:
    """Load modules of these sources from a home; return what is broken."""
    for name, source in sources.items():
        (home / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
    extensions._load.cache_clear()
    return dict(Extensions(tuple(sources), str(home)).load())


def example(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text()


def task_of(bars: pd.DataFrame, algorithm: str, folder: Path) -> TrainingTask:
    features = build_features(compute_indicators(bars), bars=bars)
    return TrainingTask(
        member=Member("BTC", Trend.UPTREND),
        algorithm=algorithm,
        table=training_table(bars, features, "uptrend", pd.Timestamp(LAST), RECIPE),
        as_of=LAST,
        recipe=RECIPE,
        synthetic=True,
        registry=MemoryRegistry(folder, RECIPE),
        parent_run_id=None,
        dagster_run_id="test",
    )


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


def test_a_provider_that_is_broken_is_named_where_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "my_provider.py").write_text("import nowhere_to_be_found")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTO_POOL_EXTENSIONS", "my_provider")
    monkeypatch.setenv("CRYPTO_POOL_PROVIDER", "one_file")
    load_settings.cache_clear()
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    load_settings.cache_clear()
    assert "CRYPTO_POOL_PROVIDER=one_file: known are sandbox, directory" in str(caught.value)
    assert "my_provider is broken: ModuleNotFoundError" in str(caught.value)


def test_the_channel_is_told_and_one_that_raises_is_told_again(tmp_path, monkeypatch, caplog):
    load(tmp_path, my_channel=example("my_channel"))
    now = datetime(2024, 1, 1, tzinfo=UTC)
    alerts = Alerts(tmp_path / "alerts.json", None, ["s3cret"], lambda: now)
    monkeypatch.delenv("MY_ALERTS", raising=False)
    alerts.tell([Alert("a", "first s3cret")])
    assert "alert channel my_file failed (KeyError: 'MY_ALERTS')" in caplog.text
    assert alerts.recent()[0].is_pending
    monkeypatch.setenv("MY_ALERTS", str(tmp_path / "told"))
    alerts.tell([Alert("b", "second")])
    alerts.tell([])
    assert (tmp_path / "told").read_text() == "first ***\nsecond\n"
    assert not any(one.is_pending for one in alerts.recent())


BROKEN = {
    "import nowhere_to_be_found": "ModuleNotFoundError",
    "raise SystemExit(3)": "SystemExit: 3",
    "x = (": "SyntaxError",
    "": "it offers nothing: Candidate, Feature, Provider, AlertChannel",
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('LightGBM', print)": "the name LightGBM is taken",
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('RandomWalk', print)": "the name RandomWalk is taken",
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('a/b', print)": "'a/b' is no name",
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('Mine', 'print')": "build must be a function",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('PPO', print)": "the name PPO is taken",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('probability', print)": "the name probability is taken",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'].shift(-1))": "with what comes later",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'] / bars['close'].max())": (
        "it changes with what comes later"
    ),
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'].head(9))": "one value for each bar",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['nothing'])": "feature mine: KeyError",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'].rolling(500).mean())": "no value after",
    "from crypto_pool.adapters.providers import Provider\n"
    "mine = Provider('sandbox', print)": "the name sandbox is taken",
    "from crypto_pool.adapters.alerts import AlertChannel\n"
    "mine = AlertChannel('mine', None)": "send must be a function",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_one_is_named_and_stops_no_other(tmp_path, source):
    sound = list(CANDIDATES)
    found = load(tmp_path, my_broken=source, my_candidate=example("my_candidate"))
    [(name, fault)] = found.items()
    assert name.startswith("my_broken")
    assert BROKEN[source] in fault
    assert list(CANDIDATES) == [*sound, "LogisticRegression"]
    assert len(feature_names()) == 19


def test_what_is_broken_is_said_once_in_the_log(tmp_path, monkeypatch, caplog):
    (tmp_path / "my_broken.py").write_text("1 / 0")
    (tmp_path / "pool.toml").write_text('extensions = ["my_broken"]\n')
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            load_settings.cache_clear()
            load_settings()
    load_settings.cache_clear()
    [said] = [one.getMessage() for one in caplog.records]
    assert said == (
        "The extension my_broken is broken and left out: ZeroDivisionError: division by zero"
    )


CLASSIFIER = """
from sklearn.base import BaseEstimator, ClassifierMixin
from crypto_pool.domain.candidates import Candidate

class Mine(ClassifierMixin, BaseEstimator):
    def fit(self, rows, labels):
        {fit}
        self.classes_ = [0, 1]
        self.share_ = float(labels.mean())
        return self

    def predict_proba(self, rows):
        {probabilities}

def _build(balance, seed):
    return Mine()

mine = Candidate("Mine", _build, trusted_types={types})
"""
SOUND = {
    "fit": "pass",
    "probabilities": "import numpy as np; return np.tile([1 - self.share_, self.share_], "
    "(len(rows), 1))",
    "types": '("my_classifier.Mine",)',
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fit": "raise RuntimeError('no luck')"}, "RuntimeError: no luck"),
        ({"probabilities": "return [0.5] * len(rows)"}, "IndexError"),
        ({"types": "()"}, "types nobody vouches for: my_classifier.Mine"),
    ],
)
def test_a_candidate_that_fails_is_unscored_by_name(tmp_path, bars, changed, said):
    assert load(tmp_path, my_classifier=CLASSIFIER.format(**{**SOUND, **changed})) == {}
    result = train_candidate(task_of(bars, "Mine", tmp_path / "fits"))
    assert isinstance(result, Unscored)
    assert "the extension Mine failed: " in result.reason
    assert said in result.reason


def test_a_class_of_its_own_is_stored_by_the_types_it_declares(tmp_path, bars):
    load(tmp_path, my_classifier=CLASSIFIER.format(**SOUND))
    task = task_of(bars, "Mine", tmp_path / "fits")
    trained = train_candidate(task)
    model = task.registry.runs.load_model(trained.run_id)
    assert type(model.estimator).__name__ == "Mine"


def knows(name: str) -> tuple[str, bool]:
    return name, name in CANDIDATES


def test_worker_processes_have_what_the_pool_has(tmp_path):
    load(tmp_path, my_candidate=example("my_candidate"))
    assert loaded_extensions() == Extensions(("my_candidate",), str(tmp_path))
    answers = WorkerPool(2).map_unordered(knows, ["LogisticRegression", "Nothing"])
    assert dict(answers) == {"LogisticRegression": True, "Nothing": False}


DISTRIBUTION = """\
Metadata-Version: 2.1
Name: my-package
Version: 1.0
"""
ENTRY_POINTS = """\
[crypto_pool.candidates]
mine = my_candidate:candidate

[crypto_pool.alerts]
mine = my_channel:channel
broken = my_nothing:channel
"""
SHOW_GRAPH = """
from crypto_pool.definitions import defs
print([key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()])
"""


@pytest.mark.long
def test_an_installed_wheel_builds_replays_and_serves_with_all_of_them(new_pool, tmp_path):
    """A candidate and a channel by entry points, a feature and a provider from the home."""
    site = tmp_path / "site"
    (tmp_path / "source").mkdir()
    install_wheel(build_wheel(tmp_path / "source"), site)
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DISTRIBUTION)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    for name in ("my_candidate", "my_channel"):
        (site / f"{name}.py").write_text(example(name))
    pool = new_pool(training_rows="300", workers="2")
    for name in ("my_feature", "my_provider"):
        (pool.home / f"{name}.py").write_text(example(name))
    day = date(2021, 12, 31)
    bars = SyntheticMarket(seed=3, predictability=0.5).bars("BTC", day)
    bars.assign(symbol="BTC").reset_index().to_parquet(pool.home / "bars.parquet")
    (pool.home / "pool.toml").write_text(
        'symbols = ["BTC"]\nextensions = ["my_feature", "my_provider"]\n'
        'provider = "one_file"\nmarket_data_dir = "."\n'
    )
    environment = {**pool.environment, "PYTHONPATH": str(site), "MY_ALERTS": str(tmp_path / "told")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=pool.home,
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    command = ["-m", "crypto_pool.cli"]
    built = run(*command, "build", "--date", f"{day}")
    assert built.stderr.count("my_nothing is broken and left out: ModuleNotFoundError") >= 1
    scores = pool.table("candidate_scores")
    mine = scores[scores["algorithm"] == "LogisticRegression"]
    assert list(mine["status"]) == ["scored", "scored"]
    assert "volume_surprise" in pool.table("feature_tables")
    assert "candidates/LogisticRegression" in run("-c", SHOW_GRAPH).stdout
    algorithms = ("--algorithms", "LogisticRegression,KNeighbors")
    dates = ("--from", "2021-11-01", "--to", "2021-11-04")
    said = run(*command, "replay", *dates, *algorithms, "--policies", "holdout", "--json")
    assert json.loads(said.stdout)["plan"]["algorithms"] == ["LogisticRegression", "KNeighbors"]
    serve = "from crypto_pool.serving.app import create_app; from crypto_pool.settings import *; "
    run("-c", f"{serve}create_app(load_settings())")
    doctor = subprocess.run(
        [sys.executable, *command, "doctor", "BTC", "--json"],
        env=environment,
        cwd=pool.home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    found = {one["name"]: one["is_ok"] for one in json.loads(doctor.stdout)}
    assert found["extension features volume_surprise"]
    assert found["extension my_nothing"] is False
