# Derived from civitai_ext/_async/transport.py by scripts/unasync.py: change that file, then run `make fix`.
"""How an operation gets to its service and back: host, credential, its turn, retries, and errors."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final, Self, TypeVar

import attrs

from civitai_api.runtime import Request, Response, UnexpectedAnswer
from civitai_ext._answers import error_for, unexpected
from civitai_ext._backoff import RetryPolicy, delay_after, is_throttled, pause_after
from civitai_ext._cache import may_be_kept
from civitai_ext._config import Config, Secret, SecretBytes, origin_of
from civitai_ext._lazy import closed
from civitai_ext._limiter import Limiter, Turn
from civitai_ext._options import checked_headers
from civitai_ext._redact import public_url, secrets_in
from civitai_ext._signal import Outcome, Signal
from civitai_ext._sync.http import Http
from civitai_ext.errors import (
    ApiError,
    AuthenticationError,
    CivitaiError,
    ConnectionFailed,
    InvalidRequest,
    UnexpectedResponse,
)

__all__ = ["Transport"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")

_FORM: Final = "application/x-www-form-urlencoded"
_BEARER: Final = "Bearer "


class Transport:
    """Runs operations: what all parts of a client share, and what the functions of `civitai_api` take.

    The token goes to the services' own hosts, and there only with operations that ask for one.

    Args:
        config: The hosts and the token.
        http: What sends; made if it is not given.
        policy: When to send again what failed.
        sleep: How to wait for a time; by default in a way that ends when the client is closed.
        clock: Gives the time in seconds, from any beginning.

    Attributes:
        config: As given.
        http: What sends.
        policy: As given, or the default.
        limiter: Who waits while a service gets too much.
        sleep: As given, or the default; tests put in one that returns at once.
        timeout: How many seconds a service may be silent; None for what `http` allows.
    """

    def __init__(
        self,
        config: Config,
        http: Http | None = None,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.config = config
        self.http = Http() if http is None else http
        self.policy = RetryPolicy() if policy is None else policy
        self.limiter = Limiter(clock)
        self._closing = Signal()
        self.sleep = self._rest if sleep is None else sleep
        self._clock = clock
        self.timeout: float | None = None
        self._extra_headers: Mapping[str, str] = {}

    def with_options(
        self,
        *,
        timeout: float | None = None,
        policy: RetryPolicy | None = None,
        config: Config | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Give a copy with other settings, on the same connections, limiter and cache. What is None stays as it is.

        Raises:
            InvalidRequest: A header is not for callers to set.
        """
        other = copy.copy(self)
        if timeout is not None:
            other.timeout = timeout
        if policy is not None:
            other.policy = policy
        if config is not None:
            other.config = config
        if extra_headers is not None:
            other._extra_headers = {**self._extra_headers, **checked_headers(extra_headers)}
        return other

    def url_of(self, request: Request[Any]) -> str:
        """Give the whole URL of an operation.

        Raises:
            InvalidRequest: Its path does not begin with a slash, and so could change the host.
        """
        if not request.path.startswith("/"):
            raise InvalidRequest(f"The path of {request.operation} does not begin with a slash")
        return self.config.base_url(request.service) + request.target

    @property
    def user_agent(self) -> dict[str, str]:
        """The header that says which program is asking, and nothing of who does."""
        return {"user-agent": self.config.user_agent}

    def knows_caller(self, url: str) -> bool:
        """Tell whether what is asked there can be asked in somebody's name."""
        return not self.config.is_anonymous and self.config.may_receive_token(url)

    def as_caller(self, url: str, attempt: Callable[[dict[str, str]], T], *, authenticated: bool = True) -> T:
        """Do something in the name of the caller, once more with a new token if the one of a login is refused.

        Args:
            url: What is asked; it has to be one that may receive the token, else none is sent.
            attempt: Does it, with the headers that say who is asking.
            authenticated: Whether to say who is asking.

        Raises:
            LoginExpired: The login cannot be renewed.
            CivitaiError: What `attempt` raised in the end, or why the login could not be renewed now.
        """
        login = self.config.login
        named = authenticated and self.knows_caller(url)
        if login is None or not named:
            return attempt(self._headers(self.config.token if named else None))
        token = login.given(Outcome.of(login.renewal()))
        try:
            result = attempt(self._headers(token))
        except AuthenticationError:
            if not login.can_be_renewed(token):
                raise
        else:
            login.accepted(token)
            return result
        token = login.given(Outcome.of(login.renewal(refused=token)))
        result = attempt(self._headers(token))
        login.accepted(token)
        return result

    def _headers(self, token: Secret | None) -> dict[str, str]:
        return self.user_agent | ({} if token is None else {"authorization": Secret(f"{_BEARER}{token}")})

    def send(
        self,
        request: Request[Any],
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        policy: RetryPolicy | None = None,
        held: bool = False,
        content: Callable[[], Iterable[bytes]] | None = None,
    ) -> Response:
        """Send an operation, again where that is safe and may help, and give back the answer.

        Redirects are answers: they are given back, not followed.

        Args:
            request: The operation.
            timeout: How many seconds the service may be silent, instead of the client's own limit.
            extra_headers: Headers to send besides.
            extra_query: Parameters to put after those of the operation.
            policy: When to send again, instead of the client's own policy.
            held: Whether the service holds it back on purpose, so that it must not keep others waiting.
            content: Gives the body piece by piece, for each attempt anew, instead of the operation's own. The operation
                then has to have a `content-length` header, else it is sent chunked.

        Raises:
            ApiError: The service answered with an error; the subclass says which.
            ConnectionFailed: No answer came.
            InvalidRequest: The operation cannot be sent.
            UnexpectedResponse: The answer was cut.
        """
        url = self.url_of(request)
        if extra_query:
            more = attrs.evolve(request, query=extra_query).target.partition("?")[2]
            url += ("&" if "?" in url else "?") + more if more else ""
        extra = {**self._extra_headers, **checked_headers(extra_headers or {})}
        others = request.sent_headers | extra
        authorized = request.authenticated and self.knows_caller(url)
        public = not extra and may_be_kept(request, url, authorized=authorized)
        whole = _body_of(request) if content is None else None
        silence = self.timeout if timeout is None else timeout

        def attempt(headers: dict[str, str]) -> Response:
            body = whole if content is None else content()
            headers = {"accept": "application/json", **headers, **others}
            outcome = self._try(request, url, headers, body, silence, public)
            if isinstance(outcome, Response):
                return outcome
            raise outcome

        def once() -> Response:
            return self.as_caller(url, attempt, authenticated=request.authenticated)

        return self.in_turn(url, once, what=request.operation, policy=policy, idempotent=request.idempotent, held=held)

    def in_turn(
        self,
        url: str,
        once: Callable[[], T],
        *,
        what: str,
        policy: RetryPolicy | None = None,
        idempotent: bool = True,
        held: bool = False,
    ) -> T:
        """Do something that asks a service when it is its turn, again where that is safe and may help.

        Args:
            url: What is asked; its host decides on the line to wait in.
            once: Does it, and raises what `send` does.
            what: How it is called in logs.
            policy: When to do it again, instead of the client's own policy.
            idempotent: Whether doing it twice does what doing it once does.
            held: Whether the service holds it back on purpose, so that it must not keep others waiting.

        Raises:
            CivitaiError: What `once` raised in the end.
        """
        policy = self.policy if policy is None else policy
        turn = Turn(origin_of(url), counted=not held)
        attempt, began, in_line = 1, None, 0.0
        try:
            while True:
                waited = self._wait_for(turn)
                if began is None:
                    began = self._clock()
                else:
                    in_line += waited
                try:
                    result = once()
                except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
                    outcome: CivitaiError = error
                else:
                    self.limiter.answered(turn)
                    return result
                elapsed = self._clock() - began - in_line
                delay = delay_after(outcome, policy, attempt, idempotent=idempotent, elapsed=elapsed)
                throttled = is_throttled(outcome)
                if throttled:
                    self.limiter.refused(turn, pause=pause_after(outcome, policy, attempt, delay))
                elif isinstance(outcome, ApiError) and outcome.status < 500:
                    self.limiter.answered(turn)
                if delay is None:
                    if attempt > 1:
                        outcome.add_note(f"It was sent {attempt} times.")
                    raise outcome
                logger.info("%s again in %.2f s, after attempt %d", what, delay, attempt)
                attempt += 1
                if not throttled:  # else all wait, this one among them
                    self.limiter.leave(turn)
                    self.sleep(delay)
        finally:
            self.limiter.leave(turn)

    def call(
        self,
        request: Request[T],
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        policy: RetryPolicy | None = None,
        held: bool = False,
        content: Callable[[], Iterable[bytes]] | None = None,
    ) -> T:
        """Send an operation as `send` does, and give back what its answer says.

        Raises:
            UnexpectedResponse: The answer is not what the operation's document describes, such as an HTML page.
        """
        response = self.send(
            request,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            policy=policy,
            held=held,
            content=content,
        )
        return self.decode(request, response)

    def decode(self, request: Request[T], response: Response) -> T:
        """Give what an answer says.

        Raises:
            UnexpectedResponse: It is not what the operation's document describes, such as an HTML page.
        """
        try:
            return request.decode(response)
        except UnexpectedAnswer as error:
            raise unexpected(response, method=request.method, url=self.url_of(request)) from error

    def _wait_for(self, turn: Turn) -> float:
        """Wait until the request may be sent; give the seconds for which others of this client were before it."""
        in_line = 0.0
        while True:
            signal, began = Signal(), self._clock()
            if not self.limiter.enter(turn, signal.set):
                signal.wait()
                in_line += self._clock() - began
            if not (seconds := self.limiter.pause(turn)):
                return in_line
            self.sleep(seconds)

    def _try(
        self,
        request: Request[Any],
        url: str,
        headers: dict[str, str],
        content: bytes | Iterable[bytes] | None,
        timeout: float | None,
        public: bool,
    ) -> Response | CivitaiError:
        """Send once. An error that sending again might cure is given back, not raised."""
        began = monotonic()
        try:
            response = self.http.send(
                request.method, url, headers=headers, content=content, timeout=timeout, public=public
            )
        except (ConnectionFailed, UnexpectedResponse) as error:
            logger.debug("%s %s: %s", request.method, public_url(url), error.describe())
            return error
        logger.debug("%s %s: %d in %.3f s", request.method, public_url(url), response.status, monotonic() - began)
        if response.status < 400 or response.status in request.answers:
            return response
        # A login may have other tokens by now than the one that was sent.
        secrets = [*self.config.secrets, headers.get("authorization", "").removeprefix(_BEARER)]
        if request.media_type == _FORM and isinstance(content, bytes):
            secrets += secrets_in(content)
        return error_for(
            response,
            method=request.method,
            url=url,
            token_source=self.config.token_source if "authorization" in headers else None,
            secrets=secrets,
            granted=None if self.config.login is None else self.config.login.scopes,
        )

    def _rest(self, seconds: float) -> None:
        """Wait for a time.

        Raises:
            ConfigurationError: The client is closed.
        """
        self._closing.wait(seconds)
        if self._closing.is_set:
            raise closed()

    def close(self) -> None:
        """Close the connections, and end what waits for them or for a time."""
        self._closing.set()
        self.http.close()


def _body_of(request: Request[Any]) -> bytes | None:
    try:
        content = request.content
        # Crash reports list the variables of every function that an error went through.
        return SecretBytes(content) if content is not None and request.media_type == _FORM else content
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"What {request.operation} is to send is nothing for JSON: {error}") from None
