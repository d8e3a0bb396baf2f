"""The three kinds of Site API route: who may call them, with which verb, and who may keep the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import RefusalError, answer
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.world import World

Handler = Callable[[Request, World, Account | None], Awaitable[Response]]
"""A route: the request, the world, and the caller if the credential is known."""

PRIVATE = "max-age=0, private, no-cache"
PUBLIC = "public, s-maxage=300, stale-while-revalidate=150"

_VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_OPEN_TO_ALL = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}


def public(path: str, handler: Handler, *, cache: str = PUBLIC) -> Route:
    """Make a route for everybody: any verb works, and shared caches keep even its errors."""

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers=_OPEN_TO_ALL)
        response = await _run(handler, request, caller_of(request))
        return _finish(response, {**_OPEN_TO_ALL, "Cache-Control": cache})

    return Route(path, endpoint, methods=_VERBS)


def mixed(path: str, handler: Handler, *, verb: str = "GET") -> Route:
    """Make a route whose answer a credential changes: only the anonymous answer is public."""

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers=_OPEN_TO_ALL)
        caller = caller_of(request)
        if request.method not in (verb, "HEAD"):
            response = answer({"error": "Method not allowed"}, 405)
        else:
            response = await _run(handler, request, caller)
        return _finish(response, {**_OPEN_TO_ALL, "Cache-Control": PRIVATE if caller else PUBLIC})

    return Route(path, endpoint, methods=_VERBS)


def authenticated(path: str, handler: Handler, *, verb: str = "GET") -> Route:
    """Make a route that needs a credential."""

    async def endpoint(request: Request) -> Response:
        caller = caller_of(request)
        if request.method not in (verb, "HEAD"):
            response = answer({"error": "Method not allowed"}, 405)
        elif caller is None:
            response = answer({"error": "Unauthorized"}, 401)
        else:
            response = await _run(handler, request, caller)
        return _finish(response, {"Cache-Control": PRIVATE})

    return Route(path, endpoint, methods=_VERBS)


def rationed(family: str, handler: Handler) -> Handler:
    """Let a caller through so many times a minute; all routes of a family count together."""

    async def endpoint(request: Request, world: World, caller: Account | None) -> Response:
        if wait := ration(request, world, family, caller, anonymous=60, known=120):
            headers = {"Retry-After": str(wait), "Cache-Control": "no-store"}
            return answer({"error": "Rate limit exceeded, please retry shortly."}, 429, headers)
        return await handler(request, world, caller)

    return endpoint


def ration(request: Request, world: World, family: str, caller: Account | None, *, anonymous: int, known: int) -> int:
    """Count a request; return 0, or the seconds to wait when the caller has used the minute up."""
    address = request.client.host if request.client else ""
    who = f"{family} of user {caller.id}" if caller else f"{family} of {address}"
    return world.minute.take(who, most=known if caller else anonymous)


def caller_of(request: Request) -> Account | None:
    """Find the caller; an unknown credential counts as none."""
    return World.of(request).accounts.of(request, query=True)


async def _run(handler: Handler, request: Request, caller: Account | None) -> Response:
    world = World.of(request)
    try:
        return await handler(request, world, caller)
    except RefusalError as refusal:
        if refusal.words is None or Quirk.ERROR_SHAPES in world.quirks:
            return refusal.response
        return answer({"error": refusal.words}, refusal.response.status_code)


def _finish(response: Response, headers: dict[str, str]) -> Response:
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    response.headers["X-Handled-By"] = "emulator"
    return response
