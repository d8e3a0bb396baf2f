"""The application: all routes, and what wraps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from civitai_ext.emulator.answers import RefusalError, problem
from civitai_ext.emulator.fault_middleware import FaultMiddleware
from civitai_ext.emulator.faults import Faults
from civitai_ext.emulator.generator import job_routes, usage_routes
from civitai_ext.emulator.journal import JournalMiddleware
from civitai_ext.emulator.oauth.routes import FORMER_ROUTES, SERVICE
from civitai_ext.emulator.orchestration import blob_routes, catalogue_routes, workflow_routes
from civitai_ext.emulator.site import (
    articles,
    collections,
    deliveries,
    directory,
    downloads,
    images,
    models,
    people,
    permissions,
    storage,
    tensors,
    uploads,
    vault,
    versions,
)
from civitai_ext.emulator.world import World


class _AtPort(BaseRoute):
    """Whatever comes in at a port of its own: the accounts service is another host than the rest."""

    def __init__(self, port: int) -> None:
        self._port = port

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        server = scope.get("server")
        return (Match.FULL if server and server[1] == self._port else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await SERVICE(scope, receive, send)


def make_app(
    world: World, faults: Faults, transport_of: Callable[[Scope], asyncio.Transport | None], *, auth_port: int
) -> Starlette:
    """Assemble the ASGI application of one world.

    Args:
        world: What is served.
        faults: What goes wrong on purpose.
        transport_of: Finds what carries the connection of a request, while there is one.
        auth_port: The port at which the accounts service is.

    """
    app = Starlette(
        routes=[
            _AtPort(auth_port),
            *models.ROUTES,
            *versions.ROUTES,
            *images.ROUTES,
            *people.ROUTES,
            *permissions.ROUTES,
            *vault.ROUTES,
            *articles.ROUTES,
            *collections.ROUTES,
            *directory.ROUTES,
            *tensors.ROUTES,
            *uploads.ROUTES,
            *downloads.ROUTES,
            *deliveries.ROUTES,
            *storage.ROUTES,
            *workflow_routes.ROUTES,
            *blob_routes.ROUTES,
            *catalogue_routes.ROUTES,
            *job_routes.ROUTES,
            *usage_routes.ROUTES,
            *FORMER_ROUTES,
        ],
        middleware=[
            Middleware(JournalMiddleware, journal=world.journal, clock=world.clock),
            Middleware(FaultMiddleware, faults=faults, advance=world.clock.advance, transport_of=transport_of),
        ],
        exception_handlers={RefusalError: _refused, HTTPException: _unrouted},
    )
    app.state.world = world
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)  # noqa: S101 - tells the type checker
    return error.response


async def _unrouted(request: Request, error: Exception) -> Response:
    """Answer for paths and verbs that nobody serves: the orchestrator with a problem, the site with a page."""
    assert isinstance(error, HTTPException)  # noqa: S101 - tells the type checker
    if request.url.path.startswith(("/v1/", "/v2/")):
        response = problem(error.status_code)
    else:
        page = f"<!doctype html><title>{error.status_code}</title><p>The civitai-ext emulator has nothing here.</p>"
        response = HTMLResponse(page, error.status_code)
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(sorted(_verbs(request)))
    return response


def _verbs(request: Request) -> set[str]:
    """Find the verbs that a path can be asked with; the router names those of one route only."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return {verb for route in routes if route.path_regex.match(request.url.path) for verb in route.methods or ()}
