"""Whether what came can be the file that was wanted, by its kind, its beginning and its size. No I/O."""

from __future__ import annotations

import re
from typing import Final

from civitai_ext._outputs import is_error_page
from civitai_ext.safetensors import header_length

__all__ = ["BEGINNING", "ROUNDED", "is_another_size", "why_not_a_file"]

BEGINNING: Final = 512
"""How many bytes from the beginning of a file are enough for `why_not_a_file`."""

ROUNDED: Final = 1024
"""Bytes by which a size that the catalogue says may be wrong; of larger files it is a twentieth."""

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_MESSAGES: Final = frozenset({"application/json", "application/problem+json", "application/xml", "text/xml"})
# Files that may be what else only comes in place of a file.
_PAGE_FILES: Final = frozenset({".html", ".htm", ".xhtml"})
_MESSAGE_FILES: Final = frozenset({".json", ".xml", ".yaml", ".yml", ".txt", ".svg", ".md", ".csv", ""})
_PAGE: Final = re.compile(rb"\s*(?:<!doctype html|<html)", re.IGNORECASE)
_STORAGE_ERROR: Final = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<Error>", re.IGNORECASE)


def why_not_a_file(name: str, media_type: str, start: bytes, size: int) -> str | None:
    """Tell why an answer is something else in place of a file; None if it may be the file.

    Args:
        name: What the file will be called.
        media_type: The kind of the answer, as the host says; empty if it does not say.
        start: The first bytes; none if they are not known yet.
        size: How many bytes there are.

    >>> why_not_a_file("a.safetensors", "text/html", b"", 5)
    'a page came in place of the file (text/html)'
    >>> why_not_a_file("a.safetensors", "", b"<!doctype html>", 5)
    'a page came in place of the file'
    >>> why_not_a_file("a.safetensors", "", b"PK-and-so-on", 12)
    'it does not begin as a safetensors file does'
    """
    suffix = f".{name.rpartition('.')[2].lower()}" if "." in name else ""
    if not size:
        return "it is empty"
    if suffix not in _PAGE_FILES:
        if media_type in _PAGES:
            return f"a page came in place of the file ({media_type})"
        if _PAGE.match(start):
            return "a page came in place of the file"
    if _STORAGE_ERROR.match(start):
        return "a message came in place of the file"
    if suffix not in _MESSAGE_FILES | _PAGE_FILES:
        if media_type in _MESSAGES:
            return f"a message came in place of the file ({media_type})"
        if is_error_page(media_type, start):
            return "a message came in place of the file"
    if suffix in (".safetensors", ".sft") and start and header_length(start) is None:
        return "it does not begin as a safetensors file does"
    return None


def is_another_size(size: int, listed: int | None) -> bool:
    """Tell whether a file is so much shorter or longer than the catalogue says that it is another one.

    >>> is_another_size(20_000, 40_000), is_another_size(40_200, 40_000), is_another_size(5, None)
    (True, False, False)
    """
    return listed is not None and abs(size - listed) > max(ROUNDED, listed // 20)
