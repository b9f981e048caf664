"""The pages people look at: the pool, and one member."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import pandas as pd
from cachetools import LRUCache, cached
from cachetools.keys import hashkey
from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates

from crypto_pool.adapters.charts import (
    MIN_CALIBRATION_ROWS,
    Theme,
    draw_calibration,
    draw_importance,
    draw_move,
    draw_record,
)
from crypto_pool.domain.market import Trend
from crypto_pool.serving import queries
from crypto_pool.serving.api import MemberName, TheBoard, board_of, describe_member
from crypto_pool.serving.board import Board
from crypto_pool.serving.pool_schemas import MemberDetail, MemberState, PastPrediction

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
CHART_DAYS = 180
MAX_CHARTS = 256
PAGE_PREDICTIONS = 365
SHOWN_ROWS = 30
# Swagger UI writes styles into its elements and has its icons in its style sheet.
API_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CHART_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

templates = Jinja2Templates(Path(__file__).parent / "templates")
router = APIRouter(include_in_schema=False)


class ApiPageAsset(StrEnum):
    """The files that the page of the API loads besides its own."""

    SCRIPT = "swagger-ui-bundle.js"
    STYLE = "swagger-ui.css"


class Chart(StrEnum):
    """The charts of a member's page."""

    PRICE = "price"
    MOVE = "move"
    CALIBRATION = "calibration"
    IMPORTANCE = "importance"


class Sort(StrEnum):
    """What the table of members is sorted by."""

    MEMBER = "member"
    PROBABILITY = "probability"
    REFERENCE = "reference"
    DIFFERENCE = "difference"
    ALGORITHM = "algorithm"
    AGE = "age"
    PROMISED = "promised"
    REALISED = "realised"
    SKILL = "skill"


def difference(state: MemberState) -> float | None:
    """How far the forecast is above the reference."""
    forecast = state.forecast
    if forecast is None or forecast.reference_probability is None:
        return None
    if forecast.prediction_probabilities is None:
        return None
    return forecast.prediction_probabilities - forecast.reference_probability


def is_signal(state: MemberState) -> bool:
    """Whether the member says today that its trend comes.

    One that abstains says nothing, and a forecast from an older bar is none of today's.
    """
    forecast = state.forecast
    if forecast is None or forecast.abstained or forecast.age_days > 0:
        return False
    return bool(forecast.signal)


def _of_forecast(name: str) -> Callable[[MemberState], Any]:
    return lambda state: getattr(state.forecast, name, None)


_KEYS: dict[Sort, Callable[[MemberState], Any]] = {
    Sort.MEMBER: lambda state: None,  # as the board has them
    Sort.PROBABILITY: _of_forecast("prediction_probabilities"),
    Sort.REFERENCE: _of_forecast("reference_probability"),
    Sort.DIFFERENCE: difference,
    Sort.ALGORITHM: lambda state: getattr(state.champion, "algorithm", None),
    Sort.AGE: _of_forecast("age_days"),
    Sort.PROMISED: _of_forecast("promised_precision"),
    Sort.REALISED: lambda state: state.record.realised_precision,
    Sort.SKILL: lambda state: state.record.skill_over_reference,
}


@router.get("/")
def pool_page(
    request: Request,
    board: TheBoard,
    sort: Sort = Sort.MEMBER,
    descending: bool = False,
    coin: Annotated[str, Query(max_length=20)] = "",
    trend: Trend | None = None,
    signals: bool = False,
) -> Response:
    """Show what the pool says today, and whether it may be believed."""
    state = board.state()
    shown = [
        member
        for member in state.members
        if coin.upper() in member.symbol
        and trend in (None, member.trend_type)
        and (is_signal(member) or not signals)
    ]
    key = _KEYS[sort]
    known = [member for member in shown if key(member) is not None]
    unknown = [member for member in shown if key(member) is None]
    known.sort(key=key, reverse=descending)
    coins: dict[str, dict[str, MemberState]] = {}
    for member in state.members:
        coins.setdefault(member.symbol, {})[member.trend_type.value] = member
    context = {
        "pool": state,
        "coins": coins,
        "members": known + unknown,
        "signals_today": sum(map(is_signal, state.members)),
        "stale": sum(bool(m.forecast and m.forecast.stale) for m in state.members),
        "without": sum(m.champion is None for m in state.members),
        "latest": max(
            (m.forecast.prediction_date for m in state.members if m.forecast), default=None
        ),
        "terms": next((m.forecast for m in state.members if m.forecast), None),
        "difference": difference,
        "is_signal": is_signal,
        "asked": {
            "sort": sort.value,
            "descending": descending,
            "coin": coin,
            "trend": trend.value if trend else "",
            "signals": signals,
        },
        "fault": board.fault,
    }
    return templates.TemplateResponse(request, "pool.html", context)


