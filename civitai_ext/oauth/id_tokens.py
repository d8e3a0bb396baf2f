"""Whether an ID token can be believed. No I/O.

The cryptography is joserfc's (extra `oauth`); what has to be in such a token is OpenID Connect's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from secrets import compare_digest
from typing import TYPE_CHECKING, Any, Final

from civitai_api.oauth.models import JsonWebKeySet
from civitai_ext._reading import models_in, printable
from civitai_ext.errors import ConfigurationError, LoginFailed

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

__all__ = ["claims_in", "require_joserfc"]

_ALGORITHM: Final = "ES256"
_OF_A_KEY: Final = ("kty", "crv", "x", "y", "kid", "alg", "use")
_LONGEST_WORDS: Final = 200
_LEEWAY: Final = 60
"""Seconds by which the clocks of those who make tokens may differ from those of those who say what time it is."""


def require_joserfc() -> None:
    """Make sure that ID tokens can be checked.

    Raises:
        ConfigurationError: The extra `oauth` is not installed.
    """
    try:
        import joserfc  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Checking ID tokens needs a package that is not installed",
            hint="Install it with pip install 'civitai-ext[oauth]', or ask for no ID token.",
        ) from error


def claims_in(
    id_token: str, keys: JsonWebKeySet, *, client_id: str, issuer: str, nonce: str, now: float
) -> dict[str, Any]:
    """Give what an ID token says, once it is certain that the service made it for this client and this attempt.

    Args:
        id_token: The token.
        keys: The service's keys.
        client_id: Whom it has to be for.
        issuer: Who has to have made it.
        nonce: What it has to repeat.
        now: What time it is, in seconds since 1970.

    Raises:
        LoginFailed: It is not certain.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry

    expected = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=_LEEWAY,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    # Fields of the header that are not known mean nothing, unless it says that they do.
    header = JWSRegistry(algorithms=[_ALGORITHM], strict_check_header=False)
    problem: str
    try:
        claims = jwt.decode(id_token, KeySet(list(_usable(keys))), registry=header).claims
        expected.validate(claims)
    except JoseError as error:
        problem = error.description or error.error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
        problem = "it is no token"
    else:
        repeated = claims.get("nonce")
        if claims["aud"] not in (client_id, [client_id]):
            problem = "it is for others too"
        elif not isinstance(repeated, str) or not compare_digest(repeated.encode(errors="replace"), nonce.encode()):
            problem = "it belongs to another attempt to log in"
        else:
            return claims
    raise LoginFailed(
        f"The ID token that came cannot be believed: {printable(problem)[:_LONGEST_WORDS]}",
        hint="Log in again. If that does not help, check that auth_url is the accounts service.",
    )


def _usable(keys: JsonWebKeySet) -> Iterator[ECKey]:
    """Give the keys that such tokens may be signed with; others may be there for other purposes."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    for key in models_in(keys.keys):
        data: dict[str, str | list[str]] = {
            name: value for name, value in key.to_dict().items() if name in _OF_A_KEY and isinstance(value, str)
        }
        kind = (data.get("kty"), data.get("crv"), data.get("alg", _ALGORITHM), data.get("use", "sig"))
        if kind == ("EC", "P-256", _ALGORITHM, "sig"):
            with suppress(JoseError, ValueError, KeyError):
                yield ECKey.import_key(data)
