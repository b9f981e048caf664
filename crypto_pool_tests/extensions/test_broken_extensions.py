"""An extension that is broken is named, and stops nothing else."""

import logging
from dataclasses import replace

import pandas as pd
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from crypto_pool.adapters.extensions import extension_codes
from crypto_pool.adapters.prediction_tables import publish
from crypto_pool.adapters.providers import PROVIDERS
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import build_features, feature_names
from crypto_pool.domain.indicators import compute_indicators
from crypto_pool.domain.training import data_hash
from crypto_pool.errors import InvalidSetting, ProviderError
from crypto_pool.settings import load_settings
from crypto_pool.workflow.training import Unscored, train_candidate
from crypto_pool_tests.extensions.loading import LAST, example, load, task_of
from crypto_pool_tests.pool_frames import pool_frames


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


# As Rust's panics come to Python.
PANIC = "raise type('Panic', (BaseException,), {})('at a row')"
BROKEN = {
    "import nowhere_to_be_found": "ModuleNotFoundError",
    "raise SystemExit(3)": "SystemExit: 3",
    PANIC: "Panic: at a row",
    "from crypto_pool.domain.features import Feature\n"
    f"def _panic(*frames):\n    {PANIC}\n"
    "mine = Feature('mine', _panic)": "feature mine: Panic: at a row",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: exit(3))": "feature mine: SystemExit: 3",
    "x = (": "SyntaxError",
    "": "my_broken.py offers nothing: Candidate, Feature, Provider, AlertChannel",
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
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('lightgbm', print)": "the name lightgbm is taken",
    "from crypto_pool.domain.candidates import Candidate\n"
    "mine = Candidate('m' * 65, print)": "is no name",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('probability', print)": "the name probability is taken",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('ppo', print)": "the name ppo is taken",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('Symbol', print)": "the name Symbol is taken",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'].shift(-1))": "with what comes later",
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'] / bars['close'].max())": (
        "it changes with what comes later"
    ),
    "from crypto_pool.domain.features import Feature\n"
    "mine = Feature('mine', lambda bars, _: bars['close'].pct_change(100).bfill())": (
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
    assert list(extension_codes()) == ["candidates LogisticRegression"]
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
        ({"fit": "raise SystemExit(3)"}, "SystemExit: 3"),
        ({"fit": PANIC}, "Panic: at a row"),
        ({"probabilities": "return [0.5] * len(rows)"}, "have the shape (27,), not (27, 2)"),
        ({"probabilities": "return [[0.1, 0.2, 0.7]] * len(rows)"}, "have the shape (27, 3)"),
        ({"probabilities": "return [[0.1, 0.9]]"}, "have the shape (1, 2), not (27, 2)"),
        ({"probabilities": "return [[0.1, 7]] * len(rows)"}, "1, the first is 7"),
        ({"probabilities": "return [[1.1, -0.1]] * len(rows)"}, "1, the first is -0.1"),
        ({"probabilities": "return [[0.5, None]] * len(rows)"}, "1, the first is nan"),
        ({"types": "()"}, "types nobody vouches for: my_classifier.Mine"),
    ],
)
def test_a_candidate_that_fails_is_unscored_by_name(tmp_path, bars, changed, said):
    assert load(tmp_path, my_classifier=CLASSIFIER.format(**{**SOUND, **changed})) == {}
    result = train_candidate(task_of(bars, "Mine", tmp_path / "fits"))
    assert isinstance(result, Unscored)
    assert "Mine" in result.reason
    assert said in result.reason


def test_the_probability_of_class_1_is_found_by_the_classes_in_judging_and_serving(tmp_path, bars):
    reversed_order = {
        "fit": "self.order_ = [1, 0]",
        "probabilities": "import numpy as np; self.classes_ = self.order_; "
        "return np.tile([0.9, 0.1], (len(rows), 1))",
    }
    load(tmp_path, my_classifier=CLASSIFIER.format(**{**SOUND, **reversed_order}))
    task = task_of(bars, "Mine", tmp_path / "fits")
    trained = train_candidate(task)
    model = task.registry.runs.load_model(trained.run_id)
    assert set(trained.evaluation["probability"]) == {0.9}
    assert set(model.predict_raw(task.table.features)) == {0.9}


