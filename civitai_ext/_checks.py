"""What is wrong with a request as far as the documents tell, found before it is made.

The classes' own annotations say what a field takes, and their fields which limits the service has for it. Annotations
are read as text: the models that they name are not imported for it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import datetime
from math import inf, isfinite
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from civitai_api.runtime import UNSET, ApiModel, Reference, dump
from civitai_ext.errors import InvalidRequest, ValidationWarning

__all__ = ["Problem", "Validation", "check", "check_types", "problems"]

Validation = Literal["warn", "strict", "off"]
"""What to do about values beyond the limits that the documents name: `warn` and send them all the same, since the
documents may be out of date; refuse them (`strict`); or look at nothing (`off`)."""

_Member = tuple[str, "tuple[_Member, ...]"]
_PACKAGE: Final = str(Path(__file__).parent)
_MOST_TOLD: Final = 5


@attrs.frozen
class Problem:
    """Something that is wrong with a request.

    Attributes:
        text: What, where, and what would be right.
        certain: Whether no service could take it: a value of a wrong type.
    """

    text: str
    certain: bool = False


def check(found: Iterable[Problem], mode: Validation) -> None:
    """Raise or warn because of what was found, as the caller wants it.

    Raises:
        InvalidRequest: Something is certainly wrong, or anything is and the mode is `strict`.
    """
    if mode not in ("warn", "strict", "off"):
        raise InvalidRequest(f"validate is {mode!r}; it takes 'warn', 'strict' or 'off'")
    if mode == "off":
        return
    try:
        listed = list(found)
    except RecursionError:
        raise InvalidRequest("What is to be sent holds itself, or too much inside each other") from None
    if refused := [problem.text for problem in listed if problem.certain or mode == "strict"]:
        more = f"; and {len(refused) - _MOST_TOLD} more" if len(refused) > _MOST_TOLD else ""
        raise InvalidRequest("; ".join(refused[:_MOST_TOLD]) + more)
    for problem in listed:
        warnings.warn(f"{problem.text}. It is sent all the same.", ValidationWarning, stacklevel=_callers_level())


def check_types(value: Any, path: str) -> None:
    """Check the types of the fields of a model, and of the models in it, and no limits.

    Raises:
        InvalidRequest: A field holds something else; the message names it, what it takes and what it holds.
    """
    check((problem for problem in problems(value, path) if problem.certain), "strict")


def _callers_level() -> int:
    """The stack level of the first frame outside this package, as `warnings.warn` called in `check` counts it."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def problems(value: Any, path: str) -> Iterator[Problem]:
    """Find what is wrong with the fields of a model, and of the models in it; and with any value as JSON."""
    if isinstance(value, ApiModel):
        for field in attrs.fields(type(value)):
            if field.name != "additional_properties":
                yield from _field_problems(value, field, f"{path}.{field.name}")
    elif isinstance(value, Mapping):
        for key, held in value.items():
            if not isinstance(key, str) and not isinstance(dump(key), str):
                yield Problem(f"{path} has the key {_shown(key)}; keys are texts", certain=True)
            yield from problems(held, f"{path}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, held in enumerate(value):
            yield from problems(held, f"{path}[{index}]")
    elif not _is_json(value):
        yield Problem(f"{path} is {_shown(value)} ({type(value).__name__}), which JSON cannot hold", certain=True)


def _is_json(value: Any) -> bool:
    """Whether a value that holds no others can be sent."""
    if isinstance(value, float):
        return isfinite(value)
    if value is None or value is UNSET or isinstance(value, (str, int)):
        return True
    # Date-times, AIRs, references and enums have a form of their own; a set has none, since it has no order.
    return not isinstance(value, Set) and dump(value) is not value


def _field_problems(owner: ApiModel, field: attrs.Attribute[Any], place: str) -> Iterator[Problem]:
    held = getattr(owner, field.name)
    where = f"{place} of {type(owner).__name__}"
    if held is UNSET:
        name = field.metadata.get("wire") or field.name
        given = map(str.casefold, owner.additional_properties)  # the service knows names in any case
        if field.default is attrs.NOTHING and name.casefold() not in given:  # only what was read from a dict lacks it
            yield Problem(f"{where} is missing")
        return
    members = _members(str(field.type))
    module = type(owner).__module__
    if not _fits(held, members, module):
        wanted = " or ".join(_describe(member) for member in members if member[0] not in {"Unset", "ToWire"})
        yield Problem(f"{where} takes {wanted}, not {_shown(held)} ({type(held).__name__})", certain=True)
        return
    if within := _beyond(held, field.metadata):
        yield Problem(f"{where} is {_shown(held)}, and the service takes {within}")
    known = _known_values(members, module) if isinstance(held, str) else ()
    if known and held.casefold() not in map(str.casefold, known):
        listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        yield Problem(f"{where} is {_shown(held)}; known are {listed}")
    yield from problems(held, place)


# --------------------------------------------------------------------------------------------------------------- limits


def _beyond(value: Any, limits: Mapping[str, Any]) -> str | None:
    """What a field takes, if `value` is not that."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = limits.get("ge", -inf), limits.get("le", inf)
        if low <= value <= high:
            return None
        return f"{low} to {high}" if high < inf else f"{low} or more"
    for kind, unit, least, most in (
        (str, "characters", limits.get("min_length"), limits.get("max_length")),
        ((list, tuple), "items", limits.get("min_items"), limits.get("max_items")),
    ):
        if isinstance(value, kind) and not (least or 0) <= len(value) <= (len(value) if most is None else most):
            return f"{least or 0} to {most} {unit}" if most is not None else f"at least {least} {unit}"
    pattern = limits.get("pattern")
    if isinstance(value, str) and pattern is not None and not re.search(pattern, value):
        return f"what matches {pattern}"
    return None


@functools.lru_cache(maxsize=4096)
def _known_values(members: tuple[_Member, ...], module: str) -> tuple[str, ...]:
    """The values of an enumeration, which the service knows in any case; none if there is no enumeration.

    Args:
        members: What a field takes.
        module: Where its class is.
    """
    values: list[str] = []
    for name, _ in members:
        if name.startswith("Literal["):
            values += ast.literal_eval(name.removeprefix("Literal"))
        elif name not in _PLAIN_NAMES:
            alias = _named(name, module)
            values += [value for part in get_args(alias) for value in get_args(part) if isinstance(value, str)]
    return tuple(values)


# ---------------------------------------------------------------------------------------------------------------- types


_PLAIN_NAMES: Final = frozenset(
    {"Any", "None", "bool", "int", "float", "str", "ToWire", "datetime", "Reference", "Unset", "list", "dict"}
    | {"Sequence", "Mapping", "bytes"}
)


def _named(name: str, module: str) -> Any:
    """What a class in a module means by a name: another class, or an enumeration; None if there is nothing."""
    return getattr(importlib.import_module(module.rpartition(".")[0]), name, None)


def _fits(value: Any, members: tuple[_Member, ...], module: str) -> bool:
    return any(_is(value, name, inner, module) for name, inner in members)


def _is(value: Any, name: str, inner: tuple[_Member, ...], module: str) -> bool:
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
            return isinstance(value, (list, tuple)) and all(_fits(item, inner, module) for item in value)
        case "dict" | "Mapping":
            return isinstance(value, Mapping) and all(_fits(item, inner, module) for item in value.values())
        case "Reference":
            return isinstance(value, Mapping) and value.keys() == {"$ref", "path"}
        case "Unset":
            return False
        case _ if name.startswith("Literal["):
            return False  # open enumerations take any text besides, and `str` stands beside them
        case _:
            # A model, which may be given as a dict too, or a named enum, whose values are text.
            if isinstance(value, str):
                return not isinstance(_named(name, module), type)
            return isinstance(value, (ApiModel, Mapping))


@functools.lru_cache(maxsize=4096)
def _members(annotation: str) -> tuple[_Member, ...]:
    """The members of a union; of a list or map, what it holds."""
    return tuple(_member(part.strip()) for part in _split(annotation, "|"))


def _member(text: str) -> _Member:
    name, bracket, inner = text.partition("[")
    if not bracket or name == "Literal":
        return text, ()
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
    }
    if name in words:
        return words[name]
    if name.startswith("Literal["):
        return "one of its values"
    if inner:
        kind = "a list" if name in {"list", "Sequence"} else "a map"
        return f"{kind} of {' or '.join(_describe(item) for item in inner if item[0] != 'Reference')}"
    return f"a {name}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
