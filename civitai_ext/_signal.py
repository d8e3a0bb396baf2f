"""Waiting for something that another thread or task does: one form for threads and one for tasks."""

from __future__ import annotations

import threading
from contextlib import suppress

__all__ = ["AsyncSignal", "Signal"]


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
