"""Keeping secrets out of what people read: URLs in errors and logs, and the log lines of the HTTP library."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

__all__ = ["MASK", "public_text", "public_url", "redacted_logs", "secrets_in"]

MASK: Final = "***"

# Broad on purpose: a masked harmless value costs little, a printed signature costs a file or an account.
_SECRET_NAME: Final = re.compile(
    r"token|secret|sig|key|auth|cred|passw|code|policy|verif|session|jwt|hmac|nonce|assertion", re.IGNORECASE
)
# In the URLs of blobs, whoever has that part of the path can fetch the content.
_SECRET_PART: Final = re.compile(r"(/blobs/(?:content|archive|blocked)/|/streaming-blobs/)[^/]+")
_URL: Final = re.compile(r"\bhttps?://[^\s'\"<>\\]+", re.IGNORECASE)


def public_url(url: str) -> str:
    """Give back `url` without its user information and fragment, and with the values of its secret parameters and the
    secret parts of its path masked.

    >>> public_url("https://me:pw@civitai.com/api/v1/models?limit=3&token=abc#top")
    'https://civitai.com/api/v1/models?limit=3&token=***'
    >>> public_url("https://orchestration.civitai.com/v2/consumer/blobs/content/W3siYmxv")
    'https://orchestration.civitai.com/v2/consumer/blobs/content/***'
    """
    try:
        parts = urlsplit(url)
        query = "&".join(_public_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
        path = _SECRET_PART.sub(rf"\1{MASK}", parts.path)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, query, ""))
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]


def _public_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals and _SECRET_NAME.search(name) else pair


def public_text(text: str) -> str:
    """Give back `text` with every URL in it made public.

    >>> public_text("moved to 'https://cdn.example/f?X-Amz-Signature=1f'")
    "moved to 'https://cdn.example/f?X-Amz-Signature=***'"
    """
    return _URL.sub(lambda found: public_url(found[0]), text)


def secrets_in(form: bytes) -> list[str]:
    """Give the values of a form that are secret by their names.

    >>> secrets_in(b"grant_type=refresh_token&refresh_token=abc%2B&client_id=me")
    ['abc+']
    """
    pairs = parse_qsl(form.decode("utf-8", "replace"))
    return [value for name, value in pairs if _SECRET_NAME.search(name) and name != "grant_type"]


_ours: Final[ContextVar[bool]] = ContextVar("civitai_ext_request", default=False)


class _UrlFilter(logging.Filter):
    """Rewrites the records of this package's own requests, and of no others."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _ours.get():
            record.msg, record.args = public_text(record.getMessage()), ()
        return True


_FILTER: Final = _UrlFilter()
_LOGGERS: Final = ("httpx", "httpcore.http11", "httpcore.proxy")


@contextmanager
def redacted_logs() -> Iterator[None]:
    """Mask the URLs that the HTTP library logs meanwhile: it writes them whole, signatures and all, at level INFO."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # adding it again does nothing
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)
