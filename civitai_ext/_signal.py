"""Waiting for something that another thread or task does: one form for threads and one for tasks."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["AsyncOutcome", "AsyncSignal", "Outcome", "Signal"]

T = TypeVar("T")


class Signal:
    """Something that one thread waits for and any other brings about. It happens once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let it happen. Doing so again does nothing."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has happened, or until so many seconds are over."""
        self._event.wait(timeout)


class AsyncSignal:
    """Something that one task waits for and another of the same event loop brings about. It happens once."""

    def __init__(self) -> None:
        import asyncio  # loaded here, so that the synchronous client does not pay for it

        self._event = asyncio.Event()

    def set(self) -> None:
        """Let it happen. Doing so again does nothing."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until it has happened, or until so many seconds are over."""
        import asyncio

        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()


class Outcome:
    """What another thread comes to."""

    @staticmethod
    def of(future: Future[T]) -> T:
        """Wait for it."""
        while not future.done():
            with suppress(TimeoutError):
                future.exception(0.5)  # without a limit, Ctrl-C would not get through on Windows
        return future.result()


class AsyncOutcome:
    """What a thread comes to."""

    @staticmethod
    async def of(future: Future[T]) -> T:
        """Wait for it."""
        if future.done():
            return future.result()
        import asyncio

        return await asyncio.wrap_future(future)
