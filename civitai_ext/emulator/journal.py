"""What the emulator was asked and what it answered, for assertions."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civitai_ext.emulator.answers import http_date
from civitai_ext.emulator.clock import Clock

SERVER = "civitai-ext-emulator"
"""The `Server` header of every answer: nobody should take the stand-in for the service."""

FAULT = "civitai_ext.emulator.fault"
"""Where the scope of a request says which fault it met."""
LOST = "civitai_ext.emulator.lost"
"""The type of the message that stands for an answer that never leaves."""

_LARGEST_BODY = 1_000_000
_DEEPEST_BODY = 100


@dataclass(frozen=True)
class Exchange:
    """One request and the status it was answered with.

    Attributes:
        number: Its place among all requests so far, from 1.
        at: When the answer began, by the emulator's clock.
        method: The verb, in capitals.
        path: The path, percent-decoded.
        query: Names and values in the order sent, without `token`.
        status: The status of the answer; of one that was lost on its way, the status it had.
        credential: Where a credential was sent, if one was. The credential itself is not kept.
        body: The body if it was JSON, unless it is nested too deeply to be shown; never that of a request to the
            accounts service.
        fault: What went wrong on purpose, if something did: a kind of fault.
        range: The header `Range`, if there was one: which bytes of a file were asked for.

    """

    number: int
    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    credential: Literal["header", "query"] | None
    body: Any
    fault: str | None = None
    range: str | None = None


Journal = deque[Exchange]


class JournalMiddleware:
    """Writes every exchange down, and signs and dates every answer."""

    def __init__(self, app: ASGIApp, *, journal: Journal, clock: Clock) -> None:
        self._app = app
        self._journal = journal
        self._clock = clock
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one exchange on to the application and back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        # What is sent to the accounts service holds secrets.
        keeps_body = b"json" in headers.get(b"content-type", b"") and not scope["path"].startswith("/api/auth/")
        body = bytearray()

        async def listen() -> Message:
            message = await receive()
            if keeps_body and message["type"] == "http.request" and len(body) < _LARGEST_BODY:
                body.extend(message.get("body", b""))
            return message

        def write(status: int) -> None:
            self._count += 1
            self._journal.append(_exchange(self._count, self._clock.now(), scope, headers, status, bytes(body)))

        async def speak(message: Message) -> None:
            if message["type"] == LOST:
                write(message["status"])
                return
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                dated = own if any(name == b"date" for name, _ in own) else [*own, (b"date", http_date())]
                message["headers"] = [*dated, (b"server", SERVER.encode())]
                # Written before the answer leaves: whoever has read the answer finds the entry.
                write(message["status"])
            await send(message)

        await self._app(scope, listen, speak)


def _is_deep(content: Any) -> bool:
    """Tell whether JSON is nested deeper than what deals with it can go."""
    level = [content]
    for _ in range(_DEEPEST_BODY):
        containers = (each for each in level if isinstance(each, dict | list))
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return True


def _exchange(
    number: int, at: datetime, scope: Scope, headers: dict[bytes, bytes], status: int, body: bytes
) -> Exchange:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    credential: Literal["header", "query"] | None = None
    if b"authorization" in headers:
        credential = "header"
    elif any(name == "token" for name, _ in query):
        credential = "query"
    try:
        content = json.loads(body) if body else None
    except (ValueError, RecursionError):
        content = None
    if _is_deep(content):
        content = None
    shown = tuple((name, value) for name, value in query if name != "token")
    wanted = headers.get(b"range")
    return Exchange(
        number=number,
        at=at,
        method=scope["method"],
        path=scope["path"],
        query=shown,
        status=status,
        credential=credential,
        body=content,
        fault=scope.get(FAULT),
        range=None if wanted is None else wanted.decode("latin-1"),
    )
