# Derived from civitai_ext/_async/transport.py by scripts/unasync.py: change that file, then run `make fix`.
"""How an operation gets to its service and back: host, credential, retries, and errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from civitai_api.runtime import Request, Response, UnexpectedAnswer
from civitai_ext._answers import error_for, unexpected
from civitai_ext._backoff import RetryPolicy, delay_after
from civitai_ext._config import Config
from civitai_ext._redact import public_url
from civitai_ext._sync.http import Http
from civitai_ext.errors import CivitaiError, ConnectionFailed, InvalidRequest, UnexpectedResponse

__all__ = ["Transport"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")


class Transport:
    """Runs operations: what all parts of a client share, and what the functions of `civitai_api` take.

    The token goes to the services' own hosts, and there only with operations that ask for one.

    Args:
        config: The hosts and the token.
        http: What sends; made if it is not given.
        policy: When to send again what failed.
        sleep: How to wait in between.

    Attributes:
        config: As given.
        http: What sends.
        policy: As given, or the default.
        sleep: As given; tests put in one that returns at once.
    """

    def __init__(
        self,
        config: Config,
        http: Http | None = None,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config
        self.http = Http() if http is None else http
        self.policy = RetryPolicy() if policy is None else policy
        self.sleep = sleep

    def url_of(self, request: Request[Any]) -> str:
        """Give the whole URL of an operation.

        Raises:
            InvalidRequest: Its path does not begin with a slash, and so could change the host.
        """
        if not request.path.startswith("/"):
            raise InvalidRequest(f"The path of {request.operation} does not begin with a slash")
        return self.config.base_url(request.service) + request.target

    def headers_for(self, url: str, *, authenticated: bool = True) -> dict[str, str]:
        """Give the headers that say who is asking: the user agent, and the token if `url` may receive it."""
        headers = {"user-agent": self.config.user_agent}
        if authenticated and self.config.token is not None and self.config.may_receive_token(url):
            headers["authorization"] = f"Bearer {self.config.token}"
        return headers

    def send(
        self, request: Request[Any], /, *, timeout: float | None = None, policy: RetryPolicy | None = None
    ) -> Response:
        """Send an operation, again where that is safe and may help, and give back the answer.

        Redirects are answers: they are given back, not followed.

        Args:
            request: The operation.
            timeout: How many seconds the service may be silent, instead of the client's own limit.
            policy: When to send again, instead of the client's own policy.

        Raises:
            ApiError: The service answered with an error; the subclass says which.
            ConnectionFailed: No answer came.
            InvalidRequest: The operation cannot be sent.
            UnexpectedResponse: The answer was cut.
        """
        url = self.url_of(request)
        headers = {"accept": "application/json", **self.headers_for(url, authenticated=request.authenticated)}
        headers |= request.sent_headers
        content = request.content
        policy = self.policy if policy is None else policy
        attempt = 1
        while True:
            outcome = self._try(request, url, headers, content, timeout)
            if isinstance(outcome, Response):
                return outcome
            delay = delay_after(outcome, policy, attempt, idempotent=request.idempotent)
            if delay is None:
                if attempt > 1:
                    outcome.add_note(f"It was sent {attempt} times.")
                raise outcome
            logger.debug("%s again in %.2f s, after attempt %d", request.operation, delay, attempt)
            self.sleep(delay)
            attempt += 1

    def call(self, request: Request[T], /, *, timeout: float | None = None, policy: RetryPolicy | None = None) -> T:
        """Send an operation as `send` does, and give back what its answer says.

        Raises:
            UnexpectedResponse: The answer is not what the operation's document describes, such as an HTML page.
        """
        response = self.send(request, timeout=timeout, policy=policy)
        try:
            return request.decode(response)
        except UnexpectedAnswer as error:
            raise unexpected(response, method=request.method, url=self.url_of(request)) from error

    def _try(
        self, request: Request[Any], url: str, headers: dict[str, str], content: bytes | None, timeout: float | None
    ) -> Response | CivitaiError:
        """Send once. An error that sending again might cure is given back, not raised."""
        began = monotonic()
        try:
            response = self.http.send(request.method, url, headers=headers, content=content, timeout=timeout)
        except (ConnectionFailed, UnexpectedResponse) as error:
            logger.debug("%s %s: %s", request.method, public_url(url), error.describe())
            return error
        logger.debug("%s %s: %d in %.3f s", request.method, public_url(url), response.status, monotonic() - began)
        if response.status < 400 or response.status in request.answers:
            return response
        token = self.config.token
        return error_for(
            response,
            method=request.method,
            url=url,
            token_source=self.config.token_source if "authorization" in headers else None,
            secrets=() if token is None else (token,),
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
