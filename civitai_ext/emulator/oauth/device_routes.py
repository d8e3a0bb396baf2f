"""The device flow: a program without a browser waits until its user has typed a code elsewhere."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.oauth.access import deny, field, known_client, private, ration, read_form, read_scope
from civitai_ext.emulator.oauth.authorize_routes import to_login
from civitai_ext.emulator.oauth.browser import DEVICE
from civitai_ext.emulator.oauth.clients import DEVICE_CODE
from civitai_ext.emulator.oauth.grants import DEVICE_LIFETIME
from civitai_ext.emulator.oauth.pages import code_page, device_page, message_page
from civitai_ext.emulator.oauth.token_routes import tokens_for_device
from civitai_ext.emulator.world import World

_INTERVAL = 5
_MOST_A_MINUTE = 20


async def _start(request: Request) -> Response:
    world = World.of(request)
    form = await read_form(request)
    id_ = field(form, "client_id")
    ration(world, "device", f"client {id_}", _MOST_A_MINUTE)
    client = known_client(world, id_)
    if not client.enabled:
        deny(400, "invalid_client", "Invalid client: client is disabled")
    if DEVICE_CODE not in client.grants:
        deny(400, "unauthorized_client", "The client may not use the device flow.")
    value, device = world.oauth.grants.make_device(client, read_scope(world, field(form, "scope"), client))
    page = world.oauth.issuer + DEVICE
    return private(
        {
            "device_code": value,
            "user_code": device.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'code': device.user_code})}",
            "expires_in": int(DEVICE_LIFETIME.total_seconds()),
            "interval": _INTERVAL,
        }
    )


async def _poll(request: Request) -> Response:
    world = World.of(request)
    form = await read_form(request)
    if field(form, "grant_type") != DEVICE_CODE:
        deny(400, "unsupported_grant_type", f"The only grant here is `{DEVICE_CODE}`.")
    return tokens_for_device(world, form)


async def _show(request: Request) -> Response:
    world = World.of(request)
    code = request.query_params.get("code", "")
    session = world.oauth.sessions.of(request)
    if session is None:
        return to_login(f"{DEVICE}?{urlencode({'code': code})}" if code else DEVICE)
    device = world.oauth.grants.waiting_device(code)
    if device is None:
        return code_page(code)
    return device_page(device.client, session.account, device.scope, device.user_code)


async def _decide(request: Request) -> Response:
    world = World.of(request)
    form = await read_form(request)
    code = form.get("code", "")
    session = world.oauth.sessions.of(request)
    if session is None:
        return to_login(f"{DEVICE}?{urlencode({'code': code})}")
    device = world.oauth.grants.waiting_device(code)
    if device is None:
        return code_page(code)
    if form.get("approved") == "true":
        device.state = session.account
        return message_page("Done", f"{device.client.name} is connected; go back to your device.")
    device.state = "denied"
    return message_page("Denied", f"{device.client.name} was turned away.")


ROUTES = [
    Route("/api/auth/oauth/device", _start, methods=["POST"]),
    Route("/api/auth/oauth/device-token", _poll, methods=["POST"]),
    Route(DEVICE, _show, methods=["GET"]),
    Route(DEVICE, _decide, methods=["POST"]),
]
