"""A file that is fetched in pieces: which bytes are there, which to ask for next, what an answer means. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from itertools import pairwise
from typing import Any, Final

import attrs

__all__ = ["SMALLEST", "Claim", "Part", "Verdict", "Version", "judge"]

SMALLEST: Final = 1024 * 1024
"""Bytes below which it does not pay to open another connection for a part of a range."""

_LARGEST: Final = 64 * 1024 * 1024
"""Bytes that one connection fetches at most before it takes the next range, if there are several: what comes first is
wanted first, since the file is hashed from its beginning.
"""

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", re.ASCII | re.IGNORECASE)
_NO_RANGE: Final = re.compile(r"bytes \*/([0-9]{1,19})", re.ASCII | re.IGNORECASE)
_LENGTH: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_FORMAT: Final = 1


@attrs.frozen
class Version:
    """One version of a file, as its host tells it from others.

    Attributes:
        size: How many bytes it has.
        etag: Its strong entity tag; None if it has none.
        modified: When it was changed, as the host spells it; None if that does not tell it from all others.
    """

    size: int
    etag: str | None = None
    modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What an `If-Range` may name; None if pieces of it cannot be told from those of another version."""
        return self.etag or self.modified

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str]) -> Version | None:
        """Read it from an answer (names of headers in lower case); None if that does not say the size of the file.

        >>> Version.of(206, {"content-range": "bytes 0-0/9", "etag": '"a"'})
        Version(size=9, etag='"a"', modified=None)
        >>> Version.of(200, {"content-length": "9", "etag": 'W/"a"'})
        Version(size=9, etag=None, modified=None)
        """
        if status == 206:
            found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
            size = None if found is None else found[3]
        elif status == 416:
            found = _NO_RANGE.fullmatch(headers.get("content-range", "").strip())
            size = None if found is None else found[1]
        else:
            length = headers.get("content-length", "").strip()
            size = length if _LENGTH.fullmatch(length) else None
        return None if size is None else cls(int(size), _strong_tag(headers), _strong_date(headers))

    def is_surely(self, other: Version | None) -> bool:
        """Tell whether this and another are certainly the same, so that pieces of both make up one file."""
        return self.validator is not None and self == other


