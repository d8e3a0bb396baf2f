from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._polling import LONGEST_HOLD, Poll, Polling


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
