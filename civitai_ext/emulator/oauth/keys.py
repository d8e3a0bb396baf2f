"""The key that signs ID tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

ALGORITHM = "ES256"


class SigningKey:
    """A key that follows from the seed. The library behind it is loaded on first use."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def _key(self) -> ECKey:
        from joserfc.jwk import ECKey

        secret = f"civitai-ext emulator {self._seed}"
        return ECKey.derive_key(secret, "P-256", {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)

    def public(self) -> dict[str, Any]:
        """Show the public half as a JSON Web Key."""
        return dict(self._key.as_dict(private=False))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Make a JSON Web Token."""
        from joserfc import jwt

        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, dict(claims), self._key, algorithms=[ALGORITHM])
