"""What all routes of the accounts service share: forms, who the client is, errors, and how often one may ask."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.answers import RefusalError, answer
from civitai_ext.emulator.oauth.clients import Client
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.scopes import ALL, USER_READ
from civitai_ext.emulator.world import World

NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""What keeps tokens out of caches."""

_LONGEST_NUMBER = 9
Form = dict[str, str]


class DenialError(RefusalError):
    """An error as OAuth writes it."""

    def __init__(self, status: int, content: dict[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(answer(content, status, headers))
        self.content = content


def deny(status: int, error: str, description: str, headers: dict[str, str] | None = None) -> NoReturn:
    """Answer with an error as OAuth writes it."""
    raise DenialError(status, {"error": error, "error_description": description}, NOT_STORED | (headers or {}))


def private(data: Any) -> Response:
    """Answer with JSON that nobody stores."""
    return answer(data, headers=NOT_STORED)


def ration(world: World, what: str, who: str, most: int, *, status: int = 429, error: str = "rate_limited") -> None:
    """Count a request; refuse it when there were too many in a minute."""
    if world.oauth.rate_limits and world.minute.take(f"{what} of {who}", most=most):
        deny(status, error, f"More than {most} requests in a minute; wait a while.")


def address(request: Request) -> str:
    """Tell where a request comes from."""
    return request.client.host if request.client else ""


async def read_form(request: Request, *, json_too: bool = False) -> Form:
    """Read the fields of a body. Of those that come twice the last one holds, empty ones count as missing.

    What is no form has no fields; JSON is one only where it is tolerated.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace")))
    if json_too and kind == "application/json":
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            deny(400, "invalid_request", "The body is not valid JSON.")
        if isinstance(content, dict):
            return {name: str(value) for name, value in content.items() if value not in (None, "")}
    return {}


def field(form: Form, name: str) -> str:
    """Read a field that must be there."""
    if not form.get(name):
        deny(400, "invalid_request", f"Missing parameter: `{name}`")
    return form[name]


def known_client(world: World, id_: str) -> Client:
    """Find a client that may be used."""
    client = world.oauth.client(id_)
    if client is None:
        deny(400, "invalid_client", "Invalid client: client is invalid")
    return client


def authenticate(request: Request, world: World, form: Form) -> Client:
    """Find the client that a request is from, which a confidential one has to prove."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    basic = scheme.lower() == "basic"
    id_, secret = _basic(encoded) if basic else (field(form, "client_id"), form.get("client_secret"))
    client = world.oauth.client(id_)
    if client is None or not client.enabled or not (client.is_public or client.secret == secret):
        status, challenge = (401, {"WWW-Authenticate": 'Basic realm="Service"'}) if basic else (400, {})
        deny(status, "invalid_client", "Invalid client: client is invalid", challenge)
    return client


def _basic(encoded: str) -> tuple[str, str]:
    try:
        id_, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(id_), unquote_plus(secret)


def check_origin(request: Request, world: World, client: Client) -> None:
    """Refuse a web page that may not call as this client. The service's own origin may."""
    origin = request.headers.get("origin")
    if client.is_public and origin is not None and origin != world.oauth.issuer and origin not in client.origins:
        deny(403, "origin_not_allowed", "The origin is not registered for this client.")


def read_scope(world: World, text: str, client: Client) -> int:
    """Read a scope that a client asks for; reading the profile always belongs to it."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER and int(text) <= ALL):
        deny(400, "invalid_scope", f"A scope is a decimal number from 0 to {ALL}.")
    scope = int(text) | USER_READ
    if Quirk.OAUTH_SCOPE_CEILING not in world.quirks:
        return scope & (client.scope | USER_READ)
    if scope & ~(client.scope | USER_READ):
        deny(400, "invalid_scope", "The scope goes beyond what the client may ask for.")
    return scope
