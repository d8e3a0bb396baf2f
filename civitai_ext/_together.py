"""Several calls at once, so many at a time: one form for the asynchronous client and one for the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["AsyncTogether", "Together", "in_batches"]

T = TypeVar("T")
R = TypeVar("R")

_MOST: Final = 8


class Together(Generic[T, R]):
    """Calls a function for several items, in threads.

    Args:
        function: Called once per item.
        most: How many calls may be under way at once.
    """

    def __init__(self, function: Callable[[T], R], *, most: int = _MOST) -> None:
        self._function = function
        self._most = most

    def each(self, items: Sequence[T]) -> list[R]:
        """Give the results in the order of the items.

        The first call that fails ends it: calls that have not begun are not made, and its exception is raised.

        >>> Together(str.upper).each(["a", "b"])
        ['A', 'B']
        """
        if len(items) < 2:
            return [self._function(item) for item in items]
        from concurrent.futures import ThreadPoolExecutor
        from threading import Lock

        results: dict[int, R] = {}
        failures: list[BaseException] = []
        waiting, lock = iter(enumerate(items)), Lock()

        def work() -> None:
            while not failures:
                with lock:
                    taken = next(waiting, None)
                if taken is None:
                    return
                place, item = taken
                try:
                    results[place] = self._function(item)
                except BaseException as error:
                    failures.append(error)

        with ThreadPoolExecutor(min(self._most, len(items)), "civitai_ext") as pool:
            workers = [pool.submit(work) for _ in range(min(self._most, len(items)))]
            try:
                for worker in workers:
                    worker.result()
            except BaseException as error:  # such as Ctrl-C: what has not begun is not begun
                failures.append(error)
        if failures:
            raise failures[0]
        return [results[place] for place in range(len(items))]

    def as_completed(self, items: Sequence[T]) -> Generator[tuple[T, BaseException | None], None, None]:
        """Give every item when its call is over, with what it raised, in the order in which the calls end.

        Whoever stops early, or is interrupted, does not wait for the calls that are under way: their threads are
        daemons and end by themselves.

        >>> dict(Together(len).as_completed([(1, 2)]))
        {(1, 2): None}
        """
        from contextvars import copy_context
        from queue import Empty, SimpleQueue
        from threading import Lock, Thread

        ended: SimpleQueue[tuple[T, BaseException | None]] = SimpleQueue()
        waiting, lock, stopped = iter(items), Lock(), False

        def work() -> None:
            while not stopped:
                with lock:
                    taken = next(((item,) for item in waiting), None)
                if taken is None:
                    return
                failure: BaseException | None = None
                try:
                    self._function(taken[0])
                except BaseException as error:
                    failure = error
                ended.put((taken[0], failure))

        for _ in range(min(self._most, len(items))):
            Thread(target=copy_context().run, args=(work,), name="civitai-wait", daemon=True).start()
        left = len(items)
        try:
            while left:
                try:
                    found = ended.get(timeout=0.5)  # without a limit, Ctrl-C would not get through on Windows
                except Empty:
                    continue
                left -= 1
                yield found
        finally:
            stopped = True


class AsyncTogether(Generic[T, R]):
    """Calls a coroutine function for several items, in tasks. See `Together`."""

    def __init__(self, function: Callable[[T], Awaitable[R]], *, most: int = _MOST) -> None:
        self._function = function
        self._most = most

    async def each(self, items: Sequence[T]) -> list[R]:
        """Give the results in the order of the items.

        The first call that fails ends it: the others are canceled, and its exception is raised.
        """
        if len(items) < 2:
            return [await self._function(item) for item in items]
        import asyncio

        results: dict[int, R] = {}

        async def work(waiting: Iterator[tuple[int, T]]) -> None:
            for place, item in waiting:
                results[place] = await self._function(item)

        waiting = enumerate(items)  # shared, so that each worker takes the next item that nobody has
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._most, len(items))):
                    group.create_task(work(waiting))
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        if failure is not None:
            raise failure
        return [results[place] for place in range(len(items))]

    async def as_completed(self, items: Sequence[T]) -> AsyncGenerator[tuple[T, BaseException | None], None]:
        """Give every item when its call is over, with what it raised, in the order in which the calls end.

        Whoever stops early cancels the calls that are under way.
        """
        import asyncio

        ended: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()

        async def work(waiting: Iterator[T]) -> None:
            for item in waiting:
                failure: BaseException | None = None
                try:
                    await self._function(item)
                except BaseException as error:
                    failure = error
                ended.put_nowait((item, failure))
                if isinstance(failure, asyncio.CancelledError):
                    raise failure

        waiting = iter(items)
        tasks = [asyncio.create_task(work(waiting)) for _ in range(min(self._most, len(items)))]
        try:
            for _ in items:
                yield await ended.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def in_batches(items: Sequence[T], size: int) -> list[list[T]]:
    """Give the items in groups of at most `size`; no group if there are none.

    >>> in_batches([1, 2, 3], 2), in_batches([], 2)
    ([[1, 2], [3]], [])
    """
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
