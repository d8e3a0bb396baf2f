from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.runtime import Request, Response
from civitai_ext import Civitai, RetryPolicy, errors
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._config import Config
from civitai_ext._limiter import Limiter, Turn
from civitai_ext.emulator import Emulator


class Clock:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def queued(limiter: Limiter, count: int) -> tuple[list[Turn], list[int]]:
    """Let requests enter, and note which of them are woken later."""
    woken: list[int] = []
    turns = [Turn("host") for _ in range(count)]
    for place, turn in enumerate(turns):
        wake: Callable[[], None] = lambda place=place: woken.append(place)  # type: ignore[misc]  # noqa: E731
        if limiter.enter(turn, wake):
            woken.append(place)
    return turns, woken


def test_nothing_waits_until_a_service_complains() -> None:
    limiter = Limiter(Clock())
    turns, woken = queued(limiter, 100)
    assert woken == list(range(100))
    assert {limiter.pause(turn) for turn in turns} == {0.0}


def test_a_refusal_makes_everybody_wait_as_long_as_the_service_says() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    (first,), _ = queued(limiter, 1)
    limiter.pause(first)
    limiter.refused(first, pause=2.0)
    limiter.leave(first)
    (second,), _ = queued(limiter, 1)
    assert limiter.pause(second) == 2.0
    clock.now = 2.0
    assert limiter.pause(second) == 0.0


def test_after_a_refusal_fewer_are_under_way_and_answers_let_more_in() -> None:
    limiter = Limiter(Clock())
    turns, _ = queued(limiter, 8)
    for turn in turns:
        limiter.pause(turn)
    for turn in turns[:4]:
        limiter.answered(turn)
    for turn in turns[4:]:
        limiter.refused(turn)
    for turn in turns:
        limiter.leave(turn)
    later, woken = queued(limiter, 20)
    assert len(woken) == 4, "as many as it accepted in a row"
    before = len(woken)
    for place in list(woken):
        limiter.pause(later[place])
        limiter.answered(later[place])
        limiter.leave(later[place])
    assert len(woken) > before


def test_more_refusals_of_the_same_request_let_fewer_in() -> None:
    limiter = Limiter(Clock())
    turns, _ = queued(limiter, 16)
    for turn in turns:
        limiter.pause(turn)
    for turn in turns[:8]:
        limiter.answered(turn)
    again = turns[8]
    limiter.refused(again)
    assert limiter.enter(again, lambda: None) is False
    for turn in turns[:8] + turns[9:]:
        limiter.leave(turn)
    limiter.pause(again)
    more, woken = queued(limiter, 7)
    assert len(woken) == 7
    for turn in more:
        limiter.pause(turn)
        limiter.answered(turn)
    limiter.refused(again)
    for turn in (again, *more):
        limiter.leave(turn)
    _, woken = queued(limiter, 20)
    assert len(woken) == 3, "half of the 6 that are three quarters of 8"


def test_a_host_that_is_asked_is_not_forgotten() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    (first,), _ = queued(limiter, 1)
    limiter.pause(first)
    limiter.refused(first)
    clock.now = 1000.0  # the next answer takes long
    turns, woken = queued(limiter, 2)
    assert woken == []
    limiter.leave(first)
    assert woken == [0]
    limiter.leave(turns[0])
    assert woken == [0, 1]


def test_hosts_do_not_wait_for_each_other() -> None:
    limiter = Limiter(Clock())
    slow = Turn("slow")
    limiter.enter(slow, lambda: None)
    limiter.refused(slow, pause=60.0)
    other = Turn("other")
    assert limiter.enter(other, lambda: None)
    assert limiter.pause(other) == 0.0


def test_what_was_refused_goes_first() -> None:
    limiter = Limiter(Clock())
    turns, _ = queued(limiter, 4)
    for turn in turns:
        limiter.pause(turn)
    later, _ = queued(limiter, 1)
    limiter.pause(later[0])
    limiter.refused(later[0])
    for turn in turns:
        limiter.leave(turn)
    limiter.leave(later[0])
    order: list[str] = []
    first, fresh, again = Turn("host"), Turn("host"), later[0]
    assert limiter.enter(first, lambda: None)
    assert not limiter.enter(fresh, lambda: order.append("fresh"))
    assert not limiter.enter(again, lambda: order.append("again"))
    limiter.leave(first)
    limiter.leave(again)
    assert order == ["again", "fresh"]


def test_what_gives_up_in_line_or_under_way_makes_room() -> None:
    limiter = Limiter(Clock())
    (first,), _ = queued(limiter, 1)
    limiter.pause(first)
    limiter.refused(first)
    waiting, woken = queued(limiter, 2)
    limiter.leave(waiting[0])
    limiter.leave(first)
    assert woken == [1]
    limiter.leave(waiting[1])
    limiter.leave(waiting[1])
    assert limiter.enter(first, lambda: None)


def test_what_a_service_holds_on_purpose_keeps_nobody_waiting() -> None:
    limiter = Limiter(Clock())
    (first,), _ = queued(limiter, 1)
    limiter.pause(first)
    limiter.refused(first, pause=3.0)
    held = Turn("host", counted=False)
    assert limiter.enter(held, lambda: None)
    assert limiter.pause(held) == 3.0, "it waits where all do"
    limiter.leave(first)
    assert limiter.enter(Turn("host"), lambda: None)


