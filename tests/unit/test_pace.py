"""How many connections a download takes, by how fast it comes."""

from __future__ import annotations

from collections.abc import Callable

from civitai_ext._pace import Pace

MB = 1024 * 1024
SIZE = 1000 * MB


def limits(rate: Callable[[int], float], seconds: float, pace: Pace | None = None) -> list[int]:
    """Download at a rate that depends on how many connections there are; give the limits in order."""
    pace = Pace(4) if pace is None else pace
    present, now, seen = 0.0, 0.0, [pace.limit]
    pace.begin(0, size=SIZE, now=now)
    while now < seconds and present < SIZE:
        pace.note(int(present), now=now)
        now += 0.05
        present += rate(pace.limit) * 0.05
        if pace.limit != seen[-1]:
            seen.append(pace.limit)
    return seen


def test_several_connections_follow_the_first() -> None:
    assert limits(lambda count: count * 5 * MB, 20) == [1, 4]


def test_a_line_that_is_full_is_no_reason_to_take_fewer() -> None:
    assert limits(lambda count: 8 * MB, 20) == [1, 4]


def test_a_host_that_slows_down_gets_one_connection() -> None:
    assert limits(lambda count: 20 * MB if count == 1 else 2 * MB, 20) == [1, 4, 1]


def test_one_connection_that_is_no_faster_any_more_is_not_left_alone() -> None:
    first = iter([50 * MB] * 6)
    assert limits(lambda count: next(first, count * MB), 20) == [1, 4, 1, 4]


def test_it_is_tried_only_if_that_can_pay() -> None:
    first = iter([100 * MB] * 6)
    assert limits(lambda count: next(first, 45 * MB if count > 1 else 100 * MB), 20) == [1, 4, 1]
    first = iter([500 * MB] * 6)
    assert limits(lambda count: next(first, 100 * MB), 20) == [1, 4]


def test_what_is_small_takes_all_at_once() -> None:
    pace = Pace(4)
    pace.begin(SIZE - MB, size=SIZE, now=0)
    assert pace.limit == 4


def test_a_first_connection_that_says_nothing_holds_up_nobody_for_long() -> None:
    pace = Pace(4)
    pace.begin(0, size=SIZE, now=0)
    pace.wait_no_more(now=0.5)
    assert pace.limit == 1
    pace.wait_no_more(now=1.0)
    assert pace.limit == 4


def test_fewer_that_are_left_stay_fewer() -> None:
    pace = Pace(4)
    assert limits(lambda count: 10 * MB, 2, pace)[-1] == 4
    pace.begin(20 * MB, size=SIZE, now=3, most=2)
    assert pace.limit == 2
