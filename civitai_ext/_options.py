"""What every call takes besides its own arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from civitai_ext.errors import InvalidRequest

__all__ = ["CallOptions", "checked_headers", "checked_options"]


class CallOptions(TypedDict, total=False):
    """Options of a single call, which go before those of the client."""

    timeout: float
    """How many seconds the service may be silent before the request is given up."""
    extra_headers: Mapping[str, str]
    """Headers to send besides; they cannot replace the token."""
    extra_query: Mapping[str, Any]
    """Query parameters to send besides: lists as repeated keys, None left out."""


def checked_options(options: CallOptions) -> CallOptions:
    """Give the options of a call that is made later, so that a misspelt argument is told at once.

    Raises:
        TypeError: There is no such argument.

    >>> checked_options({"timeout": 5.0})
    {'timeout': 5.0}
    """
    if unknown := sorted(options.keys() - CallOptions.__annotations__.keys()):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    return options


# Each with where to say it instead; the rest of these decide where a request ends, and so what the next one is.
_NOT_EXTRA: Final = {
    "authorization": "Give the token to the client, or to with_options.",
    "proxy-authorization": "Put user and password into the URL of the proxy.",
    "cookie": "Cookies are not used.",
    "host": "Set site_url, orchestration_url or auth_url.",
    "user-agent": "Name your program with app.",
    "connection": None,
    "content-length": None,
    "transfer-encoding": None,
}


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give extra headers with their names in lower case.

    Raises:
        InvalidRequest: One of them is not for callers to set.

    >>> checked_headers({"X-Trace": "1"})
    {'x-trace': '1'}
    """
    checked = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in _NOT_EXTRA:
            raise InvalidRequest(f"extra_headers cannot set {name}", hint=_NOT_EXTRA[lower])
        if not isinstance(value, str):
            raise InvalidRequest(f"The value of extra header {name} is not a text, but {type(value).__name__}")
        checked[lower] = value
    return checked
