"""The tokens of somebody who is logged in, and the form in which a login is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from civitai_ext._config import Secret
from civitai_ext.oauth.scopes import Scope

__all__ = ["StoredLogin", "Tokens"]

_VERSION: Final = 1


def _secret(value: str) -> Secret:
    return Secret(value)


def _optional_secret(value: str | None) -> Secret | None:
    return None if value is None else Secret(value)


@attrs.frozen(kw_only=True)
class Tokens:
    """What a login gives: a token to send, and one to get the next pair with. Neither is shown by `repr`.

    Attributes:
        access_token: What to send with requests; as `token` of a client it works until it expires.
        refresh_token: What to get the next pair with, once; None if there is none.
        obtained_at: When they came, by this machine's clock.
        expires_at: When the access token expires, by this machine's clock; None if it does not.
        scopes: What the access token really may do; None if the service did not say.
        claims: Who logged in, from the ID token, once that was checked; None if none was asked for. Not stored.

    >>> from datetime import UTC, datetime
    >>> Tokens(access_token="abc", obtained_at=datetime(2026, 1, 1, tzinfo=UTC), scopes=Scope.USER_READ)
    ... # doctest: +NORMALIZE_WHITESPACE +ELLIPSIS
    Tokens(access_token=Secret('***'), refresh_token=None, obtained_at=..., expires_at=None,
           scopes=<Scope.USER_READ: 1>, claims=None)
    """

    access_token: Secret = attrs.field(converter=_secret)
    refresh_token: Secret | None = attrs.field(default=None, converter=_optional_secret)
    obtained_at: datetime
    expires_at: datetime | None = None
    scopes: Scope | None = None
    claims: Mapping[str, Any] | None = None

    @property
    def lifetime(self) -> timedelta | None:
        """How long the access token was to live when it came; None if it does not expire."""
        return None if self.expires_at is None else self.expires_at - self.obtained_at

    def to_dict(self) -> dict[str, Any]:
        """Give what is to be stored, the secrets in the clear."""
        return {
            "access_token": str(self.access_token),
            "refresh_token": None if self.refresh_token is None else str(self.refresh_token),
            "obtained_at": self.obtained_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "scopes": None if self.scopes is None else int(self.scopes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tokens:
        """Read what `to_dict` gave.

        Raises:
            ValueError: It is not that. The message does not repeat it.
        """
        refresh, scopes = data.get("refresh_token"), data.get("scopes")
        if refresh is not None:
            refresh = _text(data, "refresh_token")
        if scopes is not None and (not isinstance(scopes, int) or scopes < 0):
            raise ValueError("scopes is no number")
        return cls(
            access_token=_text(data, "access_token"),
            refresh_token=refresh,
            obtained_at=_moment(data, "obtained_at"),
            expires_at=None if data.get("expires_at") is None else _moment(data, "expires_at"),
            scopes=None if scopes is None else Scope(scopes),
        )


@attrs.frozen(kw_only=True)
class StoredLogin:
    """A login as it is stored: the tokens, what they were given to, and where they may be sent.

    Attributes:
        tokens: The tokens. Without a refresh token, the login ends when the access token expires.
        client_id: The OAuth client they were given to; its secret is not stored.
        confidential: Whether that client has a secret, so that it has to be named to renew the tokens.
        redirect_uri: Where the client is redirected to.
        auth_url: The accounts service that gave them.
        site_url: Where the Site API is that they are for.
        orchestration_url: Where the Orchestration API is that they are for.
        username: Whose login it is, if that is known.
    """

    tokens: Tokens
    client_id: str
    confidential: bool = False
    redirect_uri: str
    auth_url: str
    site_url: str
    orchestration_url: str
    username: str | None = None

    def to_json(self) -> str:
        """Give it as one line of JSON, the secrets in the clear."""
        return json.dumps({"version": _VERSION, **attrs.asdict(self, recurse=False), "tokens": self.tokens.to_dict()})

    @classmethod
    def from_json(cls, text: str | bytes) -> StoredLogin:
        """Read what `to_json` gave.

        Raises:
            ValueError: It is not that, or of a later version of this package. The message does not repeat it.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        if not isinstance(data, dict) or not isinstance(data.get("tokens"), dict):
            raise ValueError("it holds no tokens")
        if data.get("version") != _VERSION:
            version = data.get("version")
            said = version if isinstance(version, int) else "nothing that is known"
            raise ValueError(f"its version is {said}, and this package reads version {_VERSION}")
        return cls(
            tokens=Tokens.from_dict(data["tokens"]),
            client_id=_text(data, "client_id"),
            confidential=data.get("confidential") is True,
            redirect_uri=_text(data, "redirect_uri"),
            auth_url=_text(data, "auth_url"),
            site_url=_text(data, "site_url"),
            orchestration_url=_text(data, "orchestration_url"),
            username=None if data.get("username") is None else _text(data, "username"),
        )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing or no text")
    return value


def _moment(data: Mapping[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(data, name))
    except ValueError:
        raise ValueError(f"{name} is missing or no moment") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
