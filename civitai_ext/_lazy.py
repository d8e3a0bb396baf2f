"""A value made on first use, guarded as its users need it: one for the asynchronous client and one for the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from civitai_ext.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncLazy", "Lazy", "closed"]

T = TypeVar("T")


class Lazy(Generic[T]):
    """A value, never None, that any thread may ask for and that is made once.

    Attributes:
        closed: Whether `take` was called.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self.closed = False
        self._lock = threading.Lock()

    def get(self) -> T:
        """Give the value.

        Raises:
            ConfigurationError: `take` was called.
        """
        with self._lock:
            if self.closed:
                raise closed()
            if self._made is None:
                self._made = self._make()
            return self._made

    def take(self) -> T | None:
        """Give the value away for closing it, if it was made; nobody gets it after that."""
        with self._lock:
            self.closed = True
            made, self._made = self._made, None
            return made


class AsyncLazy(Generic[T]):
    """A value, never None, that belongs to the event loop that first asked for it.

    Connections of one loop, used in another, wait for ever or fail in obscure ways, so that is refused.

    Attributes:
        closed: Whether `take` was called.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> T:
        """Give the value.

        Raises:
            ConfigurationError: Another event loop is running than when it was made, or `take` was called.
        """
        if self.closed:
            raise closed()
        loop = _running_loop()
        if self._made is None:
            self._made, self._loop = self._make(), loop
        elif self._loop is not loop:
            raise ConfigurationError(
                "This client was used in another event loop before",
                hint="Make one asynchronous client per event loop, and close it there.",
            )
        return self._made

    def take(self) -> T | None:
        """Give the value away for closing it, if it was made in this event loop; nobody gets it after that."""
        self.closed = True
        made, self._made = self._made, None
        return made if self._loop is _running_loop() else None


def _running_loop() -> asyncio.AbstractEventLoop:
    import asyncio  # loaded here, so that the synchronous client does not pay for it

    return asyncio.get_running_loop()


def closed() -> ConfigurationError:
    """Give the error for what is asked of a closed client, or is under way when it is closed."""
    return ConfigurationError("This client is closed", hint="Make a new one, or use it inside its `with` block.")
