"""The panel's fits in MLflow: readable, loadable, and made again where they are lost."""

import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.mlflow.panel import PANEL_MODEL, PanelModels
from crypto_pool.adapters.mlflow.store import MlflowStore, local_path
from crypto_pool.domain.panel import forecast_panel
from crypto_pool.domain.panel_features import panel_table
from crypto_pool.domain.recipe import Target
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.workflow.panel import read_bars, stored_fits, update_panel
from crypto_pool.workflow.panel_models import log_missing_fits

LAST = date(2021, 4, 30)
TARGET = Target()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    made = FrameStore(str(tmp_path_factory.mktemp("frames")))
    for symbol in ("ADA", "BTC", "ETH", "LTC", "SOL", "XRP"):
        made.write("daily_bars", symbol, SyntheticMarket().bars(symbol, LAST))
    update_panel(made, TARGET, LAST)
    return made


def test_of_a_store_without_a_panel_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = models_in(tmp_path)
    assert models.known_origins("terms") == set()
    monkeypatch.setattr(MlflowStore, "rows", lambda *_: None)
    assert models.known_origins("terms") == set()


def models_in(folder: Path) -> PanelModels:
    mlflow = MlflowStore(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    mlflow.prepare()
    return PanelModels(mlflow)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> PanelModels:
    return models_in(tmp_path_factory.mktemp("mlflow"))


def log(models: PanelModels, store: FrameStore, at_most: int = 99) -> list[date]:
    return log_missing_fits(models.store, store, TARGET, LAST, {"dagster.run_id": "one"}, at_most)


def test_each_fit_is_logged_once_readable_and_loads(tmp_path: Path, store: FrameStore) -> None:
    import mlflow.pyfunc

    models, fits = models_in(tmp_path), stored_fits(store, TARGET)
    assert log(models, store, at_most=1) == [fits[-1].origin]
    assert log(models, store) == [fit.origin for fit in fits[:-1]]
    assert log(models, store) == []
    client, latest = models.store.client, fits[-1]
    version = client.get_model_version_by_alias(PANEL_MODEL, "champion")
    assert version.tags["origin"] == latest.origin.isoformat()
    models.show_latest("of another panel")
    assert client.get_model_version_by_alias(PANEL_MODEL, "champion").version == version.version
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert float(run.data.params["a0"]) == latest.level
    assert run.data.params["coins"] == "ADA,BTC,ETH,LTC,SOL,XRP"
    assert {"weight_log_s60", "rows", "origin"} <= run.data.params.keys()
    assert {"in_sample_skill", "walk_forward_skill"} <= run.data.metrics.keys()
    assert [one.step for one in client.get_metric_history(run.info.run_id, "in_sample_skill")] == [
        0
    ]
    files = [path for path in Path(local_path(version.source)).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")]
    table = panel_table(read_bars(store, LAST)[0], TARGET)
    inputs = table[[*latest.coefficients.index, "s60", "position"]]
    served = mlflow.pyfunc.load_model(version.source)
    needed = [column.name for column in served.metadata.signature.inputs if column.required]
    assert needed == ["s60", "position"]  # a feature that is missing is its mean
    answer = served.predict(inputs)
    known = forecast_panel(latest, table)
    for name in ("panel_up", "panel_down", "sigma"):
        assert answer[name].to_list() == pytest.approx(known[name].to_list())


def test_a_lost_run_or_its_files_are_made_again(
    models: PanelModels, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(models, store)
    first, second = stored_fits(store, TARGET)[:2]
    client = models.store.client
    versions = {
        one.tags["origin"]: one for one in client.search_model_versions(f"name='{PANEL_MODEL}'")
    }
    client.delete_run(versions[first.origin.isoformat()].run_id)
    shutil.rmtree(local_path(versions[second.origin.isoformat()].source))
    terms = versions[first.origin.isoformat()].tags["panel_terms"]
    kept = versions.keys() - {one.origin.isoformat() for one in (first, second)}
    assert models.known_origins(terms) == kept
    with monkeypatch.context() as other:  # than SQLite's, which is asked through MLflow
        other.setattr(MlflowStore, "rows", lambda *_: None)
        assert models.known_origins(terms) == kept
        assert models.known_origins("of another panel") == set()
    assert log(models, store) == [first.origin, second.origin]
    assert log(models, store) == []


def test_what_a_kill_left_half_logged_is_logged_anew(
    models: PanelModels, store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(models, store)
    latest = stored_fits(store, TARGET)[-1].origin
    version = models.store.client.get_model_version_by_alias(PANEL_MODEL, "champion").version
    models.store.client.delete_model_version(PANEL_MODEL, version)

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("crypto_pool.adapters.mlflow.panel.register_version", killed)
        with pytest.raises(KeyboardInterrupt):
            log(models, store)
    assert log(models, store) == [latest]
    assert log(models, store) == []


def test_forecasts_need_no_mlflow(store: FrameStore) -> None:
    assert not update_panel(store, TARGET, LAST).added_fits
    assert isinstance(update_panel(store, TARGET, LAST).forecasts, pd.DataFrame)
