"""Signed, expiring tokens: the credential that travels inside a URL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any


class SignatureError(Exception):
    """The token was not made here, or was changed."""


class ExpiredError(SignatureError):
    """The token was made here, but its time is over."""


class Signer:
    """Signs small JSON objects together with the moment until which they hold.

    The secret follows from the seed, so that a run repeats to the byte; it protects nothing but manners.

    >>> signer = Signer(seed=1)
    >>> moment = datetime(2026, 8, 1, tzinfo=UTC)
    >>> signer.read(signer.sign({"blob": "b1"}, expires=moment), now=moment)
    {'blob': 'b1'}
    """

    def __init__(self, seed: int) -> None:
        self._secret = hashlib.sha256(f"civitai-ext emulator {seed}".encode()).digest()

    def sign(self, content: dict[str, Any], *, expires: datetime) -> str:
        """Make a token that carries `content` until `expires`."""
        body = _encode(json.dumps([content, expires.timestamp()], separators=(",", ":")).encode())
        return f"{body}.{self._seal(body)}"

    def read(self, token: str, *, now: datetime | None) -> dict[str, Any]:
        """Read the content of a token; `now=None` accepts one that has expired.

        Raises:
            SignatureError: The token is not one of ours.
            ExpiredError: It was, until its time ran out.

        """
        body, _, seal = token.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(body).encode()):
            raise SignatureError
        try:
            content, expires = json.loads(_decode(body))
        except (ValueError, binascii.Error) as error:
            raise SignatureError from error
        if now is not None and now > datetime.fromtimestamp(expires, UTC):
            raise ExpiredError
        return dict(content)

    def _seal(self, body: str) -> str:
        return _encode(hmac.new(self._secret, body.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
