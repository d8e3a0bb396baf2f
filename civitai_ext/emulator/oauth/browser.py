"""A user with a browser, for tests that have neither: signs in over HTTP, opens pages and sends their forms."""

from __future__ import annotations

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
        origin: Where the accounts service is.
        account: Who signs in.

    """

    def __init__(self, origin: str, account: Account) -> None:
        self._origin = origin
        self._cookie = ""
        self._send("POST", LOGIN, {"account": str(account.id), "returnUrl": "/"})

    def decide(self, authorize_url: str, *, approved: bool, remember: bool = False) -> str:
        """Open the page on which a client asks for something, and answer it; return where that leads."""
        parts = urlsplit(authorize_url)
        if parts.path != AUTHORIZE or parts.hostname != urlsplit(self._origin).hostname:
            raise ValueError(f"{authorize_url.partition('?')[0]} is no authorize address of this emulator")
        shown = self._send("GET", f"{parts.path}?{parts.query}")
        if shown.status == 200:
            form = dict(parse_qsl(parts.query)) | {"approved": "true" if approved else "false"}
            shown = self._send("POST", AUTHORIZE, form | ({"remember": "true"} if remember else {}))
        if shown.status != 303:
            raise BrowserError(shown.status, shown.text)
        return shown.location

    def decide_device(self, user_code: str, *, approved: bool) -> None:
        """Let a device in, or turn it away."""
        shown = self._send("POST", DEVICE, {"code": user_code, "approved": "true" if approved else "false"})
        if shown.status != 200:
            raise BrowserError(shown.status, shown.text)

    def _send(self, verb: str, path: str, form: dict[str, str] | None = None) -> _Answer:
        connection = HTTPConnection(urlsplit(self._origin).netloc, timeout=_SECONDS)
        headers = {"Cookie": self._cookie}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(verb, path, urlencode(form) if form is not None else None, headers)
            answer = connection.getresponse()
            self._keep_cookie(answer)
            return _Answer(answer.status, answer.getheader("Location", ""), answer.read().decode())
        finally:
            connection.close()

    def _keep_cookie(self, answer: HTTPResponse) -> None:
        if cookie := answer.getheader("Set-Cookie"):
            self._cookie = cookie.partition(";")[0]
