"""Carries faults out: between the application and the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civitai_ext.emulator.answers import answer, problem, storage_error, to_json
from civitai_ext.emulator.faults import Asked, Fault, Faults
from civitai_ext.emulator.journal import FAULT, LOST

_STORAGE = ("/storage/", "/emulated-uploads/")
_DATE_AHEAD = timedelta(seconds=2)


class FaultMiddleware:
    """Does wrong what a verdict says.

    Args:
        app: The application.
        faults: Where verdicts come from.
        hang_up: Closes the connection of a request.

    """

    def __init__(self, app: ASGIApp, *, faults: Faults, hang_up: Callable[[Scope], None]) -> None:
        self._app = app
        self._faults = faults
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one exchange on, or do something wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        asked = Asked(scope["method"], scope["path"], tuple(query))
        delay, fault = self._faults.decide(asked)
        if delay:
            scope[FAULT] = "delay"
            await asyncio.sleep(delay)
        if fault is not None:
            scope[FAULT] = fault.kind
            if fault.replaces_answer and not fault.work_done:
                await _made_up(fault, asked.path)(scope, receive, send)
                return
        elif not self._faults.needs_answers:
            await self._app(scope, receive, send)
            return

        start, body = await _collect(self._app, scope, receive)
        if fault is not None and fault.work_done:
            await asyncio.sleep(fault.delay)
            if fault.replaces_answer:
                await _made_up(fault, asked.path)(scope, receive, send)
                return
        if fault is not None and fault.lost_answer:
            await send({"type": LOST, "status": start["status"]})
            await self._end(scope, receive)
            return
        if fault is not None and fault.cut_body:
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await self._end(scope, receive)
            return
        content = _read_json(start, body)
        if content is not None:
            if fault is not None:
                altered = to_json(self._faults.alter(fault, asked, content))
                body, start = altered, _with_length(start, len(altered))
            self._faults.remember(asked, content)
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _end(self, scope: Scope, receive: Receive) -> None:
        """Close the connection, and wait until the server knows that: it would answer for us otherwise."""
        self._hang_up(scope)
        while (await receive())["type"] != "http.disconnect":
            pass


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
    return json.loads(body) if body and media_type == b"application/json" and start["status"] == HTTPStatus.OK else None


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
        response.headers["Retry-After"] = format_datetime(datetime.now(UTC) + _DATE_AHEAD, usegmt=True)
    elif fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response


def _error(fault: Fault, path: str) -> Response:
    """Build an error in the words of the service that the path belongs to."""
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    if fault.body is not None:
        return answer(fault.body, status)
    if path.startswith(_STORAGE):
        return storage_error(status, "SlowDown" if status == HTTPStatus.SERVICE_UNAVAILABLE else "Error", "Try again")
    if path.startswith(("/v1/", "/v2/")):
        return problem(status)
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
