"""No key and no password of an address appears anywhere, whatever the provider does."""

import gzip
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
import requests

from crypto_pool.domain.request_plans import UNLIMITED
from crypto_pool.sandbox.faults import Fault, SwitchedFault
from crypto_pool.sandbox.market import SyntheticMarket
from crypto_pool.sandbox.server import SandboxMarketServer, serving
from crypto_pool_tests.conftest import ONE, PATIENCE_SECONDS, PoolFolder

KEY = "CANARY+KEY/0123456789="
PASSWORD = "CANARY-of-an-address"
SPELLINGS = (KEY.encode(), quote(KEY, safe="").encode(), quote(KEY).encode(), PASSWORD.encode())
MARKET = SyntheticMarket(seed=3, predictability=0.5, epoch=date(2020, 6, 1))
FIRST_DAY = date(2022, 7, 1)

# These two end the day for all that are not pulled by then: they strike the coin that comes last,
# and no other one is staler.
OF_THE_KEY = {"quota": "DailyQuotaExhausted", "wrong-key": "InvalidApiKey"}
OF_A_COIN = {
    "burst": "BurstLimit",
    "5xx": "ProviderUnavailable",
    "hang": "ProviderUnavailable",
    "slow-drip": "ProviderUnavailable",
    "truncation": "ProviderUnavailable",
    "garbage": "MalformedAnswer",
    "premium": "PremiumEndpoint",
    "unknown-symbol": "UnknownSymbol",
    "no-data": "NoData",
    "429": "BurstLimit",
    "notice": "ProviderUnavailable",
}
COINS = ("AAA", "BBB", "CCC", "DDD", "EEE")
STRUCK = COINS[1:]
# A fault for each coin but the first, day after day; what was missed is made up for at last.
DAYS: tuple[dict[str, str], ...] = (
    {},
    *(
        dict(zip(STRUCK, list(OF_A_COIN)[first:], strict=False))
        for first in range(0, len(OF_A_COIN), len(STRUCK))
    ),
    {STRUCK[-1]: "quota"},
    {},
    {STRUCK[-1]: "wrong-key"},
    {},
)

PULL_EACH_DAY = """
import json, os, sys
from datetime import datetime, timedelta
from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers import alpha_vantage
from crypto_pool.building import BuildReport, Work, open_instance, run_layer
from crypto_pool.defs.assets import raw
from crypto_pool.defs.stages import FEATURES
from crypto_pool.sandbox.faults import Fault, SwitchedFault
from crypto_pool.settings import load_settings
from crypto_pool_tests.test_key_secrecy import address_of, metered_market

alpha_vantage.ATTEMPTS = 2
alpha_vantage.AlphaVantage.__init__.__kwdefaults__["sleep"] = lambda seconds: None
alpha_vantage.AlphaVantage.__init__.__kwdefaults__["silence_seconds"] = 1.5
raw.price_picture = lambda *_: {}  # drawn from bars alone
noon, days = datetime.fromisoformat(sys.argv[1]), json.loads(sys.argv[2])
with metered_market(load_settings().symbols) as (market, url):
    os.environ["CRYPTO_POOL_ALPHA_VANTAGE_BASE_URL"] = address_of(url)
    with open_instance(load_settings()) as instance:
        for number, faults in enumerate(days):
            now = noon + timedelta(days=number)
            os.environ["CRYPTO_POOL_SIMULATED_NOW"] = now.isoformat()
            load_settings.cache_clear()
            settings = load_settings()
            market.now = lambda: now
            market.switched[:] = [SwitchedFault(Fault(f), symbol=c) for c, f in faults.items()]
            report, day, symbols = BuildReport(), settings.last_closed(), settings.symbols
            work = Work(FEATURES, day, symbols, symbols, assets=["daily_bars"])
            run_layer(instance, work, report)
            report.close(symbols)
            store = FrameStore(settings.frames_root)
            stored = {
                symbol: [f"{day:%Y-%m-%d}" for day in store.read("daily_bars", symbol).index]
                for symbol in settings.symbols
            }
            print("DAY" + json.dumps([report.failures, stored]))
"""


def key_found(content: bytes) -> bool:
    return any(spelling in content for spelling in SPELLINGS)


