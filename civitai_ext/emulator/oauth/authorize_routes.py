"""`/authorize` and `/login`: a user in a browser decides what a client may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from civitai_ext.emulator.oauth.access import (
    DenialError,
    Form,
    deny,
    field,
    known_client,
    ration,
    read_form,
    read_scope,
)
from civitai_ext.emulator.oauth.browser import AUTHORIZE, LOGIN
from civitai_ext.emulator.oauth.clients import AUTHORIZATION_CODE, Client
from civitai_ext.emulator.oauth.grants import CODE_LIFETIME
from civitai_ext.emulator.oauth.pages import consent_page, login_page, message_page
from civitai_ext.emulator.oauth.sessions import Session
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.world import World

_FIELDS = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method", "nonce",
)  # fmt: skip
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_A_MINUTE = 10
_DOCUMENTED_CODE_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True)
class _Asked:
    """What a client asks a user for."""

    client: Client
    redirect_uri: str
    scope: int
    state: str
    challenge: str | None
    nonce: str | None


async def _authorize(request: Request) -> Response:
    world = World.of(request)
    given = await read_form(request) if request.method == "POST" else dict(request.query_params)
    fields = {name: given[name] for name in _FIELDS if given.get(name)}
    client, redirect_uri = _read_client(world, fields)
    try:
        asked = _read(world, client, redirect_uri, fields)
    except DenialError as denial:
        if Quirk.OAUTH_ERROR_PAGES in world.quirks:
            raise
        return _back(world, redirect_uri, fields.get("state"), denial.content)
    session = world.oauth.sessions.of(request)
    if session is None:
        return to_login(f"{AUTHORIZE}?{urlencode(fields)}")
    ration(world, "authorize", f"user {session.account.id}", _MOST_A_MINUTE)
    if not asked.client.is_open_to(session.account):
        deny(403, "access_denied", "The client is open to its testers only.")
    grants = world.oauth.grants
    if request.method == "POST":
        if given.get("approved") != "true":
            denied = {"error": "access_denied", "error_description": "The user denied the request"}
            return _back(world, asked.redirect_uri, asked.state, denied)
        if given.get("remember") == "true":
            grants.remember(session.account, asked.client, asked.scope)
    elif not (asked.client.first_party or grants.consents_to(session.account, asked.client, asked.scope)):
        return consent_page(asked.client, session.account, asked.scope, fields)
    return _approve(world, asked, session)


def _read_client(world: World, fields: Form) -> tuple[Client, str]:
    """Check who asks and where the answer goes. Whoever is wrong in that cannot be sent back."""
    client = known_client(world, field(fields, "client_id"))
    if not client.enabled:
        deny(403, "access_denied", "The client is disabled.")
    redirect_uri = field(fields, "redirect_uri")
    if not client.may_send_to(redirect_uri):
        deny(400, "invalid_request", "The redirect_uri is not registered for this client.")
    return client, redirect_uri


def _read(world: World, client: Client, redirect_uri: str, fields: Form) -> _Asked:
    """Check what is asked for. The service does not send whoever asks wrongly back."""
    if field(fields, "response_type") != "code":
        deny(400, "invalid_request", "The only response_type is `code`.")
    if AUTHORIZATION_CODE not in client.grants:
        deny(400, "invalid_request", "The client may not use authorization codes.")
    scope = read_scope(world, field(fields, "scope"), client)
    state = field(fields, "state")
    challenge, method = fields.get("code_challenge"), fields.get("code_challenge_method")
    if challenge is None and client.is_public:
        deny(400, "invalid_request", "A public client needs a code_challenge.")
    if (challenge is not None and method != "S256") or (challenge is None and method is not None):
        deny(400, "invalid_request", "A code_challenge goes with the code_challenge_method `S256`.")
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        deny(400, "invalid_request", "The code_challenge is no SHA-256 in unpadded base64url.")
    return _Asked(client, redirect_uri, scope, state, challenge, fields.get("nonce"))


def _approve(world: World, asked: _Asked, session: Session) -> Response:
    code = world.oauth.grants.make_code(
        asked.client,
        session.account,
        asked.scope,
        asked.redirect_uri,
        asked.challenge,
        asked.nonce,
        session.at,
        CODE_LIFETIME if Quirk.OAUTH_CODE_LIFETIME in world.quirks else _DOCUMENTED_CODE_LIFETIME,
    )
    return _back(world, asked.redirect_uri, asked.state, {"code": code})


def _back(world: World, redirect_uri: str, state: str | None, outcome: Form) -> Response:
    """Send the browser back to the client."""
    outcome = {**outcome, **({} if state is None else {"state": state})}
    if world.oauth.sends_issuer:
        outcome["iss"] = world.oauth.issuer
    joint = "&" if "?" in redirect_uri else "?"
    return _see_other(f"{redirect_uri}{joint}{urlencode(outcome)}")


def to_login(return_url: str) -> Response:
    """Send the browser to where one signs in, and from there back."""
    return _see_other(f"{LOGIN}?{urlencode({'returnUrl': return_url})}")


def _see_other(url: str) -> Response:
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})


async def _show_login(request: Request) -> Response:
    return login_page(World.of(request).accounts, request.query_params.get("returnUrl", ""))


async def _login(request: Request) -> Response:
    world = World.of(request)
    form = await read_form(request)
    account = next((each for each in world.accounts if str(each.id) == form.get("account")), None)
    return_url = form.get("returnUrl", "")
    if account is None:
        return login_page(world.accounts, return_url)
    # Nowhere else: a link that signs in and leads away would be an open redirect.
    if re.match(r"/(?![/\\])", return_url):
        response = _see_other(return_url)
    else:
        response = message_page("Signed in", f"You are signed in as {account.username}.")
    world.oauth.sessions.begin(account, response)
    return response


ROUTES = [
    Route(AUTHORIZE, _authorize, methods=["GET", "POST"]),
    Route(LOGIN, _show_login, methods=["GET"]),
    Route(LOGIN, _login, methods=["POST"]),
]
