"""How many requests may be under way at once: decisions only, nothing is sent and nobody waits here.

Nothing is limited until a service says that it gets too much. From then on the requests to its host wait in a line:

- A refusal takes the number that may be under way down to what the service had just accepted in a row, and by a quarter
  at least; one time for all that were refused together. Until it wants to be asked again, nobody asks.
- Answers take it up again: by one for as many answers as may be under way, and five times more slowly from where the
  last refusal took it down to, since every refusal costs a pause.
- What was refused goes before what was not sent yet, and so is hardly refused often enough to fail.

A host that is idle, and did not refuse anything for a minute, is not limited any more.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Final

import attrs

__all__ = ["Limiter", "Turn"]

_DECREASE: Final = 0.75
_PROBING: Final = 0.2
_FORGOTTEN: Final = 60.0


@attrs.define(eq=False)
class Turn:
    """A request's place in the line to one host.

    Attributes:
        origin: The host, as any value that is equal for the same host.
        counted: Whether it keeps others waiting while it is under way.
    """

    origin: object
    counted: bool = True
    _wake: Callable[[], object] | None = attrs.field(default=None, init=False)
    """How to go on from the line; None if it is not in line."""
    _admitted: bool = attrs.field(default=False, init=False)
    _place: int | None = attrs.field(default=None, init=False)
    _refusals: int = attrs.field(default=0, init=False)
    _rested: float = attrs.field(default=0.0, init=False)
    _round: int = attrs.field(default=0, init=False)


@attrs.define
class _Lane:
    """The line to one host."""

    limit: float | None = None
    ceiling: float = 0.0
    """The most that `limit` was lowered to, where it grows fast up to."""
    under_way: int = 0
    accepted: int = 0
    """Good answers in a row, without a refusal between them and without a time in which nothing was under way."""
    round: int = 1
    """One more each time that `limit` is lowered."""
    closed_until: float = 0.0
    refused_at: float = 0.0
    line: list[tuple[int, int, Turn]] = attrs.Factory(list)


class Limiter:
    """Decides which requests wait, for all threads and tasks of a client.

    A request calls `enter`, which may tell it to wait until it is woken, and then `pause`. If there are seconds to wait
    still, it enters again after them: others may have come that go before it. Else it is sent, and tells `answered` or
    `refused` what came of it. If it is to be sent again it enters again; in the end it calls `leave`, in any case.

    Args:
        clock: Gives the time in seconds, from any beginning.

    >>> limiter = Limiter(clock=lambda: 100.0)
    >>> first, second = Turn("a"), Turn("a")
    >>> limiter.enter(first, print), limiter.pause(first)
    (True, 0.0)
    >>> limiter.refused(first, pause=2.0)
    >>> limiter.enter(first, print), limiter.pause(first)
    (True, 2.0)
    >>> limiter.enter(second, wake=lambda: print("go"))
    False
    >>> limiter.leave(first)
    go
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lanes: dict[object, _Lane] = {}
        self._places = count()
        self._lock = threading.Lock()

    def enter(self, turn: Turn, wake: Callable[[], object]) -> bool:
        """Get in line; tell whether the request may go on at once. If not, `wake` is called when it may.

        One that is under way gives its place to whoever is first, which may be itself. `wake` must not block.
        """
        with self._lock:
            lane = self._lanes.get(turn.origin)
            if lane is None or self._is_forgotten(lane):
                lane = self._lanes[turn.origin] = _Lane()
            if not turn.counted:
                return True
            if not lane.under_way:
                lane.accepted = 0
            self._withdraw(lane, turn)
            turn._wake = wake
            turn._place = next(self._places) if turn._place is None else turn._place
            heapq.heappush(lane.line, (-turn._refusals, turn._place, turn))
            self._admit(lane, but=turn)
            return turn._admitted

    def pause(self, turn: Turn) -> float:
        """Give the seconds that a request which may go on has to wait still, because the service asked for a pause.

        They count as waited when it is called again, so that a test may skip them.
        """
        with self._lock:
            lane = self._lanes[turn.origin]
            left = lane.closed_until - max(self._clock(), turn._rested)
            turn._rested = lane.closed_until
            turn._round = lane.round
            return max(left, 0.0)

    def answered(self, turn: Turn) -> None:
        """Note that the service did not mind being asked."""
        with self._lock:
            lane = self._lanes[turn.origin]
            lane.accepted += 1
            if lane.limit is None:
                return
            if turn._round == lane.round:
                lane.limit += (1 if lane.limit < lane.ceiling else _PROBING) / lane.limit
            else:  # sent before the limit was lowered: so many the service can take together
                lane.limit = max(lane.limit, min(lane.ceiling, lane.accepted))

    def refused(self, turn: Turn, *, pause: float = 0.0) -> None:
        """Note that the service gets too much, and wants to be asked again after `pause` seconds."""
        with self._lock:
            lane, now = self._lanes[turn.origin], self._clock()
            turn._refusals += 1
            lane.refused_at = now
            lane.closed_until = max(lane.closed_until, now + pause)
            if turn._round == lane.round:  # else it was refused together with one that lowered the limit already
                lane.ceiling = max(1.0, lane.under_way * _DECREASE)
                # One that had been refused before shows that what was accepted in a row then was no measure.
                lane.limit = max(1.0, min(lane.ceiling, lane.accepted) / turn._refusals)
                lane.round += 1
            lane.accepted = 0

    def leave(self, turn: Turn) -> None:
        """Make room for others; of no effect if the request is neither under way nor in line."""
        with self._lock:
            lane = self._lanes.get(turn.origin)
            if lane is not None:
                self._withdraw(lane, turn)
                self._admit(lane)

    def _is_forgotten(self, lane: _Lane) -> bool:
        if lane.limit is None or lane.under_way or lane.line:
            return False
        return self._clock() > max(lane.refused_at, lane.closed_until) + _FORGOTTEN

    @staticmethod
    def _withdraw(lane: _Lane, turn: Turn) -> None:
        if turn._admitted:
            turn._admitted = False
            lane.under_way -= 1
        elif turn._wake is not None:  # it gave up while it waited
            lane.line = [place for place in lane.line if place[2] is not turn]
            heapq.heapify(lane.line)
        turn._wake = None

    @staticmethod
    def _admit(lane: _Lane, but: Turn | None = None) -> None:
        """Let in as many as there is room for, and wake all of them `but` one, which has not begun to wait."""
        while lane.line and (lane.limit is None or lane.under_way < int(lane.limit)):
            turn = heapq.heappop(lane.line)[2]
            wake, turn._wake = turn._wake, None
            turn._admitted = True
            lane.under_way += 1
            if turn is not but and wake is not None:
                wake()
