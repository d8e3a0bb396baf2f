"""When to look at a workflow again. Decisions only: who waits and who asks is elsewhere."""

from __future__ import annotations

import attrs

__all__ = ["LONGEST_HOLD", "Poll", "Polling"]

LONGEST_HOLD = 90.0
"""Seconds that the service may hold a request; a gateway ends every request at 100."""

_PROGRESS_HOLD = 2.0
"""The hold where somebody watches the progress: the service answers early only when the work is over."""

_CADENCE = (2.0, 5.0, 10.0, 15.0, 30.0)
"""Seconds between plain looks where the service refuses to hold a request; the last one repeats."""


@attrs.frozen
class Poll:
    """The next look: wait `pause` seconds, then ask the service to hold the request for `hold` seconds."""

    pause: float
    hold: int


class Polling:
    """The looks at one workflow until a deadline.

    Args:
        timeout: Seconds in all.
        started: The time now, in seconds of any clock.
        watched: Whether somebody wants to see progress.

    >>> polling = Polling(timeout=100, started=0, watched=False)
    >>> polling.next(now=0)
    Poll(pause=0.0, hold=90)
    >>> polling.next(now=90)
    Poll(pause=0.0, hold=10)
    >>> polling.next(now=100) is None
    True
    """

    def __init__(self, *, timeout: float, started: float, watched: bool) -> None:
        self.deadline = started + timeout
        self._hold = _PROGRESS_HOLD if watched else LONGEST_HOLD
        self._plain_looks: int | None = None
        self._asked_at: float | None = None

    def next(self, now: float) -> Poll | None:
        """The next look; None when the time is up."""
        left = self.deadline - now
        if left <= 0 and self._asked_at is not None:
            return None
        left = max(left, 0.0)
        if self._plain_looks is not None:
            pause = _CADENCE[min(self._plain_looks, len(_CADENCE) - 1)]
            self._plain_looks += 1
            return Poll(pause=min(pause, left), hold=0)
        # A service that answers a held request at once must not be asked without end.
        since = None if self._asked_at is None else now - self._asked_at
        pause = 0.0 if since is None or since >= 1.0 else min(1.0 - since, left)
        self._asked_at = now + pause
        return Poll(pause=pause, hold=round(min(self._hold, left - pause)))

    def refused(self) -> None:
        """The service does not hold requests (older deployments); go on with plain looks."""
        if self._plain_looks is None:
            self._plain_looks = 0
            self._asked_at = self._asked_at or 0.0
