"""Fetching ahead, and `len`: what a pager of the asynchronous client does differently from one of the other."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncCounted", "AsyncPrefetch", "Counted", "Prefetch"]

T = TypeVar("T")


class Prefetch(Generic[T]):
    """One value at a time that is fetched in a thread while the caller does something else.

    A thread lives as long as its fetch. It is a daemon, so a program that ends does not wait for it, and it holds no
    reference to who started it.
    """

    def __init__(self) -> None:
        self._future: Future[T] | None = None

    @property
    def started(self) -> bool:
        """Whether there is something to take."""
        return self._future is not None

    def start(self, fetch: Callable[..., T], *args: Any) -> None:
        """Begin to fetch; where no thread can be had, such as while Python shuts down, do nothing."""
        future: Future[T] = Future()
        run = copy_context().run  # what the caller set for its logs or traces holds in the thread too
        thread = threading.Thread(target=run, args=(_settle, future, fetch, args), name="civitai-prefetch", daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._future = future

    def take(self) -> T:
        """Wait for the value and give it, or raise what the fetch raised; there is nothing to take after that."""
        future, self._future = self._future, None
        assert future is not None, "nothing was started"  # noqa: S101
        try:
            return future.result()
        finally:
            del future  # it holds the error, whose traceback holds this frame

    def close(self) -> None:
        """Give up what was started: a thread cannot be stopped, so the fetch ends by itself and its value is lost."""
        self._future = None


class AsyncPrefetch(Generic[T]):
    """One value at a time that is fetched in a task while the caller waits for something else."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def started(self) -> bool:
        """Whether there is something to take."""
        return self._task is not None

    def start(self, fetch: Callable[..., Awaitable[T]], *args: Any) -> None:
        """Begin to fetch."""
        import asyncio  # loaded here, so that the synchronous client does not pay for it

        self._task = asyncio.create_task(_awaited(fetch, args), name="civitai-prefetch")
        self._task.add_done_callback(_look_at)

    async def take(self) -> T:
        """Wait for the value and give it, or raise what the fetch raised; there is nothing to take after that.

        Canceling this cancels the fetch.
        """
        task, self._task = self._task, None
        assert task is not None, "nothing was started"  # noqa: S101
        try:
            return await task
        finally:
            del task  # it holds the error, whose traceback holds this frame

    async def aclose(self) -> None:
        """Give up what was started: cancel it, and wait until it is over."""
        import asyncio

        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])


async def _awaited(fetch: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
    return await fetch(*args)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody is going to take, else the event loop logs it."""
    if not task.cancelled():
        task.exception()


def _settle(future: Future[T], fetch: Callable[..., T], args: tuple[Any, ...]) -> None:
    try:
        value = fetch(*args)
    except BaseException as error:
        future.set_exception(error)
        del future  # it holds the error, whose traceback holds this frame
    else:
        future.set_result(value)


class _Countable(Protocol):
    def count(self) -> int | None: ...


class Counted:
    """Gives a list `len`."""

    def __len__(self: _Countable) -> int:
        count = self.count()
        if count is None:
            raise TypeError(
                "This list has no len(): the service does not say how many items there are,"
                " or the list was begun in the middle"
            )
        return count

    def __bool__(self) -> bool:
        return True  # else a mere `if pager:` would ask for `len`, which may not be known, and costs a request


class AsyncCounted:
    """Gives nothing: `len` cannot be waited for."""
