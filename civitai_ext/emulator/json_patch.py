"""JSON Patch (RFC 6902) on plain JSON values."""

from __future__ import annotations

import copy
from typing import Any


class PatchError(ValueError):
    """The patch is malformed or does not fit the document."""


def apply_patch(document: Any, operations: Any) -> Any:
    """Apply a patch to a copy of a document.

    >>> apply_patch({"tags": ["a"]}, [{"op": "add", "path": "/tags/-", "value": "b"}])
    {'tags': ['a', 'b']}

    Raises:
        PatchError: The patch is malformed or does not fit; nothing is changed.

    """
    if not isinstance(operations, list):
        raise PatchError("a JSON Patch is an array of operations")
    root = {"": copy.deepcopy(document)}
    for operation in operations:
        try:
            _apply(root, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise PatchError(f"the operation {operation!r} cannot be applied") from error
    if "" not in root:
        raise PatchError("nothing is left of the document")
    return root[""]


def _apply(root: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation["op"], operation["path"]
    if kind == "add":
        _add(root, path, operation["value"])
    elif kind == "remove":
        _remove(root, path)
    elif kind == "replace":
        _remove(root, path)
        _add(root, path, operation["value"])
    elif kind == "move":
        _add(root, path, _remove(root, operation["from"]))
    elif kind == "copy":
        parent, key = _find(root, operation["from"])
        _add(root, path, copy.deepcopy(parent[key]))
    elif kind == "test":
        parent, key = _find(root, path)
        if parent[key] != operation["value"]:
            raise ValueError("the test fails")
    else:
        raise ValueError("unknown operation")


def _find(root: dict[str, Any], path: str) -> tuple[Any, Any]:
    """Find the container of a path and the key in it; the whole document is the empty key of the root."""
    if path and not path.startswith("/"):
        raise ValueError("a path starts with a slash")
    *containers, last = path.split("/")
    parent: Any = root
    for name in containers:
        parent = parent[_key(parent, name)]
    return parent, _key(parent, last)


def _key(parent: Any, name: str) -> str | int:
    name = name.replace("~1", "/").replace("~0", "~")
    if not isinstance(parent, list):
        return name
    return len(parent) if name == "-" else int(name)


def _add(root: dict[str, Any], path: str, value: Any) -> None:
    parent, key = _find(root, path)
    if isinstance(parent, list):
        if not 0 <= key <= len(parent):
            raise IndexError(key)
        parent.insert(key, value)
    else:
        parent[key] = value


def _remove(root: dict[str, Any], path: str) -> Any:
    parent, key = _find(root, path)
    return parent.pop(key)
