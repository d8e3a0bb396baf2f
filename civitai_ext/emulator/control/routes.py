"""The control over HTTP: operations below `/_emulator/`, in JSON, with names as in Python."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
from collections.abc import Callable
from typing import Any

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.answers import answer
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.control import views
from civitai_ext.emulator.control.arguments import ArgumentError, call, call_with_texts
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.operations import Operations, UnknownError
from civitai_ext.emulator.oauth.browser import BrowserError

PREFIX = "/_emulator"
_THUMBNAIL = (320, 320)
_BLOB_HEADERS = {
    "Cache-Control": "private, max-age=600",
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

Show = Callable[[Any], Any]


def _as_it_is(result: Any) -> Any:
    return result


def _operation(
    verb: str,
    path: str,
    find: Callable[[Desk], Callable[..., Any]],
    show: Show = _as_it_is,
    status: int = 200,
) -> Route:
    """Make the route of an operation: a function of the emulator, and how its result is shown."""

    async def run(request: Request) -> Response:
        operation = find(Desk.of(request))
        try:
            if verb == "GET":
                result = call_with_texts(operation, {**request.query_params, **request.path_params})
            else:
                result = call(operation, {**await _body(request), **request.path_params})
            if inspect.isawaitable(result):
                result = await result
        except UnknownError as error:
            return answer({"error": str(error)}, 404)
        except (ValueError, BrowserError) as error:
            return answer({"error": str(error)}, 400)
        shown = show(result)
        return Response(status_code=204) if shown is None else answer(shown, status)

    return Route(f"{PREFIX}{path}", run, methods=[verb])


def _seen(verb: str, path: str, name: str, status: int = 200) -> Route:
    """Make the route of one of `Operations`."""

    def find(desk: Desk) -> Callable[..., Any]:
        operation: Callable[..., Any] = getattr(Operations(desk), name)
        return operation

    return _operation(verb, path, find, status=status)


async def _body(request: Request) -> dict[str, Any]:
    content = await request.body()
    if not content:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ArgumentError("the body is JSON, and says so: Content-Type: application/json")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ArgumentError('the body is an object, such as {"seconds": 60}')
    return body


async def _blob(request: Request) -> Response:
    """Show the content of a blob, or a small picture of it, whoever it belongs to and whatever its level is."""
    blob = Desk.of(request).world.blobs.get(request.path_params["id"])
    if blob is None:
        return answer({"error": f"there is no blob {request.path_params['id']!r}"}, 404)
    if "thumbnail" in request.query_params and blob.type == "image":
        return Response(await asyncio.to_thread(_thumbnail, blob), headers=_BLOB_HEADERS, media_type="image/png")
    return Response(await asyncio.to_thread(lambda: blob.content), headers=_BLOB_HEADERS, media_type=blob.media_type)


def _thumbnail(blob: Blob) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(blob.content)) as image:
        image.thumbnail(_THUMBNAIL)
        image.convert("RGBA").save(buffer, "PNG")
    return buffer.getvalue()


ROUTES = [
    _seen("GET", "/state", "state"),
    _seen("GET", "/journal", "journal"),
    _seen("DELETE", "/journal", "clear_journal"),
    _seen("GET", "/ledger", "ledger"),
    _seen("GET", "/workflows", "workflows"),
    _seen("GET", "/workflows/{id}", "workflow"),
    _seen("GET", "/jobs", "jobs"),
    _seen("GET", "/deliveries", "deliveries"),
    _seen("GET", "/faults", "faults"),
    _operation("POST", "/faults", lambda desk: desk.faults.add, views.fault_json, 201),
    _seen("DELETE", "/faults", "clear_faults"),
    _seen("DELETE", "/faults/{id:int}", "remove_fault"),
    _seen("POST", "/chaos", "add_chaos", 201),
    _seen("GET", "/clock", "clock"),
    _seen("POST", "/clock/advance", "advance"),
    _seen("POST", "/clock/speed", "set_speed"),
    _operation("POST", "/callbacks/duplicate", lambda desk: desk.world.callbacks.duplicate),
    _operation("POST", "/callbacks/swap", lambda desk: desk.world.callbacks.swap),
    _operation("POST", "/callbacks/clear", lambda desk: desk.world.callbacks.clear),
    _seen("POST", "/callbacks/settle", "settle"),
    _seen("POST", "/reset", "reset"),
    _seen("GET", "/accounts", "accounts"),
    _operation("POST", "/accounts", lambda desk: desk.world.accounts.add, views.account_json, 201),
    _seen("POST", "/accounts/{username}/keys", "add_key", 201),
    _seen("GET", "/oauth", "oauth"),
    _seen("PATCH", "/oauth", "switch"),
    _seen("POST", "/oauth/clients", "register", 201),
    _seen("POST", "/oauth/tokens", "issue", 201),
    _seen("POST", "/oauth/revoke", "revoke_all"),
    _seen("POST", "/oauth/limits", "limit"),
    _seen("POST", "/oauth/approve", "approve"),
    _seen("POST", "/oauth/deny", "deny"),
    _seen("POST", "/oauth/approve-device", "approve_device"),
    _seen("POST", "/oauth/deny-device", "deny_device"),
    _seen("DELETE", "/catalogue/models/{id:int}", "remove_model"),
    Route(f"{PREFIX}/blobs/{{id}}", _blob),
]
