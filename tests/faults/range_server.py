"""A service and a storage that misbehave as told: the first gives the address of a file, the second gives its bytes."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import attrs

from tests.faults.server import _reset

MB = 1024 * 1024


@attrs.define
class Asked:
    """A request as it came in; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    sent: int = 0

    @property
    def is_probe(self) -> bool:
        return self.headers.get("range") == "bytes=0-0"


@attrs.define
class Reply:
    """How the storage answers a request: at first as it should, then as a fault changes it."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: int | None = None  # hang up after so many bytes
    reset: bool = False  # … by a reset
    stall: bool = False  # … not at all, and say nothing more
    drip: float | None = None  # seconds between single bytes
    chunked: bool = False  # without a length
    endless: bool = False  # … and with nothing else that shows where it ends


Fault = Callable[[int, Asked, Reply], Reply | None]
"""Given the number of the request for bytes, from 0 (probes are not counted), the request and the right reply."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def setup(self) -> None:
        super().setup()
        # Little is under way at a time, so that what was sent is about what came.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            self.server.owner.answer(self)


class RangeServer:
    """Both on one address; the storage below `/storage/`."""

    def __init__(self, content: bytes = b"", *, etag: str | None = '"v1"') -> None:
        self.content = content
        self.etag = etag
        self.asked: list[Asked] = []
        self.fault: Fault | None = None
        self.service: Callable[[int], Reply | None] = lambda _: None  # answers instead of the address
        self.signature = 1
        self.pace: float | Callable[[int], float] | None = (
            None  # bytes per second and connection, of how many there are
        )
        self.active = 0
        self.extra: dict[str, str] = {}
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        self._resolved = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def source(self) -> str:
        return f"{self.url}/api/download/models/1"

    @property
    def stored(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.startswith("/storage/")]

    @property
    def sent(self) -> int:
        """Bytes of the file that went out."""
        return sum(asked.sent for asked in self.stored if not asked.is_probe)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.socket.close()

    def answer(self, handler: Handler) -> None:
        asked = Asked(handler.path, {name.lower(): value for name, value in handler.headers.items()})
        with self._lock:
            self.asked.append(asked)
        if asked.path.startswith("/storage/"):
            self._store(handler, asked)
            return
        with self._lock:
            number, self._resolved = self._resolved, self._resolved + 1
        reply = self.service(number)
        if reply is None:
            reply = Reply(307, {"location": f"{self.url}/storage/file?signature={self.signature}"}, b"")
        self._send(handler, asked, reply)

    def _store(self, handler: Handler, asked: Asked) -> None:
        reply = self.right(asked)
        if not asked.path.endswith(f"?signature={self.signature}"):
            reply = Reply(403, {"content-type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        elif "authorization" in asked.headers:
            reply = Reply(400, {}, b"Only one auth mechanism allowed")
        elif self.fault is not None:
            number = -1
            if not asked.is_probe:
                with self._lock:
                    number, self._number = self._number, self._number + 1
            reply = self.fault(number, asked, reply) or self.right(asked)
        self._send(handler, asked, reply)

    def right(self, asked: Asked) -> Reply:
        """What a good storage answers."""
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes", **self.extra}
        if self.etag is not None:
            headers["etag"] = self.etag
        size = len(self.content)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        condition = asked.headers.get("if-range")
        if found is None or (condition is not None and condition not in (self.etag, self.extra.get("last-modified"))):
            return Reply(200, headers, self.content)
        start, end = int(found[1]), min(int(found[2]) + 1, size)
        if start >= size:
            return Reply(416, headers | {"content-range": f"bytes */{size}"}, b"")
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        return Reply(206, headers, self.content[start:end])

    def _send(self, handler: Handler, asked: Asked, reply: Reply) -> None:
        length = {"transfer-encoding": "chunked"} if reply.chunked else {"content-length": str(len(reply.body))}
        headers = reply.headers if reply.endless else {**length, **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        with self._lock:
            self.active += 1
        try:
            self._send_body(handler, asked, reply)
        finally:
            with self._lock:
                self.active -= 1
        said = headers.get("content-length", str(len(reply.body)))
        if reply.cut is not None or reply.stall or reply.reset or reply.endless or said != str(len(reply.body)):
            handler.close_connection = True

    def _send_body(self, handler: Handler, asked: Asked, reply: Reply) -> None:
        body = memoryview(reply.body)[: reply.cut]
        block = 64 * 1024 if reply.drip is None else 1
        for at in range(0, len(body), block):
            piece = body[at : at + block]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if reply.chunked else piece)
            asked.sent += len(piece)
            if reply.drip is not None and self.stopping.wait(reply.drip):
                break
            if self.pace is not None:
                time.sleep(len(piece) / (self.pace(self.active) if callable(self.pace) else self.pace))
        if reply.stall:
            self.stopping.wait(20)
        if reply.reset:
            handler.wfile.flush()
            _reset(handler.connection)
        elif reply.chunked and reply.cut is None:
            handler.wfile.write(b"0\r\n\r\n")
