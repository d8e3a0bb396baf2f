from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import Civitai, RetryPolicy, errors
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
    assert 1 <= len(woken) <= 6
    before = len(woken)
    for place in list(woken):
        limiter.pause(later[place])
        limiter.answered(later[place])
        limiter.leave(later[place])
    assert len(woken) > before


def test_hosts_do_not_wait_for_each_other() -> None:
    limiter = Limiter(Clock())
    slow = Turn("slow")
    limiter.enter(slow, lambda: None)
    limiter.refused(slow, pause=60.0)
    other = Turn("other")
    assert limiter.enter(other, lambda: None)
    assert limiter.pause(other) == 0.0


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
