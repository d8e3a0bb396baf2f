# Derived from civitai_ext/_async/pager.py by scripts/unasync.py: change that file, then run `make fix`.
"""Lists that come in pages, as one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import attrs

from civitai_ext.errors import InvalidRequest

__all__ = ["Pager", "Page"]

T = TypeVar("T")


@attrs.frozen
class Page(Generic[T]):
    """One page as the service gave it, and the cursor of the next; None after the last one."""

    items: list[T]
    next: str | None


class Pager(Generic[T]):
    """The items of a list, fetched a page at a time while they are gone through.

    Items that an earlier page had already are left out, and a cursor that comes back ends the list, so that a list that
    shifts while it is read neither repeats nor loops. One page is held at a time.

    Args:
        fetch: Gets the page at a cursor (None for the first) of a size.
        limit: How many items to give in all; None for every one.
        cursor: Where to begin, from `cursor` of another pager of the same list.
        page_size: How many items to ask for at a time; by default what makes the fewest requests.
        largest: The most that the service gives at a time.
        identity: What two occurrences of one item have in common.

    Raises:
        InvalidRequest: `limit` or `page_size` is out of range.
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
    ) -> None:
        if limit is not None and limit < 0:
            raise InvalidRequest(f"limit is {limit}, which is less than 0", hint="None means every item.")
        if page_size is not None and not 1 <= page_size <= largest:
            raise InvalidRequest(f"page_size is {page_size}; the service gives 1 to {largest} items at a time")
        self._fetch = fetch
        self._left = limit
        self._size = page_size or (min(largest, limit) if limit else largest)
        self._identity = identity
        self._seen: set[Any] = set()
        self._cursors: set[str | None] = set()
        self._begin = cursor
        self._skip, self._next = _parse(cursor)
        self._at: str | None = None
        self._dropped = 0
        self._page: list[T] = []
        self._place = 0
        self._ended = False

    @property
    def cursor(self) -> str | None:
        """Where to go on later: give it to the same list as `cursor`. None when there is nothing left.

        It is known after every item, also in the middle of a page, and None before the first one.
        """
        if not self._cursors:
            return self._begin
        if self._place < len(self._page):
            return f"~{self._dropped + self._place}~{self._at or ''}"
        return None if self._ended else self._next

    def __iter__(self) -> Iterator[T]:
        return self._items()

    def _items(self) -> Iterator[T]:
        while self._left is None or self._left > 0:
            if self._place == len(self._page):
                if not self._turn():
                    return
                continue
            item = self._page[self._place]
            self._place += 1
            if self._is_new(item):
                if self._left is not None:
                    self._left -= 1
                yield item

    def pages(self) -> Iterator[list[T]]:
        """Give the items page by page, as many at a time as the service did."""
        while self._left is None or self._left > 0:
            if self._place == len(self._page) and not self._turn():
                return
            page = [item for item in self._page[self._place :] if self._is_new(item)]
            self._place = len(self._page)
            if self._left is not None and len(page) > self._left:
                page = page[: self._left]
            if self._left is not None:
                self._left -= len(page)
            if page:
                yield page

    def take(self, count: int) -> list[T]:
        """Give the next `count` items, fewer at the end; calling it again goes on from there."""
        taken: list[T] = []
        if count > 0:
            for item in self._items():
                taken.append(item)
                if len(taken) == count:
                    break
        return taken

    def to_list(self) -> list[T]:
        """Give all items that are left."""
        return list(self._items())

    def _turn(self) -> bool:
        """Fetch the next page; False at the end of the list."""
        if self._ended or self._next in self._cursors:
            self._ended = True
            return False
        page = self._fetch(self._next, self._size)
        self._cursors.add(self._next)
        self._at, self._next = self._next, page.next
        # Pages may be smaller now than when the cursor was taken, so what is done with may span several.
        self._dropped = min(self._skip, len(page.items))
        self._skip -= self._dropped
        self._page, self._place = page.items[self._dropped :], 0
        self._ended = page.next is None
        return True

    def _is_new(self, item: T) -> bool:
        key = self._identity(item)
        if key is None:
            return True
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _parse(cursor: str | None) -> tuple[int, str | None]:
    """Split a cursor of ours into the items of its page that are done with, and the service's own cursor."""
    if cursor is None or not cursor.startswith("~"):
        return 0, cursor
    done, _, at = cursor[1:].partition("~")
    if not done.isdecimal():
        raise InvalidRequest(f"{cursor!r} is not a cursor of this list", hint="Take it from the pager's `cursor`.")
    return int(done), at or None
