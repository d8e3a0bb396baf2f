"""Over how many connections a file comes fastest: decisions only, nothing is sent and nobody waits here.

Most hosts give more over several connections, and some far less. So the first is alone for a moment; and if all of them
together are clearly slower than it was, one alone is tried again, and stays alone if that helps.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

_SMALL: Final = 16 * 1024 * 1024  # bytes below which it is over before anything is known
_LOOK: Final = 0.25  # seconds
_PATIENCE: Final = 1.0  # seconds for which the others wait at most for the first
_WINDOW: Final = 1.0  # seconds
_SLOWER: Final = 0.5
_FASTER: Final = 1.5
_WORTHWHILE: Final = 10.0  # seconds that it has to take still, so that it pays to try


class Pace:
    """Decides how many of the connections of a download may be at it.

    Args:
        most: How many there are.

    Attributes:
        limit: How many may be at it now.

    >>> pace = Pace(4)
    >>> pace.begin(0, size=10**9, now=0.0)
    >>> pace.note(0, now=0.1)
    >>> pace.limit
    1
    >>> pace.note(10**7, now=0.4)
    >>> pace.limit
    4
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._alone: float | None = None  # bytes per second of one connection
        self._before: float | None = None  # of all, while one is tried again
        self._tried = False
        self._began = 0.0
        self._mark: tuple[int, float] | None = None
        self.limit = 1

    def begin(self, present: int, *, size: int, now: float, most: int | None = None) -> None:
        """Note that connections are made, the first time or again.

        Args:
            present: How many bytes are there.
            size: How many the file has.
            now: The time in seconds, from any beginning.
            most: How many connections there are from now on.
        """
        self._most = self._most if most is None else most
        self._size, self._began, self._mark = size, now, None
        if self._before is not None or (self._alone is None and size - present <= _SMALL):
            self._alone, self._before = self._alone or 0.0, None
            self.limit = self._most
        elif self._alone is not None:
            self.limit = min(self.limit, self._most)

    def note(self, present: int, *, now: float) -> None:
        """Note how many bytes are there.

        Args:
            present: How many bytes are there.
            now: The time, as for `begin`.
        """
        if self._mark is None:
            self._mark = present, now
            return
        seconds = now - self._mark[1]
        if seconds < (_LOOK if self._alone is None else _WINDOW):
            return
        rate = (present - self._mark[0]) / seconds
        self._mark = present, now
        if self._alone is None:
            self._alone, self.limit = rate, self._most
        elif self._before is not None:
            if rate < _FASTER * self._before:
                self.limit = self._most
            self._before = None
        elif rate < _SLOWER * self._alone and self.limit > 1 and not self._tried:
            self._try_one(rate, self._size - present)

    def _try_one(self, rate: float, left: int) -> None:
        if left > rate * _WORTHWHILE:
            self._tried, self._before, self.limit = True, rate, 1

    def wait_no_more(self, *, now: float) -> None:
        """Let all be at it, if the first connection takes too long to show anything."""
        if self._alone is None and now - self._began >= _PATIENCE:
            self._alone, self._mark, self.limit = 0.0, None, self._most
