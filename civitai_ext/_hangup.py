"""Closing connections that somebody waits for: one form for threads and one for tasks."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any
from weakref import WeakSet

__all__ = ["AsyncHangup", "Hangup"]


class Hangup:
    """Ends what other threads wait for: closing a socket does not wake whoever reads from it, shutting it down does.

    It learns of connections by what the HTTP library tells of a request on its way (its extension `trace`).
    """

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._over = False
        self._lock = threading.Lock()

    def follow(self, request: Any) -> None:
        """Take note of the connection that will be made for a request of the HTTP library, if one is made."""
        request.extensions["trace"] = self._told

    def hang_up(self) -> None:
        """End all that is under way, and all that begins later."""
        with self._lock:
            self._over = True
            for each in self._sockets:
                _shut_down(each)

    def _told(self, event: str, info: dict[str, Any]) -> None:
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        made = info["return_value"].get_extra_info("socket")
        with self._lock:
            self._sockets.add(made)
            if self._over:
                _shut_down(made)


class AsyncHangup:
    """Ends nothing: what tasks wait for ends when its connection is closed."""

    async def follow(self, request: Any) -> None:
        """Take no note of it."""

    def hang_up(self) -> None:
        """Do nothing."""


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed, or another object has it now
        connection.shutdown(socket.SHUT_RDWR)
