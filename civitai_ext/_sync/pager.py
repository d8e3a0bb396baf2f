# Derived from civitai_ext/_async/pager.py by scripts/unasync.py: change that file, then run `make fix`.
"""Lists that come in pages, as one sequence."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Any, Final, Generic, Self, TypeVar

import attrs

from civitai_ext._arguments import a_count
from civitai_ext._prefetch import Counted, Prefetch
from civitai_ext.errors import InvalidRequest

__all__ = ["Pager", "Numbered", "Page"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")

_PATIENCE: Final = 20
"""How many pages in a row may bring nothing new."""
_SECOND_LOOKS: Final = 2
"""How often a page is asked for again whose cursor leads back."""
_TOO_MANY: Final = 2**31
"""Ids have fewer bits, so this is no total; and `list()` would reserve memory for it."""


@attrs.frozen
class Page(Generic[T]):
    """One page as the service gave it.

    Attributes:
        items: What is on it.
        next: The cursor of the next page; None after the last one.
        total: How many items the list has in all, where the service says so and it is true.
    """

    items: list[T]
    next: str | None
    total: int | None = None


@attrs.frozen
class Numbered:
    """Where a list stands whose pages have numbers and no cursors.

    A list that has both is read by cursor from its first page on: by number the service gives no more than 1,000 items.

    The cursor that is made of it counts the items that were gone through, so that it leads to the same place with any
    page size: the size becomes the largest with which a page begins there.

    >>> Numbered.at(None, 100)
    Numbered(number=1, size=100)
    >>> Numbered.at("200", 100), Numbered.at("200", 100).next
    (Numbered(number=3, size=100), '300')
    >>> Numbered.at("200", 30)
    Numbered(number=9, size=25)

    Attributes:
        number: Of the page, from 1.
        size: How many items to ask for.
    """

    number: int
    size: int

    @classmethod
    def at(cls, cursor: str | None, size: int) -> Self:
        """Give the page at a cursor, of at most this size.

        Raises:
            InvalidRequest: The cursor is of another kind of list.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
            raise _no_cursor(cursor)
        done = int(cursor or 0)
        size = next(fitting for fitting in range(size, 0, -1) if done % fitting == 0)
        return cls(done // size + 1, size)

    @property
    def next(self) -> str:
        """The cursor of the next page."""
        return str(self.number * self.size)


class Pager(Counted, Generic[T]):
    """The items of a list, fetched a page at a time while they are gone through.

    While the caller works on a page, the next one is fetched, unless `limit` or `take` make it needless. An error of
    that comes when its first item is due; going on after an error tries that page again. Stopping early, as with
    `break`, cancels what is under way in the asynchronous client, and lets it end unused in the other.

    There is one reading position: iterating again goes on where the last time stopped. Two tasks or two threads cannot
    read one pager at the same time.

    Items that an earlier page had already are left out, and a cursor that keeps coming back ends the list, so that a
    list that shifts while it is read neither repeats nor loops. Pages without anything new are skipped, since searches
    have some in the middle; after 20 in a row the reading stops, and `cursor` tells where to go on. Only cursors are
    followed, never the URL of a next page that the service gives.

    One page is held at a time, the next one, and the ids of what was given.

    Args:
        fetch: Gets the page at a cursor (None for the first) of a size. Where pages have numbers, `Numbered` helps.
        limit: How many items to give in all; None for every one.
        cursor: Where to begin, from `cursor` of another pager of the same list.
        page_size: How many items to ask for at a time; by default what makes the fewest requests.
        largest: The most that the service gives at a time.
        identity: What two occurrences of one item have in common, an int or a str; items that have neither are all
            given.
        prefetch: Whether to fetch the next page while the caller works on one.

    Attributes:
        prefetch: As given; can be changed at any time.

    Raises:
        InvalidRequest: `limit`, `page_size` or `cursor` cannot be.
    """

    def __init__(
        self,
        fetch: Callable[[str | None, int], Page[T]],
        *,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        largest: int = 100,
        identity: Callable[[T], Any] = lambda item: getattr(item, "id", None),
        prefetch: bool = True,
    ) -> None:
        if limit is not None:
            a_count("limit", limit, 0)
        if page_size is not None:
            a_count("page_size", page_size, 1, largest)
        self.prefetch = prefetch
        self._fetch = fetch
        self._identity = identity
        self._ahead: Prefetch[Page[T]] = Prefetch()
        self._limit: float = inf if limit is None else limit
        self._given = 0
        self._total: int | None = None
        self._seen: set[int | str] = set()
        self._cursors: set[str | None] = set()
        self._ended = False
        self._whole = not cursor
        # Where the next page is, and how many of its items were done with when the cursor was taken.
        self._skip, self._next = _parse(cursor)
        # What is left of this page, each item with how many of the page are done with when it is given.
        self._page: deque[tuple[int, T]] = deque()
        self._at: str | None = None
        self._done = 0
        self._size = page_size or min(largest, (limit or largest) + self._skip)
        self._size_after_nothing = page_size or largest

    @property
    def cursor(self) -> str | None:
        """Where to go on later, also in another process: give it to the same list as `cursor`.

        It is exact after every item, also in the middle of a page. None before the first item, if the list was not
        begun at a cursor, and when nothing is left. What was given is not in it: an item that the service repeats is
        left out by one pager, not by the next.
        """
        if self._page:
            return f"~{self._done}~{self._at or ''}"
        return None if self._ended else _written(self._skip, self._next)

    @property
    def total(self) -> int | None:
        """How many items the list has in all, whatever `limit` says.

        None before the first page, and where the service does not say it or says something else than the truth.
        """
        return self._total

    def count(self) -> int | None:
        """Tell how many items going through the whole list gives: `total`, but no more than `limit`.

        The first page is fetched if there was none yet. None where `total` is, and for a list begun at a cursor.
        """
        if self._limit == 0:
            return 0
        if not self._whole:
            return None
        if not self._cursors:
            self._turn()
        return None if self._total is None else int(min(self._total, self._limit))

    def __iter__(self) -> Iterator[T]:
        return self._items()

    def pages(self) -> Iterator[list[T]]:
        """Give the items page by page, as many at a time as the service did."""
        try:
            while self._ready():
                yield [self._pop() for _ in range(int(min(len(self._page), self._limit - self._given)))]
        finally:
            self._ahead.close()

    def take(self, count: int) -> list[T]:
        """Give the next `count` items, fewer at the end; calling it again goes on from there.

        After an error the items before it are lost: to keep them, iterate.
        """
        a_count("count", count)
        return list(self._items(count))

    def first(self) -> T | None:
        """Give the next item, None if nothing is left. A whole page is fetched for it, except with `limit=1`."""
        taken = self.take(1)
        return taken[0] if taken else None

    def to_list(self) -> list[T]:
        """Give all items that are left. After an error those before it are lost: to keep them, iterate."""
        return list(self._items())

    def close(self) -> None:
        """Give up the page that is being fetched ahead. Iterating again goes on as if nothing had happened."""
        self._ahead.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} given={self._given} total={self._total} cursor={self.cursor!r}>"

    def _items(self, count: float = inf) -> Iterator[T]:
        try:
            while self._ready(count):
                count -= 1
                yield self._pop()
        finally:
            self._ahead.close()

    def _pop(self) -> T:
        self._done, item = self._page.popleft()
        self._given += 1
        return item

    def _ready(self, count: float = inf) -> bool:
        """Have something to give, and the page after it on its way if `count` items need it; False at the end."""
        wanted = min(count, self._limit - self._given)
        if wanted <= 0:
            return False
        barren = 0
        while not self._page:
            if self._ended:
                return False
            if barren == _PATIENCE:
                logger.warning("%d pages in a row had nothing new; the list may go on at %r", barren, self.cursor)
                return False
            self._turn()
            barren = 0 if self._done else barren + 1  # passing over what was done with is no sign of an end
        if self.prefetch and wanted > len(self._page) and not self._ended and not self._ahead.started:
            self._ahead.start(self._fetch, self._next, self._size)
        return True

    def _turn(self) -> None:
        """Go to the next page."""
        page = self._ahead.take() if self._ahead.started else self._fetch(self._next, self._size)
        self._cursors.add(self._next)
        for _ in range(_SECOND_LOOKS):
            if page.next is None or page.next not in self._cursors:
                break
            # A cursor that leads back would end the list here; the service may have slipped, so it is asked again.
            page = attrs.evolve(page, next=(self._fetch(self._next, self._size)).next)
        self._at, self._next = self._next, page.next
        self._ended = self._next is None or self._next in self._cursors
        if isinstance(page.total, int) and 0 <= page.total < _TOO_MANY:
            self._total = page.total
        # Pages may be smaller now than when the cursor was taken, so what is done with may span several.
        self._done = min(self._skip, len(page.items))
        self._skip -= self._done
        items = enumerate(page.items[self._done :], self._done + 1)
        self._page.extend((done, item) for done, item in items if self._is_new(item))
        if not self._page:
            # A search cuts its pages before it filters them, so that small ones, as for `limit=1`, may all be empty.
            self._size = self._size_after_nothing

    def _is_new(self, item: T) -> bool:
        key = self._identity(item)
        if not isinstance(key, (int, str)):
            return True
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _written(done: int, at: str | None) -> str | None:
    """Make a cursor of ours, which is the service's own if nothing of its page is done with."""
    return f"~{done}~{at or ''}" if done or (at or "").startswith("~") else at


def _parse(cursor: str | None) -> tuple[int, str | None]:
    """Split a cursor of ours into the items of its page that are done with, and the service's own cursor."""
    if cursor is not None and not isinstance(cursor, str):
        raise _no_cursor(cursor)
    if not cursor or not cursor.startswith("~"):
        return 0, cursor or None
    done, separator, at = cursor[1:].partition("~")
    if not (separator and done.isascii() and done.isdecimal()):
        raise _no_cursor(cursor)
    return int(done), at or None


def _no_cursor(cursor: str) -> InvalidRequest:
    return InvalidRequest(f"{cursor!r} is not a cursor of this list", hint="Take it from the pager's `cursor`.")
