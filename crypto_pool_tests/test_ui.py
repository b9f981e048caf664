"""What a user does in the Dagster UI of `crypto-pool up`, through the UI's own GraphQL."""

import signal
import subprocess

import dagster as dg
import psutil
import pytest

from crypto_pool.defs.assets.models import candidate_key
from crypto_pool.domain.candidates import CANDIDATES
from crypto_pool_tests.running_pool import Services, materialised

LOCATION = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "crypto_pool.definitions",
}
BY_SYMBOL = ["daily_bars", "raw_indicators", "feature_table"]
CHOSEN = ["RidgeClassifier", "KNeighbors"]
# Two corners of symbol x trend: no range and no rectangle covers them without a third.
CORNERS = ["BTC|uptrend", "ETH|downtrend"]

REPOSITORY = """
query Repository($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) {
    __typename
    ... on Repository { assetNodes { assetKey { path } } }
    ... on PythonError { message }
  }
}
"""


@pytest.fixture
def services(new_pool):
    running = Services(new_pool(symbols="BTC,ETH", workers="2"))
    yield running
    running.stop()


def still_running(processes):
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_any_partitions_of_any_algorithms_are_built_from_the_ui_and_ctrl_c_ends_all(services):
    services.wait_for(f"http://127.0.0.1:{services.dagster}/server_info", 60)
    services.wait_for(f"http://127.0.0.1:{services.mlflow}/health", 60)
    repository = services.ask(REPOSITORY, selector=LOCATION)
    assert repository["__typename"] == "Repository", f"{repository}; {services.log()}"
    shown = {tuple(node["assetKey"]["path"]) for node in repository["assetNodes"]}
    all_candidates = [candidate_key(name) for name in CANDIDATES]
    assert {tuple(key.path) for key in all_candidates} <= shown

    by_symbol = [dg.AssetKey(name) for name in BY_SYMBOL]
    both = {name: {"BTC", "ETH"} for name in BY_SYMBOL}
    first = services.launch(by_symbol, ["BTC", "ETH"])
    # The daemon looks at backfills every 30 s: the features are there before it says so.
    services.wait_until(
        lambda: services.is_done(first) or materialised(services.pool, by_symbol) == both,
        "the features of two coins",
        180,
    )
    assert materialised(services.pool, by_symbol) == both, services.log()

    second = services.launch([candidate_key(name) for name in CHOSEN], CORNERS)
    services.wait_until(
        lambda: services.is_done(second) and services.is_done(first),
        f"{CHOSEN} of {CORNERS}",
        300,
    )
    made = materialised(services.pool, [*all_candidates, dg.AssetKey("champion")])
    assert {key: partitions for key, partitions in made.items() if partitions} == {
        candidate_key(name).to_user_string(): set(CORNERS) for name in CHOSEN
    }, services.log()

    children = services.children()
    assert len(children) >= 3
    services.process.send_signal(signal.SIGINT)
    try:
        code = services.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        pytest.fail(f"`up` still runs 30 s after Ctrl-C; {services.log()}")
    left = [(process.pid, process.cmdline()) for process in still_running(children)]
    for process in still_running(children):
        process.kill()
    assert left == [], services.log()
    assert code == 0, services.log()
