"""Carries faults out: between the application and the connection."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civitai_ext.emulator.answers import answer, http_date, problem, storage_error, to_json
from civitai_ext.emulator.faults import ON_THE_WAY, REVISION, Asked, Fault, Faults, Verdict
from civitai_ext.emulator.journal import FAULT, LOST
from civitai_ext.emulator.spoiling import Connection, OverError, Skewed, Spoiler

_STORAGE = ("/storage/", "/emulated-uploads/")
_STORAGE_ERRORS = {
    400: ("ExpiredToken", "The provided token has expired"),
    403: ("AccessDenied", "Request has expired"),
    404: ("NoSuchKey", "The specified key does not exist"),
    416: ("InvalidRange", "The requested range is not satisfiable"),
    503: ("SlowDown", "Try again"),
}
_ACCOUNTS = ("/api/auth/", "/.well-known/")
_ACCOUNTS_ERRORS = {400: "invalid_request", 401: "invalid_client", 403: "access_denied", 429: "rate_limited"}
_PROFILE_ERRORS = _ACCOUNTS_ERRORS | {401: "invalid_token", 403: "insufficient_scope"}
_RANGE = re.compile(rb"bytes=(\d+)-(\d*)")
_DATE_AHEAD = timedelta(seconds=2)


class FaultMiddleware:
    """Does wrong what a verdict says.

    Args:
        app: The application.
        faults: Where verdicts come from.
        advance: Moves the clock.
        transport_of: Finds what carries the connection of a request, while there is one.

    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        faults: Faults,
        advance: Callable[[float], None],
        transport_of: Callable[[Scope], asyncio.Transport | None],
    ) -> None:
        self._app = app
        self._faults = faults
        self._advance = advance
        self._transport_of = transport_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one exchange on, or do something wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        asked = Asked(scope["method"], scope["path"], tuple(query))
        verdict = self._faults.decide(asked)
        connection = Connection(lambda: self._transport_of(scope), receive)
        scope[REVISION] = verdict.revision
        if verdict.advance:
            scope[FAULT] = "advance"
            self._advance(verdict.advance)
        if verdict.skew:
            scope[FAULT] = "skew"
            send = Skewed(send, verdict.skew)
        if verdict.rate is not None:
            scope[FAULT] = "rate"
            send = Spoiler(send, connection, rate=verdict.rate)
        if verdict.delay or verdict.late:
            scope[FAULT] = "delay"
            receive = _replay(await _read(receive), receive)
            await asyncio.sleep(verdict.delay)
        if verdict.fault is not None:
            scope[FAULT] = verdict.fault.kind
        try:
            await self._answer(asked, verdict, scope, receive, send, connection)
        except* OverError:
            pass

    async def _answer(
        self, asked: Asked, verdict: Verdict, scope: Scope, receive: Receive, send: Send, connection: Connection
    ) -> None:
        fault = verdict.fault
        spoiler = Spoiler(send, connection, fault, is_head=asked.method == "HEAD")
        if fault is not None and (fault.status is not None or fault.html_page):
            if fault.accepted:
                await _do(self._app, scope, receive)
            await _made_up(fault, asked.path)(scope, receive, spoiler)
            return
        if fault is not None and fault.kind in ON_THE_WAY:
            await self._app(_with_range(scope, fault), receive, spoiler)
            return
        remembers = self._faults.needs_answers and not asked.path.startswith(_STORAGE)
        if fault is None and not remembers and not verdict.late:
            await self._app(scope, receive, send)
            return

        if fault is not None and fault.doubled:
            sent = await _read(receive)
            await _do(self._app, scope, _replay(sent, receive))
            receive = _replay(sent, receive)
        if fault is not None and fault.lost_answer:
            status = await _do(self._app, scope, receive)
            await asyncio.sleep(verdict.late)
            await send({"type": LOST, "status": status})
            await connection.end(fault.end)
        start, body = await _collect(self._app, scope, receive)
        await asyncio.sleep(verdict.late)
        content = _read_json(start, body)
        if content is not None:
            if fault is not None:
                altered = to_json(self._faults.alter(fault, asked, content))
                body, start = altered, _with_length(start, len(altered))
            self._faults.remember(asked, content)
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _with_range(scope: Scope, fault: Fault) -> Scope:
    """Ask for another range than the caller has asked for, or for none."""
    headers = scope["headers"]
    if fault.ignore_range:
        headers = [pair for pair in headers if pair[0] != b"range"]
    if fault.shift_range:
        headers = [(name, _shifted(value, fault.shift_range) if name == b"range" else value) for name, value in headers]
    return {**scope, "headers": headers}


