"""What a caller gives, checked before anything is sent. No I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from math import inf
from typing import Any, Final

from civitai_ext._checks import check_types
from civitai_ext.errors import InvalidRequest

__all__ = ["a_count", "a_function", "a_mapping", "a_moment", "a_path", "a_silence", "a_switch", "texts"]

_LONGEST_SILENCE: Final = 1_000_000
"""In seconds. Sockets take some more, but not on every system."""


def a_switch(name: str, on: Any) -> bool:
    """What is on or off.

    Raises:
        InvalidRequest: It is something else, such as a text, which would count as on.
    """
    if not isinstance(on, bool):
        raise InvalidRequest(f"{name} is {on!r}; it is either True or False")
    return on


def a_count(name: str, value: Any, least: float = -inf, most: float = inf) -> int:
    """A whole number.

    Raises:
        InvalidRequest: It is something else, or beyond the limits.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        limits = "" if least == -inf else f", {least} or more" if most == inf else f", {least} to {most}"
        raise InvalidRequest(f"{name} is {value!r}; it takes an integer{limits}")
    return value


def a_moment(name: str, value: Any) -> datetime | None:
    """A moment; of a date its first one, in UTC. None for what was not said.

    Raises:
        InvalidRequest: It is something else, such as a text, which may be read in more than one way.

    >>> a_moment("from_date", date(2026, 8, 1)).isoformat()
    '2026-08-01T00:00:00+00:00'
    """
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, date):
        raise InvalidRequest(
            f"{name} is {value!r}; it takes a datetime or a date", hint="`datetime.fromisoformat` makes one of a text."
        )
    return datetime.combine(value, time(), UTC)


def a_function(name: str, value: Callable[..., object] | None) -> None:
    """Check what is to be called later.

    Raises:
        InvalidRequest: It cannot be called.
    """
    if value is not None and not callable(value):
        raise InvalidRequest(f"{name} is {value!r}; it takes a function")


def a_mapping(name: str, value: Any) -> dict[str, Any]:
    """Values of the caller's own, which JSON can hold.

    Raises:
        InvalidRequest: It is no map, or something in it is nothing for JSON; the message says what and where.

    >>> a_mapping("metadata", {"rating": 5})
    {'rating': 5}
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{name} is {value!r}; it takes a dict")
    check_types(value, name)
    return dict(value)


def a_path(name: str, value: Any) -> str:
    """Where something is to be written; `~` is the home folder, as a shell has it. A slash at the end stays.

    Raises:
        InvalidRequest: It is no path.

    >>> from pathlib import Path
    >>> a_path("to", Path("models/a.safetensors")), a_path("to", "models/")
    ('models/a.safetensors', 'models/')
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not path or not isinstance(path, str) or "\0" in path:
        raise InvalidRequest(f"{name} is {value!r}; it takes the path of a folder or a file")
    return os.path.expanduser(path)  # noqa: PTH111  # a Path loses the slash


def a_silence(value: Any) -> float:
    """How many seconds a host may be silent.

    Raises:
        InvalidRequest: It is no number, or one that no system can wait for.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _LONGEST_SILENCE:
        raise InvalidRequest(f"timeout is {value!r}; it takes more than 0 seconds, and {_LONGEST_SILENCE} at most")
    return value


def texts(name: str, values: Any) -> list[str]:
    """Several texts, each with something in it.

    Raises:
        InvalidRequest: It is something else, such as a single text.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise InvalidRequest(f"{name} is {values!r}; it takes a list of texts")
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise InvalidRequest(f"{name} holds {value!r}; it takes texts")
    return list(values)
