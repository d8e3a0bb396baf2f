"""Posts the events of workflows to their callbacks: in order, one at a time, again until they are taken.

Examples:
    emulator.clock.advance(60)
    emulator.callbacks.settle()
    assert emulator.deliveries[-1].status == 204

"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from civitai_ext.emulator.answers import to_json
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.events import event_json, events_until, next_event
from civitai_ext.emulator.journal import SERVER
from civitai_ext.emulator.templates import is_local
from civitai_ext.emulator.workflows import Workflow, Workflows

GIVE_UP = timedelta(hours=1)
"""How long an event is posted again, in the emulator's time."""

_FIRST_DELAY = timedelta(seconds=1)
_LONGEST_DELAY = timedelta(minutes=1)
_POST_SECONDS = 30
_PAUSE_SECONDS = 60
_RECORD_LENGTH = 10_000


@dataclass(frozen=True)
class Delivery:
    """One attempt to post an event.

    Attributes:
        url: Where to.
        event: Its name, such as `workflow:succeeded`.
        body: What was posted.
        status: The status of the answer; `None` if none came.
        attempt: How many times the event has been posted with this; 0 if it was not posted, because the URL is not one
            of this machine.
        at: When, in the emulator's time.

    """

    url: str
    event: str
    body: Any
    status: int | None
    attempt: int
    at: datetime


_Course = tuple[Workflow, int, set[Hashable], list[tuple[str, Any]]]
"""A workflow, the place of a callback of it, the events that were noted, and those that were not posted."""


