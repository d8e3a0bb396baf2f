"""The receiver: an ASGI application that takes events in and hands each of them to a function."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, overload

from civitai_ext._backoff import RetryPolicy
from civitai_ext._config import Secret
from civitai_ext.errors import ConfigurationError, InvalidEvent
from civitai_ext.webhooks._worker import Worker
from civitai_ext.webhooks.events import Event, parse
from civitai_ext.webhooks.stores import Failed, MemoryStore, Store

__all__ = ["Receiver"]

logger: Final = logging.getLogger("civitai_ext")

W = TypeVar("W")
Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Message]]
_Send = Callable[[Message], Awaitable[None]]

_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{16,}")
_RETRY: Final = RetryPolicy(attempts=10, base=1.0, cap=300.0, jitter=0.5, budget=None)
_BODY_SECONDS: Final = 30.0
_COME_AGAIN: Final = "5"


class Receiver:
    """An ASGI application that takes in the events of callbacks and hands each of them to a function.

    It answers 202 as soon as an event is in the store, and calls the handler afterwards: the events of a workflow one
    after another and in order, those of several workflows side by side. An event that is posted again is answered with
    200 and dropped.

    Serve it on its own (`uvicorn module:app`), or mount it under any path of another application; then start and stop
    it with `async with receiver:` in that application's lifespan. If nothing starts it, its first request does.

    **What is guaranteed.** With a `SQLiteStore`, an event that was answered with 2xx reaches the handler, whatever
    crashes in between. The handler gets it once, unless it raises, or the process dies after the handler began and
    before its end was noted: then it is called again with the same event. With a `MemoryStore`, what waits is lost when
    the process dies.

    Args:
        handler: Called with each event, and with the workflow if there is `refetch`. It may be asynchronous; if not, it
            runs in a thread.
        secret: Stands as the last part of the path of the URL that events are posted to. At least 16 letters, digits
            and any of `-._~`, such as `secrets.token_urlsafe()` gives. Requests without it get 404.
        store: Where events are kept; a `MemoryStore` by default.
        refetch: Called with the id of the workflow before the handler is, which gets what it returns as the second
            argument, such as `civitai.workflows.get`. An event of a workflow that is not there is given up at once.
        concurrency: How many workflows are worked on at a time.
        retry: When to call a handler again that raised, and when to give up. What is given up is logged and put aside,
            see `failed`, and the workflow's next event has its turn. Attempts that the end of the process cut short
            count too, so that with `RetryPolicy.off()` a handler never gets an event twice.
        max_body: How many bytes an event may have.
        grace: How many seconds handlers have to come to an end when the receiver is closed.

    Raises:
        ConfigurationError: One of these cannot be used.
    """

    @overload
    def __init__(
        self,
        handler: Callable[[Event], object],
        *,
        secret: str,
        store: Store | None = None,
        refetch: None = None,
        concurrency: int = 8,
        retry: RetryPolicy = _RETRY,
        max_body: int = 2**20,
        grace: float = 10.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        handler: Callable[[Event, W], object],
        *,
        secret: str,
        store: Store | None = None,
        refetch: Callable[[str], Awaitable[W]],
        concurrency: int = 8,
        retry: RetryPolicy = _RETRY,
        max_body: int = 2**20,
        grace: float = 10.0,
    ) -> None: ...

    @overload
    def __init__(
        self,
        handler: Callable[[Event, W], object],
        *,
        secret: str,
        store: Store | None = None,
        refetch: Callable[[str], W],
        concurrency: int = 8,
        retry: RetryPolicy = _RETRY,
        max_body: int = 2**20,
        grace: float = 10.0,
    ) -> None: ...

    def __init__(
        self,
        handler: Callable[..., object],
        *,
        secret: str,
        store: Store | None = None,
        refetch: Callable[[str], Any] | None = None,
        concurrency: int = 8,
        retry: RetryPolicy = _RETRY,
        max_body: int = 2**20,
        grace: float = 10.0,
    ) -> None:
        if not _SECRET.fullmatch(secret):
            raise ConfigurationError(
                "The secret of a receiver is not a text of at least 16 letters, digits and any of -._~",
                hint="secrets.token_urlsafe() makes one.",
            )
        if concurrency < 1:
            raise ConfigurationError(f"concurrency is {concurrency!r}; it is at least 1")
        self._handler = handler
        self._secret = Secret(secret)
        self._store: Store = MemoryStore() if store is None else store
        self._refetch = refetch
        self._concurrency = concurrency
        self._retry = retry
        self._max_body = max_body
        self._grace = grace
        self._worker: Worker | None = None
        self._is_closed = False
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Begin to work, with what is in the store from before; if it has begun, do nothing."""
        async with self._starting:
            if self._worker is None:
                await self._store.lead()  # a store that cannot be opened is told of now
                self._worker = Worker(
                    self._store, self._handler, self._refetch, concurrency=self._concurrency, retry=self._retry
                )
                self._is_closed = False

    async def close(self) -> None:
        """Take no more events in, let what has begun come to an end, and close the store."""
        self._is_closed = True
        async with self._starting:
            worker, self._worker = self._worker, None
            if worker is not None:
                await worker.stop(self._grace)
                await self._store.close()

    async def failed(self) -> Sequence[Failed]:
        """List the events that were given up, oldest first."""
        return await self._store.failed()

    async def retry_failed(self) -> int:
        """Let all events that were given up be worked on again, after those that wait; give how many there are."""
        count = await self._store.revive()
        if self._worker is not None:
            self._worker.look()
        return count

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Receiver for {getattr(self._handler, '__qualname__', type(self._handler).__name__)}>"

    async def __call__(self, scope: Message, receive: _Receive, send: _Send) -> None:
        """Speak ASGI."""
        match scope["type"]:
            case "http":
                answer = await self._answer(scope, receive)
                if answer is not None:
                    await _send(send, *answer)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await send({"type": "websocket.close"})
            case other:
                raise RuntimeError(f"a receiver does not speak {other}")

    async def _live(self, receive: _Receive, send: _Send) -> None:
        """Start and stop with the server."""
        while True:
            message = await receive()
            try:
                if message["type"] == "lifespan.startup":
                    await self.start()
                else:
                    await self.close()
            except Exception as error:
                await send({"type": f"{message['type']}.failed", "message": f"{type(error).__name__}: {error}"})
                return
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _answer(self, scope: Message, receive: _Receive) -> _Answer | None:
        """Take an event in; give the answer, None if nobody waits for it any more."""
        # Before all else, and as if nothing were here: a stranger learns nothing, and nothing of his is read.
        given = scope["path"].rstrip("/").rpartition("/")[2]
        if not hmac.compare_digest(given.encode(errors="surrogatepass"), self._secret.encode()):
            return 404, "not found", {}
        if scope["method"] != "POST":
            return 405, "events are posted", {"allow": "POST"}
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await self._read(scope, receive)
        except TimeoutError:
            return 408, "the body took too long", {}
        if body == "gone":
            return None
        if body == "too large":
            return 413, f"an event has at most {self._max_body} bytes", {}
        try:
            event = parse(body)
        except InvalidEvent as error:
            logger.warning("A webhook receiver refused what was posted to it: %s", error)
            return 400, str(error), {}
        return await self._take(event, body)

    async def _read(self, scope: Message, receive: _Receive) -> bytes | Literal["gone", "too large"]:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if length.isdigit() and int(length[:20]) > self._max_body:
            return "too large"
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return "gone"
            body += message.get("body", b"")
            if len(body) > self._max_body:
                return "too large"
            if not message.get("more_body"):
                return bytes(body)

    async def _take(self, event: Event, body: bytes) -> _Answer:
        """Put an event into the store."""
        try:
            if self._worker is None and not self._is_closed:
                await self.start()
            if self._worker is None:
                return 503, "the receiver is shutting down", {"retry-after": _COME_AGAIN}
            added = await self._store.add(event.key, event.workflow_id, body)
        except Exception:
            logger.exception("The store of a webhook receiver fails; the event will be posted again")
            return 503, "the event cannot be kept", {"retry-after": _COME_AGAIN}
        if added == "full":
            logger.warning("A webhook receiver has too many events to work on; the next ones will be posted again")
            return 503, "too many events are waiting", {"retry-after": _COME_AGAIN}
        if self._worker is not None:
            self._worker.look()
        return (202, "", {}) if added == "new" else (200, "", {})


_Answer = tuple[int, str, dict[str, str]]


async def _send(send: _Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
