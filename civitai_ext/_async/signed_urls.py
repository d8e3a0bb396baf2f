"""Requests to signed URLs: they carry a credential of their own, so they never get the token."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import TypeVar

from civitai_api.runtime import Response
from civitai_ext._answers import error_for, unexpected
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import delay_after
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


async def with_retries(transport: AsyncTransport, once: Callable[[], Awaitable[T]]) -> T:
    """Do something that may be done twice; where that may help, again."""
    attempt = 1
    while True:
        try:
            return await once()
        except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
            delay = delay_after(error, transport.policy, attempt, idempotent=True)
            if delay is None:
                raise
        await transport.sleep(delay)
        attempt += 1


async def send_signed(
    transport: AsyncTransport,
    method: str,
    url: str,
    content: Callable[[], bytes | AsyncIterable[bytes]],
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

    async def once() -> Response:
        answer = await transport.http.send(method, url, headers=sent, content=content(), timeout=silence)
        if 200 <= answer.status < 300:
            return answer
        raise refusal(answer, method, url, "Upload again.")

    return await with_retries(transport, once)


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
