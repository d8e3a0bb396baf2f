"""Listening on this machine for the browser of somebody who logs in, which the service sends back here."""

from __future__ import annotations

import errno
import hmac
import html
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

# It serves one page to one person and takes nothing in, which needs no server beyond the standard library's.
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import parse_qs, urlsplit

import attrs

from civitai_ext.errors import CivitaiError, ConfigurationError, LoginFailed, LoginTimeout

__all__ = ["Loopback"]

logger: Final = logging.getLogger("civitai_ext")

# Which of the two a browser takes for `localhost` is up to it, and whoever else listened on the other would be sent to.
_ADDRESSES: Final = {"127.0.0.1": ("127.0.0.1",), "::1": ("::1",), "localhost": ("127.0.0.1", "::1")}
_MISSING: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_ATTEMPTS: Final = 10

_LONGEST_TARGET: Final = 8192
_MOST_CONNECTIONS: Final = 32
_MOST_WAITING: Final = 128
_IDLE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_LAST_SECONDS: Final = 2.0
_INTERRUPTIBLE_SECONDS: Final = 0.2  # a longer wait would keep Ctrl-C from getting through on Windows

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif;"
    "background:#f4f5f7;color:#1c1e21}"
    "main{box-sizing:border-box;width:min(30rem,calc(100vw - 2rem));padding:2rem;border-radius:.75rem;"
    "background:#fff;border-top:.25rem solid #c92a2a;box-shadow:0 .25rem 1.5rem #0002;overflow-wrap:anywhere}"
    "main.good{border-color:#2b8a3e}"
    "h1{margin:0 0 .5rem;font-size:1.375rem;line-height:1.25}p{margin:0}"
    "@media(prefers-color-scheme:dark){body{background:#141517;color:#e4e6eb}main{background:#25262b}}"
)


@attrs.frozen
class _Page:
    status: HTTPStatus
    title: str
    text: str

    def render(self) -> bytes:
        good = ' class="good"' if self.status == HTTPStatus.OK else ""
        title, text = html.escape(self.title), html.escape(self.text)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head>"
            f"<body><main{good}><h1>{title}</h1><p>{text}</p></main></body></html>"
        ).encode()


_ELSEWHERE: Final = _Page(HTTPStatus.NOT_FOUND, "Nothing here", "Only the end of a login is shown at this address.")
_WRONG: Final = _Page(
    HTTPStatus.BAD_REQUEST,
    "This is not the login that is waited for",
    "It belongs to another attempt, or another page made it up. The program goes on waiting: use the address that it "
    "gave last.",
)
_USED: Final = _Page(
    HTTPStatus.CONFLICT, "Already done", "This login came here before. The program says what became of it."
)


