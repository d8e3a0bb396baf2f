"""What stands in front of the services: it answers for the page and the control, which the services know nothing of."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civitai_ext.emulator.answers import answer
from civitai_ext.emulator.control import page, routes
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.guard import is_shown_by_browser, reason_to_refuse
from civitai_ext.emulator.journal import SERVER

_SANDBOX = (b"content-security-policy", b"sandbox")


class Front:
    """Sends each request to the control or to the services.

    Args:
        services: What answers for Civitai.
        desk: What is controlled.
        port: The port of the site; the control is at no other.

    """

    def __init__(self, services: ASGIApp, desk: Desk, port: int) -> None:
        self._services = services
        self._port = port
        self._changes = 0
        self._control = Starlette(
            routes=[*page.ROUTES, *routes.ROUTES],
            middleware=[Middleware(_Guarded)],
            exception_handlers={HTTPException: _unrouted},
        )
        self._control.state.desk = desk

    @property
    def changes(self) -> int:
        """A number that is another one after every request, and while one is worked on."""
        return self._changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._changes += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._changes += 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["server"] or scope["server"][1] != self._port:
            await self._services(scope, receive, send)
        elif _is_control(scope):
            await self._control(scope, receive, _adding(send, (b"server", SERVER.encode())))
        elif is_shown_by_browser(HTTPConnection(scope)):
            # What was uploaded here has the origin of the control; its scripts must not have its rights.
            await self._services(scope, receive, _adding(send, _SANDBOX))
        else:
            await self._services(scope, receive, send)


class _Guarded:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := reason_to_refuse(HTTPConnection(scope))):
            await answer({"error": reason}, 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_control(scope: Scope) -> bool:
    path: str = scope["path"]
    if path == "/":
        return scope["method"] in ("GET", "HEAD")
    return path == routes.PREFIX or path.startswith(f"{routes.PREFIX}/")


def _adding(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), header]
        await send(message)

    return add


async def _unrouted(request: Request, error: Any) -> Response:
    text = f"there is no {request.method} {request.url.path}; docs/emulator.md lists what there is"
    return answer({"error": text}, error.status_code, error.headers)
