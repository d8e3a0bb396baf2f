"""What can be relied on of a value that a service sent, whatever it is."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from civitai_api.runtime import ApiModel

__all__ = ["models_in", "number", "record", "text"]

M = TypeVar("M", bound=ApiModel)


def models_in(values: list[M] | Any) -> list[M]:
    """The models in a list; none if it is no list, and without what is no model.

    >>> models_in([ApiModel(), None, 5]), models_in("text")
    ([ApiModel()], [])
    """
    return [value for value in values if isinstance(value, ApiModel)] if isinstance(values, list) else []


def number(value: Any) -> float | None:
    """A finite number; None for anything else.

    >>> number(3), number(True), number("3"), number(float("nan"))
    (3, None, None, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None


def text(value: Any) -> str:
    """A text; an empty one for anything else."""
    return value if isinstance(value, str) else ""


def record(value: Any) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}
