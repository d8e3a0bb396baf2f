"""Checks of filters and ids before they are sent, and what an answer with a page of items gives. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar, get_args

from civitai_api.runtime import UNSET, ApiModel
from civitai_ext._arguments import a_switch
from civitai_ext._reading import models_in
from civitai_ext.errors import InvalidRequest, UnexpectedResponse

__all__ = [
    "a_number",
    "a_place",
    "a_segment",
    "a_text",
    "as_a_list",
    "ids_in",
    "items_of",
    "next_of",
    "numbers",
    "one_of",
    "part_at",
    "part_after",
    "parts_of",
    "several",
    "switches",
    "told",
]

T = TypeVar("T")

# ------------------------------------------------------------------------------------------------------------- filters


def a_number(value: Any, name: str = "id") -> int:
    """An id that the service can look up: it answers anything else as if itself had failed."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise InvalidRequest(f"{name} is {value!r}; an id is an integer from 1 to {2**31 - 1}")
    return value


def numbers(name: str, values: Iterable[int] | int | None) -> list[int] | None:
    """One id or several as several, each once.

    >>> numbers("ids", 5), numbers("ids", [3, 1, 3]), numbers("ids", None)
    ([5], [3, 1], None)
    """
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise InvalidRequest(f"{name} is {values!r}", hint="Give integers, not text.")
    given = list(values) if isinstance(values, Iterable) else [values]
    if not given:
        raise InvalidRequest(f"{name} is empty", hint="Leave it out to take every one.")
    return list(dict.fromkeys(a_number(value, f"An item of {name}") for value in given))


def several(name: str, values: Any, kind: Any = None) -> Any:
    """One value or several as several: the service refuses or misreads values joined by commas.

    Values that are not known may be new, and are sent. One that differs from a known one in case only is a mistake that
    the service would refuse, or take for something that nothing has.

    Args:
        name: The filter.
        values: What it was given.
        kind: The open enum that its values are from, if they are from one.
    """
    if values is None:
        return None
    given = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    if not given:
        raise InvalidRequest(f"{name} is empty", hint="Leave it out to take every one.")
    known = _known(kind)
    folded = {value.casefold(): value for value in known}
    for value in given:
        if not isinstance(value, str) or not value.strip():
            raise InvalidRequest(f"{name} holds {value!r}; it takes texts")
        if "," in value:
            raise InvalidRequest(f"{name} holds {value!r}", hint="Give a list, not a text with commas.")
        if value not in known and (meant := folded.get(value.casefold())):
            raise InvalidRequest(f"{name} holds {value!r}, which is spelt {meant!r}")
    return given


def one_of(name: str, value: T, kind: Any) -> T:
    """A value where the service refuses every other than those that it knows.

    >>> from civitai_api.site.models import CheckpointType
    >>> one_of("checkpoint_type", "Merge", CheckpointType)
    'Merge'
    """
    known = _known(kind)
    if value is not None and value not in known:
        *others, last = map(repr, known)
        listed = f"{', '.join(others)} or {last}" if others else last
        hint = "A value that is newer than this package can be sent with `extra_query`."
        raise InvalidRequest(f"{name} is {value!r}; it takes {listed}", hint=hint)
    return value


def _known(kind: Any) -> tuple[str, ...]:
    """The values of an open enum, which is `Literal[…] | str`."""
    return tuple(value for member in get_args(kind) for value in get_args(member))


def a_segment(value: Any, what: str) -> str:
    """A name that can stand in a path; what it looks like beyond that is the service's business.

    Args:
        value: The name.
        what: What it names, such as `the id of a blob`.

    Raises:
        InvalidRequest: It cannot stand there.
    """
    if not isinstance(value, str) or value.strip() in {"", ".", ".."}:
        raise InvalidRequest(f"{value!r} is not {what}")
    return value


