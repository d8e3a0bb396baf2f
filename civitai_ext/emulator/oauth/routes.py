"""Which paths the accounts service has, at its own address and at its former one on the site."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from civitai_ext.emulator.oauth import authorize_routes, device_routes, identity_routes, token_routes
from civitai_ext.emulator.oauth.access import deny
from civitai_ext.emulator.oauth.browser import AUTHORIZE
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.world import World

SERVICE = Router(
    [*authorize_routes.ROUTES, *token_routes.ROUTES, *identity_routes.ROUTES, *device_routes.ROUTES],
    redirect_slashes=False,
)
"""What answers at the service's own address."""


class _Forwarding:
    """What stands between the former address and the service."""

    def __init__(self, service: ASGIApp) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or fail to."""
        request = Request(scope)
        world = World.of(request)
        oauth = world.oauth
        if oauth.legacy_redirects or Quirk.OAUTH_FORMER_ADDRESS not in world.quirks:
            await _to_service(request)(scope, receive, send)
        elif oauth.legacy_failure is not None:
            deny(oauth.legacy_failure, "server_error", "The accounts service could not be reached.")
        else:
            await self._service(scope, receive, send)


async def _redirect(request: Request) -> Response:
    return _to_service(request)


def _to_service(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{World.of(request).oauth.issuer}{request.url.path}{query}", 308)


FORMER_ROUTES = [
    Route(AUTHORIZE, _redirect, methods=["GET", "POST"]),
    Route(f"/api/auth/oauth/{{rest:{REST}}}", _Forwarding(SERVICE)),
]
