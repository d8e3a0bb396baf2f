"""What all routes of the Orchestration API share: the credential, the parameters, the body, the wait."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from civitai_ext.emulator.accounts import Account, Credential
from civitai_ext.emulator.answers import RefusalError, refuse_problem
from civitai_ext.emulator.reading import moment, whole_number
from civitai_ext.emulator.scopes import AI_SERVICES_READ, AI_SERVICES_WRITE, NAMES
from civitai_ext.emulator.spending import Purse
from civitai_ext.emulator.workflows import Workflow
from civitai_ext.emulator.world import World

LONGEST_REQUEST = 100
"""Seconds after which the gateway in front of the service gives up on a request."""

MOST_LEVELS = 64
"""How deep JSON may be, which is what .NET reads."""

_LARGEST_INTEGER = 2**31 - 1

Handler = Callable[[Request, World, Account], Awaitable[Response]]
"""A route: the request, the world and the caller."""


def authorized(handler: Handler, *, needs: int | None = None) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint that needs a bearer token.

    Args:
        handler: The route.
        needs: The bit that the scope of the token must have; when it is not given, the verb decides.

    """

    async def endpoint(request: Request) -> Response:
        reads = request.method in ("GET", "HEAD")
        caller = permitted(request, needs or (AI_SERVICES_READ if reads else AI_SERVICES_WRITE)).account
        return await handler(request, World.of(request), caller)

    return endpoint


def permitted(request: Request, needs: int) -> Credential:
    """Find the credential of a request, or refuse one that is not good or lacks a bit."""
    found = World.of(request).accounts.credential_of(request)
    if found is None:
        refuse_problem(401)
    if not found.scope & needs:
        refuse_problem(403, f"The token lacks the scope {NAMES[needs]}.")
    return found


def purse_of(request: Request) -> Purse:
    """Find what a request that spends pays from."""
    return permitted(request, AI_SERVICES_WRITE).purse


def integer_parameter(request: Request, name: str, default: int, *, low: int, high: int | None = None) -> int:
    """Read a whole number from the query, or answer 400; what is above `high` is cut."""
    text = request.query_params.get(name)
    if text is None:
        return default
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    size = whole_number(digits)
    if size is None or size > _LARGEST_INTEGER:
        refuse_problem(400, errors={name: [f"The value '{text}' is not valid."]})
    value = sign * size
    if value < low:
        refuse_problem(400, errors={name: [f"The field {name} must be at least {low}."]})
    return value if high is None else min(value, high)


def boolean_parameter(request: Request, name: str, *, default: bool = False) -> bool:
    """Read `true` or `false` from the query, in any case, or answer 400."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.lower() not in ("true", "false"):
        refuse_problem(400, errors={name: [f"The value '{text}' is not valid."]})
    return text.lower() == "true"


def moment_parameter(request: Request, name: str) -> datetime | None:
    """Read a moment from the query, or answer 400; an empty one counts as absent."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return moment(text)
    except ValueError:
        refuse_problem(400, errors={name: [f"The value '{text}' is not valid."]})


async def json_body(request: Request) -> Any:
    """Read the body as JSON, or answer 400."""
    try:
        body = json.loads(await request.body(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        refuse_problem(400, errors={"$": ["The request body is not valid JSON."]})
    if is_deeper(body, MOST_LEVELS):
        refuse_problem(400, errors={"$": [f"The request body has more than {MOST_LEVELS} levels."]})
    return body


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects lie in each other deeper than so many levels."""
    layer = [value]
    for _ in range(levels + 1):
        parts = [part.values() if isinstance(part, dict) else part for part in layer if isinstance(part, dict | list)]
        if not parts:
            return False
        layer = [item for part in parts for item in part]
    return True


def _finite(text: str) -> float:
    """Read a number, but not those that Python knows and JSON does not."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


async def long_poll(world: World, workflow: Workflow, seconds: int) -> None:
    """Wait until a workflow is over or the seconds are, in virtual or in real time, whichever comes first.

    Whoever asks for more than the gateway allows gets the gateway's answer.
    """
    allowed = min(seconds, LONGEST_REQUEST)
    virtual_end = world.clock.now() + timedelta(seconds=allowed)
    real_end = time.monotonic() + allowed
    while True:
        world.workflows.refresh(workflow)
        left = real_end - time.monotonic()
        if workflow.final or world.clock.stopped:
            return
        if left <= 0 or world.clock.now() >= virtual_end:
            break
        change = workflow.next_change()
        await world.clock.pause(min(change, virtual_end) if change else virtual_end, at_most=left)
    if seconds > LONGEST_REQUEST:
        raise RefusalError(HTMLResponse("<html><title>504 Gateway Time-out</title></html>", 504))
