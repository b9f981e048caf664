"""The pages people look at: the pool, and one member."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates

from crypto_pool.adapters.alerts import Alerts
from crypto_pool.domain.members import Trend
from crypto_pool.domain.recipe import LEVELS, Target
from crypto_pool.serving import chart_data, queries
from crypto_pool.serving.account import live_account
from crypto_pool.serving.api import MemberName, Reader, describe_member, reader_of
from crypto_pool.serving.changes import latest_changes
from crypto_pool.serving.schemas import MemberState, Model, Prediction, value_at

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
UNIT = "\N{NO-BREAK SPACE}%"  # never on another line than its figure
CHART_DAYS = 365
TOLD_DAYS = 14
PAGE_PREDICTIONS = 365
SHOWN_ROWS = 30
TERMS = ("target", "target_pct", "prediction_window_days")
# Swagger UI writes styles into its elements and has its icons in its style sheet.
API_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

templates = Jinja2Templates(Path(__file__).parent / "templates")
router = APIRouter(include_in_schema=False)


class ApiPageAsset(StrEnum):
    """The files that the page of the API loads besides its own."""

    SCRIPT = "swagger-ui-bundle.js"
    STYLE = "swagger-ui.css"


def difference(state: MemberState) -> float | None:
    """How far the forecast is above the reference."""
    forecast = state.forecast
    both = forecast and (forecast.prediction_probabilities, forecast.reference_probability)
    return None if both is None or None in both else float(both[0] - both[1])


def is_signal(state: MemberState) -> bool:
    """Whether the member says today that its trend comes.

    One that abstains says nothing, and a forecast from an older bar is none of today's.
    """
    forecast = state.forecast
    if forecast is None or forecast.abstained or forecast.age_days > 0:
        return False
    return bool(forecast.signal)


_KEYS = {
    "member": "",  # as the reader has them
    "probability": "forecast.prediction_probabilities",
    "reference": "forecast.reference_probability",
    "difference": "",
    "added": "champion.added_points",
    "algorithm": "champion.algorithm",
    "age": "forecast.age_days",
    "promised": "forecast.promised_precision",
    "realised": "record.realised_precision",
    "skill": "record.skill_over_reference",
}


def _sort_key(name: str) -> str:
    if name not in _KEYS:
        raise ValueError(f"{name!r} is no column to sort by; those are {', '.join(_KEYS)}")
    return name


SortKey = Annotated[str, AfterValidator(_sort_key)]


@router.get("/")
def pool_page(
    request: Request,
    reader: Reader,
    sort: SortKey = "member",
    descending: bool = False,
    coin: Annotated[str, Query(max_length=20)] = "",
    trend: Trend | None = None,
    signals: bool = False,
) -> Response:
    """Show what the pool says today, and whether it may be believed."""
    state = reader.state()
    shown = [
        member
        for member in state.members
        if coin.upper() in member.symbol
        and trend in (None, member.trend_type)
        and (is_signal(member) or not signals)
    ]
    key: Any = difference if sort == "difference" else partial(value_at, path=_KEYS[sort])
    known = [member for member in shown if key(member) is not None]
    unknown = [member for member in shown if key(member) is None]
    known.sort(key=key, reverse=descending)
    with reader.cursor() as cursor:
        account, changes = live_account(cursor), latest_changes(cursor)
    coins: dict[str, dict[str, MemberState]] = {}
    for member in state.members:
        coins.setdefault(member.symbol, {})[member.trend_type.value] = member
    context = {
        "pool": state,
        "coins": coins,
        "account": account,
        "changes": changes,
        "members": known + unknown,
        "signals_today": sum(map(is_signal, state.members)),
        "stale": sum(bool(m.forecast and m.forecast.stale) for m in state.members),
        "without": sum(m.champion is None for m in state.members),
        "latest": max(
            (m.forecast.prediction_date for m in state.members if m.forecast), default=None
        ),
        "target": next((_target(m.forecast) for m in state.members if m.forecast), None),
        "difference": difference,
        "is_signal": is_signal,
        "asked": {
            "sort": sort,
            "descending": descending,
            "coin": coin,
            "trend": trend.value if trend else "",
            "signals": signals,
        },
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
    reader = reader_of(request)
    detail = describe_member(reader, member, PAGE_PREDICTIONS)
    forecast = detail.state.forecast
    with reader.cursor() as cursor:
        closes = queries.closes(cursor, detail.state.symbol, CHART_DAYS)
    context = {
        "pool": reader.state(),
        "detail": detail,
        "state": detail.state,
        "difference": difference,
        "rows": detail.predictions[:SHOWN_ROWS],
        "charts": chart_data.price_charts(
            detail.predictions, closes, forecast.expected_move if forecast else None
        ),
        "calibration": chart_data.calibration(detail.predictions),
        "calibrated_on": len(chart_data.calibration_rows(detail.predictions)),
        "calibration_needs": chart_data.MIN_CALIBRATION_ROWS,
        "importance": _importance(detail.state.champion),
    }
    return templates.TemplateResponse(request, "member.html", context)


@router.get("/problems.html")
def problems_page(request: Request, reader: Reader) -> Response:
    """Show which members have no fresh forecast and why, and which runs failed lately."""
    state = reader.state()
    since = state.last_closed - timedelta(days=TOLD_DAYS)
    alerts: Alerts = request.app.state.alerts
    alerted = [one for one in alerts.recent() if one.sent_at_utc >= since.isoformat()]
    with reader.cursor() as cursor:
        missing = queries.missing_forecasts(cursor)
    told = {(row["symbol"], row["trend"]) for row in missing}
    forecasts = [one.forecast for one in state.members if one.forecast and one.forecast.stale]
    stale = [
        {**one.model_dump(), "trend": one.trend_type.value, "reason": one.stale_reason}
        for one in forecasts
        if (one.symbol, one.trend_type.value) not in told
    ]
    context = {
        "pool": state,
        "since": since,
        "missing": [*missing, *stale],
        "alerts": [one for one in reversed(alerted) if not one.key.startswith("digest:")],
    }
    return templates.TemplateResponse(request, "problems.html", context)


def error_page(request: Request, status: int, message: str) -> HTMLResponse:
    """Show an error to a person."""
    context = {"status": status, "message": message}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)


def _target(forecast: Prediction) -> Target | None:
    """Return what a forecast is of; of a release that did not store it, nothing is said."""
    given = forecast.model_dump()
    return None if None in map(given.get, TERMS) else Target.from_settings(given)


def _importance(model: Model | None) -> list[tuple[str, float, float | None]]:
    """Return each input with its mean SHAP values, signed and absolute, the largest first."""
    signed = (model.feature_importance if model else None) or {}
    absolute = (model.feature_importance_absolute if model else None) or {}
    known = [(name, value, absolute.get(name)) for name, value in signed.items()]
    rows = [(name, value, size) for name, value, size in known if value is not None]
    return sorted(rows, key=lambda row: -abs(row[1] if row[2] is None else row[2]))


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.0f}{UNIT}"


def _with_sign(digits: int, factor: float = 1, unit: str = "") -> Callable[[float | None], str]:
    def shown(value: float | None) -> str:
        if value is None:
            return UNKNOWN
        rounded = round(factor * value, digits) + 0.0  # never -0
        return f"{rounded:+.{digits}f}".replace("-", MINUS) + unit

    return shown


templates.env.filters.update(
    percent=_percent,
    points=_with_sign(0, 100),
    change=_with_sign(0, 100, UNIT),
    signed=_with_sign(3),
    hundredths=_with_sign(2),
)
templates.env.globals.update(percent=_percent, signed=_with_sign(3), levels=LEVELS)
templates.env.auto_reload = False  # an upgrade beneath a server that runs brings pages of others
for _name in templates.env.list_templates():
    templates.env.get_template(_name)
