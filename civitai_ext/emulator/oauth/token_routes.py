"""`/token`, `/revoke` and `/introspect`: what clients do without their users."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.oauth.access import (
    Form,
    address,
    authenticate,
    check_origin,
    deny,
    field,
    private,
    ration,
    read_form,
    read_scope,
)
from civitai_ext.emulator.oauth.clients import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
    Client,
)
from civitai_ext.emulator.oauth.grants import Code, Grant, TokenPair
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.world import World

_MOST_A_MINUTE = 20
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


async def _token(request: Request) -> Response:
    world = World.of(request)
    quirks = world.quirks
    if Quirk.OAUTH_RATE_KEY in quirks:
        ration(world, "token", address(request), _MOST_A_MINUTE)
    form = await read_form(request, json_too=Quirk.OAUTH_JSON in quirks)
    if Quirk.OAUTH_DEVICE_TOKEN not in quirks and form.get("grant_type") == DEVICE_CODE:
        return tokens_for_device(world, form)
    client = authenticate(request, world, form)
    if Quirk.OAUTH_RATE_KEY not in quirks:
        ration(world, "token", f"client {client.id}", _MOST_A_MINUTE)
    if world.oauth.checks_origin_at_token:
        check_origin(request, world, client)
    kind = field(form, "grant_type")
    if kind not in (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS):
        deny(400, "unsupported_grant_type", "Unsupported grant type: `grant_type` is invalid")
    if kind not in client.grants or (kind == CLIENT_CREDENTIALS and client.is_public):
        deny(400, "unauthorized_client", "Unauthorized client: `grant_type` is invalid")
    id_token = {}
    if kind == AUTHORIZATION_CODE:
        code = _redeem(world, client, form)
        grant = Grant(client, code.account, code.scope)
        if code.nonce is not None and world.oauth.signs_id_tokens:
            id_token = {"id_token": _id_token(world, code)}
    elif kind == REFRESH_TOKEN:
        used = world.oauth.grants.use_refresh(field(form, "refresh_token"), client)
        if used is None:
            deny(400, "invalid_grant", "Invalid grant: refresh token is invalid")
        grant = used
        if "scope" in form and Quirk.OAUTH_REFRESH_SCOPE not in quirks:
            grant = replace(used, scope=used.scope & read_scope(world, form["scope"], client))
        world.oauth.refreshes += 1
    else:
        scope = read_scope(world, form.get("scope", str(client.scope)), client)
        grant = Grant(client, client.owner, scope)
    pair = world.oauth.grants.issue(grant, world.oauth.access_seconds)
    # Here the scope is a list of one text; the device flow sends the text alone.
    scopes = {"scope": [str(pair.scope)]} if Quirk.OAUTH_SCOPE_LIST in quirks else {}
    return private({**pair_json(pair), **scopes, **id_token})


def pair_json(pair: TokenPair) -> dict[str, Any]:
    """Show a pair of tokens."""
    return {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_token": pair.refresh_token,
        "scope": str(pair.scope),
    }


def tokens_for_device(world: World, form: Form) -> Response:
    """Exchange the code of a device for tokens, once its user has let it in."""
    value, id_ = field(form, "device_code"), field(form, "client_id")
    if Quirk.OAUTH_SLOW_DOWN in world.quirks:
        ration(world, "device-token", f"client {id_}", _MOST_A_MINUTE)
    else:
        ration(world, "device-token", f"client {id_}", _MOST_A_MINUTE, status=400, error="slow_down")
    grants, client = world.oauth.grants, world.oauth.client(id_)
    device = None if client is None else grants.device(value, client)
    if device is None:
        deny(400, "invalid_grant", "The device code is unknown or was used.")
    if grants.is_over(device):
        deny(400, "expired_token", "The device code is too old.")
    if device.state == "denied":
        deny(400, "access_denied", "The user denied the request.")
    if device.state == "pending":
        deny(400, "authorization_pending", "The user has not decided yet.")
    grants.use_device(value)
    grant = Grant(device.client, device.state, device.scope)
    return private(pair_json(grants.issue(grant, world.oauth.access_seconds)))


def _redeem(world: World, client: Client, form: Form) -> Code:
    """Use an authorization code up; a wrong verifier or address leaves it as it is."""
    value = field(form, "code")
    redirect_uri = field(form, "redirect_uri")
    code = world.oauth.grants.code(value, client)
    if code is None:
        deny(400, "invalid_grant", "Invalid grant: authorization code is invalid or has expired")
    if redirect_uri != code.redirect_uri:
        deny(400, "invalid_grant", "Invalid grant: `redirect_uri` is not the one of the request")
    if code.challenge is not None:
        verifier = field(form, "code_verifier")
        if not _VERIFIER.fullmatch(verifier):
            deny(400, "invalid_request", "Invalid parameter: `code_verifier`")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if not hmac.compare_digest(digest, code.challenge):
            deny(400, "invalid_grant", "Invalid grant: code verifier is invalid")
    elif "code_verifier" in form:
        deny(400, "invalid_grant", "Invalid grant: code verifier is invalid")
    world.oauth.grants.use_code(value)
    return code


def _id_token(world: World, code: Code) -> str:
    now = int(world.clock.now().timestamp())
    return world.oauth.key.sign(
        {
            "iss": world.oauth.issuer,
            "sub": str(code.account.id),
            "aud": code.client.id,
            "iat": now,
            "exp": now + world.oauth.access_seconds,
            "nonce": code.nonce,
            "auth_time": int(code.auth_time.timestamp()),
        }
    )


async def _revoke(request: Request) -> Response:
    world = World.of(request)
    ration(world, "revoke", address(request), _MOST_A_MINUTE)
    form = await read_form(request)
    token = field(form, "token")
    client = authenticate(request, world, form)
    check_origin(request, world, client)
    world.oauth.grants.revoke(token, client)
    return private({})


async def _introspect(request: Request) -> Response:
    world = World.of(request)
    form = await read_form(request)
    client = authenticate(request, world, form)
    if client.is_public or not client.introspects:
        deny(403, "access_denied", "The client may not ask about tokens.")
    found = world.accounts.credential(field(form, "token"))
    if found is None or found.subject.type != "oauth" or found.expires is None:
        return private({"active": False})
    return private(
        {
            "active": True,
            "sub": str(found.account.id),
            "username": found.account.username,
            "scope": str(found.scope),
            "client_id": found.subject.id,
            "exp": int(found.expires.timestamp()),
            "token_type": "Bearer",
        }
    )


ROUTES = [
    Route("/api/auth/oauth/token", _token, methods=["POST"]),
    Route("/api/auth/oauth/revoke", _revoke, methods=["POST"]),
    Route("/api/auth/oauth/introspect", _introspect, methods=["POST"]),
]