def a_text(name: str, value: str | None, *, most: int | None = None) -> str | None:
    """A text with something in it: the service takes an empty one for none, and lists everything."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is {value!r}; it takes a text")
    if not value.strip():
        raise InvalidRequest(f"{name} is empty", hint="Leave it out to take every one.")
    if most is not None and len(value.strip()) > most:
        raise InvalidRequest(f"{name} has {len(value.strip())} characters; the service takes {most}")
    return value


def switches(**asked: bool) -> dict[str, bool]:
    """The switches that are on. The service takes the mere presence of some for true, so no other is to be sent.

    >>> switches(nsfw=True, archived=False)
    {'nsfw': True}
    """
    return {name: True for name, on in asked.items() if a_switch(name, on)}


# ------------------------------------------------------------------------------------------------- pages and their ends


def items_of(page: Any) -> list[Any]:
    """The items of a page; none where the service left the list out.

    Raises:
        UnexpectedResponse: The answer is no page.
    """
    if not isinstance(page, ApiModel):
        raise UnexpectedResponse(f"a list was expected, not {type(page).__name__}", status=200)
    return models_in(getattr(page, "items", None))


def told(page: Any, name: str) -> Any:
    """What the metadata of a page says under a name; None if nothing."""
    value = getattr(getattr(page, "metadata", None), name, None)
    return None if value is UNSET else value


def next_of(page: Any) -> str | None:
    """The cursor of the page that follows, which the service gives as text or as a number; None after the last page."""
    cursor = told(page, "next_cursor")
    return str(cursor) if isinstance(cursor, (str, int, float)) and cursor else None


def a_place(cursor: str | None) -> int | None:
    """A cursor that is a number: how many items are done with, or the id that a page begins with."""
    if cursor is None:
        return None
    return _natural(cursor, cursor)


# -------------------------------------------------------------------------------------- lists that are asked for in par


def parts_of(values: Sequence[T] | None, size: int) -> list[Sequence[T] | None]:
    """Values in groups of at most `size`; what was not given is one group.

    >>> parts_of([1, 2, 3], 2), parts_of(None, 2)
    ([[1, 2], [3]], [None])
    """
    if values is None:
        return [None]
    return [values[start : start + size] for start in range(0, len(values), size)]


def part_at(cursor: str | None, count: int) -> tuple[int, str | None]:
    """Which of `count` parts a cursor of ours is in, and the service's own cursor there.

    >>> part_at("2/5|7", 3), part_at(None, 3), part_at("5|7", 1)
    ((2, '5|7'), (0, None), (0, '5|7'))
    """
    if count == 1 or cursor is None:
        return 0, cursor
    part, slash, at = cursor.partition("/")
    if not slash or _natural(part, cursor) >= count:
        raise _not_ours(cursor)
    return int(part), at or None


def part_after(part: int, count: int, following: str | None) -> str | None:
    """Our cursor of what comes next: the part goes on at `following`, or the one after it begins.

    >>> part_after(0, 2, "5|7"), part_after(0, 2, None), part_after(1, 2, None), part_after(0, 1, "5|7")
    ('0/5|7', '1/', None, '5|7')
    """
    if count == 1:
        return following
    if following is not None:
        return f"{part}/{following}"
    return f"{part + 1}/" if part + 1 < count else None


def _natural(text: str, cursor: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise _not_ours(cursor)
    return int(text)


def _not_ours(cursor: str) -> InvalidRequest:
    return InvalidRequest(f"{cursor!r} is not a cursor of this list", hint="Take it from the pager's `cursor`.")


# ----------------------------------------------------------------------------------------------------- ids to ask about


def ids_in(name: str, values: Collection[int] | int) -> list[int]:
    """Ids to ask about, each once; none if there are none.

    >>> ids_in("ids", []), ids_in("ids", (2, 1, 2))
    ([], [2, 1])
    """
    if isinstance(values, Collection) and not isinstance(values, (str, bytes)) and not values:
        return []
    return numbers(name, values) or []


def as_a_list(name: str, values: Any, kind: Any = None) -> Any:
    """Several values as `several` gives them; a single one twice, since the service takes a lone key for no list.

    >>> as_a_list("types", "LORA"), as_a_list("types", None)
    (['LORA', 'LORA'], None)
    """
    given = several(name, values, kind)
    return given * 2 if given is not None and len(given) == 1 else given
