"""Who may see and control the emulator: programs and people on this machine, and no web page of anybody else."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection


def reason_to_refuse(connection: HTTPConnection) -> str | None:
    """Tell why a request is none of this machine's own; None if it is."""
    client, server = connection.scope.get("client"), connection.scope.get("server")
    if not client or not server or not (_is_loopback(client[0]) or client[0] == server[0]):
        return "only this machine may control the emulator"
    host = connection.headers.get("host", "")
    if not _is_ours(host, server[0]):
        # A name that anybody can let lead here would make a page of theirs one of ours.
        return f"the emulator is not called {host!r}; use localhost or an address"
    origin = connection.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "a web page of another origin may not control the emulator"
    follows_link = connection.headers.get("sec-fetch-mode") == "navigate" and connection.scope["method"] == "GET"
    if connection.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not follows_link:
        return "another web page may not control the emulator"
    return None


def is_shown_by_browser(connection: HTTPConnection) -> bool:
    """Tell whether a browser shows the answer as a page, which could run scripts."""
    return connection.headers.get("sec-fetch-dest") in ("document", "iframe", "frame", "embed", "object")


def _is_ours(host: str, address: str) -> bool:
    try:
        name = urlsplit(f"http://{host}").hostname or ""
    except ValueError:
        return False
    return name in ("localhost", address) or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
