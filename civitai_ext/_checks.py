"""Values of the wrong type, found before a request is made.

The classes' own annotations say what a field takes. They are read as text: the models that they name are not imported
for it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from civitai_api.runtime import UNSET, ApiModel, Reference
from civitai_ext.errors import InvalidRequest

__all__ = ["check_types"]

_Member = tuple[str, "tuple[_Member, ...]"]


def check_types(value: Any, path: str) -> None:
    """Check every field of a model, and of the models in it, against the type that its class declares.

    Raises:
        InvalidRequest: A field holds something else; the message names it, what it takes and what it holds.
    """
    if isinstance(value, ApiModel):
        for field in attrs.fields(type(value)):
            held = getattr(value, field.name)
            if held is UNSET or field.name == "additional_properties":
                continue
            place = f"{path}.{field.name}"
            if not _fits(held, members := _members(str(field.type))):
                wanted = " or ".join(_describe(member) for member in members if member[0] not in {"Unset", "ToWire"})
                raise InvalidRequest(
                    f"{place} of {type(value).__name__} takes {wanted}, not {_shown(held)} ({type(held).__name__})"
                )
            check_types(held, place)
    elif isinstance(value, Mapping):
        for key, held in value.items():
            check_types(held, f"{path}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, held in enumerate(value):
            check_types(held, f"{path}[{index}]")


def _fits(value: Any, members: tuple[_Member, ...]) -> bool:
    return any(_is(value, name, inner) for name, inner in members)


def _is(value: Any, name: str, inner: tuple[_Member, ...]) -> bool:
    if isinstance(value, Reference) or name == "Any":
        return True
    match name:
        case "None":
            return value is None
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "ToWire":
            return hasattr(value, "to_wire")
        case "datetime":
            return isinstance(value, (datetime, str))
        case "list" | "Sequence":
            return isinstance(value, (list, tuple)) and all(_fits(item, inner) for item in value)
        case "dict" | "Mapping":
            return isinstance(value, Mapping) and all(_fits(item, inner) for item in value.values())
        case "Reference" | "Unset" | "Literal":
            return isinstance(value, Mapping) and value.keys() == {"$ref", "path"} if name == "Reference" else False
        case _:
            # A model, which may be given as a dict too, or a named enum, whose values are text.
            return isinstance(value, (ApiModel, Mapping, str))


@functools.lru_cache(maxsize=4096)
def _members(annotation: str) -> tuple[_Member, ...]:
    """The members of a union; of a list or map, what it holds."""
    return tuple(_member(part.strip()) for part in _split(annotation, "|"))


def _member(text: str) -> _Member:
    name, bracket, inner = text.partition("[")
    if not bracket or name == "Literal":
        return name, ()
    return name, _members(list(_split(inner.removesuffix("]"), ","))[-1].strip())


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at separators that are outside brackets and quotes."""
    depth, quote, start = 0, "", 0
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "[]":
            depth += 1 if char == "[" else -1
        elif char == separator and not depth:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _describe(member: _Member) -> str:
    name, inner = member
    words = {
        "str": "text",
        "int": "an integer",
        "float": "a number",
        "bool": "True or False",
        "None": "None",
        "datetime": "a datetime",
        "Reference": "a reference to a step",
        "Literal": "one of its values",
    }
    if name in words:
        return words[name]
    if inner:
        kind = "a list" if name in {"list", "Sequence"} else "a map"
        return f"{kind} of {' or '.join(_describe(item) for item in inner if item[0] != 'Reference')}"
    return f"a {name}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
