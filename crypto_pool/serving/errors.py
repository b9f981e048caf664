"""Every error of the API in one shape; of a page, as a page."""

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from crypto_pool.errors import QueryError
from crypto_pool.serving.schemas import ErrorAnswer

OF_A_RULE = "Value error, "  # what pydantic puts before the words of a rule
ErrorPage = Callable[[Request, int, str], Response]


class ApiError(Exception):
    """A request that cannot be answered, with its status and a stable code."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


def error_response(
    status: int,
    error: str,
    message: str,
    details: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the answer to a request that failed."""
    answer = ErrorAnswer(error=error, message=message, details=list(details))
    return JSONResponse(answer.model_dump(), status, dict(headers or {}))


def handle_errors(app: FastAPI, error_page: ErrorPage) -> None:
    """Give every error of the app the one shape, and a person who asked for a page a page."""

    def answer(
        request: Request, status: int, error: str, message: str, details: Sequence[str] = ()
    ) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return error_page(request, status, message)
        return error_response(status, error, message, details)

    @app.exception_handler(ApiError)
    async def refused(request: Request, fault: ApiError) -> Response:
        return answer(request, fault.status, fault.error, str(fault))

    @app.exception_handler(QueryError)
    async def unpublished(request: Request, fault: QueryError) -> Response:
        return answer(request, 503, "not_ready", str(fault))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, fault: RequestValidationError) -> Response:
        details = [
            f"{' '.join(map(str, error['loc']))}: {error['msg'].removeprefix(OF_A_RULE)}"
            for error in fault.errors()
        ]
        return answer(request, 422, "invalid_request", "; ".join(details), details)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, fault: HTTPException) -> Response:
        names = {404: "not_found", 405: "method_not_allowed"}
        message = (
            f"{request.method} {request.url.path} is not served; see /openapi.json"
            if fault.status_code in names
            else str(fault.detail)
        )
        code = names.get(fault.status_code, "failed")
        refusal = answer(request, fault.status_code, code, message)
        refusal.headers.update(fault.headers or {})
        return refusal

    @app.exception_handler(Exception)
    async def broken(request: Request, fault: Exception) -> Response:
        return answer(request, 500, "internal_error", "the server failed; its log says why")
