"""Over how many connections a file comes fastest: decisions only, nothing is sent and nobody waits here.

Most hosts give more over several connections, and some far less. So where several are slow, one alone is tried once,
and stays alone if that is clearly faster.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

_WINDOW: Final = 1.0  # seconds
_FAST: Final = 32 * 1024 * 1024  # bytes per second that are enough for everybody
_WORTHWHILE: Final = 10.0  # seconds that it has to take still, so that it pays to try
_FASTER: Final = 1.5


class Pace:
    """Decides how many of the connections of a download may be at it.

    Attributes:
        limit: How many may be at it now.

    >>> pace = Pace()
    >>> pace.begin(4, size=10**9)
    >>> pace.note(0, now=0.0)
    >>> pace.note(10**6, now=1.0)
    >>> pace.limit
    1
    """

    def __init__(self) -> None:
        self._most = 1
        self._size = 0
        self._mark: tuple[int, float] | None = None
        self._before: float | None = None  # bytes per second of all of them, while one is tried
        self._tried = False
        self.limit = 1

    def begin(self, most: int, *, size: int) -> None:
        """Note that connections are made, the first time or again.

        Args:
            most: How many there are.
            size: How many bytes the file has.
        """
        is_settled = self._tried and self._before is None
        self.limit = min(self.limit, most) if is_settled else most
        self._most, self._size, self._mark, self._before = most, size, None, None

    def note(self, present: int, *, now: float) -> None:
        """Note how far it is.

        Args:
            present: How many bytes are there.
            now: The time in seconds, from any beginning.
        """
        if self._mark is None:
            self._mark = present, now
            return
        seconds = now - self._mark[1]
        if seconds < _WINDOW:
            return
        rate = (present - self._mark[0]) / seconds
        self._mark = present, now
        if self._before is not None:
            self.limit = 1 if rate >= _FASTER * self._before else self._most
            self._before = None
        elif self.limit > 1 and not self._tried and rate < _FAST and self._size - present > rate * _WORTHWHILE:
            self._tried, self._before, self.limit = True, rate, 1
