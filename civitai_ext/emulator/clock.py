"""The emulator's clock: real time, made faster or slower, plus whatever a test adds to it.

Everything the emulator dates, prices by duration or lets expire reads this clock, so that a test moves a workflow to
its end with one `Clock.advance` instead of sleeping.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

_FASTEST = 1_000_000.0
_END = datetime(9000, 1, 1, tzinfo=UTC)
_AFTER_THE_END = f"the clock ends with the year {_END.year - 1}"
"""Beyond that there would be no room for what ends some time after something else."""


class Clock:
    """Virtual time: the start, plus the real time since then times `speed`, plus every `advance`.

    A speed of 0 stops the clock, so that only `advance` moves it.

    >>> clock = Clock(speed=0, start=datetime(2026, 8, 1, tzinfo=UTC))
    >>> clock.advance(90)
    >>> clock.now().isoformat()
    '2026-08-01T00:01:30+00:00'
    """

    def __init__(self, *, speed: float = 1.0, start: datetime | None = None) -> None:
        self._speed = self._first_speed = _checked(speed)
        if start is not None and not isinstance(start, datetime):
            raise ValueError(f"start is a datetime, not {start!r}")
        self._first_moment = start
        self._start = (start or datetime.now(UTC)).astimezone(UTC)
        if self._start >= _END:
            raise ValueError(_AFTER_THE_END)
        self._real_start = time.monotonic()
        self._advanced = 0.0
        self._lock = threading.Lock()
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._stopped = False

    @property
    def speed(self) -> float:
        """How many seconds pass in a real one; can be changed at any time, from when on it holds."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        _checked(speed)
        with self._lock:
            real = time.monotonic()
            self._advanced += (real - self._real_start) * self._speed
            self._real_start, self._speed = real, speed
        self.wake()

    @property
    def stopped(self) -> bool:
        """Whether the server is going down, so that nobody should wait any longer."""
        return self._stopped

    def now(self) -> datetime:
        """Read the present virtual moment, in UTC."""
        with self._lock:
            elapsed = (time.monotonic() - self._real_start) * self._speed
            return self._start + timedelta(seconds=elapsed + self._advanced)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and let every waiting request look again; safe from any thread.

        Raises:
            ValueError: `seconds` is negative, or more than there are.

        """
        if not seconds >= 0:
            raise ValueError("the clock only moves forward")
        if not seconds < (_END - self.now()).total_seconds():
            raise ValueError(_AFTER_THE_END)
        with self._lock:
            self._advanced += seconds
        self.wake()

    def restart(self, moment: datetime | None = None) -> None:
        """Go on from another moment, or from where it began, at the speed that it began with."""
        if moment is None:
            moment = self._first_moment or datetime.now(UTC)
        with self._lock:
            self._start, self._advanced = moment.astimezone(UTC), 0.0
            self._real_start, self._speed = time.monotonic(), self._first_speed
        self.wake()

    def go_on(self, moment: datetime) -> None:
        """Go on from where another run has ended, or from the present if that is later and time passes by itself."""
        is_left_behind = self._first_moment is None and self._speed > 0
        self.restart(max(moment, datetime.now(UTC)) if is_left_behind else moment)

    def wake(self) -> None:
        """Let every waiting request look again, because something it may wait for has changed."""
        with self._lock:
            sleepers = list(self._sleepers)
        for loop, event in sleepers:
            loop.call_soon_threadsafe(event.set)

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._stopped = True
        self.wake()

    async def pause(self, until: datetime | None, *, at_most: float) -> None:
        """Wait for a virtual moment, for a `wake`, or for `at_most` real seconds, whichever comes first."""
        sleeper = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            # Registered before the time is read: an `advance` in between is then noticed by one or the other.
            self._sleepers.add(sleeper)
        try:
            delay = at_most
            if until is not None and self.speed > 0:
                delay = min(delay, (until - self.now()).total_seconds() / self.speed)
            if until is not None and until <= self.now():
                delay = 0
            if delay > 0 and not self._stopped:
                await asyncio.wait_for(sleeper[1].wait(), delay)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._sleepers.discard(sleeper)


def _checked(speed: float) -> float:
    if not isinstance(speed, int | float):
        raise ValueError(f"speed is a number, not {speed!r}")
    if speed < 0:
        raise ValueError("speed must not be negative: time does not run backwards")
    if not speed <= _FASTEST:
        raise ValueError(f"speed is {_FASTEST:,.0f} at most")
    return speed
