"""Query parameters, read with the site's own habits and refused in its own words."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from civitai_ext.emulator.answers import Issue, failed, prettified, refuse, zod_error
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.world import World

_TRUE = frozenset({"true", "1", "yes", "on", "y", "enabled"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "disabled"})


class Parameters:
    """Reads parameters and collects what is wrong with them; one of the `refuse_…` methods then answers.

    >>> parameters = Parameters(QueryParams("limit=many&sort=Newest"))
    >>> parameters.choice("sort", ("Newest", "Oldest"))
    'Newest'
    >>> parameters.number("limit", 100)
    100
    >>> parameters.issues[0]["message"]
    'Invalid input: expected number, received NaN'
    """

    def __init__(self, query: QueryParams) -> None:
        self._query = query
        self.issues: list[Issue] = []

    def __contains__(self, name: str) -> bool:
        return name in self._query

    def text(self, name: str, *, longest: int | None = None) -> str | None:
        """Read a string; an empty one counts as absent."""
        text = self._query.get(name) or None
        if text is not None and longest is not None and len(text) > longest:
            message = f"Too big: expected string to have <={longest} characters"
            issue = {"origin": "string", "code": "too_big", "maximum": longest, "inclusive": True}
            self.issues.append({**issue, "path": [name], "message": message})
        return text

    def number(self, name: str, default: int, *, low: int | None = None, high: int | None = None) -> int:
        """Read a number, whole or not, and cut it to a whole one."""
        text = self._query.get(name)
        if text is None:
            return default
        value = _javascript_number(text)
        if value is None:
            self.issues.append(_wrong_type("number", "NaN", name))
        elif low is not None and value < low:
            self.issues.append(_out_of_bounds("too_small", "minimum", "Too small", ">=", low, name))
        elif high is not None and value > high:
            self.issues.append(_out_of_bounds("too_big", "maximum", "Too big", "<=", high, name))
        else:
            return int(value)
        return default

    def optional_number(self, name: str) -> int | None:
        """Read a number that may be absent."""
        return self.number(name, 0) if name in self._query else None

    def flag(self, name: str) -> bool | None:
        """Read a word that means yes or no, in the spellings that the site knows."""
        text = self._query.get(name)
        if text is None:
            return None
        if text.lower() in _TRUE or text.lower() in _FALSE:
            return text.lower() in _TRUE
        self.issues.append(_wrong_type("stringbool", "string", name))
        return None

    def present(self, name: str) -> bool:
        """Read a parameter that means yes whatever it says: `false` and `0` too."""
        return bool(self._query.get(name))

    def choice(self, name: str, values: Collection[str]) -> str | None:
        """Read one of some values."""
        text = self._query.get(name)
        if text is not None and text not in values:
            self.issues.append(_wrong_choice(values, [name]))
            return None
        return text

    def repeated(
        self, name: str, values: Collection[str] | None = None, *, at_least: int = 1, commas: bool = False
    ) -> list[str]:
        """Read a repeated parameter.

        Args:
            name: The parameter.
            values: What may be said, if that is limited.
            at_least: How often the key must occur for the site to see a list.
            commas: Whether a comma separates values; otherwise it is part of one.

        """
        texts = self._query.getlist(name)
        if commas:
            texts = [part for text in texts for part in text.split(",")]
        if texts and len(texts) < at_least:
            self.issues.append(_wrong_type("array", "string", name))
            return []
        for place, text in enumerate(texts):
            if values is not None and text not in values:
                self.issues.append(_wrong_choice(values, [name, place]))
        return texts

    def integers(self, name: str) -> list[int] | None:
        """Read whole numbers, repeated or separated by commas; `None` when absent."""
        texts = [part for text in self._query.getlist(name) for part in text.split(",")]
        values = [_javascript_number(text) for text in texts]
        if None in values:
            self.issues.append(_wrong_type("number", "NaN", name))
            return None
        return [int(value) for value in values if value is not None] or None

    def moment(self, name: str) -> datetime | None:
        """Read a date, with a time of day or without."""
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            self.issues.append(_wrong_type("date", "Invalid Date", name))
            return None
        return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment

    def unusable(self, *names: str) -> None:
        """Refuse parameters that the site declares with a type no query string can have."""
        self.issues.extend(_wrong_type("boolean", "string", name) for name in names if name in self._query)

    def refuse_as_failure(self) -> None:
        """Answer 500 with the issues, if there are any: some routes take a mistake of the caller for their own."""
        if self.issues:
            failed(zod_error(self.issues))

    def refuse_nested(self) -> None:
        """Answer 400 with the issues below `error`, if there are any."""
        if self.issues:
            refuse({"error": zod_error(self.issues)}, 400, words=prettified(self.issues))

    def refuse_flat(self) -> None:
        """Answer 400 with the issues at the top level, if there are any."""
        if self.issues:
            refuse(zod_error(self.issues), 400, words=prettified(self.issues))

    def refuse_list(self) -> None:
        """Answer 400 with a bare list of issues, if there are any."""
        if self.issues:
            refuse(self.issues, 400, words=prettified(self.issues))

    def refuse_text(self) -> None:
        """Answer 400 with the issues as text, if there are any."""
        if self.issues:
            refuse({"error": prettified(self.issues)}, 400)


def path_number(request: Request, name: str, *, low: int = 1, high: int = 2**31 - 1) -> int:
    """Read a number from the path, or answer 400 with a text."""
    parameters = Parameters(QueryParams({name: request.path_params[name]}))
    value = parameters.number(name, low, low=low, high=high)
    parameters.refuse_text()
    return value


def next_page(world: World, request: Request, changes: Mapping[str, Any]) -> str:
    """Build the URL of the next page: every parameter of this one, a `token` included, with some changed."""
    left_out = {*changes} if Quirk.NEXT_PAGE_TOKEN in world.quirks else {*changes, "token"}
    kept = [(name, value) for name, value in request.query_params.multi_items() if value and name not in left_out]
    query = QueryParams([*kept, *((name, str(value)) for name, value in changes.items())])
    return f"{world.origin}{request.url.path}?{query}"


def slug(name: str) -> str:
    """Make what the site makes of a user's name.

    >>> slug("Some Body's")
    'some_bodys'
    """
    return re.sub(r"[^A-Za-z0-9_]", "", name.replace(" ", "_", 1)).lower()


def _javascript_number(text: str) -> float | None:
    """Read a number as JavaScript does, where nothing is 0; what is not finite is of no use here."""
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _wrong_type(expected: str, received: str, name: str) -> Issue:
    message = f"Invalid input: expected {expected}, received {received}"
    return {"expected": expected, "code": "invalid_type", "received": received, "path": [name], "message": message}


def _wrong_choice(values: Collection[str], path: Sequence[str | int]) -> Issue:
    listed = "|".join(f'"{value}"' for value in values)
    message = f"Invalid option: expected one of {listed}"
    return {"code": "invalid_value", "values": list(values), "path": list(path), "message": message}


def _out_of_bounds(code: str, limit_name: str, words: str, sign: str, limit: int, name: str) -> Issue:
    message = f"{words}: expected number to be {sign}{limit}"
    return {"origin": "number", "code": code, limit_name: limit, "inclusive": True, "path": [name], "message": message}
