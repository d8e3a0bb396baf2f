"""Objects that refer to each other, as plain data and back.

Only classes that were named beforehand are read, and reading sets their attributes and runs none of their code: whoever
writes such a file can make the emulator hold nonsense, but not make it do anything. Pickle would run what it is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

Json = Any
_MARK = "@"


class Outside(NamedTuple):
    """A class whose objects are there anyway, and are only referred to.

    Attributes:
        type: The class.
        name: Tells the name of an object.
        find: Finds an object by its name; a `KeyError` if there is none.

    """

    type: type
    name: Callable[[Any], Json]
    find: Callable[[Any], object]


class UnreadableError(ValueError):
    """The data is not what `Graph.write` has made; the text says why."""


class Graph:
    """Writes and reads objects of some classes.

    Args:
        classes: The classes.
        outside: Those whose objects are there anyway.

    """

    def __init__(self, classes: Iterable[type], outside: Iterable[Outside]) -> None:
        self._classes = {type_.__name__: type_ for type_ in classes}
        self._outside = {each.type: each for each in outside}

    def write(self, root: Any, store: Callable[[bytes], str]) -> Json:
        """Write an object and all that it refers to; `store` puts bytes away and names them.

        Raises:
            TypeError: There is an object of another class.

        """
        return _Writer(self._classes, self._outside, store).write(root)

    def read(self, data: Json, load: Callable[[str], bytes]) -> Any:
        """Read what `write` has written; `load` gives the bytes of a name.

        Raises:
            UnreadableError: The data is something else.

        """
        try:
            return _Reader(self._classes, self._outside, load).read(data)
        except UnreadableError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise UnreadableError(f"{type(error).__name__}: {error}") from error


class _Writer:
    def __init__(
        self, classes: Mapping[str, type], outside: Mapping[type, Outside], store: Callable[[bytes], str]
    ) -> None:
        self._known = {type_: name for name, type_ in classes.items()}
        self._attributes = {type_: names for type_ in classes.values() if (names := _attributes(type_))}
        self._outside = outside
        self._store = store
        self._numbers: dict[int, int] = {}
        self._waiting: list[Any] = []

    def write(self, root: Any) -> Json:
        written = self._plain(root)
        objects: list[Json] = []
        # One after another and not one within another: chains of objects can be long.
        for value in self._waiting:
            names = self._attributes.get(type(value)) or tuple(vars(value))
            objects.append([self._known[type(value)], {name: self._attribute(getattr(value, name)) for name in names}])
        return {"root": written, "objects": objects}

    def _attribute(self, value: Any) -> Json:
        try:
            return self._plain(value)
        except RecursionError:  # JSON of a caller who nests deeper than Python calls
            return {"@json": json.dumps(value)}

    def _plain(self, value: Any) -> Json:
        kind = type(value)
        if value is None or kind in (str, int, float, bool):
            return value
        if kind is list:
            return [self._plain(item) for item in value]
        if kind is dict:
            if all(type(key) is str and not key.startswith(_MARK) for key in value):
                return {key: self._plain(item) for key, item in value.items()}
            return {"@dict": [[self._plain(key), self._plain(item)] for key, item in value.items()]}
        if kind in self._known:
            number = self._numbers.get(id(value))
            if number is None:
                number = self._numbers[id(value)] = len(self._waiting)
                self._waiting.append(value)
            return {"@": number}
        if kind is tuple:
            return {"@tuple": [self._plain(item) for item in value]}
        if kind is datetime:
            return {"@moment": value.isoformat()}
        if kind is timedelta:
            return {"@length": [value.days, value.seconds, value.microseconds]}
        if kind in (set, frozenset):
            return {f"@{kind.__name__}": [self._plain(item) for item in sorted(value, key=repr)]}
        if kind is bytes:
            return {"@bytes": self._store(value)}
        if kind in self._outside:
            return {"@outside": [kind.__name__, self._outside[kind].name(value)]}
        raise TypeError(f"an object of the class {kind.__name__} cannot be kept")


class _Reader:
    def __init__(
        self, classes: Mapping[str, type], outside: Mapping[type, Outside], load: Callable[[str], bytes]
    ) -> None:
        self._classes = classes
        self._outside = {type_.__name__: each for type_, each in outside.items()}
        self._load = load
        self._objects: list[Any] = []

    def read(self, data: Json) -> Any:
        # All are there before the first is filled: they refer to each other in circles.
        self._objects = [object.__new__(self._classes[name]) for name, _ in data["objects"]]
        for value, (name, written) in zip(self._objects, data["objects"], strict=True):
            expected = _attributes(type(value))
            if expected and set(expected) != set(written):
                raise UnreadableError(f"{name} has other attributes than this version of the emulator knows")
            vars(value).update({attribute: self._value(item) for attribute, item in written.items()})
        return self._value(data["root"])

    def _value(self, written: Json) -> Any:
        if isinstance(written, list):
            return [self._value(item) for item in written]
        if not isinstance(written, dict):
            return written
        if len(written) != 1 or not (mark := next(iter(written))).startswith(_MARK):
            return {key: self._value(item) for key, item in written.items()}
        content = written[mark]
        match mark:
            case "@":
                return self._objects[content]
            case "@dict":
                return {self._value(key): self._value(item) for key, item in content}
            case "@tuple":
                return tuple(self._value(item) for item in content)
            case "@set":
                return {self._value(item) for item in content}
            case "@frozenset":
                return frozenset(self._value(item) for item in content)
            case "@moment":
                return datetime.fromisoformat(content)
            case "@length":
                return timedelta(*content)
            case "@json":
                return json.loads(content)
            case "@bytes":
                return self._load(content)
            case "@outside":
                kind, name = content
                return self._outside[kind].find(name)
        raise UnreadableError(f"there is no {mark}")


def _attributes(type_: type) -> tuple[str, ...]:
    """Name what a dataclass declares; what others have is known only of their objects."""
    return tuple(field.name for field in fields(type_)) if is_dataclass(type_) else ()
