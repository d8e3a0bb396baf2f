"""Who is signed in in which browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers

COOKIE = "emulated-session"
LIFETIME = timedelta(days=30)
"""How long somebody stays signed in."""


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
        while self._is_old(next(iter(self._sessions.values()))):
            del self._sessions[next(iter(self._sessions))]
        response.set_cookie(COOKIE, value, httponly=True, samesite="lax")

    def of(self, request: Request) -> Session | None:
        """Find the session of a browser."""
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        return None if session is None or self._is_old(session) else session

    def _is_old(self, session: Session) -> bool:
        return self._clock.now() > session.at + LIFETIME
