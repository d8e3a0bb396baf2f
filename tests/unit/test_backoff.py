from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import errors
from civitai_ext._backoff import (
    RetryPolicy,
    delay_after,
    is_throttled,
    parse_retry_after,
    pause_after,
    retry_after_of,
)

POLICY = RetryPolicy(jitter=0)


def test_the_delays_double_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=9, jitter=0)
    delays = [policy.decide(n, idempotent=True, status=500) for n in range(1, 10)]
    assert delays == [0.5, 1, 2, 4, 8, 8, 8, 8, None]


def test_a_huge_number_of_attempts_does_not_overflow() -> None:
    assert RetryPolicy(attempts=10**6, jitter=0).decide(10**5, idempotent=True) == 8.0


@given(st.integers(1, 3), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 60))
def test_jitter_shortens_delays_and_never_undercuts_retry_after(
    attempt: int, chance: float, retry_after: float | None
) -> None:
    delay = RetryPolicy().decide(attempt, idempotent=True, status=503, retry_after=retry_after, random=lambda: chance)
    assert delay is not None
    if retry_after is None:
        full = 0.5 * 2 ** (attempt - 1)
        assert 0 <= delay <= full
        assert delay == full * (1 - chance)
    else:
        assert retry_after <= delay <= retry_after * 1.1


@pytest.mark.parametrize(
    ("case", "again"),
    [
        ({"idempotent": True}, True),
        ({"idempotent": True, "request_sent": False}, True),
        ({"idempotent": False}, False),
        ({"idempotent": False, "request_sent": False}, True),
        ({"idempotent": True, "status": 429}, True),
        ({"idempotent": True, "status": 501}, False),
        ({"idempotent": True, "status": 404}, False),
        *(({"idempotent": True, "status": status}, True) for status in (408, 500, 502, 503, 504)),
        *(({"idempotent": True, "status": status}, False) for status in (400, 407, 409, 499, 505)),
        ({"idempotent": True, "status": 519}, False),
        ({"idempotent": True, "status": 520}, True),
        ({"idempotent": True, "status": 524}, True),
        ({"idempotent": True, "status": 525}, False),
        ({"idempotent": True, "status": 502, "elapsed": 119.5}, True),
        ({"idempotent": True, "status": 502, "elapsed": 119.6}, False),
        ({"idempotent": True, "status": 429, "retry_after": 30.0, "elapsed": 90.0}, True),
        ({"idempotent": True, "status": 429, "retry_after": 30.0, "elapsed": 90.1}, False),
        ({"idempotent": False, "status": 429}, False),
        ({"idempotent": False, "status": 429, "retry_after": 1.0}, True),
        ({"idempotent": False, "status": 503, "retry_after": 1.0}, True),
        ({"idempotent": False, "status": 502, "retry_after": 1.0}, False),
        ({"idempotent": True, "status": 429, "retry_after": 60.0}, True),
        ({"idempotent": True, "status": 429, "retry_after": 60.1}, False),
        ({"idempotent": True, "status": 429, "final": True}, False),
    ],
)
def test_what_is_sent_again(case: dict[str, Any], again: bool) -> None:
    assert (POLICY.decide(1, **case) is not None) is again
    assert RetryPolicy.off().decide(1, **case) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"base": -1},
        {"cap": -1},
        {"max_retry_after": float("nan")},
        {"jitter": 1.1},
        {"budget": -1},
        {"scale": float("nan")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (errors.ServerError(status=502), 0.5),
        (errors.RateLimited(status=429, retry_after=3.0), 3.0),
        (errors.PageLimitReached(status=429), None),
        (errors.ConnectionFailed(sent=True), 0.5),
        (errors.RequestTimeout(sent=False), 0.5),
        (errors.UnexpectedResponse(status=200, truncated=True), 0.5),
        (errors.UnexpectedResponse(status=200), None),
        (errors.UnexpectedResponse(status=503), 0.5),
        (errors.UnexpectedResponse(status=400, truncated=True), None),  # of an error, what is missing does not matter
        (errors.UnexpectedResponse(status=399, truncated=True), 0.5),
        (errors.InvalidRequest(), None),
    ],
)
def test_the_delay_after_an_error(error: errors.CivitaiError, delay: float | None) -> None:
    assert delay_after(error, POLICY, 1, idempotent=True) == delay


