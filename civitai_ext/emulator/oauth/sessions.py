"""Who is signed in in which browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers

COOKIE = "emulated-session"


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in, and when."""

    account: Account
    at: datetime


class Sessions:
    """The sessions of browsers, which know theirs by a cookie."""

    KEPT = ("_sessions",)

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        self._clock = clock
        self._identifiers = identifiers
        self._sessions: dict[str, Session] = {}

    def begin(self, account: Account, response: Response) -> None:
        """Sign somebody in and let the browser know."""
        value = self._identifiers.hexadecimal(48)
        self._sessions[value] = Session(account, self._clock.now())
        response.set_cookie(COOKIE, value, httponly=True, samesite="lax")

    def of(self, request: Request) -> Session | None:
        """Find the session of a browser."""
        return self._sessions.get(request.cookies.get(COOKIE, ""))
