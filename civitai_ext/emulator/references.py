"""References: values of a step that are filled in from another step when that one is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

ARGUMENTS = "$arguments"
"""The name under which a reference finds the arguments of the workflow."""

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class UnresolvedError(Exception):
    """A reference leads nowhere."""


def is_reference(value: Any) -> bool:
    """Tell whether a value is a reference.

    >>> is_reference({"$ref": "hero", "path": "output.images[0].url"})
    True
    """
    return isinstance(value, dict) and "$ref" in value


def references(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find all references in a value, each with the path of the field that holds it."""
    if is_reference(value):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from references(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from references(item, f"{path}[{place}]")


def resolve(value: Any, source: Callable[[str], Any]) -> Any:
    """Copy a value with all references filled in.

    >>> resolve({"text": {"$ref": "$0", "path": "output.words[1]"}}, {"$0": {"output": {"words": ["a", "b"]}}}.get)
    {'text': 'b'}

    Raises:
        UnresolvedError: A path does not exist in what it refers to.

    """
    if is_reference(value):
        return _follow(source(value["$ref"]), str(value.get("path", "")))
    if isinstance(value, dict):
        return {name: resolve(item, source) for name, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, source) for item in value]
    return value


def _follow(value: Any, path: str) -> Any:
    for name, place in _PART.findall(path):
        try:
            value = value[int(place)] if place else value[name]
        except (KeyError, IndexError, TypeError) as error:
            raise UnresolvedError(f"'{path}' does not exist") from error
    return value
