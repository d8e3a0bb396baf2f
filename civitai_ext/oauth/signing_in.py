"""One attempt to log in: the address that the browser is sent to, and what comes back from there. No I/O.

The browser comes back with whatever somebody made it come back with, so nothing in that address is believed before it
is certain that this attempt asked for it.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from civitai_api.oauth.api.authorization import authorize
from civitai_ext._config import Secret, origin_of
from civitai_ext._reading import printable
from civitai_ext._redact import MASK, public_text, public_url
from civitai_ext.errors import InvalidRequest, LoginDenied, LoginFailed
from civitai_ext.oauth.scopes import Scope

__all__ = ["Pkce", "SignIn", "asked_scopes", "authorize_url", "code_in"]

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_OURS: Final = ("code", "state", "iss", "error", "error_description")
_LONGEST_WORDS: Final = 300


def _verifier(value: str) -> Secret:
    if not isinstance(value, str) or not _VERIFIER.fullmatch(value):
        raise ValueError("a verifier has 43 to 128 letters, digits and any of . _ ~ -")
    return Secret(value)


def _optional(value: str | None) -> Secret | None:
    return None if value is None else Secret(value)


@attrs.frozen
class Pkce:
    """What binds a code to whoever asked for it: the service gets the challenge first, and the verifier at the end.

    Attributes:
        verifier: The secret, 43 to 128 characters.

    >>> Pkce("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").challenge
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """

    verifier: Secret = attrs.field(converter=_verifier)

    @classmethod
    def new(cls) -> Pkce:
        """Make one for an attempt to log in, out of 48 random bytes."""
        return cls(secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The SHA-256 of the verifier, as the method `S256` writes it."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


@attrs.frozen(kw_only=True)
class SignIn:
    """One attempt to log in: what the service was asked, which is needed again when the browser comes back.

    A program keeps it until then; a web application keeps what `to_dict` gives in the session of its user, and nowhere
    where others could read it.

    Attributes:
        client_id: The OAuth client that asks.
        auth_url: The accounts service that is asked.
        redirect_uri: Where the browser comes back to.
        scopes: What is asked for.
        state: What the answer to this attempt repeats.
        pkce: What binds the code to this attempt.
        nonce: What the ID token repeats; None if none is asked for.
    """

    client_id: str
    auth_url: str
    redirect_uri: str
    scopes: Scope
    state: Secret = attrs.field(converter=Secret)
    pkce: Pkce
    nonce: Secret | None = attrs.field(default=None, converter=_optional)

    @classmethod
    def new(cls, *, client_id: str, auth_url: str, redirect_uri: str, scopes: Scope, id_token: bool) -> SignIn:
        """Begin an attempt, with a state, a verifier and, for an ID token, a nonce that nobody can guess."""
        return cls(
            client_id=client_id,
            auth_url=auth_url,
            redirect_uri=redirect_uri,
            scopes=scopes,
            state=secrets.token_urlsafe(32),
            pkce=Pkce.new(),
            nonce=secrets.token_urlsafe(32) if id_token else None,
        )

    @property
    def url(self) -> str:
        """What to open in the browser of whoever logs in."""
        return authorize_url(
            auth_url=self.auth_url,
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            scopes=self.scopes,
            state=self.state,
            pkce=self.pkce,
            nonce=self.nonce,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give what is to be kept until the browser comes back, the secrets in the clear."""
        return {
            "client_id": self.client_id,
            "auth_url": self.auth_url,
            "redirect_uri": self.redirect_uri,
            "scopes": int(self.scopes),
            "state": str(self.state),
            "verifier": str(self.pkce.verifier),
            "nonce": None if self.nonce is None else str(self.nonce),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SignIn:
        """Read what `to_dict` gave.

        Raises:
            ValueError: It is not that. The message does not repeat it.
        """
        if not isinstance(data, Mapping):
            raise ValueError("it is no attempt to log in")
        texts = {name: data.get(name) for name in ("client_id", "auth_url", "redirect_uri", "state", "verifier")}
        if data.get("nonce") is not None:
            texts["nonce"] = data["nonce"]
        for name, value in texts.items():
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} is missing or no text")
        scopes = data.get("scopes")
        if isinstance(scopes, bool) or not isinstance(scopes, int) or scopes < 0:
            raise ValueError("scopes is missing or no number")
        pkce = Pkce(str(texts.pop("verifier")))
        return cls(scopes=Scope(scopes), pkce=pkce, **{name: str(value) for name, value in texts.items()})


