"""A user with a browser, for tests that have neither: signs in over HTTP, opens pages and sends their forms."""

from __future__ import annotations

import re
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from civitai_ext.emulator.accounts import Account

AUTHORIZE = "/api/auth/oauth/authorize"
DEVICE = "/login/oauth/device"
LOGIN = "/login"

_SECONDS = 20


class BrowserError(RuntimeError):
    """A user was shown an error.

    Attributes:
        status: The status of the answer.
        text: What it says.

    """

    def __init__(self, status: int, text: str) -> None:
        hint = "; set emulator.oauth.rate_limits = False if that is in the way" if status == 429 else ""
        super().__init__(f"the accounts service answered {status}: {text[:200]}{hint}")
        self.status = status
        self.text = text


class _Answer(NamedTuple):
    status: int
    location: str
    text: str


class Browser:
    """A browser in which one account is signed in.

    Args:
        origins: Where the site and the accounts service are.
        account: Who signs in.

    """

    def __init__(self, origins: tuple[str, str], account: Account) -> None:
        self._origins = origins
        self._service = origins[1]
        self._cookie = ""
        self._send("POST", self._service + LOGIN, {"account": str(account.id), "returnUrl": "/"})

    def decide(self, authorize_url: str, *, approved: bool, remember: bool = False) -> str:
        """Open the page on which a client asks for something, and answer it; return where that leads."""
        page, _, query = authorize_url.partition("?")
        if page not in (origin + AUTHORIZE for origin in self._origins):
            raise ValueError(f"{page} is no authorize address of this emulator, which is at {self._service}")
        shown = self._send("GET", authorize_url)
        if shown.status == 308:
            shown = self._send("GET", shown.location)
        if shown.status == 200:
            form = dict(parse_qsl(query)) | {"approved": str(approved).lower()}
            shown = self._send("POST", self._service + AUTHORIZE, form | ({"remember": "true"} if remember else {}))
        if shown.status != 303:
            raise BrowserError(shown.status, shown.text)
        return shown.location

    def decide_device(self, user_code: str, *, approved: bool) -> None:
        """Let a device in, or turn it away."""
        shown = self._send("POST", self._service + DEVICE, {"code": user_code, "approved": str(approved).lower()})
        if shown.status != 200:
            raise BrowserError(shown.status, shown.text)

    def _send(self, verb: str, url: str, form: dict[str, str] | None = None) -> _Answer:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=_SECONDS)
        headers = {"Cookie": self._cookie}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(verb, f"{parts.path}?{parts.query}", None if form is None else urlencode(form), headers)
            answer = connection.getresponse()
            self._keep_cookie(answer)
            return _Answer(answer.status, answer.getheader("Location", ""), _text(answer.read().decode()))
        finally:
            connection.close()

    def _keep_cookie(self, answer: HTTPResponse) -> None:
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.partition(";")[0]


def _text(page: str) -> str:
    """Tell what a page says, without its mark-up.

    >>> _text("<style>p { }</style><p>Nobody &amp; <b>nothing</b>.</p>")
    'Nobody & nothing .'
    """
    return " ".join(unescape(re.sub("<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)).split())