def _shifted(value: bytes, by: int) -> bytes:
    """Move a range; one that counts from the end stays.

    >>> _shifted(b"bytes=5-9", -6), _shifted(b"bytes=5-", 1), _shifted(b"bytes=-5", 1)
    (b'bytes=0-3', b'bytes=6-', b'bytes=-5')
    """
    found = _RANGE.fullmatch(value)
    if found is None:
        return value
    start, end = (str(max(0, int(place) + by)).encode() if place else b"" for place in found.groups())
    return b"bytes=" + start + b"-" + end


async def _read(receive: Receive) -> bytes:
    """Read a whole body, as a service does whose caller then goes away."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Receive a body that was read, and after it what comes."""
    left = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": left.pop()} if left else await receive()

    return again


async def _do(app: ASGIApp, scope: Scope, receive: Receive) -> int:
    """Let the application do its work, and keep nothing of its answer but the status."""
    statuses: list[int] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, keep)
    return statuses[0]


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[dict[str, Any], bytes]:
    """Let the application do its work, and keep its answer."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    start = next(message for message in messages if message["type"] == "http.response.start")
    return dict(start), b"".join(message.get("body", b"") for message in messages)


def _read_json(start: dict[str, Any], body: bytes) -> Any:
    """Read an answer if it is JSON."""
    media_type = dict(start["headers"]).get(b"content-type", b"")
    return (
        json.loads(body) if body and media_type == b"application/json" and start["status"] in (200, 201, 202) else None
    )


def _with_length(start: dict[str, Any], length: int) -> dict[str, Any]:
    kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    return start | {"headers": [*kept, (b"content-length", str(length).encode())]}


def _made_up(fault: Fault, path: str) -> Response:
    """Build the answer that stands in for the application's."""
    if fault.html_page:
        status = fault.status or HTTPStatus.BAD_GATEWAY
        response: Response = HTMLResponse(f"<!doctype html><title>{status}</title><h1>Something is wrong</h1>", status)
    else:
        response = _error(fault, path)
    if fault.retry_after == "date":
        # Dates are compared with the caller's clock, not with the emulator's.
        response.headers["Retry-After"] = http_date(_DATE_AHEAD).decode()
    elif fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _error(fault: Fault, path: str) -> Response:
    """Build an error in the words of the service that the path belongs to."""
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(fault.body, bytes):
        return Response(fault.body, status, media_type="application/octet-stream")
    if fault.body is not None:
        return answer(fault.body, status)
    if path.startswith(_STORAGE):
        return storage_error(status, *_STORAGE_ERRORS.get(status, ("Error", "Try again")))
    if path.startswith(("/v1/", "/v2/")):
        return problem(status)
    if path.startswith(_ACCOUNTS):
        errors = _PROFILE_ERRORS if path.endswith("/userinfo") else _ACCOUNTS_ERRORS
        return answer({"error": errors.get(status, "server_error")}, status)
    return answer(_site_error(status, path), status)


def _site_error(status: int, path: str) -> dict[str, Any]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return {"error": "Unauthorized"}
        case HTTPStatus.TOO_MANY_REQUESTS:
            return {"error": "Rate limit exceeded, please retry shortly."}
        case HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            return {"error": "This service is not available in your region.", "code": "REGION_BLOCKED"}
        case HTTPStatus.SERVICE_UNAVAILABLE if path == "/api/v1/models":
            return {"error": "Model search is temporarily overloaded — please retry."}
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return {"error": "Server busy, please retry shortly."}
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return {"message": "An unexpected error occurred", "error": {"name": "Error"}}
    try:
        return {"error": HTTPStatus(status).phrase}
    except ValueError:  # a status of the proxy's own, such as 520
        return {"error": f"Error {status}"}
