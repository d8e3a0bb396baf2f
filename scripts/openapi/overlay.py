"""Applies an OpenAPI Overlay 1.0 document to an OpenAPI document.

Own code because the one kept library on PyPI (oas-patch) lacks RFC 9535 and is silent about a target that fits nothing.

Two additions, both as `x-` members of an action, which other Overlay tools ignore without changing the result:

- `x-optional: true`: the target may select nothing.
- `x-existing: true`: `update` may set text and numbers, but an object in it has to meet one that is there already, so
  that a name misspelt in the overlay, or dropped from the document, is found instead of being added.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jsonpath_rfc9535

__all__ = ["Miss", "OverlayError", "apply"]

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Miss:
    """An action, or a part of one, that found nothing to act upon."""

    number: int
    """Position of the action in the overlay, counted from 1."""
    target: str
    description: str
    missing: str = ""
    """JSON Pointer of a part of an `x-existing` update below the target; empty when the target selected nothing."""

    def __str__(self) -> str:
        lack = f"has no {self.missing}" if self.missing else "selects nothing"
        return f"action {self.number}: {self.target} {lack} ({self.description or 'no description'})"


class OverlayError(ValueError):
    """The overlay does not fit the document; the text names the actions."""


def apply(document: Json, overlay: Json, *, strict: bool = True, skipped: list[Miss] | None = None) -> dict[str, Any]:
    """Apply every action of an overlay, in order, to a copy of a document.

    Objects in an `update` merge, arrays are concatenated, all else replaces; an array as target takes one new member.

    Args:
        document: The OpenAPI document; it is left as it is.
        overlay: The Overlay document.
        strict: Whether a miss is an error. If not, all that fits is applied.
        skipped: A list that the misses are added to when they are no error.

    Raises:
        OverlayError: A target is no valid JSONPath, cannot take the action, or (strict) some actions missed.

    Example:
        >>> document = {"tags": [{"name": "a"}, {"name": "b"}]}
        >>> apply(document, {"actions": [{"target": "$.tags[?@.name == 'a']", "remove": True}]})
        {'tags': [{'name': 'b'}]}

    """
    result: dict[str, Any] = copy.deepcopy(dict(document))
    misses: list[Miss] = []
    for number, action in enumerate(overlay["actions"], start=1):
        try:
            missing = list(_act(result, action))
        except (jsonpath_rfc9535.JSONPathError, TypeError) as error:
            raise OverlayError(f"action {number}: {action['target']}: {error}") from error
        if not action.get("x-optional"):
            misses += [Miss(number, action["target"], action.get("description", ""), what) for what in missing]
    if strict and misses:
        raise OverlayError("\n".join(map(str, misses)))
    if skipped is not None:
        skipped += misses
    return result


def _act(document: dict[str, Any], action: Json) -> Iterator[str]:
    """Carry out one action and yield what it missed."""
    nodes = jsonpath_rfc9535.find(action["target"], document)
    if not nodes:
        yield ""
    if action.get("remove"):
        if action["target"] == "$":
            raise TypeError("the document itself cannot be removed")
        # Deepest first and, within an array, last first: no removal moves a node that is still to be removed.
        order = sorted({node.location for node in nodes}, key=lambda at: (len(at), isinstance(at[-1], int), at[-1]))
        for *parents, last in reversed(order):
            holder: Any = document
            for name in parents:
                holder = holder[name]
            del holder[last]
        return
    for node in nodes:
        match node.value:
            case dict() as held:
                yield from _merge(held, action["update"], existing=action.get("x-existing", False))
            case list() as members:
                members.append(copy.deepcopy(action["update"]))
            case _:
                raise TypeError("an update needs an object or an array to act upon")


def _merge(held: dict[str, Any], update: Json, *, existing: bool, at: str = "") -> Iterator[str]:
    """Merge `update` into `held` in place and yield pointers to the objects that `existing` keeps from being added."""
    for name, new in update.items():
        here = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        old = held.get(name)
        if isinstance(old, dict) and isinstance(new, Mapping):
            yield from _merge(old, new, existing=existing, at=here)
        elif isinstance(old, list) and isinstance(new, list):
            old.extend(copy.deepcopy(new))
        elif existing and isinstance(new, Mapping):
            yield here
        else:
            held[name] = copy.deepcopy(new)
