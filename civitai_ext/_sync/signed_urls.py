# Derived from civitai_ext/_async/signed_urls.py by scripts/unasync.py: change that file, then run `make fix`.
"""Requests to signed URLs: they carry a credential of their own, so they never get the token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from civitai_api.runtime import Response
from civitai_ext._answers import error_for, unexpected
from civitai_ext._backoff import delay_after
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import (
    ApiError,
    AuthenticationError,
    CivitaiError,
    ConnectionFailed,
    PermissionDenied,
    UnexpectedResponse,
)

__all__ = ["refusal", "send_signed", "with_retries"]

T = TypeVar("T")


def with_retries(transport: Transport, once: Callable[[], T]) -> T:
    """Do something that may be done twice; where that may help, again."""
    attempt = 1
    while True:
        try:
            return once()
        except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
            delay = delay_after(error, transport.policy, attempt, idempotent=True)
            if delay is None:
                raise
        transport.sleep(delay)
        attempt += 1


def send_signed(
    transport: Transport,
    method: str,
    url: str,
    content: Callable[[], bytes | Iterable[bytes]],
    *,
    headers: Mapping[str, str],
    timeout: float | None,
) -> Response:
    """Send something to a signed URL, again where that may help, and give back the answer.

    Args:
        transport: What sends.
        method: The HTTP method.
        url: The address.
        content: Gives the body, for each attempt anew.
        headers: Headers of the body.
        timeout: How many seconds the service may be silent.

    Raises:
        ApiError: The service refuses it.
        ConnectionFailed: No answer came.
        UnexpectedResponse: The address is not one to trust, or the answer is no success.
    """
    if not transport.config.may_be_fetched(url):
        raise UnexpectedResponse("the address to upload to is not one to trust", status=200, url=url)
    sent = transport.user_agent | dict(headers)
    silence = transport.timeout if timeout is None else timeout

    def once() -> Response:
        answer = transport.http.send(method, url, headers=sent, content=content(), timeout=silence)
        if 200 <= answer.status < 300:
            return answer
        raise refusal(answer, method, url, "Upload again.")

    return with_retries(transport, once)


def refusal(answer: Response, method: str, url: str, hint: str) -> CivitaiError:
    """Make the exception for an answer of a signed URL that is no success.

    Args:
        answer: The answer.
        method: The HTTP method of the request.
        url: The signed URL.
        hint: What to do if it has run out.
    """
    if answer.status < 400:
        return unexpected(answer, method=method, url=url)
    error = error_for(answer, method=method, url=url)
    if isinstance(error, (AuthenticationError, PermissionDenied)):
        error.hint = f"The signed URL was refused: it may have run out. {hint}"
    return error
