"""The JSON routes."""

import csv
import io
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from prometheus_client import generate_latest
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import PlainTextResponse, Response

from crypto_pool.domain.members import Member, Trend
from crypto_pool.domain.odds import Odds, odds_of, read_move, why_no_odds
from crypto_pool.domain.symbols import SYMBOL_PATTERN, parse_symbol
from crypto_pool.errors import InvalidSetting
from crypto_pool.serving import queries, schemas
from crypto_pool.serving.errors import ApiError
from crypto_pool.serving.publication_reader import PublicationReader
from crypto_pool.serving.state import candidate_score, ledger_entry, past_prediction

SHOWN_PREDICTIONS = 365
MAX_PAGE = 5000


def reader_of(request: Request) -> PublicationReader:
    """Return the reader of the app that answers."""
    reader: PublicationReader = request.app.state.reader
    return reader


def find_member(reader: PublicationReader, name: str) -> schemas.MemberState:
    """Return the state of a member of the pool; refuses an unknown one with 404."""
    members = reader.state().members
    for state in members:
        if state.member == name:
            return state
    symbol = name.rpartition("_")[0]
    with reader.cursor() as cursor:
        coins = {*queries.stored_symbols(cursor), *(state.symbol for state in members)}
    if symbol in coins:
        raise ApiError(404, "no_champion", _without_champion(name, None))
    raise ApiError(404, "unknown_member", why_no_odds(symbol, coins))


def describe_member(reader: PublicationReader, name: str, limit: int) -> schemas.MemberDetail:
    """Return a member with its ledger, candidates and latest forecasts."""
    state = find_member(reader, name)
    symbol, trend = state.symbol, state.trend_type.value
    with reader.cursor() as cursor:
        _, past = queries.past_predictions(cursor, symbol=symbol, trend=trend, limit=limit)
        return schemas.MemberDetail(
            state=state,
            ledger=[ledger_entry(row) for row in queries.ledger(cursor, symbol, trend)],
            candidates=[
                candidate_score(row) for row in queries.candidate_scores(cursor, symbol, trend)
            ],
            predictions=[past_prediction(row) for row in past],
        )


class Format(StrEnum):
    """How a list of forecasts is written."""

    JSON = "json"
    CSV = "csv"


Read = TypeVar("Read")
Reader = Annotated[PublicationReader, Depends(reader_of)]


def _by_rule(parse: Callable[[str], Read]) -> Callable[[str], Read]:
    def checked(text: str) -> Read:
        try:
            return parse(text)
        except InvalidSetting as fault:
            raise ValueError(str(fault)) from None

    return checked


# A pattern that is checked after a rule is no part of the description: the rule checks, and this
# only says it.
SAID = {"pattern": rf"^{SYMBOL_PATTERN}$"}
SymbolText = Annotated[
    str,
    AfterValidator(_by_rule(parse_symbol)),
    Query(json_schema_extra=SAID, description="Coin.", examples=["SOL"]),
]
MemberName = Annotated[
    str,
    AfterValidator(_by_rule(lambda text: Member.parse(text).name)),
    Path(
        json_schema_extra={"pattern": rf"^{SYMBOL_PATTERN}_(uptrend|downtrend)$"},
        examples=["SOL_uptrend"],
    ),
]


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day; write it like 2026-11-23") from None


# By itself pydantic takes 2026 for seconds since 1970, and all days are later.
Day = Annotated[date, BeforeValidator(_parse_day)]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    texts = {
        400: "The Host header names another server.",
        401: "The bearer token is missing or wrong.",
        404: "There is no such thing stored.",
        422: "A parameter is wrong.",
        429: "Too many requests.",
        503: "Nothing has been published yet.",
    }
    return {
        status: {"model": schemas.ErrorAnswer, "description": texts[status]}
        for status in (400, 401, 429, *statuses)
    }