@pytest.mark.parametrize("policy", ["holdout", "purged_walk_forward"])
def test_a_candidate_that_writes_into_its_rows_changes_no_other(tmp_path, bars, policy):
    into_rows = {
        "fit": "rows.iloc[:, :] = 0; labels[:] = 0",
        "probabilities": "rows[:] = 0; return [[0.4, 0.6]] * len(rows)",
    }
    load(tmp_path, my_classifier=CLASSIFIER.format(**{**SOUND, **into_rows}))
    task = task_of(bars, "Mine", tmp_path / "fits")
    before = data_hash(task.table)
    recipe = replace(task.recipe, evaluation_policy=policy)
    train_candidate(replace(task, recipe=recipe))
    assert data_hash(task.table) == before


def test_a_feature_that_writes_into_what_it_is_given_changes_no_other(tmp_path, bars):
    source = (
        "from crypto_pool.domain.features import Feature\n"
        "def _double(bars, indicators):\n"
        "    bars['close'] *= 2\n"
        "    indicators['PPO'] = 0.0\n"
        "    return bars['close']\n"
        "doubled = Feature('doubled', _double)\n"
        "plain = Feature('plain', lambda bars, _: bars['close'] * 1.0)\n"
    )
    load(tmp_path, my_feature=source)
    before = bars.copy()
    built = build_features(compute_indicators(bars), bars=bars)
    pd.testing.assert_frame_equal(bars, before)
    assert (built["doubled"] == 2 * built["plain"]).all()
    assert (built["PPO"] != 0).any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("def __init__(self): raise KeyError('x')", "the provider mine failed: KeyError: 'x'"),
        ("source = 5", "source must be a text and synthetic true or false, they are 5 and False"),
        ("synthetic = property(lambda self: 1 / 0)", "failed: ZeroDivisionError"),
        ("synthetic = 'no'", "source must be a text and synthetic true or false"),
        ("def daily_bars(self, *asked): exit(3)", "mine, asked for BTC, failed: SystemExit: 3"),
        (f"def daily_bars(self, *asked): {PANIC}", "asked for BTC, failed: Panic: at a row"),
        ("daily_bars = None", "mine, asked for BTC, failed: TypeError"),
        ("def daily_bars(self, *asked): return {}", "BTC: the provider mine gave a dict"),
    ],
)
def test_a_provider_that_fails_is_named_by_an_error_of_a_provider(tmp_path, changed, said):
    source = (
        "from crypto_pool.adapters.providers import Provider\n"
        "class Mine:\n"
        "    source, synthetic = 'mine', False\n"
        f"    {changed}\n"
        "mine = Provider('mine', lambda settings: Mine())\n"
    )
    assert load(tmp_path, my_broken=source) == {}
    with pytest.raises(ProviderError) as failed:
        PROVIDERS["mine"].of(None).daily_bars("BTC", LAST)
    assert said in str(failed.value)


def test_what_stops_a_run_of_dagster_passes_through_an_extension(tmp_path, bars):
    source = (
        "from dagster._core.errors import DagsterExecutionInterruptedError\n"
        "from crypto_pool.domain.features import Feature\n"
        "def _stopped(bars, indicators):\n"
        "    if len(bars) > 200:  # more than it is checked on\n"
        "        raise DagsterExecutionInterruptedError\n"
        "    return bars['close']\n"
        "mine = Feature('mine', _stopped)\n"
    )
    assert load(tmp_path, my_feature=source) == {}
    with pytest.raises(DagsterExecutionInterruptedError):
        build_features(compute_indicators(bars), bars=bars)


def test_an_interrupt_while_an_extension_loads_ends_the_command_and_names_it(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, my_slow="raise KeyboardInterrupt")
    assert "interrupted in the extension my_slow" in caplog.text


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_what_an_extension_prints_is_no_part_of_a_document(new_pool, option):
    pool = new_pool()
    publish(pool.data, pool_frames())
    (pool.home / "my_printer.py").write_text("import os\nprint('me')\nos.system('echo too')\n")
    (pool.home / "pool.toml").write_text('extensions = ["my_printer"]\n')
    done = pool.run("query", "SELECT 1 AS one", option)
    assert done.returncode == 0, done.stderr
    assert "".join(done.stdout.split()) == {"--json": '[{"one":1}]', "--csv": "one1"}[option]
    assert {"me", "too"} < set(done.stderr.split("\n"))


def test_a_class_of_its_own_is_stored_by_the_types_it_declares(tmp_path, bars):
    load(tmp_path, my_classifier=CLASSIFIER.format(**SOUND))
    task = task_of(bars, "Mine", tmp_path / "fits")
    trained = train_candidate(task)
    model = task.registry.runs.load_model(trained.run_id)
    assert type(model.estimator).__name__ == "Mine"