def _strong_tag(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("etag", "").strip()
    well_formed = len(tag) > 2 and tag[0] == tag[-1] == '"' and tag.isascii() and tag.isprintable()
    return tag if well_formed and '"' not in tag[1:-1] else None


def _strong_date(headers: Mapping[str, str]) -> str | None:
    """The date of the last change, if that was long enough ago that there cannot be two in the same second."""
    text = headers.get("last-modified", "").strip()
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return text if text.isascii() and text.isprintable() and age.total_seconds() >= 1 else None


class Verdict(Enum):
    """What an answer to the request for a range is."""

    PIECE = "the range, or its beginning"
    WHOLE = "the whole file from its first byte"
    CHANGED = "a sign that the file is another one now"
    UNUSABLE = "neither"


def judge(status: int, headers: Mapping[str, str], start: int, end: int, version: Version) -> Verdict:
    """Tell what an answer below 400, or one with 416, means.

    Args:
        status: Its HTTP status.
        headers: Its headers, names in lower case.
        start: The first byte that was asked for.
        end: The byte after the last one that was asked for.
        version: The version that was asked for.

    >>> judge(206, {"content-range": "bytes 2-5/9", "etag": '"b"'}, 2, 6, Version(9, '"a"'))
    <Verdict.CHANGED: 'a sign that the file is another one now'>
    """
    told = Version.of(status, headers)
    if status == 416:  # if it is as long as it was, there is such a range, and only this host has none
        return Verdict.UNUSABLE if told is None or told.size == version.size else Verdict.CHANGED
    if status == 200:
        # Without a validator, nothing of what is there is kept, so that it does not matter which version this is.
        known = version.validator is not None
        return Verdict.CHANGED if told is None or _contradicts(told, version, known) else Verdict.WHOLE
    if status != 206 or told is None:
        return Verdict.UNUSABLE
    if _contradicts(told, version, known=False):
        return Verdict.CHANGED
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None or int(found[1]) != start or not start < int(found[2]) + 1 <= end:
        return Verdict.UNUSABLE
    length = headers.get("content-length", "").strip()
    if length and length != str(int(found[2]) + 1 - start):
        return Verdict.UNUSABLE
    return Verdict.PIECE


def _contradicts(told: Version, version: Version, known: bool) -> bool:
    """Whether an answer is of another version. `known`: it has to say which one, since no condition vouched for it."""
    if told.size != version.size:
        return True
    if version.etag is not None:
        return told.etag != version.etag if told.etag or known else False
    return told.modified != version.modified if told.modified or known else False


@attrs.define(eq=False)
class Claim:
    """A range that one connection fetches; the end comes nearer when another connection takes over some of it."""

    at: int
    end: int


class Part:
    """What is there of a version of a file, and who fetches what is not.

    Args:
        version: The version.
        done: The ranges that are there: first byte and the one after the last.
    """

    def __init__(self, version: Version, done: list[tuple[int, int]] | None = None) -> None:
        self.version = version
        self.done = done or []
        self._claims: list[Claim] = []

    @property
    def present(self) -> int:
        """How many bytes are there."""
        return sum(end - start for start, end in self.done)

    @property
    def front(self) -> int:
        """How many bytes are there from the beginning without a gap."""
        return self.done[0][1] if self.done and not self.done[0][0] else 0

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return self.present == self.version.size

    def take(self, connections: int) -> Claim | None:
        """Give a range to one more connection; None if those that fetch already are enough.

        What nobody fetches is shared out; if there is nothing left of that, half of the largest range changes hands.

        Args:
            connections: How many there are for what nobody fetches yet, this one among them.
        """
        free = self._free()
        if free:
            start, end = free[0]
            share = end - start
            if connections > 1:
                # Ever smaller ones, so that all connections are done at about the same time.
                left = sum(end - start for start, end in free)
                share = max(SMALLEST, min(_LARGEST, -(-left // (2 * connections))))
            # A rest that is not worth a connection of its own goes along.
            claim = Claim(start, end if end - start < share + SMALLEST // 2 else start + share)
        else:
            largest = max(self._claims, key=lambda claim: claim.end - claim.at, default=None)
            if largest is None or largest.end - largest.at < 2 * SMALLEST:
                return None
            middle = (largest.at + largest.end) // 2
            claim = Claim(middle, largest.end)
            largest.end = middle
        self._claims.append(claim)
        return claim

    def take_all(self) -> Claim:
        """Give the whole file to one connection, whatever is there of it."""
        claim = Claim(0, self.version.size)
        self._claims.append(claim)
        return claim

    def add(self, claim: Claim, count: int) -> None:
        """Note that so many bytes more of a range are there."""
        if count:
            self.done = _merged([*self.done, (claim.at, claim.at + count)])
            claim.at += count

    def release(self, claim: Claim) -> None:
        """Note that nobody fetches a range any more."""
        self._claims.remove(claim)

    def _free(self) -> list[tuple[int, int]]:
        """The ranges that are neither there nor fetched."""
        busy = _merged([*self.done, *((claim.at, claim.end) for claim in self._claims if claim.at < claim.end)])
        edges = [(0, 0), *busy, (self.version.size, self.version.size)]
        return [(left[1], right[0]) for left, right in pairwise(edges) if left[1] < right[0]]

    def to_dict(self) -> dict[str, Any]:
        """Give it in a form for JSON.

        >>> Part.from_dict(Part(Version(9, '"a"'), [(0, 4)]).to_dict()).done
        [(0, 4)]
        """
        return {
            "format": _FORMAT,
            "size": self.version.size,
            "etag": self.version.etag,
            "modified": self.version.modified,
            "done": [list(span) for span in self.done],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Part | None:
        """Read it again; None if that is not what `to_dict` gave."""
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            return None
        size, etag, modified, done = (data.get(name) for name in ("size", "etag", "modified", "done"))
        if type(size) is not int or size < 0 or not isinstance(done, list):
            return None
        if not all(value is None or isinstance(value, str) for value in (etag, modified)):
            return None
        last, spans = -1, []
        for span in done:
            if not isinstance(span, list) or len(span) != 2 or any(type(edge) is not int for edge in span):
                return None
            start, end = span
            if not last < start < end <= size:
                return None
            last = end
            spans.append((start, end))
        return cls(Version(size, etag, modified), spans)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
