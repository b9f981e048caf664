"""An extension that is broken is named, and stops nothing else."""

import logging

import pytest

from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool.domain.features import feature_names
from crypto_pool.errors import InvalidSetting
from crypto_pool.settings import load_settings
from crypto_pool.workflow.training import Unscored, train_candidate
from crypto_pool_tests.extensions.loading import example, load, task_of


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
