"""Spoils an answer on its way out: headers, dates, encoding, length, pace, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from typing import NoReturn

from starlette.types import Message, Receive, Send

from civitai_ext.emulator.answers import http_date
from civitai_ext.emulator.faults import End, Fault

_NO_LINGERING = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_LARGEST_PIECE = 64 * 1024
_PIECES_A_SECOND = 20
_GLANCE = 0.001
_GZIP = 16 + zlib.MAX_WBITS
_DATES = frozenset({b"expires", b"last-modified", b"retry-after"})
_MOMENT = re.compile(rb"(?<=\")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)\")")


class OverError(Exception):
    """Raised to end the work on an answer whose connection is gone."""


class Connection:
    """The connection of a request, below HTTP.

    Args:
        find: Finds what carries it, while there is something.
        receive: Where the request comes from, and the word that the caller has gone.

    """

    def __init__(self, find: Callable[[], asyncio.Transport | None], receive: Receive) -> None:
        self._find = find
        self._receive = receive

    @cached_property
    def _transport(self) -> asyncio.Transport | None:
        return self._find()

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes behind the back of HTTP."""
        if self._transport is not None:
            self._transport.write(data)

    async def end(self, how: End) -> NoReturn:
        """End the connection, or let it hang, until the server knows: it would answer for us otherwise."""
        transport = self._transport
        if transport is not None and how == "close":
            transport.close()
        if transport is not None and how == "reset":
            while transport.get_write_buffer_size() and not transport.is_closing():
                await asyncio.sleep(_GLANCE)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            transport.abort()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise OverError


class Skewed:
    """Sends an answer with its dates off, in headers and in JSON.

    Args:
        send: Where the answer goes.
        by: So many seconds.

    """

    def __init__(self, send: Send, by: int) -> None:
        self._send = send
        self._by = timedelta(seconds=by)
        self._is_json = False

    async def __call__(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            self._is_json = any(name == b"content-type" and b"json" in value for name, value in headers)
            dated = [(name, self._header(value) if name in _DATES else value) for name, value in headers]
            message = {**message, "headers": [*dated, (b"date", http_date(self._by))]}
        elif message["type"] == "http.response.body" and self._is_json:
            # As long as before, so that the length stays right.
            message = {**message, "body": _MOMENT.sub(self._moment, message.get("body", b""))}
        await self._send(message)

    def _header(self, value: bytes) -> bytes:
        try:
            moment = parsedate_to_datetime(value.decode("latin-1")) + self._by
            return format_datetime(moment.astimezone(UTC), usegmt=True).encode()
        except (ValueError, OverflowError):  # a number of seconds, perhaps
            return value

    def _moment(self, found: re.Match[bytes]) -> bytes:
        try:
            moment = datetime.fromisoformat(found[0].decode()) + self._by
        except (ValueError, OverflowError):
            return found[0]
        return moment.isoformat(timespec="seconds").encode()


class Spoiler:
    """Sends an answer as a fault wants it; stands where the ASGI server's own `send` stands.

    Args:
        send: Where the answer goes.
        connection: The connection that it goes by.
        fault: What is done to it, if something is.
        rate: How many bytes a second are sent, if that is limited.
        is_head: Whether it has no body, whatever its length is said to be.

    """

    def __init__(
        self,
        send: Send,
        connection: Connection,
        fault: Fault | None = None,
        *,
        rate: float | None = None,
        is_head: bool = False,
    ) -> None:
        self._send = send
        self._connection = connection
        self._end: End = fault.end if fault else "close"
        self._headers = {name.lower(): value for name, value in fault.headers.items()} if fault else {}
        self._cut = fault.cut_body if fault else False
        self._left: int | None = None  # until the cut
        self._declared: int | None = None  # what is left of the length that is said
        self._gzip = zlib.compressobj(wbits=_GZIP) if fault and fault.gzip else None
        self._rate = rate
        self._is_head = is_head
        self._due: float | None = None

    async def __call__(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif message["type"] == "http.response.body":
            await self._body(message.get("body", b""), is_last=not message.get("more_body"))
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        headers = {name.decode("latin-1").lower(): value for name, value in message["headers"]}
        if self._gzip is not None:
            headers.pop("content-length", None)
            headers["content-encoding"] = b"gzip"
        if self._cut is not False:
            # In the middle; of an answer whose length nobody knows, at once.
            self._left = int(headers.get("content-length", 0)) // 2 if self._cut is True else self._cut
        for name, value in self._headers.items():
            headers.pop(name, None)
            if value is not None:
                headers[name] = value.encode("latin-1")
        if self._headers.get("content-length") is not None and not self._is_head:
            self._declared = int(headers["content-length"])
        shown = [(name.encode("latin-1"), value) for name, value in headers.items()]
        await self._send({**message, "headers": shown})

    async def _body(self, body: bytes, *, is_last: bool) -> None:
        if self._gzip is not None:
            body = self._gzip.compress(body) + self._gzip.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
        if self._left is not None and len(body) > self._left:
            await self._pass(body[: self._left])
            await self._connection.end(self._end)
        elif self._left is not None:
            self._left -= len(body)
        await self._pass(body)
        if not is_last:
            return
        if self._declared is not None and self._declared > 0:
            await self._connection.end(self._end)
        await self._send({"type": "http.response.body", "body": b""})

    async def _pass(self, body: bytes) -> None:
        """Send a part of the body, as fast as that may be."""
        for piece in self._pieces(body):
            if self._connection.is_gone:
                await self._connection.end("close")
            within = piece if self._declared is None else piece[: self._declared]
            if self._declared is not None:
                self._declared -= len(within)
            if within:
                await self._send({"type": "http.response.body", "body": within, "more_body": True})
            if len(within) < len(piece):
                self._connection.write(piece[len(within) :])
            await self._pause(len(piece))

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        most = _LARGEST_PIECE
        if self._rate is not None:
            most = min(most, max(1, int(self._rate / _PIECES_A_SECOND)))
        for at in range(0, len(body), most):
            yield body[at : at + most]

    async def _pause(self, length: int) -> None:
        """Wait until as much may have been sent."""
        if self._rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._due = (now if self._due is None else self._due) + length / self._rate
        while (left := self._due - asyncio.get_running_loop().time()) > 0 and not self._connection.is_gone:
            await asyncio.sleep(min(left, 1 / _PIECES_A_SECOND))
