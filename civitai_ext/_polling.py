"""When to look at workflows again. Decisions only: who waits and who asks is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final

import attrs

from civitai_api.orchestration.models import Workflow
from civitai_ext._arguments import a_function, a_switch
from civitai_ext._reading import number, text
from civitai_ext.errors import InvalidRequest

__all__ = [
    "LONGEST_HOLD",
    "MOST_HELD",
    "Listing",
    "Poll",
    "Polling",
    "can_be_listed",
    "check_timeout",
    "check_wait",
    "listing_interval",
]

LONGEST_HOLD: Final = 90.0
"""Seconds that the service may hold a request; a gateway ends every request at 100."""

MOST_HELD: Final = 16
"""How many workflows are each waited for with a request of their own; more are looked at in lists."""

_CADENCE: Final = (2.0, 5.0, 10.0, 15.0, 30.0)
"""Seconds between looks where the service does not hold requests, or does not answer; the last one repeats."""

_SHORTEST_HOLD: Final = 2.0
"""The hold where somebody watches the progress, of which the service does not tell before it answers."""

_LONGEST_PAUSE: Final = 10.0
"""Seconds between looks where somebody watches, or where lists are looked at, when it takes long."""

_PAGES_A_SECOND: Final = 4.0

_CLOCKS_DIFFER: Final = timedelta(seconds=1)


@attrs.frozen
class Poll:
    """The next look: wait `pause` seconds, then ask the service to hold the request for `hold` seconds."""

    pause: float
    hold: int


class Polling:
    """The looks at one workflow until a deadline.

    Args:
        timeout: Seconds in all; None for no end.
        started: The time now, in seconds of any clock.
        watched: Whether somebody wants to see progress.

    Attributes:
        failures: How many looks have failed since the last one that did not.

    >>> polling = Polling(timeout=100, started=0, watched=False)
    >>> polling.next(now=0)
    Poll(pause=0.0, hold=90)
    >>> polling.next(now=90)
    Poll(pause=0.0, hold=10)
    >>> polling.next(now=100) is None
    True
    """

    def __init__(self, *, timeout: float | None, started: float, watched: bool) -> None:
        self._started = started
        self._deadline = None if timeout is None or timeout == inf else started + timeout
        self._watched = watched
        self._holds = True
        self._plain = False
        self.failures = 0
        self._plain_looks = 0
        self._pause = 0.0
        self._asked_at: float | None = None

    def left(self, now: float) -> float:
        """The seconds until the time is up."""
        return LONGEST_HOLD if self._deadline is None else max(self._deadline - now, 0.0)

    def next(self, now: float, *, hold: bool = True) -> Poll | None:
        """The next look; None when the time is up and there was one.

        Args:
            now: The time, of the same clock as before.
            hold: Whether the service may be asked to hold this one.
        """
        left = self.left(now)
        if left <= 0 and self._asked_at is not None:
            return None
        self._plain = not (hold and self._holds)
        if self._pause:
            pause = self._pause
        elif self._plain:
            pause = 0.0 if self._asked_at is None else self._next_of_cadence()
        else:
            # A service that answers a held request at once must not be asked without end.
            pause = 0.0 if self._asked_at is None else 1.0 - (now - self._asked_at)
        pause = min(max(pause, 0.0), left)
        self._asked_at = now + pause
        if self._plain:
            return Poll(pause=pause, hold=0)
        longest = LONGEST_HOLD if not self._watched else _growing(now - self._started)
        return Poll(pause=pause, hold=round(min(longest, left - pause)))

    def answered(self) -> None:
        """The service answered: what went wrong before is over."""
        self.failures, self._pause = 0, 0.0
        if not self._plain:
            self._plain_looks = 0

    def listed(self) -> None:
        """It was looked for in a list: what the last look told is old, and another is due even when the time is up."""
        self._asked_at = None

    def refused(self) -> None:
        """The service does not hold requests (older deployments); go on with plain looks."""
        self._holds = False

    def failed(self, retry_after: float | None) -> None:
        """No answer came, or one that says to come back later."""
        self.failures += 1
        self._pause = max(self._next_of_cadence(), retry_after or 0.0)

    def _next_of_cadence(self) -> float:
        pause = _CADENCE[min(self._plain_looks, len(_CADENCE) - 1)]
        self._plain_looks += 1
        return pause


def check_wait(timeout: float | None, on_progress: Callable[..., object] | None = None, **switched: bool) -> None:
    """Check what a call that waits was given.

    Args:
        timeout: For how long to wait.
        on_progress: What is called with news.
        switched: What is on or off, by name.

    Raises:
        InvalidRequest: The timeout is no time, the function cannot be called, or a switch is neither on nor off.
    """
    a_function("on_progress", on_progress)
    for name, on in switched.items():
        a_switch(name, on)
    check_timeout(timeout)


def check_timeout(timeout: float | None) -> None:
    """Check for how long something is to be waited for.

    Raises:
        InvalidRequest: It is no time.
    """
    if timeout is not None and timeout != inf and (number(timeout) is None or timeout < 0):
        raise InvalidRequest(f"timeout is {timeout!r}; it takes 0 seconds or more, or None for no end")


def _growing(elapsed: float) -> float:
    """Seconds between looks that are dear: a tenth of the time that was waited already, within limits."""
    return min(max(elapsed / 10, _SHORTEST_HOLD), _LONGEST_PAUSE)


def listing_interval(elapsed: float, pages: int) -> float:
    """Seconds between lists: more of them the longer it takes, and so many that no more than four pages a second come.

    >>> listing_interval(5, 1), listing_interval(60, 2), listing_interval(60, 40)
    (2.0, 6.0, 10.0)
    """
    return max(_growing(elapsed), pages / _PAGES_A_SECOND)


@attrs.frozen
class Listing:
    """What to list to find certain workflows.

    Attributes:
        from_date: Before the oldest.
        to_date: After the newest.
        tags: What all have, at most ten.
        most_pages: After how many pages to give up: asking for each alone would be fewer requests.
    """

    from_date: datetime
    to_date: datetime
    tags: tuple[str, ...]
    most_pages: int

    @classmethod
    def of(cls, workflows: Iterable[Workflow]) -> Listing:
        """Make it for workflows of which it is known when they were made: see `can_be_listed`."""
        found = list(workflows)
        dates = [workflow.created_at for workflow in found]
        common = set.intersection(*({text(tag) for tag in _tags(workflow)} - {""} for workflow in found))
        return cls(
            min(dates) - _CLOCKS_DIFFER, max(dates) + _CLOCKS_DIFFER, tuple(sorted(common)), len(found) // MOST_HELD + 1
        )


def can_be_listed(workflow: Workflow | None) -> bool:
    """Whether a workflow is known well enough to be found in a list, and does not vanish from it once it is over."""
    return workflow is not None and isinstance(workflow.created_at, datetime) and workflow.ephemeral is not True


def _tags(workflow: Workflow) -> list[Any]:
    return workflow.tags if isinstance(workflow.tags, list) else []
