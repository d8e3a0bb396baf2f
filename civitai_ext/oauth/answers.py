"""What the answers of the accounts service mean. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from civitai_api.oauth.models import TokenResponse
from civitai_api.runtime import Unset
from civitai_ext._reading import number
from civitai_ext.errors import (
    ApiError,
    CivitaiError,
    ConfigurationError,
    LoginDenied,
    LoginExpired,
    LoginFailed,
    LoginTimeout,
)
from civitai_ext.oauth.scopes import Scope, scopes_in
from civitai_ext.oauth.tokens import Tokens

__all__ = ["is_passing", "meant", "moment_of", "seconds", "tokens_of"]

_LIFETIME: Final = 3600.0
"""Seconds that an access token lives, by all that is known, where an answer does not say it, or nothing sensible."""

_LONGEST_LIFETIME: Final = 10 * 365 * 24 * 3600.0

_LONGEST_TOKEN: Final = 8192
"""Characters. No server takes a header with more."""

_CLIENT_REFUSED: Final = ("invalid_client", "unauthorized_client")
_HINTS: Final[Mapping[str, str]] = {
    "invalid_grant": "A code works once, within five minutes, and only for the attempt that it was given to: log in "
    "again.",
    "invalid_scope": "Ask for less: the client may not have all of it.",
    "invalid_client": "Check client_id and client_secret; a client without a secret is given none.",
    "unauthorized_client": "Clients that users register are for logging in with a browser only.",
}


def tokens_of(
    answer: TokenResponse, *, obtained_at: datetime, scopes: Scope | None = None, refresh_token: str | None = None
) -> Tokens:
    """Read the tokens in an answer.

    Args:
        answer: The answer.
        obtained_at: When it was asked for.
        scopes: What the tokens may do if the answer does not say.
        refresh_token: What to get the next ones with if the answer does not say.

    Raises:
        ValueError: There is no token in it that could be used. The message does not repeat it.
    """
    kind = answer.token_type
    if not _is_missing(kind) and (not isinstance(kind, str) or kind.lower() != "bearer"):
        raise ValueError("the token is of another type than Bearer")
    given = None if _is_missing(answer.refresh_token) else _token(answer.refresh_token, "refresh token")
    said = scopes_in(answer.scope)
    return Tokens(
        access_token=_token(answer.access_token, "access token"),
        refresh_token=refresh_token if given is None else given,
        obtained_at=obtained_at,
        expires_at=obtained_at + timedelta(seconds=seconds(answer.expires_in, _LIFETIME, _LONGEST_LIFETIME)),
        scopes=scopes if said is None else said,
    )


def _is_missing(value: Any) -> bool:
    return value is None or isinstance(value, Unset) or value == ""


def _token(value: Any, what: str) -> str:
    # What else is in it could not be sent in a header.
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"there is no {what} in it")
    if len(value) > _LONGEST_TOKEN:
        raise ValueError(f"the {what} in it is too long to be sent")
    return value


def seconds(value: Any, default: float, longest: float) -> float:
    """Read a number of seconds, also one in digits; the default if it is none that can be.

    >>> seconds("60", 5, 100), seconds(-1, 5, 100), seconds(True, 5, 100)
    (60.0, 5, 5)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        value = float(value)
    found = number(value)
    return found if found is not None and 0 < found <= longest else default


def moment_of(headers: Mapping[str, str], default: float) -> float:
    """Give the time that an answer was made at, by the clock of who made it, in seconds since 1970.

    >>> moment_of({"date": "Thu, 01 Jan 1970 00:01:00 GMT"}, 0)
    60.0
    """
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, OSError):
        return default


def is_passing(error: ApiError) -> bool:
    """Tell whether an error says nothing about what was asked: the service failed, or is asked too often."""
    return error.status == 429 or error.status >= 500 or error.code == "server_error"


@contextmanager
def meant(*, logged_in: bool = False) -> Iterator[None]:
    """Raise what errors of the accounts service mean to whoever logs in, where they mean more than they say.

    Args:
        logged_in: Whether somebody is logged in already. Only what ends that means more then.
    """
    try:
        yield
    except ApiError as error:
        meaning = _logged_in(error) if logged_in else _logging_in(error)
        if meaning is None:
            raise
        raise meaning from error


def _logging_in(error: ApiError) -> CivitaiError | None:
    code = error.code
    if code is None or is_passing(error):
        return None
    said = _said(error)
    if code in _CLIENT_REFUSED:
        return _client_refused(error)
    if code == "access_denied":
        return LoginDenied(f"The accounts service, or whoever was asked, said no: {said}", code=code)
    if code == "expired_token":
        return LoginTimeout(f"Nobody allowed it in time: {said}", code=code)
    return LoginFailed(f"The accounts service refused to log anybody in: {said}", code=code, hint=_HINTS.get(code))


def _logged_in(error: ApiError) -> CivitaiError | None:
    if error.code in _CLIENT_REFUSED:
        return _client_refused(error)
    if error.code != "invalid_grant":
        return None
    return LoginExpired(
        "The login cannot be renewed any more: the accounts service refused the refresh token",
        status=error.status,
        code=error.code,
        body=error.body,
        request_id=error.request_id,
        method=error.method,
        url=error.url,
    )


def _client_refused(error: ApiError) -> ConfigurationError:
    return ConfigurationError(
        f"The accounts service refused the OAuth client: {_said(error)}", hint=_HINTS[error.code or ""]
    )


def _said(error: ApiError) -> str:
    words = error.message.rstrip(".")
    return str(error.code) if words in ("", error.code) else f"{error.code} ({words})"