def test_there_need_not_be_a_budget() -> None:
    assert RetryPolicy(budget=None, jitter=0).decide(1, idempotent=True, status=502, elapsed=1e6) == 0.5


def test_a_policy_that_waits_for_nothing_decides_as_ever() -> None:
    policy = RetryPolicy.immediate()
    assert [policy.decide(n, idempotent=True, status=502) for n in range(1, 5)] == [0, 0, 0, None]
    assert policy.decide(1, idempotent=True, status=429, retry_after=60) == 0
    assert policy.decide(1, idempotent=True, status=429, retry_after=61) is None
    assert policy.decide(1, idempotent=False, status=502) is None


@pytest.mark.parametrize(
    ("error", "throttled"),
    [
        (errors.RateLimited(status=429), True),
        (errors.ServiceOverloaded(status=503, retry_after=2.0), True),
        (errors.ServiceOverloaded(status=503), False),
        (errors.ServerError(status=502, retry_after=2.0), False),
        (errors.PageLimitReached(status=429), False),
        (errors.RequestTimeout(), False),
    ],
)
def test_what_asks_for_fewer_requests(error: errors.CivitaiError, throttled: bool) -> None:
    assert is_throttled(error) is throttled


@pytest.mark.parametrize(
    ("retry_after", "policy", "delay", "pause"),
    [
        (3.0, RetryPolicy(), 3.1, 3.1),  # as long as the one that was refused waits
        (3.0, RetryPolicy(), None, 3.0),  # it gave up, and the others need not find out
        (60.0, RetryPolicy(), None, 60.0),
        (61.0, RetryPolicy(), None, 0.0),  # each of them is told at once
        (3.0, RetryPolicy.off(), None, 0.0),
        (3.0, RetryPolicy.immediate(), None, 0.0),
        (None, RetryPolicy(), None, 0.0),
        (None, RetryPolicy(), 0.9, 0.9),
        (None, RetryPolicy(), 0.01, 0.5),  # half of the longest delay after two attempts
        (None, RetryPolicy.immediate(), 0.0, 0.0),
    ],
)
def test_how_long_the_others_wait(
    retry_after: float | None, policy: RetryPolicy, delay: float | None, pause: float
) -> None:
    error = errors.RateLimited(status=429, retry_after=retry_after)
    assert pause_after(error, policy, 2, delay) == pause


# --------------------------------------------------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("9" * 400, 1e9),
        ("Thu, 01 Jan 1970 00:16:45 GMT", 5.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        (None, None),
        ("1_000", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("soon", None),
    ],
)
def test_forms_of_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, 1000.0) == seconds


@given(st.text() | st.floats().map(str) | st.integers().map(str), st.floats(0, 4e9))
def test_any_text_is_read_or_ignored(value: str, now: float) -> None:
    for seconds in (
        parse_retry_after(value, now),
        retry_after_of({"retry-after-ms": value, "retry-after": value}, now),
    ):
        assert seconds is None or 0 <= seconds <= 1e9


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_dates_are_read_as_the_time_until_then(now: int, then: int) -> None:
    date = format_datetime(datetime.fromtimestamp(then, UTC), usegmt=True)
    assert parse_retry_after(date, now) == min(max(then - now, 0), 1e9)


def test_milliseconds_win() -> None:
    assert retry_after_of({"retry-after-ms": "250", "retry-after": "9"}, 0) == 0.25
    assert retry_after_of({"retry-after-ms": "?", "retry-after": "9"}, 0) == 9
    assert retry_after_of({}, 0) is None