@router.get("/pool/{member}")
def old_member_page(member: MemberName) -> Response:
    """Lead a link of version 1.0 to the member's page."""
    return RedirectResponse(f"/members/{member}.html", status_code=308)


@router.get("/docs")
def api_page(request: Request) -> Response:
    """Show the API, to be tried; its scripts come from this server."""
    headers = {"Content-Security-Policy": API_PAGE_POLICY}
    return templates.TemplateResponse(request, "docs.html", headers=headers)


@router.get("/docs/{asset}")
def api_page_asset(asset: ApiPageAsset) -> Response:
    """Give a file of Swagger UI as the package `fastapi-offline` has it."""
    return FileResponse(str(files("fastapi_offline") / "static" / asset))


@router.get("/members/{member}.html")
def member_page(request: Request, member: MemberName) -> Response:
    """Show one member: its forecasts, what came of them, its champion, its ledger."""
    board = board_of(request)
    detail = describe_member(board, member, PAGE_PREDICTIONS)
    model = detail.state.champion
    importance = (model.feature_importance if model else None) or {}
    context = {
        "pool": board.state(),
        "detail": detail,
        "state": detail.state,
        "difference": difference,
        "rows": detail.predictions[:SHOWN_ROWS],
        "calibrated_on": len(_calibration_rows(detail)),
        "calibration_needs": MIN_CALIBRATION_ROWS,
        "importance": sorted(
            ((name, value) for name, value in importance.items() if value is not None),
            key=lambda item: -abs(item[1]),
        ),
        "fault": board.fault,
    }
    return templates.TemplateResponse(request, "member.html", context)


@router.get("/members/{member}/{chart}.svg")
def member_chart(
    request: Request, member: MemberName, chart: Chart, theme: Theme = Theme.LIGHT
) -> Response:
    """Draw one chart of a member's page."""
    # The style inside the picture is matplotlib's own; shown as an image it runs no script.
    headers = {"Content-Security-Policy": CHART_POLICY}
    drawn = _draw(board_of(request), member, chart, theme)
    return Response(drawn, media_type="image/svg+xml", headers=headers)


@cached(LRUCache(MAX_CHARTS), lambda board, *key: hashkey(board.state().publication, *key), Lock())
def _draw(board: Board, member: str, chart: Chart, theme: Theme) -> bytes:
    """Draw a chart of a member, or find it drawn from the same publication."""
    detail = describe_member(board, member, PAGE_PREDICTIONS)
    forecast, model = detail.state.forecast, detail.state.champion
    if chart is Chart.IMPORTANCE:
        return draw_importance(theme, (model.feature_importance if model else None) or {})
    if chart is Chart.CALIBRATION:
        return draw_calibration(theme, _frame(_calibration_rows(detail)))
    with board.cursor() as cursor:
        rows = queries.closes(cursor, detail.state.symbol, CHART_DAYS)
    closes = pd.Series({row["date"]: row["close"] for row in rows}, dtype=float)
    if chart is Chart.MOVE:
        return draw_move(theme, closes, forecast.expected_move if forecast else None)
    return draw_record(theme, _frame(detail.predictions), closes)


def _frame(predictions: Sequence[PastPrediction]) -> pd.DataFrame:
    return pd.DataFrame(map(vars, predictions), columns=list(PastPrediction.model_fields))


def _calibration_rows(detail: MemberDetail) -> list[PastPrediction]:
    """Return the forecasts calibration is judged on: scored, and not in sample."""
    return [
        row
        for row in detail.predictions
        if row.outcome is not None and row.probability is not None and row.in_sample is not True
    ]


def error_page(request: Request, status: int, message: str) -> HTMLResponse:
    """Show an error to a person."""
    context = {"status": status, "message": message}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def _points(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:+.0f}".replace("-", MINUS)


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.3f}".replace("-", MINUS)


templates.env.filters.update(percent=_percent, points=_points, signed=_signed)
