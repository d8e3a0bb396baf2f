"""The difference between two JSON objects, as a JSON Patch (RFC 6902).

Own code: kept libraries patch lists by position, which hits the wrong entry if the list has changed meanwhile. Here a
list that differs is replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from civitai_api.orchestration.models import JsonPatchOperation

__all__ = ["difference"]


def difference(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[JsonPatchOperation]:
    """Give the operations that make `after` out of `before`.

    >>> [op.to_dict() for op in difference({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}})]
    [{'op': 'replace', 'path': '/a/b', 'value': 3}, {'op': 'remove', 'path': '/c'}]
    """
    for key, value in after.items():
        place = f"{path}/{_escaped(key)}"
        if key not in before:
            yield JsonPatchOperation(op="add", path=place, value=value)
        elif isinstance(value, Mapping) and isinstance(before[key], Mapping):
            yield from difference(before[key], value, place)
        elif _differ(before[key], value):
            yield JsonPatchOperation(op="replace", path=place, value=value)
    for key in (key for key in before if key not in after):
        yield JsonPatchOperation(op="remove", path=f"{path}/{_escaped(key)}")


def _differ(before: Any, after: Any) -> bool:
    # In Python, True is 1; in JSON it is not.
    return bool(before != after) or isinstance(before, bool) != isinstance(after, bool)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
