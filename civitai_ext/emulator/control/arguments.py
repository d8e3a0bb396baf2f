"""Calls functions with what came as JSON or in a query, checked against their annotations."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "null",
    datetime: "a moment such as 2026-08-01T12:00:00Z",
}
_LONGEST_SHOWN = 80


class ArgumentError(ValueError):
    """What was given does not fit; the text says what is wrong."""


def call(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a function with named arguments that came as JSON.

    >>> def wait(seconds: float, often: int = 1) -> float:
    ...     return seconds * often
    >>> call(wait, {"seconds": 1.5, "often": 2})
    3.0
    >>> call(wait, {"seconds": "long"})
    Traceback (most recent call last):
    civitai_ext.emulator.control.arguments.ArgumentError: seconds is a number, not "long"

    Raises:
        ArgumentError: An argument is missing, unknown, or of another type.

    """
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    if unknown := [name for name in given if name not in parameters]:
        there_are = f"there are {', '.join(parameters)}" if parameters else "nothing is expected"
        raise ArgumentError(f"there is no {_shown(unknown[0])}; {there_are}")
    for name, parameter in parameters.items():
        if name not in given and parameter.default is parameter.empty:
            raise ArgumentError(f"{name} is missing: {_words(hints[name])}")
    return function(**{name: _read(name, value, hints[name]) for name, value in given.items()})


def call_with_texts(function: Callable[..., Any], given: Mapping[str, str]) -> Any:
    """Call a function with named arguments that came as texts, from a query or a form; empty ones are left out.

    Raises:
        ArgumentError: As for `call`.

    """
    hints = get_type_hints(function)
    return call(function, {name: _from_text(text, hints.get(name, str)) for name, text in given.items() if text})


def _from_text(text: str, hint: Any) -> Any:
    """Read a text as what is wanted; what it cannot be is left a text, which is then refused.

    >>> _from_text("3", int | None), _from_text("three", int), _from_text("3", str), _from_text("3", int | str)
    (3, 'three', '3', 3)
    """
    wanted = _alternatives(hint)
    if wanted == [str] or (str in wanted and NoneType in wanted and len(wanted) == 2):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read(name: str, value: Any, hint: Any) -> Any:
    for alternative in _alternatives(hint):
        if _fits(value, alternative):
            return _moment(name, value) if alternative is datetime else value
    raise ArgumentError(f"{name} is {_words(hint)}, not {_shown(value)}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(_fits_one_of(item, inner[1]) for item in value.values())
    if origin is not None and issubclass(origin, Sequence | Collection):
        return isinstance(value, list) and all(_fits_one_of(item, inner[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str if hint is datetime else hint)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _fits_one_of(value: Any, hint: Any) -> bool:
    return any(_fits(value, alternative) for alternative in _alternatives(hint))


def _alternatives(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, UnionType):
        return [each for part in get_args(hint) for each in _alternatives(part)]
    return [hint]


def _words(hint: Any) -> str:
    words = []
    for alternative in _alternatives(hint):
        origin = get_origin(alternative)
        if origin is Literal:
            words += [json.dumps(choice) for choice in get_args(alternative)]
        elif origin is not None:
            words.append("an object" if issubclass(origin, Mapping) else "a list")
            inner = get_args(alternative)[-1]
            words[-1] += "" if inner is Any else f" of which each is {_words(inner)}"
        else:
            words.append(_WORDS[alternative])
    return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else words[0]


def _moment(name: str, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ArgumentError(f"{name} is {_WORDS[datetime]}, not {_shown(value)}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