@dataclass
class _Trouble:
    """Something that goes wrong with some of the deliveries."""

    times: int | None
    every: int
    seen: int = 0
    hits: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        if self.seen % self.every or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Callbacks:
    """The callbacks of one emulator, and what goes wrong with them on purpose.

    Attributes:
        deliveries: The attempts to post events, oldest first.

    """

    KEPT = ("under_way",)

    def __init__(self, clock: Clock) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=_RECORD_LENGTH)
        self._clock = clock
        self._duplicates: list[_Trouble] = []
        self._swaps: list[_Trouble] = []
        self._lanes: dict[asyncio.Task[None], _Lane] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient | None = None
        self._left: list[_Course] = []

    @property
    def is_idle(self) -> bool:
        """Whether no event is to come."""
        return not self._lanes

    @property
    def under_way(self) -> list[_Course]:
        """How far the events of each workflow have come with each callback. Setting it needs `resume`."""
        return [*self._left, *(lane.course for lane in list(self._lanes.values()))]

    @under_way.setter
    def under_way(self, left: list[_Course]) -> None:
        self._left = left

    def duplicate(self, times: int | None = None, *, every: int = 1) -> None:
        """Post events again that were taken.

        Args:
            times: How many of them; all from now on when it is not given.
            every: 3 posts every third event again.

        """
        self._duplicates.append(_Trouble(times, every))

    def swap(self, times: int | None = None, *, every: int = 1) -> None:
        """Post an event only after the one that follows it for the same callback.

        Args:
            times: How many of them; all from now on when it is not given.
            every: 3 does so with every third event.

        """
        self._swaps.append(_Trouble(times, every))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._duplicates.clear()
        self._swaps.clear()

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until all that is due has been posted, from any thread but the emulator's own.

        What was refused and is due again only later is not waited for.

        Raises:
            TimeoutError: It took more than `timeout` seconds.

        """
        if self._loop is not None and not self._clock.stopped:
            asyncio.run_coroutine_threadsafe(self.settled(timeout), self._loop).result()

    def watch(self, workflow: Workflow, workflows: Workflows) -> None:
        """Post the events of a workflow from now on. Costs nothing where there is no callback."""
        for callback in workflow.template.callbacks:
            self._begin(_Lane(self, workflow, workflows, callback))

    def resume(self, workflows: Workflows) -> None:
        """Go on with what another run has left; an event that was being posted then is posted again."""
        for workflow, place, noted, queue in self._left:
            callback = workflow.template.callbacks[place]
            self._begin(_Lane(self, workflow, workflows, callback, deque(queue), noted))
        self._left = []

    def _begin(self, lane: _Lane) -> None:
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(lane.run())
        self._lanes[task] = lane
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        # What ends because the clock is stopped has not come to its end: the next run goes on with it.
        if not self._clock.stopped:
            del self._lanes[task]

    async def drop(self) -> None:
        """Post nothing more of the workflows that there are."""
        tasks = list(self._lanes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reset(self) -> None:
        """Be as at the start: nothing was posted, nothing is under way, nothing goes wrong."""
        await self.drop()
        self.deliveries.clear()
        self.clear()

    async def close(self) -> None:
        """Post nothing more; what is left stays `under_way`."""
        left = self.under_way
        await self.drop()
        self._lanes.clear()
        self._left = left
        if self._http is not None:
            await self._http.aclose()

    async def settled(self, timeout: float) -> None:
        """Wait as `settle` does, in the emulator's own thread."""
        async with asyncio.timeout(timeout):
            while any(lane.is_busy() for lane in self._lanes.values()):
                await asyncio.sleep(0.001)

    async def _post(self, url: str, body: Any) -> int | None:
        if self._http is None:
            # Only this machine is called: its certificates are its own, and no proxy is on the way.
            self._http = httpx.AsyncClient(verify=False, trust_env=False, timeout=_POST_SECONDS)  # noqa: S501
        headers = {"Content-Type": "application/json", "User-Agent": SERVER}
        try:
            answer = await self._http.post(url, content=to_json(body), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return answer.status_code


@dataclass
class _Lane:
    """The events of one workflow on their way to one callback."""

    callbacks: Callbacks
    workflow: Workflow
    workflows: Workflows
    callback: dict[str, Any]
    _queue: deque[tuple[str, Any]] = field(default_factory=deque)
    _noted: set[Hashable] = field(default_factory=set)
    _taken: list[tuple[str, Any]] = field(default_factory=list)
    _swaps: bool | None = None
    _is_posting: bool = False
    _due: datetime | None = None

    @property
    def _clock(self) -> Clock:
        return self.callbacks._clock

    @property
    def course(self) -> _Course:
        """How far it has come."""
        place = next(place for place, each in enumerate(self.workflow.template.callbacks) if each is self.callback)
        return self.workflow, place, set(self._noted), [*self._taken, *self._queue]

    async def run(self) -> None:
        """Post events until the workflow is over and all have been posted."""
        while not self._clock.stopped:
            self._note()
            if self._taken or self._take():
                await self._deliver(*self._taken[0])
                if not self._clock.stopped:
                    del self._taken[0]
            elif self.workflow.final:
                return
            else:
                await self._clock.pause(next_event(self.workflow, self._clock.now()), at_most=_PAUSE_SECONDS)

    def is_busy(self) -> bool:
        """Tell whether something is due that has not been posted."""
        if self._due is not None:
            return self._due <= self._clock.now()
        self._note()
        return self._is_posting or (bool(self._queue) and not self._is_held())

    def _note(self) -> None:
        """Put what has happened since into the queue, as it is now: it stays so, however late it is posted."""
        self.workflows.refresh(self.workflow)
        wanted, detailed = self.callback["type"], bool(self.callback.get("detailed"))
        for event in events_until(self.workflow, self._clock.now()):
            if event.identity not in self._noted:
                self._noted.add(event.identity)
                if event.name in wanted or f"{event.kind}:*" in wanted:
                    body = event_json(self.workflow, event, self.workflows.show, detailed=detailed)
                    self._queue.append((event.name, body))

    def _is_held(self) -> bool:
        """Whether the next event waits for the one after it, to be posted after that."""
        if self._swaps is None:
            self._swaps = any(trouble.strikes() for trouble in self.callbacks._swaps)
        return self._swaps and len(self._queue) < 2 and not self.workflow.final

    def _take(self) -> bool:
        """Choose what to post next; tell whether there is something."""
        if not self._queue or self._is_held():
            return False
        self._is_posting = True
        self._taken.append(self._queue.popleft())
        if self._swaps and self._queue:
            self._taken.insert(0, self._queue.popleft())
        self._swaps = None
        return True

    async def _deliver(self, name: str, body: Any) -> None:
        """Post an event until it is taken, or until it is given up."""
        self._is_posting = True
        url, end, delay = self.callback["url"], self._clock.now() + GIVE_UP, _FIRST_DELAY
        if not is_local(url):
            self.callbacks.deliveries.append(Delivery(url, name, body, None, 0, self._clock.now()))
        else:
            attempt = 1
            while not await self._is_taken(url, name, body, attempt) and self._clock.now() < end:
                await self._sleep(delay)
                if self._clock.stopped:
                    return
                attempt, delay = attempt + 1, min(2 * delay, _LONGEST_DELAY)
            if any(trouble.strikes() for trouble in self.callbacks._duplicates):
                await self._is_taken(url, name, body, attempt + 1)
        self._is_posting = False

    async def _is_taken(self, url: str, name: str, body: Any, attempt: int) -> bool:
        status = await self.callbacks._post(url, body)
        self.callbacks.deliveries.append(Delivery(url, name, body, status, attempt, self._clock.now()))
        return status is not None and 200 <= status < 300

    async def _sleep(self, delay: timedelta) -> None:
        self._due = self._clock.now() + delay
        while self._clock.now() < self._due and not self._clock.stopped:
            await self._clock.pause(self._due, at_most=_PAUSE_SECONDS)
        self._due = None
