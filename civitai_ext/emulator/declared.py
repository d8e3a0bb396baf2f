"""The types that the document of the Orchestration API declares for a submit, and what of a body does not fit them.

Names and values of enumerations are taken in any case, null in place of any value, in the input of a step a reference
too, and fields that nobody has declared as they are: so does the service.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from civitai_ext.emulator.references import is_reference
from civitai_ext.emulator.steps import Faults

_BODY = "WorkflowTemplate"
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a string"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "an array"),
    "object": ((dict,), "an object"),
}

_IN_A_STEP = "].input"
"""What is in the path of a field that a reference may stand for."""

Json = dict[str, Any]


def check_declared(body: Json, faults: Faults) -> None:
    """Note what does not fit its declaration, by the path of the field, unless something is noted there already."""
    _check_object(_BODY, body, "", faults)


@cache
def _classes() -> dict[str, Json]:
    """Read the declarations: classes with their fields, and which one each extends."""
    # Most who use the emulator submit nothing.
    classes: dict[str, Json] = json.loads(files("civitai_ext.emulator").joinpath("declared.json").read_bytes())
    return classes


@cache
def _fields(name: str) -> dict[str, tuple[str, Json]]:
    """Give the fields of a class, those that it inherits too, with their names; by these in small letters."""
    declared = _classes()[name]
    inherited = _fields(declared["extends"]) if "extends" in declared else {}
    return inherited | _by_small_letters(declared["fields"])


def _by_small_letters(fields: Json) -> dict[str, tuple[str, Json]]:
    return {name.lower(): (name, field) for name, field in fields.items()}


def _check_object(name: str, value: Json, path: str, faults: Faults) -> None:
    given = {key.lower(): item for key, item in value.items()}
    _check_fields(_fields(_choice(name, given)), value, path, faults)


def _choice(name: str, given: Json) -> str:
    """Follow the discriminators of a class as far as they lead."""
    while chosen := _classes()[name].get("chosenBy"):
        value = given.get(chosen["field"].lower())
        wanted = str(chosen.get("default") if value is None else value).casefold()
        into = next((into for value, into in chosen["into"].items() if value.casefold() == wanted), None)
        if into in (None, name):
            break
        name = into
    return name


def _check_fields(fields: dict[str, tuple[str, Json]], value: Json, path: str, faults: Faults) -> None:
    for key, item in value.items():
        if key.lower() in fields:
            name, field = fields[key.lower()]
            _check_value(field, item, f"{path}.{name}" if path else name, faults)


def _check_value(field: Json, value: Any, path: str, faults: Faults) -> None:
    if value is None or (is_reference(value) and _IN_A_STEP in path):
        return
    fault = _fault(field, value, path.rpartition(".")[2])
    if fault:
        faults.setdefault(path, [fault])
    elif isinstance(value, list) and "items" in field:
        for place, item in enumerate(value):
            _check_value(field["items"], item, f"{path}[{place}]", faults)
    elif isinstance(value, dict):
        if "class" in field:
            _check_object(field["class"], value, path, faults)
        elif "fields" in field:
            _check_fields(_by_small_letters(field["fields"]), value, path, faults)
        for key, item in value.items() if "values" in field else ():
            _check_value(field["values"], item, f"{path}.{key}", faults)


def _fault(field: Json, value: Any, name: str) -> str | None:
    """Tell what is wrong with a value by itself."""
    types = "object" if "class" in field else field.get("type", [])
    types = [types] if isinstance(types, str) else types
    shown = [_TYPES[type_][1] for type_ in types if type_ != "null"]
    if types and not any(_is_of(type_, value) for type_ in types):
        return f"The {name} field must be {' or '.join(shown)}."
    values = [each for each in field.get("enum", ()) if each is not None]
    if values and str(value).casefold() not in (str(each).casefold() for each in values):
        return f"'{value}' is not one of: {', '.join(map(str, values))}."
    size, low, high = _measured(field, value)
    what = "be" if isinstance(value, int | float) else "have a length of"
    if size is not None and low is not None and size < low:
        return f"The field {name} must {what} at least {low}."
    if size is not None and high is not None and size > high:
        return f"The field {name} must {what} at most {high}."
    return None


def _is_of(type_: str, value: Any) -> bool:
    if type_ not in _TYPES or (isinstance(value, bool) and type_ != "boolean"):
        return False
    return isinstance(value, _TYPES[type_][0]) or (
        type_ == "integer" and isinstance(value, float) and value.is_integer()
    )


def _measured(field: Json, value: Any) -> tuple[float | None, float | None, float | None]:
    """Give the size of a value and its limits."""
    if isinstance(value, bool):
        return None, None, None
    if isinstance(value, int | float):
        return value, field.get("minimum"), field.get("maximum")
    if isinstance(value, str):
        return len(value), field.get("minLength"), field.get("maxLength")
    if isinstance(value, list):
        return len(value), field.get("minItems"), field.get("maxItems")
    return None, None, None