async def _require_known_parameters(request: Request) -> None:
    """Refuse what would be passed over: a parameter that the path lacks, or a second value."""
    known = [one.alias for one in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known or given.count(name) > 1:
            why = "is given twice" if name in known else "is no parameter of this path"
            takes = f"it takes {', '.join(known)}, each once" if known else "it takes none"
            raise ApiError(422, "invalid_request", f"query {name}: {why}; {takes}")


router = APIRouter(dependencies=[Depends(_require_known_parameters)], responses=_errors(422, 503))
probes = APIRouter()


@router.get("/models", tags=["answers"])
async def models(reader: Reader) -> list[schemas.Model]:
    """List the champions, with what they promised and what moves them."""
    return [state.champion for state in reader.state().members if state.champion is not None]


@router.get("/prediction", tags=["answers"], responses=_errors(404))
def prediction(reader: Reader, symbol: SymbolText, trend_type: Trend) -> schemas.Prediction:
    """Give the latest stored forecast of one member, the reference beside it.

    Without a champion it is the baseline's, with the status `baseline`.
    """
    name = Member(symbol, trend_type).name
    state = find_member(reader, name)
    if state.forecast is not None:
        return state.forecast
    if state.champion is None:
        error, why = "no_champion", _without_champion(name, state)
    else:
        error = "no_forecast"
        why = f"the champion of {name} has made no forecast yet; run `crypto-pool predict`"
    raise ApiError(404, error, state.why_no_forecast or why)


@router.get("/odds", tags=["answers"], responses=_errors(404))
def odds(
    reader: Reader,
    symbol: SymbolText,
    move: Annotated[
        float,
        BeforeValidator(_by_rule(read_move)),
        Query(
            json_schema_extra={"exclusiveMinimum": -100},
            description="The least change, in percent.",
            examples=[8],
        ),
    ],
) -> Odds:
    """Give the probability that a coin's target changes by at least so many percent."""
    with reader.cursor() as cursor:
        rows = {row["symbol"]: row for row in queries.latest_panel(cursor)}
        if symbol not in rows:
            raise ApiError(404, "no_odds", why_no_odds(symbol, queries.stored_symbols(cursor)))
    return odds_of(rows[symbol], move, reader.last_closed())


@router.get(
    "/predictions",
    tags=["answers"],
    response_model=schemas.PredictionsPage,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def predictions(
    reader: Reader,
    symbol: SymbolText | None = None,
    trend_type: Trend | None = None,
    start: Annotated[Day | None, Query(description="First bar date, included.")] = None,
    end: Annotated[Day | None, Query(description="Last bar date, included.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    format: Annotated[Format, Query(description="json, or csv with the same page.")] = Format.JSON,
) -> Any:
    """List stored forecasts with what came of them, the newest first."""
    with reader.cursor() as cursor:
        total, rows = queries.past_predictions(
            cursor,
            symbol=symbol,
            trend=trend_type.value if trend_type else None,
            start=start,
            end=end,
            limit=limit,
            offset=offset,
        )
    page = schemas.PredictionsPage(
        total=total, limit=limit, offset=offset, predictions=[past_prediction(row) for row in rows]
    )
    if format is Format.JSON:
        return page
    return PlainTextResponse(
        _to_csv(page.predictions), media_type="text/csv", headers={"X-Total-Count": str(total)}
    )


@router.get("/members", tags=["answers"])
async def members(reader: Reader) -> list[schemas.MemberState]:
    """List every member of the pool: who serves it, what it says, and what came of it."""
    return reader.state().members


@router.get("/members/{member}", tags=["answers"], responses=_errors(404))
def member(reader: Reader, member: MemberName) -> schemas.MemberDetail:
    """Give a member with its ledger, its candidates, and its latest forecasts and outcomes."""
    return describe_member(reader, member, SHOWN_PREDICTIONS)


@router.get("/pool", tags=["answers"])
async def pool(reader: Reader) -> schemas.PoolState:
    """Give the whole pool: what it says today, and whether it kept its word."""
    return reader.state()


@probes.get("/health", tags=["operation"])
async def health() -> schemas.Health:
    """Say that the process answers; needs no token."""
    return schemas.Health(status="ok")


@router.get("/ready", tags=["operation"])
async def ready(reader: Reader) -> schemas.Readiness:
    """Say whether something has been published and can be read."""
    state = reader.state()
    return schemas.Readiness(
        ready=True,
        publication=state.publication,
        published_at_utc=state.published_at_utc,
        fault=reader.fault,
    )


@router.get(
    "/metrics",
    tags=["operation"],
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Give Prometheus its metrics."""
    return PlainTextResponse(
        generate_latest(request.app.state.metrics), media_type="text/plain; version=0.0.4"
    )


def _without_champion(name: str, state: schemas.MemberState | None) -> str:
    """Say by the ledger why nobody serves a member; one never decided about is to be trained."""
    last = None if state is None else state.last_decision
    if last is None or last.reason is None:
        return (
            f"{name} has no champion; train it with `crypto-pool train`, or ask /models for "
            "those that have one"
        )
    return f"{name} has no champion: {last.reason}, as of {last.as_of}; see /members/{name}"


def _to_csv(rows: list[schemas.PastPrediction]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(schemas.PastPrediction.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump(mode="json") for row in rows)
    return text.getvalue()
