"""`/userinfo`, and what tells clients about the service: its document and its keys."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.answers import answer
from civitai_ext.emulator.oauth.access import deny, private
from civitai_ext.emulator.oauth.browser import AUTHORIZE
from civitai_ext.emulator.oauth.clients import GRANTS
from civitai_ext.emulator.oauth.keys import ALGORITHM
from civitai_ext.emulator.scopes import NAMES, USER_READ
from civitai_ext.emulator.world import World


async def _userinfo(request: Request) -> Response:
    found = World.of(request).accounts.credential_of(request)
    if found is None or found.subject.type != "oauth":
        challenge = {"WWW-Authenticate": 'Bearer realm="Service", error="invalid_token"'}
        deny(401, "invalid_token", "The access token is missing, unknown or expired.", challenge)
    if not found.scope & USER_READ:
        deny(403, "insufficient_scope", f"The token lacks the scope {NAMES[USER_READ]}.")
    account = found.account
    return private(
        {
            "sub": str(account.id),
            "id": account.id,
            "username": account.username,
            "preferred_username": account.username,
            "name": account.username,
            "picture": None,
            "image": None,
            "roles": [],
            "isModerator": False,
            **({"tier": account.tier} if account.tier else {}),
            "email": account.email,
            "email_verified": True,
        }
    )


async def _discovery(request: Request) -> Response:
    oauth = World.of(request).oauth
    issuer = oauth.issuer
    signing = {
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
    # Where devices ask for their tokens is not told.
    content = {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": f"{issuer}/api/auth/oauth/token",
        "userinfo_endpoint": f"{issuer}/api/auth/oauth/userinfo",
        "revocation_endpoint": f"{issuer}/api/auth/oauth/revoke",
        "device_authorization_endpoint": f"{issuer}/api/auth/oauth/device",
        "response_types_supported": ["code"],
        "grant_types_supported": list(GRANTS),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
        "subject_types_supported": ["public"],
        "scopes_supported": [str(bit) for bit in NAMES],
        "claims_supported": ["sub", "name", "preferred_username", "picture", "email", "email_verified"],
        **(signing if oauth.signs_id_tokens else {}),
    }
    return answer(content, headers={"Cache-Control": "max-age=86400"})


async def _keys(request: Request) -> Response:
    oauth = World.of(request).oauth
    keys = [oauth.key.public()] if oauth.signs_id_tokens else []
    return answer({"keys": keys}, headers={"Cache-Control": "max-age=300"})


ROUTES = [
    Route("/api/auth/oauth/userinfo", _userinfo, methods=["GET"]),
    Route("/.well-known/openid-configuration", _discovery, methods=["GET"]),
    Route("/.well-known/jwks.json", _keys, methods=["GET"]),
    Route("/api/auth/jwks", _keys, methods=["GET"]),
]
