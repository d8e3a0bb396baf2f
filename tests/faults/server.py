"""A server that misbehaves as told: real sockets on this machine, a script of what to do with each request."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import attrs


@attrs.frozen
class Received:
    """A request as it came in; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen
class Answer:
    """Answer whole and well."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    media_type: str | None = "application/json"

    def head(self, length: int | None = None) -> bytes:
        given = {"content-length": str(len(self.body) if length is None else length), **self.headers}
        if self.media_type is not None:
            given.setdefault("content-type", self.media_type)
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in given.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@attrs.frozen
class Cut:
    """Promise more of the body than is sent, and hang up."""

    sent: bytes = b'{"items": ['
    promised: int = 1000
    status: int = 200


@attrs.frozen
class Raw:
    """Send these bytes, whatever they are, and hang up."""

    data: bytes


@attrs.frozen
class Reset:
    """Reset the connection: before anything of the request is read, or after all of it is."""

    before_reading: bool = False


@attrs.frozen
class Silence:
    """Read the request and say nothing; or answer the head and `some` of the body, and then say nothing."""

    some: bytes | None = None


@attrs.frozen
class Quota:
    """Answer well so many times in every span of so many seconds, and say to others when the next span begins."""

    allowed: int
    seconds: float
    _taken: list[float] = attrs.field(factory=list, init=False, eq=False)

    def answer(self, now: float) -> Answer:
        begun = self._taken and now - self._taken[0] < self.seconds
        if not begun:
            self._taken.clear()
        if len(self._taken) < self.allowed:
            self._taken.append(now)
            return Answer()
        left = self._taken[0] + self.seconds - now
        return Answer(429, headers={"retry-after": "1", "retry-after-ms": f"{1000 * left:.1f}"})


Action = Answer | Cut | Quota | Raw | Reset | Silence


class FaultServer:
    """Does one action of its script per request, whatever connection it comes on; the last one for all that follow."""

    def __init__(self, script: Iterable[Action] = (Answer(),)) -> None:
        self.received: list[Received] = []
        self._script = deque(script)
        self._stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def script(self, *actions: Action) -> None:
        """Do these from now on."""
        with self._lock:
            self._script = deque(actions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):  # not every system lets a socket that listens be shut down
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._peek() == Reset(before_reading=True):
                self._next()
                _reset(connection)
                return
            with connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.received.append(request)
                    if not self._do(connection, self._next(), request):
                        return

    def _peek(self) -> Action:
        with self._lock:
            return self._script[0]

    def _next(self) -> Action:
        with self._lock:
            action = self._script.popleft() if len(self._script) > 1 else self._script[0]
            return action.answer(time.monotonic()) if isinstance(action, Quota) else action

    def _do(self, connection: socket.socket, action: Action, request: Received) -> bool:
        """Do it, and tell whether the connection stays."""
        match action:
            case Answer():
                connection.sendall(action.head() + (b"" if request.method == "HEAD" else action.body))
                return True
            case Cut():
                connection.sendall(Answer(action.status).head(action.promised) + action.sent)
            case Raw():
                connection.sendall(action.data)
            case Reset():
                _reset(connection)
            case Silence():
                if action.some is not None:
                    connection.sendall(Answer().head(len(action.some) + 1) + action.some)
                self._stopping.wait(30)
        return False


def _read(stream: object) -> Received | None:
    readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
    first = readline().split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = b""
    if "content-length" in headers:
        body = read(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(readline(), 16):
            body += read(size)
            readline()
        readline()
    return Received(first[0].decode(), first[1].decode(), headers, body)


def _reset(connection: socket.socket) -> None:
    # Closing without lingering sends a reset instead of an orderly end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def closed_port() -> int:
    """Give a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
