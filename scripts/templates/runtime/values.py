"""What fields hold besides what JSON has: nothing at all, moments, references, what knows its JSON form."""

from __future__ import annotations

import datetime as _datetime
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Literal, NoReturn, Protocol, Self


class Unset:
    """The type of `UNSET`, which stands for "not there": a field that was not sent, or is not to be sent.

    `UNSET` is falsy, empty when iterated and of length 0, so that a list that the server left out needs no special
    case.

    >>> bool(UNSET), list(UNSET), UNSET
    (False, [], UNSET)
    """

    __slots__ = ()
    _instance: ClassVar[Unset | None] = None

    def __new__(cls) -> Unset:
        """Give the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> Literal[False]:
        return False

    def __iter__(self) -> Iterator[NoReturn]:
        return iter(())

    def __len__(self) -> Literal[0]:
        return 0

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Timestamp(_datetime.datetime):
    """A moment as the server wrote it: a `datetime` that remembers its text, so that writing it back loses nothing.

    A text without a zone is taken as UTC, which is what the services mean by it.

    >>> moment = Timestamp.parse("2025-10-29T21:29:24.7599308Z")
    >>> moment.microsecond, moment.tzname(), moment.text
    (759930, 'UTC', '2025-10-29T21:29:24.7599308Z')
    """

    __slots__ = ("_text",)
    _text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ISO 8601 text with any number of fractional digits. Raises ValueError if it is none."""
        try:
            moment = cls.fromisoformat(text)
        except ValueError:
            from dateutil.parser import isoparse

            other = isoparse(text)
            moment = cls.combine(other.date(), other.timetz())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_datetime.UTC)
        moment._text = text
        return moment

    @property
    def text(self) -> str:
        """The text it was read from, or ISO 8601 if it was made by arithmetic."""
        return getattr(self, "_text", "") or iso(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if text := getattr(self, "_text", ""):
            return (type(self).parse, (text,))
        return super().__reduce_ex__(protocol)


def iso(moment: _datetime.datetime) -> str:
    """The ISO 8601 form of a moment; one without a zone is UTC."""
    if moment.tzinfo is None:
        return moment.isoformat() + "Z"
    return moment.isoformat().replace("+00:00", "Z")


class Reference:
    """Stands in a step's input for a value that an earlier step, or the workflow's arguments, will supply.

    `name` is the step's name, `$0`, `$1`… by position, `$arguments`, or the loop variable of a repeat step; `path` is
    dotted with indexes, such as `output.images[0].url`.

    >>> Reference("hero", "output.images[0].url").to_wire()
    {'$ref': 'hero', 'path': 'output.images[0].url'}
    """

    __slots__ = ("name", "path")

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def to_wire(self) -> dict[str, str]:
        """The JSON form."""
        return {"$ref": self.name, "path": self.path}

    def __repr__(self) -> str:
        return f"Reference({self.name!r}, {self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and (self.name, self.path) == (other.name, other.path)

    def __hash__(self) -> int:
        return hash((self.name, self.path))


class ToWire(Protocol):
    """Anything that knows its JSON form, such as an `Air`."""

    def to_wire(self) -> Any:
        """The JSON form."""
        ...
