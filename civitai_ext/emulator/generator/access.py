"""What all routes of the Generator API share: the credential, and how long a request may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import problem
from civitai_ext.emulator.orchestration.access import Handler, authorized
from civitai_ext.emulator.world import World

MOST_CHARACTERS = 8000
"""How long the query of a request may be."""


def consumer(handler: Handler, *, needs: int | None = None) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint that needs a bearer token, and a query of bearable length; see `authorized`."""

    async def checked(request: Request, world: World, caller: Account) -> Response:
        if len(request.url.query) > MOST_CHARACTERS:
            return problem(414)
        return await handler(request, world, caller)

    return authorized(checked, needs=needs)
