"""Whether what came is the file that was wanted: by its beginning, and by its hashes. No I/O."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Final, Protocol

from civitai_ext._outputs import is_error_page

__all__ = ["BEGINNING", "Hashes", "StandardHashes", "comparable", "mismatch", "why_not_a_file"]

BEGINNING: Final = 512
"""How many bytes from the beginning of a file are enough for `why_not_a_file`."""

_LONGEST_HEADER: Final = 100_000_000  # as the safetensors library has it
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_MESSAGES: Final = frozenset({"application/json", "application/problem+json", "application/xml", "text/xml"})
_TEXTS: Final = (".json", ".xml", ".yaml", ".yml", ".txt", ".html", ".htm", ".svg", ".md")
_STORAGE_ERROR: Final = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<Error>", re.IGNORECASE)


class Hashes(Protocol):
    """Hashes of bytes that come piece by piece, in order."""

    def update(self, block: bytes, /) -> None:
        """Take the next bytes."""

    def digests(self) -> Mapping[str, str]:
        """Give the hashes by their names in the API, in upper case."""
        ...


class StandardHashes:
    """The hashes that the standard library can make.

    >>> hashes = StandardHashes()
    >>> hashes.update(b"abc")
    >>> hashes.digests()["CRC32"]
    '352441C2'
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32 = 0

    def update(self, block: bytes, /) -> None:
        """Take the next bytes."""
        self._sha256.update(block)
        self._crc32 = zlib.crc32(block, self._crc32)

    def digests(self) -> dict[str, str]:
        """Give the hashes by their names in the API, in upper case."""
        return {"SHA256": self._sha256.hexdigest().upper(), "CRC32": f"{self._crc32:08X}"}


def mismatch(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Give the name of a hash that is not as expected, how it should be, and how it is; None if all agree.

    >>> mismatch({"CRC32": "352441c2", "AutoV1": "?"}, {"CRC32": "352441C2"}) is None
    True
    """
    for name, value in comparable(expected, found).items():
        if value != found[name]:
            return name, value, found[name]
    return None


def comparable(expected: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Give the expected hashes that can be compared, with the names and the spelling of those that were found."""
    names = {name.upper(): name for name in found}
    return {
        names[name.upper()]: value.strip().upper()
        for name, value in expected.items()
        if name.upper() in names and value.strip()
    }


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
    'a page or a message came in place of the file'
    >>> why_not_a_file("a.safetensors", "", b"PK-and-so-on", 12)
    'it does not begin as a safetensors file does'
    """
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if not size:
        return "it is empty"
    if suffix in _TEXTS:
        return None
    if media_type in _PAGES:
        return f"a page came in place of the file ({media_type})"
    if media_type in _MESSAGES:
        return f"a message came in place of the file ({media_type})"
    if is_error_page(media_type, start) or _STORAGE_ERROR.match(start):
        return "a page or a message came in place of the file"
    if suffix == ".safetensors" and start:
        length = int.from_bytes(start[:8], "little")
        if len(start) < 9 or not 2 <= length <= min(_LONGEST_HEADER, size - 8) or start[8:9] != b"{":
            return "it does not begin as a safetensors file does"
    return None
