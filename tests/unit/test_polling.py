from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.orchestration.models import Workflow
from civitai_ext._polling import LONGEST_HOLD, Listing, Poll, Polling, can_be_listed, check_timeout
from civitai_ext.errors import InvalidRequest


def test_the_service_is_asked_to_hold_for_as_long_as_a_gateway_lets_it() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    assert polling.next(0).hold == LONGEST_HOLD  # type: ignore[union-attr]


def test_the_last_hold_ends_with_the_deadline() -> None:
    polling = Polling(timeout=100, started=0, watched=False)
    polling.next(0)
    assert polling.next(90).hold == 10  # type: ignore[union-attr]
    assert polling.next(100) is None


def test_no_time_at_all_still_means_one_look() -> None:
    polling = Polling(timeout=0, started=5, watched=False)
    look = polling.next(5)
    assert look is not None
    assert look.hold == 0
    assert polling.next(5) is None


def test_what_was_listed_since_is_looked_at_once_more_when_the_time_is_up() -> None:
    polling = Polling(timeout=10, started=0, watched=False)
    polling.next(0)
    polling.listed()
    assert polling.next(10) == Poll(pause=0, hold=0)
    assert polling.next(10) is None


def test_progress_is_looked_at_more_often() -> None:
    assert Polling(timeout=600, started=0, watched=True).next(0).hold == 2  # type: ignore[union-attr]


def test_a_service_that_answers_at_once_is_not_asked_without_end() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    polling.next(0)
    assert polling.next(0.2).pause == 0.8  # type: ignore[union-attr]


def test_a_look_that_may_not_be_held_is_made_at_once() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    assert polling.next(0, hold=False) == Poll(pause=0, hold=0)
    assert polling.next(0, hold=False) == Poll(pause=2, hold=0)


def test_a_refused_hold_falls_back_to_the_plain_cadence() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    polling.next(0)
    polling.refused()
    looks = [polling.next(0) for _ in range(6)]
    assert [look.pause for look in looks if look] == [2, 5, 10, 15, 30, 30]
    assert {look.hold for look in looks if look} == {0}


@given(st.floats(0, 5000), st.lists(st.floats(0, 100), max_size=60), st.booleans())
def test_no_look_goes_beyond_the_deadline(timeout: float, answers: list[float], watched: bool) -> None:
    polling = Polling(timeout=timeout, started=0, watched=watched)
    now = 0.0
    for took in answers:
        look = polling.next(now)
        if look is None:
            assert now >= timeout
            return
        assert now + look.pause <= timeout + 1e-6 or now > timeout
        assert now + look.pause + look.hold <= timeout + 1
        now += look.pause + min(took, look.hold)


def test_looks_that_fail_are_further_and_further_apart_until_one_does_not() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    pauses = []
    for count in range(1, 4):
        polling.next(0)
        polling.failed(None)
        assert polling.failures == count
        pauses.append(polling.next(0).pause)  # type: ignore[union-attr]
    assert pauses == [2, 5, 10]
    polling.answered()
    assert polling.failures == 0
    assert polling.next(100) == Poll(pause=0, hold=90)
    polling.failed(None)
    assert polling.next(200) == Poll(pause=2, hold=90), "a held request was answered: what went wrong is over"


@pytest.mark.parametrize(("asked", "pause"), [(None, 2), (1, 2), (20, 20)])
def test_a_service_that_wants_to_be_asked_later_is(asked: float | None, pause: float) -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    polling.next(0)
    polling.failed(asked)
    assert polling.next(0) == Poll(pause=pause, hold=90)
    assert polling.next(590 - pause) == Poll(pause=pause, hold=10)


def test_answers_to_plain_looks_do_not_bring_them_nearer() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    polling.next(0)
    polling.refused()
    pauses = []
    for _ in range(3):
        pauses.append(polling.next(0).pause)  # type: ignore[union-attr]
        polling.answered()
    assert pauses == [2, 5, 10]


def test_a_second_lies_between_two_looks_whatever_came_before_them() -> None:
    polling = Polling(timeout=600, started=0, watched=False)
    polling.next(0)
    polling.failed(None)
    polling.next(0)  # sent after a pause of 2 seconds
    polling.answered()
    assert polling.next(2.25).pause == 0.75  # type: ignore[union-attr]


@pytest.mark.parametrize(("elapsed", "hold"), [(0, 2), (20, 2), (50, 5), (100, 10), (500, 10)])
def test_who_watches_for_long_is_told_less_often(elapsed: float, hold: int) -> None:
    assert Polling(timeout=600, started=1000, watched=True).next(1000 + elapsed) == Poll(pause=0, hold=hold)


@pytest.mark.parametrize("timeout", [None, inf])
def test_without_an_end_there_is_always_time(timeout: float | None) -> None:
    polling = Polling(timeout=timeout, started=0, watched=False)
    assert polling.left(10**9) == LONGEST_HOLD
    assert [polling.next(now) for now in (0, 10**9)] == [Poll(pause=0, hold=90)] * 2


@pytest.mark.parametrize("timeout", [0, 0.5, 600, None, inf])
def test_a_time_to_wait_for(timeout: float | None) -> None:
    check_timeout(timeout)


@pytest.mark.parametrize("timeout", [-1, -inf, nan, "5", True])
def test_what_is_no_time_to_wait_for(timeout: Any) -> None:
    with pytest.raises(InvalidRequest, match="timeout is"):
        check_timeout(timeout)


MADE = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("workflow", "listed"),
    [
        (Workflow(created_at=MADE), True),
        (Workflow(created_at=MADE, ephemeral=False), True),
        (Workflow(created_at=MADE, ephemeral=True), False),
        (Workflow(), False),
        (None, False),
    ],
)
def test_what_can_be_found_in_a_list(workflow: Workflow | None, listed: bool) -> None:
    assert can_be_listed(workflow) is listed


def test_a_list_has_all_that_is_looked_for_and_little_else() -> None:
    second = timedelta(seconds=1)
    workflows = [Workflow(created_at=MADE + place * second, tags=["b", "a", f"own{place}"]) for place in range(40)]
    assert Listing.of(workflows) == Listing(MADE - second, MADE + 40 * second, ("a", "b"), 3)
    assert Listing.of([*workflows, Workflow(created_at=MADE)]).tags == ()
    assert Listing.of(workflows[:16]).most_pages == 2
    assert Listing.of(workflows[:15]).most_pages == 1