class Loopback:
    """Listens on this machine for the browser that comes back from logging in, as long as it is entered.

    The browser is answered when the block is left, or before that by `succeed`: with an error if there is one.

    Args:
        redirect_uri: Where the browser is sent to, as it is registered: http, one of the hosts 127.0.0.1, localhost
            and [::1], and a path. Without a port any free one is used, which Civitai allows.

    Raises:
        ConfigurationError: The URI is no such one.

    >>> with Loopback("http://127.0.0.1/callback") as loopback:
    ...     loopback.redirect_uri.startswith("http://127.0.0.1:"), loopback.redirect_uri.endswith("/callback")
    (True, True)
    """

    def __init__(self, redirect_uri: str) -> None:
        try:
            parts = urlsplit(redirect_uri)
            self._port = parts.port or 0
        except ValueError:
            raise ConfigurationError(f"redirect_uri is {redirect_uri!r}, which is no URI") from None
        self._host = parts.hostname or ""
        authority = parts.netloc.removesuffix(f":{self._port}")
        if parts.scheme != "http" or self._host not in _ADDRESSES or "@" in authority or parts.query or parts.fragment:
            raise ConfigurationError(
                f"redirect_uri is {redirect_uri!r}, to which a browser does not come back on this machine",
                hint="Register one such as http://127.0.0.1/callback, or log in with method='paste'.",
            )
        self.redirect_uri = redirect_uri
        """Where the browser is sent to, with the port that is listened on."""
        self._path = parts.path
        self._servers: list[_Server] = []
        self._state: str | None = None
        self._lock = threading.Lock()
        self._callback: str | None = None
        self._arrived, self._decided, self._answered = threading.Event(), threading.Event(), threading.Event()
        self._page = _Page(HTTPStatus.BAD_REQUEST, "Not logged in", "The program stopped before the login was over.")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            LoginFailed: The port is used by another program, or must not be used.
        """
        self._servers = self._listen()
        self._port = self._servers[0].server_address[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.redirect_uri = f"http://{host}:{self._port}{self._path}"
        for server in self._servers:
            server.start(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, CivitaiError):
            self._decide(attrs.evolve(self._page, text=str(error)))
        self._decide(self._page)
        if self.is_over:
            self._answered.wait(_LAST_SECONDS)
        for server in self._servers:
            server.stop()

    @property
    def is_over(self) -> bool:
        """Whether the browser came."""
        return self._arrived.is_set()

    def expect(self, state: str) -> None:
        """Take the browser that brings this state for the right one, and no other."""
        self._state = state

    def wait(self, timeout: float) -> str:
        """Wait for the browser, and give the whole address that it came to.

        It is left without an answer until `succeed`, or the end of the block.

        Args:
            timeout: For how many seconds.

        Raises:
            LoginTimeout: It did not come in time.
        """
        deadline = time.monotonic() + timeout
        while not self._arrived.wait(max(0.0, min(_INTERRUPTIBLE_SECONDS, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise LoginTimeout(
                    f"Nobody logged in within {timeout:g} seconds",
                    hint="If the browser shows an error, see that the client has this id, this redirect URI and these "
                    "scopes. Else try again; `timeout` says how many seconds to wait.",
                )
        return self._callback or ""

    def succeed(self, text: str) -> None:
        """Tell whoever looks at the browser that the login is done."""
        self._decide(_Page(HTTPStatus.OK, "You are logged in", text))

    def _decide(self, page: _Page) -> None:
        if not self._decided.is_set():
            self._page = page
            self._decided.set()

    def _listen(self) -> list[_Server]:
        addresses, reason = _ADDRESSES[self._host], "this machine has no such address"
        for _ in range(1 if self._port else _ATTEMPTS):  # a port that is free on one address may be used on the other
            try:
                if servers := _bind(addresses, self._port):
                    return servers
            except OSError as error:
                reason = error.strerror or type(error).__name__
                if error.errno != errno.EADDRINUSE:
                    break
        raise LoginFailed(
            f"The browser cannot be waited for at {self.redirect_uri}: {reason}",
            hint="Register a redirect URI without a port, so that any free one does, or log in with method='paste'.",
        )

    def _names(self) -> set[str]:
        """Give what a browser that was sent here calls this host."""
        names = [f"[{host}]" if ":" in host else host for host in _ADDRESSES]
        return {f"{name}:{self._port}" for name in names} | (set(names) if self._port == 80 else set())

    def _answer(self, target: str, headers: Any) -> _Page:
        """Give the page for a request; for the right one, when the login is over."""
        hosts = headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._names():
            # Any name can be made to lead to this machine, so a page from elsewhere could read what is answered.
            return _Page(HTTPStatus.MISDIRECTED_REQUEST, "Nothing here", "This host is not served here.")
        own, navigates = f"http://{hosts[0]}", headers.get("Sec-Fetch-Mode") == "navigate"
        origin, site = headers.get("Origin", own), headers.get("Sec-Fetch-Site")
        # Where one page sends the browser to the next, some give "null" in place of what they do not want to tell.
        if origin not in ((own, "null") if navigates else (own,)) or (site == "cross-site" and not navigates):
            return _Page(HTTPStatus.FORBIDDEN, "Not for other pages", "Only a browser that is sent here is answered.")
        path, _, query = target.partition("?")
        if path != (self._path or "/"):
            return _ELSEWHERE
        if len(target) > _LONGEST_TARGET:
            return _Page(HTTPStatus.REQUEST_URI_TOO_LONG, "Too long", "The address is too long to be read.")
        return self._take(query)

    def _take(self, query: str) -> _Page:
        if not self._is_expected(query):
            return _WRONG
        with self._lock:
            if self._callback is not None:
                return _USED
            self._callback = f"{self.redirect_uri}?{query}"
        self._arrived.set()
        self._decided.wait()
        return self._page

    def _is_expected(self, query: str) -> bool:
        try:
            states = parse_qs(query, max_num_fields=20).get("state", [])
        except ValueError:
            return False
        expected = self._state
        return expected is not None and len(states) == 1 and hmac.compare_digest(states[0].encode(), expected.encode())

    def _was_sent(self, page: _Page) -> None:
        if page is self._page:
            self._answered.set()


def _bind(addresses: Sequence[str], port: int) -> list[_Server]:
    """Listen on all of the addresses that exist, on the same port."""
    servers: list[_Server] = []
    try:
        for address in addresses:
            try:
                servers.append(_Server(address, servers[0].server_address[1] if servers else port))
            except OSError as error:
                if error.errno not in _MISSING:
                    raise
    except OSError:
        for server in servers:
            server.server_close()
        raise
    return servers


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = _MOST_WAITING
    # On Windows it would let any other program listen on the same port, and be given the code.
    allow_reuse_address = os.name == "posix"
    allow_reuse_port = False
    loopback: Loopback

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._open: dict[Any, None] = {}  # the oldest first
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        TCPServer.server_bind(self)  # that of HTTPServer looks its own name up, which may take long

    def start(self, loopback: Loopback) -> None:
        self.loopback = loopback
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name=f"civitai-loopback-{loopback.port}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._hang_up(list(self._open))  # browsers open some that they never use

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if self.loopback.is_over:  # the one that came waits for its answer
            return len(self._open) < _MOST_CONNECTIONS
        self._hang_up(list(self._open)[: 1 - _MOST_CONNECTIONS])  # else the silent ones could keep the right one out
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def _hang_up(self, connections: Sequence[Any]) -> None:
        for connection in connections:
            self._open.pop(connection, None)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a connection of a browser ended early: %s", type(sys.exception()).__name__)


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        loopback = cast("_Server", self.server).loopback
        page = loopback._answer(self.path, self.headers)
        try:
            self._send(page)
        finally:
            loopback._was_sent(page)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        # Called for what is no request at all, or no GET.
        self._send(_Page(HTTPStatus(code), "Not understood", "Only a browser that is sent here is answered."))

    def _send(self, page: _Page) -> None:
        body = page.render()
        self.send_response(page.status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "civitai-ext"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: it would be written to the standard error, the code in the address included."""
