"""How many connections a download takes, by how fast it comes."""

from __future__ import annotations

from collections.abc import Callable

from civitai_ext._pace import Pace

MB = 1024 * 1024
SIZE = 1000 * MB


def limits(rate: Callable[[int], float], pace: Pace | None = None, size: int = SIZE) -> list[int]:
    """Download for a while at a rate that depends on how many connections there are; give the limits in order."""
    pace = Pace() if pace is None else pace
    pace.begin(4, size=size)
    present, now, seen = 0.0, 0.0, [pace.limit]
    while now < 20 and present < size:
        pace.note(int(present), now=now)
        now += 0.05
        present += rate(pace.limit) * 0.05
        if pace.limit != seen[-1]:
            seen.append(pace.limit)
    return seen


def test_where_several_are_fast_nothing_is_tried() -> None:
    assert limits(lambda count: count * 10 * MB) == [4]


def test_a_host_that_is_slow_over_several_gets_one_connection() -> None:
    assert limits(lambda count: 20 * MB if count == 1 else 2 * MB) == [4, 1]


def test_one_that_is_slower_is_not_left_alone() -> None:
    assert limits(lambda count: count * MB) == [4, 1, 4]


def test_a_line_that_is_full_is_no_reason_to_take_fewer() -> None:
    assert limits(lambda count: 8 * MB) == [4, 1, 4]


def test_it_is_not_tried_shortly_before_the_end() -> None:
    assert limits(lambda count: count * MB, size=30 * MB) == [4]


def test_what_was_found_out_holds_when_connections_are_made_again() -> None:
    pace = Pace()
    assert limits(lambda count: 20 * MB if count == 1 else 2 * MB, pace)[-1] == 1
    pace.begin(4, size=SIZE)
    assert pace.limit == 1


def test_a_try_that_was_cut_short_says_nothing() -> None:
    pace = Pace()
    pace.begin(4, size=SIZE)
    pace.note(0, now=0)
    pace.note(MB, now=1)
    assert pace.limit == 1
    pace.begin(3, size=SIZE)
    assert pace.limit == 3