def test_an_idle_host_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    (first,), _ = queued(limiter, 1)
    limiter.pause(first)
    limiter.refused(first, pause=1.0)
    limiter.leave(first)
    clock.now = 61.0
    turns, woken = queued(limiter, 2)
    assert woken == [0]
    for turn in turns:
        limiter.leave(turn)
    clock.now = 61.1
    assert queued(limiter, 2)[1] == [0, 1]


@given(st.lists(st.sampled_from(["answered", "refused"]), max_size=60))
def test_there_is_always_somebody_who_may_go_on(outcomes: list[str]) -> None:
    limiter = Limiter(Clock())
    turns, woken = queued(limiter, len(outcomes))
    done = 0
    while done < len(turns):
        assert len(woken) > done, "everybody waits for nobody"
        turn = turns[woken[done]]
        limiter.pause(turn)
        getattr(limiter, outcomes[done])(turn)
        limiter.leave(turn)
        done += 1


@pytest.mark.parametrize("threads", [1, 16])
def test_bulk_work_gets_through_a_service_that_refuses(threads: int) -> None:
    with Emulator(models=20, speed=1000) as emulator:
        emulator.faults.add("GET /api/v1/models/*", status=429, retry_after="0", every=3)
        policy = RetryPolicy(attempts=8, base=0.001, cap=0.01)
        with Civitai(emulator.token, site_url=emulator.url, retry=policy) as civitai:
            ids = [model.id for model in civitai.models.list(limit=12)] * 4
            left, got = list(ids), []
            failures: list[errors.CivitaiError] = []

            def work() -> None:
                while left:
                    try:
                        got.append(civitai.models.get(left.pop()).id)
                    except IndexError:
                        return
                    except errors.CivitaiError as error:
                        failures.append(error)

            workers = [threading.Thread(target=work) for _ in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(30)
    assert failures == []
    assert sorted(got) == sorted(ids)


# ------------------------------------------------------------------------------------------- at the speed of a service


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which no time passes but what somebody waits for, and that passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def skip(timeout: float | None = None) -> Any:
            events = select(0)
            self.now += 0.0 if events else timeout or 0.0
            return events

        selector.select = skip

    def time(self) -> float:
        return self.now


@attrs.define(slots=False)
class Service:
    """Something that answers so many requests in every span of so many seconds, and refuses the others."""

    loop: Loop
    allowed: int
    seconds: float
    latency: float
    tells: bool
    """Whether it says when to come back."""
    sent: int = 0
    _span: int = -1
    _taken: int = 0

    async def send(self, *request: Any, **options: Any) -> Response:
        self.sent += 1
        await asyncio.sleep(self.latency / 5)
        span, into = divmod(self.loop.time(), self.seconds)
        if span != self._span:
            self._span, self._taken = int(span), 0
        if self._taken == self.allowed:
            return Response(429, {"retry-after": str(math.ceil(self.seconds - into))} if self.tells else {}, b"{}")
        self._taken += 1
        await asyncio.sleep(self.latency)
        return Response(200, {"content-type": "application/json"}, b"{}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("tasks", [8, 64, 400])
@pytest.mark.parametrize(
    ("allowed", "seconds", "latency"), [(20, 1, 0.05), (20, 1, 0.005), (20, 1, 0.5), (100, 1, 0.2), (60, 60, 0.2)]
)
def test_bulk_work_runs_without_errors_near_the_speed_that_the_service_allows(
    allowed: int, seconds: float, latency: float, tasks: int, tells: bool, seed: int
) -> None:
    if seconds > 10 and not tells:
        pytest.skip("who does not say when to come back after a minute is given up before")
    random.seed(seed)
    loop = Loop()
    service: Any = Service(loop, allowed, seconds, latency, tells)
    transport = AsyncTransport(Config.load(token=False, environ={}), service, clock=loop.time)
    request = Request[Any](service="site", operation="get", method="GET", path="/x", answers={200: None})
    left = list(range(20 * allowed))

    async def work() -> None:
        while left:
            left.pop()
            assert await transport.call(request) == {}

    async def all_work() -> None:
        await asyncio.gather(*[work() for _ in range(tasks)])

    try:
        loop.run_until_complete(all_work())
        fastest = max(19 * seconds, 20 * allowed * latency / tasks)
        assert loop.time() < fastest / 0.65 + 2
        assert service.sent < 2.5 * 20 * allowed
    finally:
        loop.close()


async def _never(*request: Any, **options: Any) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("stage", ["in line", "under way"])
def test_a_task_that_is_canceled_lets_the_next_one_go(stage: str) -> None:
    loop = Loop()
    service: Any = Service(loop, 1, 1, 0.1, tells=True)
    transport = AsyncTransport(Config.load(token=False, environ={}), service, clock=loop.time)
    request = Request[Any](service="site", operation="get", method="GET", path="/x", answers={200: None})

    async def run() -> None:
        await asyncio.gather(transport.call(request), transport.call(request))  # from now on one at a time
        service.send = _never
        stuck = [asyncio.create_task(transport.call(request)) for _ in range(2)]
        await asyncio.sleep(2)
        del service.send
        last = asyncio.create_task(transport.call(request))
        for task in stuck if stage == "in line" else reversed(stuck):
            task.cancel()
            await asyncio.sleep(1)
        assert await last == {}

    try:
        loop.run_until_complete(asyncio.wait_for(run(), 60))
    finally:
        loop.close()
