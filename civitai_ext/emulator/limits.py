"""Allowances that are renewed: so much within a minute or an hour."""

from __future__ import annotations

import math
import threading

from civitai_ext.emulator.clock import Clock

_CROWD = 1000
"""How many callers there may be before those are forgotten whose windows are over."""


class Allowance:
    """What callers may use up within windows of fixed length; a window begins with its first use.

    >>> allowance = Allowance(Clock(speed=0), seconds=60)
    >>> [allowance.take("somebody", most=2) for _ in range(3)]
    [0, 0, 60]
    """

    def __init__(self, clock: Clock, *, seconds: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, int]] = {}

    def clear(self) -> None:
        """Let everybody begin anew."""
        with self._lock:
            self._used.clear()

    def take(self, who: str, *, most: int, amount: int = 1) -> int:
        """Use some of what `who` may use; return 0, or the seconds to wait when `most` is exceeded."""
        now = self._clock.now().timestamp()
        with self._lock:
            begin, used = self._used.get(who, (now, 0))
            if now - begin >= self._seconds:
                begin, used = now, 0
            if who not in self._used and len(self._used) >= _CROWD:
                self._used = {each: use for each, use in self._used.items() if now - use[0] < self._seconds}
            if used + amount > most:
                return max(1, math.ceil(begin + self._seconds - now))
            self._used[who] = (begin, used + amount)
            return 0
