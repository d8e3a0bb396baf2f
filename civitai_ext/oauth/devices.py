"""Logging in on another device: what is shown there, and when to ask whether it was allowed. No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from civitai_api.oauth.models import DeviceAuthorization
from civitai_ext._config import Config, Secret
from civitai_ext._polling import check_timeout
from civitai_ext._reading import printable, text
from civitai_ext.errors import (
    ApiError,
    CivitaiError,
    ConnectionFailed,
    InvalidRequest,
    LoginTimeout,
    RateLimited,
    UnexpectedResponse,
)
from civitai_ext.oauth.answers import is_passing, seconds

__all__ = ["DeviceCode", "DevicePolling", "device_code_of"]

_LIFETIME: Final = 900.0
_LONGEST_LIFETIME: Final = 24 * 3600.0
_INTERVAL: Final = 5.0
_SLOWER: Final = 5.0
_LONGEST_INTERVAL: Final = 60.0
_LONGEST_CODE: Final = 40
_LONGEST_PAGE: Final = 2000


@attrs.frozen(kw_only=True)
class DeviceCode:
    """What to show to whoever logs in, for them to open on any device, and what to ask with whether they allowed it.

    Attributes:
        user_code: What they enter there, such as `ABCD-EFGH`.
        verification_uri: Where they enter it.
        verification_uri_complete: The same page with the code in it, for a link or a QR code; None if there is none.
        expires_at: When both codes expire, by this machine's clock.
        interval: How many seconds to wait between questions.
        device_code: What to ask with; not to be shown.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None = None
    expires_at: datetime
    interval: float = _INTERVAL
    device_code: Secret = attrs.field(converter=Secret)


def device_code_of(answer: DeviceAuthorization, config: Config, *, obtained_at: datetime) -> DeviceCode:
    """Read the codes in an answer.

    Raises:
        ValueError: There are none in it that could be used. The message does not repeat them.
    """
    secret, shown = text(answer.device_code), printable(text(answer.user_code)).strip()
    page, whole = text(answer.verification_uri), text(answer.verification_uri_complete)
    if not secret or not shown or len(shown) > _LONGEST_CODE:
        raise ValueError("there are no codes in it")
    if not config.may_be_fetched(page) or len(page) > _LONGEST_PAGE:
        raise ValueError("there is no address in it for entering the code")
    return DeviceCode(
        user_code=shown,
        verification_uri=page,
        verification_uri_complete=whole if config.may_be_fetched(whole) else None,
        expires_at=obtained_at + timedelta(seconds=seconds(answer.expires_in, _LIFETIME, _LONGEST_LIFETIME)),
        interval=seconds(answer.interval, _INTERVAL, _LONGEST_INTERVAL),
        device_code=secret,
    )


class DevicePolling:
    """Decides when to ask whether somebody allowed it.

    Args:
        code: What to ask with.
        timeout: For how many seconds to ask at most; None for as long as the code lives.
        now: The time in seconds, from any beginning.
        moment: The same time by the clock of this machine.

    Raises:
        InvalidRequest: The timeout is no time, or the code no code.
    """

    def __init__(self, code: DeviceCode, timeout: float | None, *, now: float, moment: datetime) -> None:
        if not isinstance(code, DeviceCode):
            raise InvalidRequest(f"code is a {type(code).__name__}; it takes what start_device gave")
        check_timeout(timeout)
        lives = (code.expires_at - moment).total_seconds()
        self._end = now + (lives if timeout is None else min(lives, timeout))
        self._interval = code.interval
        self._asked_for = 0.0
        self._trouble: CivitaiError | None = None

    def pause(self, now: float) -> float:
        """Give the seconds to wait before the next question. The last one is asked when the time is up."""
        return max(min(max(self._interval, self._asked_for), self._end - now), 0.0)

    def is_over(self, now: float) -> bool:
        """Tell whether the time is up."""
        return now >= self._end

    def goes_on(self, error: CivitaiError) -> bool:
        """Tell whether to ask again after an answer that was an error, and remember what it says about when."""
        self._asked_for = 0.0
        if isinstance(error, ApiError):
            if error.code == "authorization_pending":
                self._trouble = None
                return True
            if error.code == "slow_down" or isinstance(error, RateLimited):
                self._interval = min(self._interval + _SLOWER, _LONGEST_INTERVAL)
                self._asked_for = error.retry_after or 0.0
            elif not is_passing(error):
                return False
        elif isinstance(error, UnexpectedResponse):
            # Of a success that was not understood nothing is left to ask for.
            if not error.truncated:
                return False
        elif not isinstance(error, ConnectionFailed):
            return False
        self._trouble = error
        return True

    def timed_out(self) -> LoginTimeout:
        """Give the error for when nobody allowed it in time."""
        trouble = f", and the last question failed ({self._trouble.describe()})" if self._trouble is not None else ""
        error = LoginTimeout(f"Nobody allowed it on another device in time{trouble}")
        error.__cause__ = self._trouble
        return error
