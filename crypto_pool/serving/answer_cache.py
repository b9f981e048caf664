"""Answers that change only with a publication or a day, kept as the bytes that were sent."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_pool.errors import QueryError
from crypto_pool.serving.board import Board

CACHED_PATHS = frozenset({"/models", "/prediction", "/pool"})
MAX_ANSWERS = 2048


class AnswerCache:
    """Keeps successful answers to a path and query until the pool's state changes."""

    def __init__(self, app: ASGIApp, board: Board) -> None:
        self._app = app
        self._board = board
        self._state: object = None
        self._answers: dict[tuple[str, bytes], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or pass the request on and keep its answer."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in CACHED_PATHS:
            return await self._app(scope, receive, send)
        try:
            state: Any = self._board.state()
        except QueryError:
            return await self._app(scope, receive, send)
        if state is not self._state:
            self._state = state
            self._answers = {}
        key = scope["path"], scope["query_string"]
        answers = self._answers
        if key in answers:
            for message in answers[key]:
                # A copy, since what is further out adds headers to it.
                await send({**message, "headers": list(message.get("headers", ()))})
            return None
        messages: list[Message] = []

        async def send_and_keep(message: Message) -> None:
            messages.append({**message, "headers": list(message.get("headers", ()))})
            await send(message)

        await self._app(scope, receive, send_and_keep)
        if messages[0]["status"] == 200 and len(answers) < MAX_ANSWERS:
            answers[key] = messages