def authorize_url(
    *, auth_url: str, client_id: str, redirect_uri: str, scopes: Scope, state: str, pkce: Pkce, nonce: str | None
) -> str:
    """Give the address where the service asks its user whether to allow it."""
    request = authorize.request(
        client_id=client_id,
        redirect_uri=redirect_uri,
        response_type="code",
        scope=int(scopes),
        state=state,
        code_challenge=pkce.challenge,
        code_challenge_method="S256",
        nonce=nonce,
    )
    return auth_url + request.target


def code_in(callback_url: str, sign_in: SignIn) -> Secret:
    """Give the code in the address that the browser came back with.

    Raises:
        LoginDenied: Whoever was asked said no.
        LoginFailed: The address is no answer to this attempt, or says that something went wrong. The message repeats
            no secret.
    """
    address, _, query = callback_url.strip().partition("#")[0].partition("?")
    expected, _, own = sign_in.redirect_uri.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    # What the redirect URI has of its own comes back with it.
    if _target(address) is None or _target(address) != _target(expected) or not set(parse_qsl(own)) <= set(pairs):
        raise LoginFailed(
            "The browser came back to another address than the redirect URI of this attempt to log in",
            hint=f"That is {public_url(sign_in.redirect_uri)}. In a web application behind a proxy, put the query of "
            "the request after that.",
        )
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name in _OURS:
            raise LoginFailed(f"The answer to the attempt to log in has {name} more than once", hint=_FORGED)
        found[name] = value
    if "state" not in found:
        raise LoginFailed("The answer to the attempt to log in has no state", hint=_FORGED)
    if not secrets.compare_digest(found["state"].encode(errors="replace"), sign_in.state.encode()):
        raise LoginFailed("The browser came back with the answer to another attempt to log in", hint=_FORGED)
    if found.get("iss", sign_in.auth_url) != sign_in.auth_url:
        raise LoginFailed(
            f"Another accounts service answered than {sign_in.auth_url}, where this attempt to log in began",
            hint="Set auth_url to the service that logs in; if it is right, somebody mixed the answers up.",
        )
    if "error" in found:
        raise _said_no(found["error"], found.get("error_description", ""), sign_in)
    if not found.get("code"):
        raise LoginFailed("The answer to the attempt to log in has no code", hint="Log in again.")
    return Secret(found["code"])


_FORGED: Final = (
    "Log in again, in one window only. If nobody did anything, somebody may have tried to log you in to their account."
)


def _target(url: str) -> tuple[object, ...] | None:
    """What decides where an address leads to; None if that is not clear."""
    if not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):  # of a native program: its scheme is what leads to it
        return parts.scheme, parts.netloc, parts.path
    origin = origin_of(url)
    return None if origin is None else (*origin, parts.path or "/")


def _said_no(error: str, description: str, sign_in: SignIn) -> LoginFailed:
    code, words = _public(error, sign_in), _public(description, sign_in)
    said = f": {words}" if words else ""
    if code == "access_denied":
        return LoginDenied(f"Whoever was asked to allow it said no{said}", code=code)
    return LoginFailed(
        f"The accounts service answered the attempt to log in with {code or 'an error'}{said}", code=code
    )


def _public(words: str, sign_in: SignIn) -> str:
    """What an address says, as it can be shown: anybody can write one."""
    for secret in (sign_in.state, sign_in.pkce.verifier, sign_in.nonce):
        if secret:
            words = words.replace(secret, MASK)
    words = public_text(printable(words))
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1] + "…"


def asked_scopes(value: object) -> Scope:
    """Read what somebody wants to ask for.

    Raises:
        InvalidRequest: It is no set of scopes, or nothing is in it.
    """
    try:
        if isinstance(value, (bytes, bytearray)):
            raise ValueError(f"{value!r} is no set of scopes, but bytes")
        scopes = Scope.parse(value)
    except ValueError as error:
        raise InvalidRequest(f"scopes cannot be like that: {error}") from None
    if not scopes:
        raise InvalidRequest("No scope is asked for", hint="The least is Scope.USER_READ.")
    return scopes