def places_of_the_key(folder: Path) -> list[Path]:
    """Files that hold the key, compressed or not."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content += gzip.decompress(content)
        elif path.suffix == ".parquet":
            content += pd.read_parquet(path).to_csv().encode()
        if key_found(content) or key_found(str(path).encode()):
            found.append(path)
    return found


NOON = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, 12, tzinfo=UTC)


def address_of(url: str) -> str:
    return url.replace("://", f"://user:{PASSWORD}@")


@contextmanager
def metered_market(coins: Sequence[str]) -> Iterator[tuple[SandboxMarketServer, str]]:
    """A server that knows the key."""
    last = FIRST_DAY + timedelta(days=len(DAYS))
    for symbol in coins:
        MARKET.bars(symbol, last)  # made before anything waits for it
    market = SandboxMarketServer(MARKET.bars, UNLIMITED, lambda: NOON, api_key=KEY)
    with serving(market) as url:
        yield market, url


@contextmanager
def metered_pool(new_pool, *coins: str) -> Iterator[tuple[SandboxMarketServer, PoolFolder]]:
    """Coins from a server that knows the key; the budget lies in the searched folder."""
    with metered_market(coins) as (market, url):
        pool = new_pool(
            with_stores=True,
            symbols=",".join(coins),
            provider="alpha_vantage",
            alpha_vantage_api_key=KEY,
            alpha_vantage_base_url=address_of(url),
            alert_webhook_url=f"http://user:{PASSWORD}@127.0.0.1:9/services/{PASSWORD}",
            alpha_vantage_plan="premium_1200",
            simulated_now=NOON.isoformat(),
        )
        pool.settings["request_budget_dir"] = str(pool.home / "request_budget")
        pool.settings.update(training_rows="200")
        yield market, pool


@pytest.fixture(scope="module")
def lived(new_pool):
    """The days, in one process with a Dagster instance of its own."""
    with metered_pool(new_pool, *COINS) as (_, pool):
        done = pool.run_code(PULL_EACH_DAY, f"{FIRST_DAY}T12:00:00+00:00", json.dumps(DAYS))
    assert done.returncode == 0, done.stdout + done.stderr
    pool.said = done.stdout + done.stderr
    pool.days = [
        json.loads(line.removeprefix("DAY"))
        for line in done.stdout.splitlines()
        if line.startswith("DAY")
    ]
    return pool


def test_every_fault_has_its_day():
    assert {*OF_A_COIN, *OF_THE_KEY} == set(Fault)
    assert [fault for day in DAYS for fault in day.values()] == [*OF_A_COIN, *OF_THE_KEY]


def test_each_fault_fails_its_coin_alone_and_loses_nothing(lived):
    errors = {**OF_A_COIN, **OF_THE_KEY}
    before: dict[str, list[str]] = {coin: [] for coin in COINS}
    assert len(lived.days) == len(DAYS)
    for number, (faults, (failures, stored)) in enumerate(zip(DAYS, lived.days, strict=True)):
        closed = str(FIRST_DAY + timedelta(days=number - 1))
        for coin, days in stored.items():
            assert days[-1] == (before[coin][-1] if coin in faults else closed), coin
            assert days[: len(before[coin])] == before[coin], coin
        told = dict(text.split(": ", 2)[:2] for text in failures)
        assert len(told) == len(failures)
        assert told == {f"daily_bars [{coin}]": errors[fault] for coin, fault in faults.items()}
        before = stored


def test_the_key_is_nowhere_after_any_fault(lived):
    assert not key_found(lived.said.encode())
    planted = [lived.home / name for name in ("log", "answer.json.gz", "report.parquet")]
    planted[0].write_text(f"GET /query?apikey={quote(KEY, safe='')}")
    planted[1].write_bytes(gzip.compress(KEY.encode()))
    pd.DataFrame({"reason": [f"key {KEY}"]}).to_parquet(planted[2])
    assert sorted(places_of_the_key(lived.home)) == sorted(planted)
    answers = list((lived.data / "raw_answers").rglob("*.json.gz"))
    assert len(answers) >= len(DAYS) * len(COINS) - len(Fault)
    assert (lived.home / "request_budget").is_dir()


def test_the_key_is_nowhere_after_a_whole_build(new_pool):
    with metered_pool(new_pool, "AAA", "BBB") as (market, pool):
        market.switched.append(SwitchedFault(Fault.QUOTA, symbol="BBB"))
        # The clock of a drill's day is the noon after it.
        built = pool.build_few(FIRST_DAY - timedelta(days=1), algorithms=ONE)
        told = pool.ask("status", "--json")
    said = built.stdout + built.stderr
    assert built.returncode == 1, said
    assert "daily_bars [BBB]: DailyQuotaExhausted" in said
    assert set(pool.table("candidate_scores")["symbol"]) == {"AAA"}
    requests_of_the_day = json.loads(told.stdout)["requests"]
    assert requests_of_the_day == {"plan": "premium_1200", "spent_today": 2, "left_today": 0}
    shown = pool.ask("status").stdout
    assert "Requests in the last 24 hours: 2, 0 left (plan: premium_1200)" in shown
    assert not key_found(f"{said}{told.stdout}{told.stderr}{shown}".encode())
    assert (pool.data / "mlflow" / "mlflow.db").exists()
    assert places_of_the_key(pool.home) == []


def test_a_missing_key_names_the_setting(new_pool):
    pool = new_pool(symbols="AAA", provider="alpha_vantage")
    refused = pool.ask("build")
    assert refused.returncode == 2
    assert "CRYPTO_POOL_ALPHA_VANTAGE_API_KEY" in refused.stderr
    assert not pool.data.exists()


def test_the_sandbox_serves_with_the_faults_asked_for(new_pool):
    pool = new_pool()
    with subprocess.Popen(
        pool.command("sandbox", "--port", "0", "--plan", "free", "--fault", "premium:BTC"),
        env=pool.environment,
        cwd=pool.home,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        address = running.stdout.readline().split()[-1]
        try:
            with requests.Session() as session:
                session.trust_env = False
                asked = {"function": "DIGITAL_CURRENCY_DAILY", "market": "USD", "apikey": "k"}
                said = [
                    session.get(
                        address, params={**asked, "symbol": symbol}, timeout=PATIENCE_SECONDS
                    ).text
                    for symbol in ("BTC", "ETH")
                ]
        finally:
            running.terminate()
    assert "premium endpoint" in said[0]
    assert "Time Series (Digital Currency Daily)" in said[1]


def test_an_unknown_fault_is_refused_with_the_known_ones(new_pool):
    refused = new_pool().ask("sandbox", "--fault", "earthquake")
    assert refused.returncode == 2
    assert "slow-drip" in refused.stderr
