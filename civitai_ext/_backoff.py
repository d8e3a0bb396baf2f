"""When to ask again, and after how long: decisions only, nothing is sent and nobody sleeps here.

Libraries for retries repeat any function that raised. None of them reads `Retry-After`, tells a request that may have
been acted on from one that was not, and leaves the sleeping to its caller, so these rules are our own.
"""

from __future__ import annotations

import random as _random
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import attrs

from civitai_ext import errors

__all__ = ["RetryPolicy", "delay_after", "is_throttled", "parse_retry_after", "pause_after", "retry_after_of"]

_SECONDS: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_FOREVER: Final = 1e9
_SPREAD: Final = 0.1  # the part of a `Retry-After` that is added by chance at most

# 520 to 524 are Cloudflare's: it got no answer, or none in time, from the service behind it. The rest of its own, such
# as a certificate that is not valid (526), does not pass by itself.
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504, *range(520, 525)})


def _positive(instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{attribute.name} must not be negative, but is {value!r}")


def _at_least_one(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not value >= 1:
        raise ValueError(f"{attribute.name} counts the first try too, so it is at least 1, not {value!r}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and how patiently, a request that failed is sent again.

    A request that does the same whether it is sent once or twice is repeated after

    - a connection that failed, broke or timed out, and an answer that was cut;
    - 408, 429, 500, 502, 503, 504 and 520 to 524.

    Any other request is repeated only if the first one was certainly not acted on: if no connection was made, or after
    429 or 503 with a `Retry-After`. Never repeated is a page number beyond the service's limit, which comes as 429 too.

    The delays are `base`, twice that, four times that… seconds, up to `cap`, each shortened by a random part of up to
    `jitter`, so that clients which failed together do not come back together: by default a delay is anything from
    nothing to the whole. A `Retry-After` is used instead of them, and never undercut; if it asks for more than
    `max_retry_after` seconds, the error is raised at once. So it is if the next attempt would begin more than `budget`
    seconds after the first.

    `RetryPolicy.off()` sends everything once. `RetryPolicy.immediate()` decides as ever and waits for nothing, which is
    for tests of programs that use this package.

    These rules may change between releases.

    Attributes:
        attempts: How many times a request is sent at most, the first time included.
        base: The first delay in seconds.
        cap: The longest delay in seconds that the policy chooses itself.
        max_retry_after: The longest `Retry-After` in seconds that is waited for.
        jitter: The largest part of a delay that is left to chance, from 0 to 1.
        budget: How many seconds all attempts and the delays between them may take together; None for no such limit.
            Waiting for other requests of the same client is not counted.
        scale: What every delay is multiplied by once it is decided; 0 to wait for nothing.

    >>> RetryPolicy(jitter=0).decide(2, idempotent=True, status=502)
    1.0
    >>> RetryPolicy().decide(1, idempotent=False, status=502) is None
    True
    >>> RetryPolicy().decide(1, idempotent=True, retry_after=30, status=429, elapsed=100) is None
    True
    """

    attempts: int = attrs.field(default=4, validator=_at_least_one)
    base: float = attrs.field(default=0.5, validator=_positive)
    cap: float = attrs.field(default=8.0, validator=_positive)
    max_retry_after: float = attrs.field(default=60.0, validator=_positive)
    jitter: float = attrs.field(default=1.0, validator=[_positive, attrs.validators.le(1)])
    budget: float | None = attrs.field(default=120.0, validator=_positive)
    scale: float = attrs.field(default=1.0, validator=_positive)

    @classmethod
    def off(cls) -> RetryPolicy:
        """Send every request once."""
        return cls(attempts=1)

    @classmethod
    def immediate(cls) -> RetryPolicy:
        """Send again what the default policy would, without waiting in between: for tests.

        >>> RetryPolicy.immediate().decide(1, idempotent=True, status=503, retry_after=30)
        0.0
        """
        return cls(scale=0)

    def longest(self, attempt: int) -> float:
        """Give the delay after an attempt, the first one being 1, before chance shortens it."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))

    def decide(
        self,
        attempt: int,
        *,
        idempotent: bool,
        request_sent: bool = True,
        status: int | None = None,
        retry_after: float | None = None,
        elapsed: float = 0.0,
        final: bool = False,
        random: Callable[[], float] = _random.random,
    ) -> float | None:
        """Give the seconds after which to send the request again; None to give up.

        Args:
            attempt: How many times it has been sent, at least 1.
            idempotent: Whether sending it twice does what sending it once does.
            request_sent: Whether it may have reached the service.
            status: The status of the answer; None if there was no whole answer.
            retry_after: What the answer asked for.
            elapsed: How many seconds ago it was sent for the first time.
            final: Whether the answer says that asking again is of no use.
            random: Gives a number from 0 to below 1.
        """
        if final or attempt >= self.attempts or (retry_after is not None and retry_after > self.max_retry_after):
            return None
        if idempotent:
            again = status is None or status in _PASSING
        elif status is None:
            again = not request_sent
        else:
            again = status in (429, 503) and retry_after is not None
        if not again:
            return None
        if retry_after is not None:
            delay = retry_after * (1 + _SPREAD * self.jitter * random())
        else:
            delay = self.longest(attempt) * (1 - self.jitter * random())
        delay *= self.scale
        return None if self.budget is not None and elapsed + delay > self.budget else delay


def delay_after(
    error: errors.CivitaiError, policy: RetryPolicy, attempt: int, *, idempotent: bool, elapsed: float = 0.0
) -> float | None:
    """Give the seconds after which to send a request again that ended in `error`; None to give up."""
    decide = partial(policy.decide, attempt, idempotent=idempotent, elapsed=elapsed)
    if isinstance(error, errors.ApiError):
        final = isinstance(error, (errors.PageLimitReached, errors.QuotaExceeded))
        return decide(status=error.status, retry_after=error.retry_after, final=final)
    if isinstance(error, errors.ConnectionFailed):
        return decide(request_sent=error.sent)
    if isinstance(error, errors.UnexpectedResponse):
        status = error.status if error.status >= 400 else None
        return decide(status=status, final=not error.truncated and not status)
    return None


def pause_after(error: errors.CivitaiError, policy: RetryPolicy, attempt: int, delay: float | None) -> float:
    """Give the seconds for which nothing else should be sent to a service that gets too much.

    Args:
        error: What it said.
        policy: The policy of the request that it said it to. One that is never repeated makes nobody wait.
        attempt: How many times that request has been sent.
        delay: After how long it is sent again, if it is.

    >>> pause_after(errors.RateLimited(status=429, retry_after=3), RetryPolicy(), 4, None)
    3.0
    """
    asked = error.retry_after if isinstance(error, errors.ApiError) else None
    if delay is not None:
        # All of a client come back together, however the delay was shortened, and too early is another attempt lost.
        return delay if asked is not None else max(delay, policy.longest(attempt) * policy.scale / 2)
    if policy.attempts == 1 or asked is None or asked > policy.max_retry_after:
        return 0.0
    return asked * policy.scale


def is_throttled(error: errors.CivitaiError) -> bool:
    """Tell whether `error` means that the service wants fewer requests.

    >>> is_throttled(errors.RateLimited(status=429)), is_throttled(errors.PageLimitReached(status=429))
    (True, False)
    """
    if isinstance(error, errors.ServiceOverloaded):
        return error.retry_after is not None
    return isinstance(error, errors.RateLimited)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a `Retry-After`, in seconds or as a date, as the seconds to wait from `now` (seconds since 1970).

    The result is never negative; None if the header is missing or cannot be read.

    >>> parse_retry_after("1.5", 0), parse_retry_after("soon", 0)
    (1.5, None)
    >>> parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=20)
    40.0
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(max(float(text), 0.0), _FOREVER)
    moment = _moment(text)
    return None if moment is None else min(max(moment - now, 0.0), _FOREVER)


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Read the delay that an answer asks for from its headers (names in lower case).

    `retry-after-ms`, which some gateways add, is more exact and wins. A date is compared with the date of the answer,
    if that has one: whose clock is right does not matter then.

    >>> retry_after_of({"retry-after": "2", "retry-after-ms": "1750"}, 0)
    1.75
    >>> date, later = "Thu, 01 Jan 1970 00:00:10 GMT", "Thu, 01 Jan 1970 00:01:00 GMT"
    >>> retry_after_of({"date": date, "retry-after": later}, now=7200)
    50.0
    """
    text = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(text):
        return min(max(float(text) / 1000, 0.0), _FOREVER)
    dated = _moment(headers.get("date", ""))
    return parse_retry_after(headers.get("retry-after"), now if dated is None else dated)


def _moment(text: str) -> float | None:
    """Read a date of a header as seconds since 1970."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError, OSError):
        return None
