"""Values that callers write as text, read so that no text can break what is done with them."""

from __future__ import annotations

from datetime import UTC, datetime

_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """Read a number of plain digits, as ids and offsets are; anything else is none.

    >>> whole_number("17"), whole_number("-17"), whole_number("²"), whole_number("9" * 5000)
    (17, None, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def moment(text: str) -> datetime:
    """Read a moment, which is one of UTC unless it says otherwise.

    >>> moment("2026-08-01T12:00:00+02:00").isoformat()
    '2026-08-01T10:00:00+00:00'

    Raises:
        ValueError: It is none, or lies outside of the years that there are.

    """
    found = datetime.fromisoformat(text)
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range") from error
