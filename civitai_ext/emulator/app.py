"""The application: all routes, and what wraps them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from civitai_ext.emulator.answers import RefusalError, problem
from civitai_ext.emulator.journal import JournalMiddleware
from civitai_ext.emulator.orchestration import blob_routes, catalogue_routes, workflow_routes
from civitai_ext.emulator.site import downloads, images, models, people, versions
from civitai_ext.emulator.world import World


def make_app(world: World) -> Starlette:
    """Assemble the ASGI application of one world."""
    app = Starlette(
        routes=[
            *models.ROUTES,
            *versions.ROUTES,
            *images.ROUTES,
            *people.ROUTES,
            *downloads.ROUTES,
            *workflow_routes.ROUTES,
            *blob_routes.ROUTES,
            *catalogue_routes.ROUTES,
        ],
        middleware=[Middleware(JournalMiddleware, journal=world.journal)],
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
    if request.url.path.startswith("/v2/"):
        return problem(error.status_code)
    page = f"<!doctype html><title>{error.status_code}</title><p>The civitai-ext emulator has nothing here.</p>"
    return HTMLResponse(page, error.status_code)
