"""What all kinds of step have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from civitai_ext.emulator.blobs import Blob, Blobs
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.drawing import Source
from civitai_ext.emulator.pricing import Price, flat_price

LONGEST_PROCESSING = 480.0
"""The most seconds that anything takes, so that it ends within the time that a step has when the caller names none."""


class Ending(StrEnum):
    """Words that a step's input can contain to make it end in a certain way.

    `[fail]` fails half-way through, every time that it is tried. `[retry]` fails only the first time, and so succeeds
    where it may be tried again. `[block]` is refused by moderation once it is made. `[expire]` is never picked up by a
    worker, so that the step's `timeout` runs out. `[mature]` succeeds with content beyond PG-13.
    """

    FAIL = "[fail]"
    RETRY = "[retry]"
    BLOCK = "[block]"
    EXPIRE = "[expire]"
    MATURE = "[mature]"


class StepFailedError(Exception):
    """The step cannot be carried out with what it was given."""


Faults = dict[str, list[str]]
"""What is wrong with a request: messages by the path of the field."""

Json = dict[str, Any]


class Input:
    """Reads the input of a step, whose names are matched in any case.

    A reference that is not filled in yet counts as present, of the right type, and of the default value.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        self._fields = {name.lower(): item for name, item in value.items()} if isinstance(value, dict) else {}

    def raw(self, name: str) -> Any:
        """Read a field as it is."""
        return self._fields.get(name.lower())

    def text(self, name: str, default: str = "") -> str:
        """Read a string."""
        value = self.raw(name)
        # Half a surrogate pair is legal in JSON, but can be neither drawn nor written.
        return value.encode(errors="replace").decode() if isinstance(value, str) else default

    def number(self, name: str, default: float) -> float:
        """Read a number."""
        value = self.raw(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else default

    def integer(self, name: str, default: int) -> int:
        """Read a whole number."""
        return int(self.number(name, default))

    def items(self, name: str) -> list[Any]:
        """Read a list."""
        value = self.raw(name)
        return value if isinstance(value, list) else []

    def texts(self, name: str) -> list[str]:
        """Read the strings of a list."""
        return [item for item in self.items(name) if isinstance(item, str)]

    def object(self, name: str) -> Input:
        """Read an object; it is empty when there is none."""
        return Input(self.raw(name))

    @property
    def ending(self) -> Ending | None:
        """The ending that a word in the input asks for."""
        text = json.dumps(self.value)
        return next((ending for ending in Ending if ending in text), None)


@dataclass(frozen=True)
class Part:
    """Stands in an output for one field of a blob, such as its signed URL."""

    blob: Blob
    name: str


def blobs_in(output: Any) -> Iterator[Blob]:
    """Find the blobs in an output, each once."""
    found: dict[str, Blob] = {}
    waiting = [output]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Blob | Part):
            blob = value.blob if isinstance(value, Part) else value
            found.setdefault(blob.id, blob)
        elif isinstance(value, dict | list):
            waiting.extend(reversed(list(value.values()) if isinstance(value, dict) else value))
    return iter(found.values())


@dataclass(frozen=True)
class Workplace:
    """What the making of an output may use.

    Attributes:
        blobs: Where outputs are kept and inputs are found.
        catalogue: The models.
        owner: The account for which the step runs.
        job_id: The job that makes the output.
        at: The moment at which the step ends.
        seed: A seed for whatever the input does not seed.
        seconds: How long the processing took.
        level: The content level of what is made.
        look_up: Finds what a reference names: another step, or the arguments.

    """

    blobs: Blobs
    catalogue: Catalogue
    owner: int
    job_id: str
    at: datetime
    seed: int
    seconds: float
    level: str
    look_up: Callable[[str], Any]

    def keep(
        self,
        source: Source,
        media_type: str,
        width: int | None = None,
        height: int | None = None,
        *,
        seconds: float | None = None,
        level: str | None = None,
    ) -> Blob:
        """Keep an output."""
        return self.blobs.add(
            source,
            media_type=media_type,
            owner=self.owner,
            at=self.at,
            width=width,
            height=height,
            duration=seconds,
            level=level or self.level,
            job_id=self.job_id,
        )


Check = Callable[[Input, str, Faults], None]


def _binds_nothing(given: Input) -> str | None:
    return None


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
        check: Notes what is wrong with an input, below the path given.
        price: Prices an input at a priority.
        seconds: How long the processing lasts.
        produce: Makes the output; blobs in it stand for themselves until somebody reads the answer.
        prepares: Whether models are fetched before.
        failed: What a step that failed for a reason answers as output, if anything.
        binds: The name that references inside the input may use because the step itself gives it a meaning. Such a
            step also fills in the references of its input by itself.
    """

    check: Check
    price: Callable[[Input, str], Price]
    seconds: Callable[[Input], float]
    produce: Callable[[Input, Workplace], Json]
    prepares: bool = True
    failed: Callable[[str], Json] | None = None
    binds: Callable[[Input], str | None] = _binds_nothing


def find_kind(kinds: Mapping[str, Kind], type_: Any) -> str | None:
    """Find the `$type` that is meant, in whatever case it is written."""
    return next((name for name in kinds if isinstance(type_, str) and name.casefold() == type_.casefold()), None)


def wrong_in(kind: Kind, given: Input) -> str | None:
    """Tell what is wrong with an input whose references are filled in: they can have led to anything."""
    faults: Faults = {}
    kind.check(given, "input", faults)
    return next((f"{path}: {messages[0]}" for path, messages in faults.items()), None)


def utility(
    check: Check, produce: Callable[[Input, Workplace], Json], *, buzz: int, seconds: float, prepares: bool = False
) -> Kind:
    """Describe a kind that costs and lasts the same whatever it is given."""
    return Kind(check, flat(buzz), lambda given: seconds, produce, prepares=prepares)


def flat(amount: int) -> Callable[[Input, str], Price]:
    """Price any input the same."""
    return lambda given, priority: flat_price(amount, priority=priority)


def metered(amount: Callable[[Input], float]) -> Callable[[Input, str], Price]:
    """Price an input by something that is counted in it."""
    return lambda given, priority: flat_price(max(1, round(amount(given))), priority=priority)


def fraction(*parts: object) -> float:
    """Choose a number from 0 to 1 that follows from some values.

    >>> fraction("a", 1) == fraction("a", 1) != fraction("a", 2)
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return round(int.from_bytes(digest[:4]) / 2**32, 4)


def seed_of(text: str) -> int:
    """Choose a seed that follows from a text."""
    return int(hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8], 16)
