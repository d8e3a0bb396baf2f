"""Checks of filters and ids before they are sent, and what a page gives. No I/O."""

from __future__ import annotations

from typing import Any

from civitai_ext.errors import InvalidRequest

__all__ = ["a_number", "list_of", "several"]


def a_number(value: Any) -> int:
    """An id that the service can look up: it answers anything else as if itself had failed."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise InvalidRequest(f"id is {value!r}; an id is an integer from 1 to {2**31 - 1}")
    return value


def list_of(items: Any) -> list[Any]:
    """The items of a page; none where the service left the list out."""
    return [item for item in items or () if item is not None]


def several(name: str, values: Any) -> Any:
    """One value or several as several: the service refuses or misreads values joined by commas."""
    if values is None:
        return None
    several = [values] if isinstance(values, (str, int)) else list(values)
    if not several:
        raise InvalidRequest(f"{name} is empty", hint="Leave it out to take every one.")
    for value in several:
        if isinstance(value, str) and "," in value:
            raise InvalidRequest(f"{name} holds {value!r}", hint="Give a list, not a text with commas.")
    return several
