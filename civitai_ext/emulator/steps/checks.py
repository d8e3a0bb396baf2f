"""Checks of inputs: what has to be there, what a number may be, which values a discriminator takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from civitai_ext.emulator.references import is_reference
from civitai_ext.emulator.steps.choices import Tree
from civitai_ext.emulator.steps.core import Check, Faults, Input

_TYPES: dict[str, tuple[type, str]] = {
    "[]": (list, "an array"),
    "{}": (dict, "an object"),
    "*": (object, "anything"),
    "": (str, "a string"),
}


def rules(
    needs: str = "",
    *,
    within: Mapping[str, tuple[float, float]] | None = None,
    one_of: Mapping[str, Collection[str]] | None = None,
    chosen_by: Tree | None = None,
    parts: Mapping[str, Check] | None = None,
) -> Check:
    """Make a check of inputs.

    Args:
        needs: The names of what has to be there: plain ones for strings, with `[]` for lists, with `{}` for objects,
            with `*` for anything.
        within: The lowest and the highest value of numbers.
        one_of: The values that strings, or the items of lists, may have, in any case.
        chosen_by: The discriminators, and what each choice needs.
        parts: Checks of the object that a field holds, or of every item of its list.

    """

    def check(given: Input, path: str, faults: Faults) -> None:
        if is_reference(given.value):
            return
        if not isinstance(given.value, dict):
            faults[path] = [f"The {path.rpartition('.')[2]} field must be an object."]
            return
        needed = f"{needs} {choose(given, chosen_by, path, faults)}" if chosen_by else needs
        for name in needed.split():
            required(given, name, path, faults)
        for name, (low, high) in (within or {}).items():
            between(given, name, low, high, path, faults)
        for name, values in (one_of or {}).items():
            among(given, name, values, path, faults)
        for name, check_part in (parts or {}).items():
            value = given.raw(name)
            if isinstance(value, dict):
                check_part(Input(value), f"{path}.{name}", faults)
            for place, item in enumerate(given.items(name)):
                check_part(Input(item), f"{path}.{name}[{place}]", faults)

    return check


def required(given: Input, name: str, path: str, faults: Faults) -> None:
    """Note when a field is missing or of the wrong type."""
    suffix = next(suffix for suffix in _TYPES if name.endswith(suffix))
    name, (type_, shown) = name.removesuffix(suffix), _TYPES[suffix]
    value = given.raw(name)
    if value is None or value == []:
        faults[f"{path}.{name}"] = [f"The {name} field is required."]
    elif not isinstance(value, type_) and not is_reference(value):
        faults[f"{path}.{name}"] = [f"The {name} field must be {shown}."]


def between(given: Input, name: str, low: float, high: float, path: str, faults: Faults) -> None:
    """Note when a number is out of range."""
    value = given.raw(name)
    if value is None or is_reference(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults[f"{path}.{name}"] = [f"The {name} field must be a number."]
    elif not low <= value <= high:
        faults[f"{path}.{name}"] = [f"The field {name} must be between {low} and {high}."]


def among(given: Input, name: str, values: Collection[str], path: str, faults: Faults) -> None:
    """Note when a string, or an item of a list, is none of some values."""
    value = given.raw(name)
    places = enumerate(value) if isinstance(value, list) else [(None, value)]
    for place, item in places:
        if item is not None and not is_reference(item) and folded(item) not in map(folded, values):
            at = f"{path}.{name}" if place is None else f"{path}.{name}[{place}]"
            faults[at] = [f"'{item}' is not one of: {', '.join(values)}."]


def choose(given: Input, tree: Tree, path: str, faults: Faults) -> str:
    """Follow the discriminators of an input, and tell what the choice needs.

    The first discriminator has to be there. The service takes inputs that lack one of the others, and so does this.
    """
    chosen: Tree | str = tree
    while isinstance(chosen, dict):
        ((field, branches),) = chosen.items()
        default = branches.get(None)
        value = given.raw(field)
        if value is None:
            value = default
        if value is None and chosen is tree:
            faults[f"{path}.{field}"] = [f"The {field} field is required."]
        if value is None or is_reference(value):
            return ""
        found = {folded(name): branch for name, branch in branches.items() if name is not None}
        if folded(value) not in found:
            names = ", ".join(name for name in branches if name is not None)
            faults[f"{path}.{field}"] = [f"'{value}' is not one of: {names}."]
            return ""
        chosen = found[folded(value)]
    return chosen


def folded(value: Any) -> str:
    """Write a value so that it can be compared in any case."""
    return str(value).casefold()
