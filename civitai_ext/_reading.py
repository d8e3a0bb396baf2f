"""What can be relied on of a value that a service sent, whatever it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from civitai_api.runtime import ApiModel, Unset

__all__ = ["models_in", "number", "printable", "record", "text"]

M = TypeVar("M", bound=ApiModel)

_COUNTABLE = 2**53
"""Beyond it floats have gaps; no price, size or share is as large."""


def models_in(values: Iterable[M] | Unset | None) -> list[M]:
    """The models in a list; none if it is no list, and without what is no model.

    >>> models_in([ApiModel()]), models_in(None)
    ([ApiModel()], [])
    """
    given = cast("Iterable[M]", values) if isinstance(values, (list, tuple)) else ()
    return [value for value in given if isinstance(value, ApiModel)]


def number(value: Any) -> float | None:
    """A number that can be counted with; None for anything else.

    >>> number(3), number(True), number("3"), number(float("nan")), number(10**400)
    (3, None, None, None, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _COUNTABLE:
        return value
    return None


def text(value: Any) -> str:
    """A text; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def printable(value: str) -> str:
    r"""A text without what a terminal takes for more than letters.

    >>> printable("a\x1b[31m\n.safetensors")
    'a[31m.safetensors'
    """
    return "".join(character for character in value if character.isprintable())


def record(value: Any) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}
