"""Play all rounds of a plan over workers; what is already stored is not played again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd

from crypto_pool.adapters.frame_store import FrameStore
from crypto_pool.adapters.providers import MarketDataProvider
from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.market import Member, Trend
from crypto_pool.errors import CryptoPoolError, UnscoredCandidate
from crypto_pool.replay.history import CoinHistory, observe_days, read_history
from crypto_pool.replay.plan import ReplayPlan
from crypto_pool.replay.rounds import CANDIDATE_TABLE, RoundTask, play_round, round_key
from crypto_pool.workflow.isolation import Failure, map_isolated

OBSERVATION_TABLE = "observations"


@dataclass(frozen=True)
class Replay:
    """A plan on a market, with its stored pieces below `folder`."""

    plan: ReplayPlan
    policies: tuple[str, ...]
    histories: tuple[CoinHistory, ...]
    skipped: tuple[str, ...]
    source: str
    synthetic: bool
    folder: Path
    failures: list[str] = field(default_factory=list)

    @property
    def store(self) -> FrameStore:
        """The stored pieces."""
        return FrameStore(str(self.folder))

    def key(self, policy: str, member: Member, as_of: date) -> str:
        """Name the pieces of a round."""
        return round_key(policy, member, as_of, self._history(member.symbol).digest)

    def rounds(self) -> list[tuple[str, Member, date]]:
        """All rounds, a whole date of both policies before the next."""
        return [
            (policy, Member(history.symbol, trend), as_of)
            for as_of in self.plan.retrain_dates
            for history in self.histories
            if len(history.known_at(as_of)) >= self.plan.min_history_bars
            for trend in Trend
            for policy in self.policies
        ]

    def _history(self, symbol: str) -> CoinHistory:
        return next(history for history in self.histories if history.symbol == symbol)


def prepare_replay(
    plan: ReplayPlan,
    policies: Sequence[str],
    symbols: Sequence[str],
    provider: MarketDataProvider,
    last_closed: date,
    state_dir: Path,
) -> Replay:
    """Pull and check the bars; a coin that is bad or too short is named and left out.

    Raises UnscoredCandidate if no coin is left.
    """
    histories, skipped = [], []
    for symbol in symbols:
        try:
            histories.append(read_history(provider, symbol, plan, last_closed))
        except CryptoPoolError as error:
            skipped.append(str(error))
    if not histories:
        raise UnscoredCandidate("no coin can be replayed:\n  " + "\n  ".join(skipped))
    folder = state_dir / "replays" / plan.fingerprint(provider.source)
    replay = Replay(
        plan,
        tuple(policies),
        tuple(histories),
        tuple(skipped),
        provider.source,
        provider.synthetic,
        folder,
    )
    replay.store.claim(provider.source)
    return replay


def play_rounds(replay: Replay, workers: WorkerPool) -> Iterator[tuple[int, int]]:
    """Play what is missing, saying (rounds done, rounds in all) at each step.

    A member whose round fails stops no other; `replay.failures` names it.
    """
    store, rounds = replay.store, replay.rounds()
    stored = set(store.keys(CANDIDATE_TABLE))
    missing = [one for one in rounds if replay.key(*one) not in stored]
    done = len(rounds) - len(missing)
    yield done, len(rounds)
    observed = _observe_coins(replay, {member.symbol for _, member, _ in missing}, workers)
    tasks = [_task(replay, observed, *one) for one in missing]
    for task, result in map_isolated(workers, play_round, tasks):
        if isinstance(result, Failure):
            replay.failures.append(
                f"{task.policy}, {task.member.name}, trained on {task.as_of}: {result.reason}"
            )
        done += 1
        yield done, len(rounds)


def _observe_coins(
    replay: Replay, symbols: set[str], workers: WorkerPool
) -> dict[str, pd.DataFrame]:
    store = replay.store
    stored = set(store.keys(OBSERVATION_TABLE))
    histories = [history for history in replay.histories if history.symbol in symbols]
    missing = [history for history in histories if _coin_key(history) not in stored]
    for symbol, frame in workers.map_unordered(
        _observe_coin, [(history, replay.plan) for history in missing]
    ):
        history = next(one for one in missing if one.symbol == symbol)
        store.write(OBSERVATION_TABLE, _coin_key(history), frame)
    return {
        history.symbol: store.read(OBSERVATION_TABLE, _coin_key(history)) for history in histories
    }


def _observe_coin(task: tuple[CoinHistory, ReplayPlan]) -> tuple[str, pd.DataFrame]:
    history, plan = task
    return history.symbol, observe_days(history.bars, plan)


def _coin_key(history: CoinHistory) -> str:
    return f"{history.symbol}-{history.digest}"


def _task(
    replay: Replay, observed: dict[str, pd.DataFrame], policy: str, member: Member, as_of: date
) -> RoundTask:
    history = next(one for one in replay.histories if one.symbol == member.symbol)
    ahead = observed[member.symbol].loc[pd.Timestamp(as_of) + pd.Timedelta(days=1) :]
    return RoundTask(
        key=replay.key(policy, member, as_of),
        policy=policy,
        member=member,
        as_of=as_of,
        plan=replay.plan,
        bars=history.known_at(as_of),
        observed=ahead,
        store=replay.store,
    )
