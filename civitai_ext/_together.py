"""Several calls at once, a few at a time: one form for the asynchronous client and one for the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
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


def in_batches(items: Sequence[T], size: int) -> list[list[T]]:
    """Give the items in groups of at most `size`; no group if there are none.

    >>> in_batches([1, 2, 3], 2), in_batches([], 2)
    ([[1, 2], [3]], [])
    """
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
