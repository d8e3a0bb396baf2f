"""Identifiers that look random and are the same in every run with the same seed."""

from __future__ import annotations

import random
import threading
import uuid
from typing import Any

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Identifiers:
    """A seeded source of identifiers.

    >>> Identifiers(1).make("wf") == Identifiers(1).make("wf")
    True
    """

    KEPT = ("state",)

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"identifiers {seed}")  # noqa: S311 - reproducible on purpose
        self._lock = threading.Lock()

    @property
    def state(self) -> tuple[Any, ...]:
        """What decides on the identifiers to come."""
        return self._random.getstate()

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        self._random.setstate(state)

    def make(self, prefix: str) -> str:
        """Make a new identifier: the prefix, an underscore and 26 characters."""
        with self._lock:
            return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=26))}"

    def uuid(self) -> str:
        """Make a new UUID."""
        with self._lock:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def hexadecimal(self, length: int) -> str:
        """Make a new secret: so many hexadecimal digits."""
        with self._lock:
            return "".join(self._random.choices("0123456789abcdef", k=length))

    def user_code(self) -> str:
        """Make a new code that is easy to type: `XXXX-XXXX`."""
        with self._lock:
            letters = "".join(self._random.choices("BCDFGHJKLMNPQRSTVWXZ", k=8))
            return f"{letters[:4]}-{letters[4:]}"

    def number(self) -> int:
        """Make a new number that fits a generation seed: 32 bits."""
        with self._lock:
            return self._random.getrandbits(32)
