"""Alpha Vantage over HTTP, within a request budget and with its answers kept.

The key stands in the URL of every request, and in what `requests` and urllib3 say about
one. So no fault of theirs leaves this module: each becomes an error of ours that carries
no cause, and answers are redacted before anything reads them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd

from crypto_pool.adapters.providers.alpha_vantage_answers import (
    BARS_FUNCTION,
    parse_bars,
    parse_indicator,
    redact,
    status_error,
)
from crypto_pool.adapters.providers.statuses import in_words
from crypto_pool.adapters.providers.waiting import burst_limit, read_body
from crypto_pool.adapters.pull_plan import PullPlan, plan_pull
from crypto_pool.adapters.rate_limit import RequestBudget
from crypto_pool.adapters.response_cache import ResponseCache
from crypto_pool.domain.addresses import is_loopback
from crypto_pool.domain.indicator_requests import IndicatorPull, indicator_pulls
from crypto_pool.domain.moments import SILENT_DAYS
from crypto_pool.domain.recipe import SeriesType
from crypto_pool.errors import (
    DailyQuotaExhausted,
    InvalidApiKey,
    PremiumEndpoint,
    ProviderError,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    import requests
    from pydantic import SecretStr
    from tenacity import RetryCallState

ATTEMPTS = 4
_LONGEST_WAIT_SECONDS = 300.0
_CONNECT_SECONDS = 10.0
_KEY = "the API key"


@dataclass(eq=False)
class AlphaVantage:
    """Daily bars and indicators of Alpha Vantage, or of a server that speaks as it does.

    Between two bytes of an answer may pass `silence_seconds`, and twice as long for all of it.
    """

    base_url: str
    api_key: "SecretStr"
    budget: RequestBudget
    cache: ResponseCache
    _: KW_ONLY
    time_period: int = 7
    series_type: SeriesType = "close"
    synthetic: bool = False
    silence_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def _pulls(self) -> tuple[IndicatorPull, ...]:
        return indicator_pulls(self.time_period, self.series_type)

    @cached_property
    def _refused(self) -> dict[str, str]:
        """Why the key, or the plan for a function, was refused, by that: nobody asks again."""
        return {}

    @property
    def source(self) -> str:
        """Identity of the source."""
        return self.cache.source

    def daily_bars(self, symbol: str, last_closed: date) -> pd.DataFrame:
        """Every bar the provider gives, the running day's too; raises ProviderError.

        Bars that end before `last_closed` may do so for an hour: they are asked for again, but
        for those of a coin that has been silent for a week.
        """
        parameters = self._bars_parameters(symbol)
        return self._answer(
            parameters, lambda body: parse_bars(body, symbol, parameters), last_closed
        )

    def indicators(self, symbol: str) -> pd.DataFrame:
        """The indicator table over the provider's own window; raises ProviderError.

        The columns of `compute_indicators(match_provider=True)`, ascending by date.
        """
        for pull in self._pulls:
            if pull.function in self._refused:
                raise PremiumEndpoint(f"{symbol} {pull.function}: {self._refused[pull.function]}")
        parts = [self._indicator(pull, symbol) for pull in self._pulls]
        return pd.concat(parts, axis=1, join="outer").sort_index()

    def requests_needed(self, symbol: str, with_indicators: bool) -> int:
        """Requests a pull of the coin costs now; an answer of today costs none."""
        wanted = [self._bars_parameters(symbol)]
        if with_indicators:
            wanted += [self._parameters(pull, symbol) for pull in self._pulls]
        return sum(self.cache.find(parameters) is None for parameters in wanted)

    def plan_pull(
        self, symbols: Sequence[str], last_bars: Mapping[str, date], with_indicators: bool
    ) -> PullPlan:
        """What can be pulled today, most stale first; `last_bars` are the stored ones."""
        most_stale_first = sorted(symbols, key=lambda symbol: last_bars.get(symbol, date.min))
        needed = {one: self.requests_needed(one, with_indicators) for one in most_stale_first}
        return plan_pull(self.budget, needed)

    def _indicator(self, pull: IndicatorPull, symbol: str) -> pd.DataFrame:
        parameters = self._parameters(pull, symbol)

        def parse(body: bytes) -> pd.DataFrame:
            return parse_indicator(body, pull.function, symbol, dict(pull.columns), parameters)

        try:
            return self._answer(parameters, parse)
        except PremiumEndpoint as refusal:
            self._refused[pull.function] = _reason(refusal)
            raise

    def _answer(
        self,
        parameters: Mapping[str, str],
        parse: Callable[[bytes], pd.DataFrame],
        through: date = date.min,
    ) -> pd.DataFrame:
        """Today's answer, asked for if there is none; kept if no later one of today has more."""
        with self.cache.exclusive(parameters):
            stored = self.cache.find(parameters)
            if stored is not None:
                return parse(stored)
            if _KEY in self._refused:
                raise InvalidApiKey(f"{_what(parameters)}: {self._refused[_KEY]}")
            try:
                body, frame = self._ask(parameters, parse)
            except DailyQuotaExhausted:
                if self.budget.left_today() != 0:
                    self.budget.close_for_today()
                raise
            except InvalidApiKey as refusal:
                self._refused[_KEY] = _reason(refusal)
                raise
            missing = (through - frame.index[-1].date()).days
            if missing <= 0 or missing >= SILENT_DAYS:
                self.cache.keep(parameters, body)
            return frame

    def _ask(
        self, parameters: Mapping[str, str], parse: Callable[[bytes], pd.DataFrame]
    ) -> tuple[bytes, pd.DataFrame]:
        """Ask a few times, until there is an answer that no wait would change."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        retrying = Retrying(
            retry=retry_if_exception(_is_passing),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_seconds,
            sleep=self.sleep,
            reraise=True,
        )

        def ask() -> tuple[bytes, pd.DataFrame]:
            body = self._request(parameters)
            return body, parse(body)

        answer: tuple[bytes, pd.DataFrame] = retrying(ask)
        return answer

    def _request(self, parameters: Mapping[str, str]) -> bytes:
        """One request; the only place that knows the key and the HTTP library."""
        import requests
        from urllib3.exceptions import HTTPError

        key = self.api_key.get_secret_value()
        try:
            with self.budget.request():
                response = self._session.get(
                    self.base_url,
                    params={**parameters, "apikey": key},
                    timeout=(min(_CONNECT_SECONDS, self.silence_seconds), self.silence_seconds),
                    stream=True,
                    allow_redirects=False,
                )
            with response:
                if response.status_code == 200:
                    read_body(response, self.silence_seconds)
                    return redact(response.content, key)
                retry_after = response.headers.get("Retry-After")
                if response.status_code == 429:
                    raise burst_limit(_what(parameters), retry_after)
                if retry_after is not None:
                    why = f"the provider {in_words(response.status_code)}"
                    raise burst_limit(_what(parameters), retry_after, why)
                raise status_error(
                    response.status_code, parameters["function"], parameters["symbol"]
                )
        except (requests.RequestException, HTTPError, ValueError) as fault:
            error = ProviderUnavailable(
                f"{_what(parameters)}: no answer from the provider ({type(fault).__name__}); check "
                "the network and CRYPTO_POOL_ALPHA_VANTAGE_BASE_URL, or run again later; the "
                "stored data is untouched"
            )
            if isinstance(fault, ValueError):  # an address that is none, nor a moment later
                error.wait_seconds = None
        raise error from None

    @cached_property
    def _session(self) -> "requests.Session":
        import requests

        silence_connection_log()
        session = requests.Session()
        # A proxy of the environment is no way to a server on this machine.
        session.trust_env = not is_loopback(urlsplit(self.base_url).hostname)
        return session

    def _bars_parameters(self, symbol: str) -> dict[str, str]:
        return {"function": BARS_FUNCTION, "symbol": symbol, "market": "USD"}

    def _parameters(self, pull: IndicatorPull, symbol: str) -> dict[str, str]:
        return {
            "function": pull.function,
            "symbol": f"{symbol}USDT",
            "interval": "daily",
            **pull.parameters,
        }


def _what(parameters: Mapping[str, str]) -> str:
    return f"{parameters['symbol']} {parameters['function']}"


def _reason(refusal: ProviderError) -> str:
    """What a refusal says for any coin, without the request it begins with."""
    return str(refusal).partition(": ")[2]


def _is_passing(fault: BaseException) -> bool:
    """Whether the same request may be answered after a wait that is not too long."""
    wait = fault.wait_seconds if isinstance(fault, ProviderError) else None
    return wait is not None and wait <= _LONGEST_WAIT_SECONDS


def _wait_seconds(attempts: "RetryCallState") -> float:
    """Return the wait that a notice asks for, or an ever longer one where nobody answered."""
    from tenacity.wait import wait_random_exponential

    fault = attempts.outcome.exception() if attempts.outcome else None
    if isinstance(fault, ProviderError) and not isinstance(fault, ProviderUnavailable):
        return float(fault.wait_seconds or 0.0)
    return float(wait_random_exponential(multiplier=1.0, max=20.0)(attempts))


def silence_connection_log() -> None:
    """Keep urllib3 from logging request lines, which hold the key."""
    import logging

    logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)
