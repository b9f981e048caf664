"""Answers that change only with a publication or a day, kept as the bytes that were sent."""

from contextlib import suppress
from typing import Any

from cachetools import LRUCache
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_pool.errors import QueryError
from crypto_pool.serving.publication_reader import PublicationReader

CACHED_PATHS = frozenset({"/", "/models", "/prediction", "/members", "/pool"})
MAX_ANSWERS = 2048
MAX_BYTES = 16 * 1024 * 1024
Key = tuple[str, bytes]


class AnswerCache:
    """Keeps successful answers to a path and query until the pool's state changes.

    Of more than fit, those that were asked for last.
    """

    def __init__(self, app: ASGIApp, reader: PublicationReader) -> None:
        self._app = app
        self._reader = reader
        self._shown: tuple[object, str | None] = None, None
        self._answers = _no_answers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or pass the request on and keep its answer."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_kept(scope["path"]):
            return await self._app(scope, receive, send)
        try:
            state: Any = self._reader.state()
        except QueryError:
            return await self._app(scope, receive, send)
        shown = state, self._reader.fault
        if shown[0] is not self._shown[0] or shown[1] != self._shown[1]:
            self._shown = shown
            self._answers = _no_answers()
        key = scope["path"], scope["query_string"]
        answers = self._answers
        if key in answers:
            for message in answers[key][1]:
                # A copy, since what is further out adds headers to it.
                await send({**message, "headers": list(message.get("headers", ()))})
            return None
        messages: list[Message] = []

        async def send_and_keep(message: Message) -> None:
            messages.append({**message, "headers": list(message.get("headers", ()))})
            await send(message)

        await self._app(scope, receive, send_and_keep)
        answered = next(message["status"] for message in messages if "status" in message)
        if answered == 200:
            with suppress(ValueError):  # one larger than all that may be kept
                answers[key] = key, messages


def _is_kept(path: str) -> bool:
    return path in CACHED_PATHS or path.startswith("/members/")


def _no_answers() -> "LRUCache[Key, tuple[Key, list[Message]]]":
    return LRUCache(MAX_BYTES, _size)


def _size(answer: tuple[Key, list[Message]]) -> int:
    """The bytes of an answer, or what bounds their number where it is small."""
    key, messages = answer
    headers = [part for message in messages for pair in message["headers"] for part in pair]
    bodies = [message.get("body", b"") for message in messages]
    return max(sum(map(len, [*key, *headers, *bodies])), MAX_BYTES // MAX_ANSWERS)
