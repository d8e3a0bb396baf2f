"""What the templates call: how a class, a field and a parameter of the document are written in Python.

openapi-python-client's own type strings are close to what is wanted; they differ from ours where we keep enums open,
read free maps as `dict`, take what JSON holds (no UUID or file objects), and let a reference stand in a step's input.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import AnyProperty, LiteralEnumProperty, ModelProperty
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.datetime import DateTimeProperty
from openapi_python_client.parser.properties.file import FileProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol as Property
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.strings import safe_for_docstring

from scripts.openapi.names import attribute, class_name
from scripts.openapi.rewrite import LIMITS, MARK, Json

_SCALARS: Mapping[type, str] = {
    BooleanProperty: "bool",
    IntProperty: "int",
    FloatProperty: "float",
    FileProperty: "bytes",
}
_WIDTH = 112


def mark(model: ModelProperty) -> Json:
    """What the rewrite noted on the schema of a class; empty for one that has no name in the document."""
    found: Json = (model.data.model_extra or {}).get(MARK, {})
    return found


def is_map(prop: Property) -> bool:
    """Whether an object without a name of its own is a free map rather than a class."""
    return (
        isinstance(prop, ModelProperty)
        and MARK not in (prop.data.model_extra or {})
        and not (prop.required_properties or prop.optional_properties)
    )


class Renderer:
    """Writes the parts of one client.

    Args:
        classes: The models by class name.
        enums: The class names of the enums that are schemas of their own.
        aliases: The class names of the schemas that are neither.
    """

    def __init__(self, classes: Mapping[str, ModelProperty], enums: set[str], aliases: set[str]) -> None:
        self.classes = classes
        self.enums = enums
        self.names = sorted({*classes, *enums, *aliases})

    # ------------------------------------------------------------------------------------------------------- types

    def annotation(self, prop: Property, *, reference: bool = False, air: bool = False) -> str:
        """The type of a property, without whether it may be left out.

        Args:
            prop: The property as parsed.
            reference: Whether a step reference may stand for the value and for any value in it.
            air: Whether the text is an AIR, so that an `Air` object does too.
        """
        members = list(dict.fromkeys(self._members(prop, reference, air)))
        if "Any" in members:
            return "Any"
        if reference:
            members.append("Reference")
        if "None" in members:
            members.remove("None")
            members.append("None")
        return " | ".join(members)

    def _members(self, prop: Property, reference: bool, air: bool) -> Iterator[str]:
        if isinstance(prop, UnionProperty):
            for member in prop.inner_properties:
                yield from self._members(member, reference, air)
        elif isinstance(prop, NoneProperty):
            yield "None"
        elif isinstance(prop, AnyProperty):
            yield "Any"
        elif isinstance(prop, ListProperty):
            inner = self.annotation(prop.inner_property, reference=reference, air=air)
            yield f"Sequence[{inner}]" if reference else f"list[{inner}]"
        elif isinstance(prop, ModelProperty) and is_map(prop):
            values = prop.additional_properties
            inner = self.annotation(values, reference=reference) if values else "Any"
            yield f"Mapping[str, {inner}]" if reference else f"dict[str, {inner}]"
        elif isinstance(prop, ModelProperty):
            yield str(prop.class_info.name)
        elif isinstance(prop, LiteralEnumProperty):
            name = str(prop.class_info.name)
            yield from [name] if name in self.enums else self.literal(prop).split(" | ")
        elif isinstance(prop, DateTimeProperty):
            yield "datetime"
        else:
            yield _SCALARS.get(type(prop), "str")
            if air:
                yield "ToWire"

    @staticmethod
    def literal(prop: LiteralEnumProperty) -> str:
        """An enum whose known values editors complete, and whose unknown ones are legal."""
        values = ", ".join(repr(value) for value in sorted(prop.values))
        return f"Literal[{values}] | {prop.value_type.__name__}"

    def shape(self, prop: Property) -> str:
        """The code of the shape that the runtime reads the property in; `None` where it is taken as it comes."""
        if isinstance(prop, UnionProperty):
            shapes = [found for inner in prop.inner_properties if (found := self.shape(inner)) != "None"]
            return f"({', '.join(shapes)})" if len(shapes) > 1 else next(iter(shapes), "None")
        if isinstance(prop, ListProperty):
            inner = self.shape(prop.inner_property)
            return "None" if inner == "None" else f"[{inner}]"
        if isinstance(prop, ModelProperty) and is_map(prop):
            inner = self.shape(prop.additional_properties) if prop.additional_properties else "None"
            return "None" if inner == "None" else f'{{"": {inner}}}'
        if isinstance(prop, ModelProperty):
            return f'"{prop.class_info.name}"'
        if isinstance(prop, FileProperty):
            return "bytes"
        return "DATETIME" if isinstance(prop, DateTimeProperty) else "None"

    # ----------------------------------------------------------------------------------------------------- classes

    def base(self, model: ModelProperty) -> str | None:
        """The class that a class extends, if it is not the root of them all."""
        name = mark(model).get("extends")
        return class_name(name) if name else None

    def chosen_by(self, model: ModelProperty) -> str | None:
        """The code that says which field picks the subclass."""
        found = mark(model).get("chosen_by")
        if not found:
            return None
        field, default, into = found
        return repr((field, default, {value: class_name(name) for value, name in sorted(into.items())}))

    def step(self, model: ModelProperty) -> str | None:
        """The code of the step type whose input a class is."""
        step = mark(model).get("step")
        return None if step is None else repr(step)

    def enum_doc(self, enum: LiteralEnumProperty) -> str:
        """What follows an enum: what it is."""
        return wrapped(enum.description) or f"The values of `{enum.class_info.name}` that are known; others are legal."

    def fields(self, model: ModelProperty) -> Iterator[str]:
        """The field declarations of a class, one each."""
        about = mark(model)
        sent = about.get("sent", False)
        for prop in self._own(model):
            facts = self._facts(model, prop)
            kind = self._field_annotation(model, prop)
            arguments = [repr(prop.name.get_untrusted_value())] if prop.name != str(prop.python_name) else []
            if (shape := self.shape(prop)) != "None":
                arguments.append(shape if arguments else f"shape={shape}")
            if not (sent and prop.required) or facts.get("read_only"):
                arguments.append("default=UNSET")
            if sent and facts.get("read_only"):
                arguments.append("init=False")
            if sent:
                arguments += [f"{limit}={facts[limit]!r}" for limit in LIMITS.values() if limit in facts]
            value = f" = wire({', '.join(arguments)})" if arguments else ""
            yield f"{prop.python_name}: {kind}{value}"
        for name, value in about.get("fixed", {}).items():
            wire_name = f"{name!r}, " if name != attribute(name) else ""
            yield f"{attribute(name)}: str = wire({wire_name}default={value!r})"

    def _own(self, model: ModelProperty) -> list[Property]:
        found = {prop.name: prop for prop in (*(model.required_properties or ()), *(model.optional_properties or ()))}
        return [found[name] for name in (model.data.properties or {}) if name in found]

    @staticmethod
    def _facts(model: ModelProperty, prop: Property) -> Json:
        found: Json = mark(model).get("fields", {}).get(prop.name.get_untrusted_value(), {})
        return found

    def _field_annotation(self, model: ModelProperty, prop: Property) -> str:
        about, facts = mark(model), self._facts(model, prop)
        air = about.get("sent", False) and facts.get("air", False)
        kind = self.annotation(prop, reference=about.get("step_input", False), air=air)
        return kind if prop.required or kind == "Any" else f"{kind} | Unset"

    def overrides(self, model: ModelProperty) -> bool:
        """Whether a class restates a field of a base with another type."""
        own = {prop.python_name: self._field_annotation(model, prop) for prop in self._own(model)}
        while (name := self.base(model)) is not None:
            model = self.classes[name]
            for prop in self._own(model):
                if own.get(prop.python_name, found := self._field_annotation(model, prop)) != found:
                    return True
        return False

    def model_doc(self, model: ModelProperty) -> str:
        """The docstring of a class: what it is, then its fields with limits and defaults."""
        about = mark(model)
        entries = [
            (f"{prop.python_name} ({self.annotation(prop)})", field_doc(self._facts(model, prop)))
            for prop in self._own(model)
        ]
        entries += [(attribute(name), f"Always `{value}`.") for name, value in about.get("fixed", {}).items()]
        return _docstring(wrapped(model.description) or self._model_summary(model), "Attributes", entries)

    def _model_summary(self, model: ModelProperty) -> str:
        fixed = mark(model).get("fixed", {})
        if base := self.base(model):
            how = ", ".join(f"{name} `{value}`" for name, value in fixed.items())
            return wrapped(f"The `{base}` of {how}." if how else f"A `{base}`.")
        return f"`{model.class_info.name}` of the API."

    # -------------------------------------------------------------------------------------------------- operations

    def parameters(self, endpoint: Endpoint) -> list[Property]:
        """The parameters of an operation, those that must be given first."""
        return sorted((prop for _, prop in endpoint.iter_all_parameters()), key=lambda prop: not prop.required)

    def parameter(self, operation: Json, prop: Property) -> str:
        """A parameter as its function declares it."""
        air = any(
            "air" in (found.get("format"), found.get("items", {}).get("format")) for found in _schemas(operation, prop)
        )
        kind = self.annotation(prop, air=air).replace("list[", "Sequence[")
        if prop.required:
            return f"{prop.python_name}: {kind}"
        return f"{prop.python_name}: {kind}{'' if kind.endswith('None') else ' | None'} | Unset = UNSET"

    @staticmethod
    def path_value(operation: Json, prop: Property) -> str:
        """What is put in the path for a parameter."""
        return (
            f"_runtime.Segments({prop.python_name})" if _flag(operation, prop, "x-multi-segment") else prop.python_name
        )

    @staticmethod
    def query_value(operation: Json, prop: Property) -> str:
        """What is sent for a parameter; where the service takes any text for true, only true is."""
        return f"{prop.python_name} or UNSET" if _flag(operation, prop, "x-send-only-true") else prop.python_name

    def body(self, endpoint: Endpoint) -> str:
        """The type of the body of an operation."""
        return self.annotation(endpoint.bodies[0].prop).replace("list[", "Sequence[")

    def answers(self, endpoint: Endpoint) -> dict[int, str]:
        """The shape of the answer by status."""
        found = {}
        for answer in endpoint.responses.patterns:
            empty = answer.source["return_type"] == "None"
            lowest, _ = answer.status_code.range or (200, 299)
            found[lowest] = "NoReturn" if empty else self.shape(answer.prop)
        return found

    def result(self, endpoint: Endpoint) -> str:
        """The type of the decoded answer."""
        kinds = {
            "None" if answer.source["return_type"] == "None" else self.annotation(answer.prop)
            for answer in endpoint.responses.patterns
        }
        return " | ".join(sorted(kinds, key=lambda kind: (kind == "None", kind))) or "None"

    def operation_doc(self, operation: Json, endpoint: Endpoint) -> str:
        """The docstring of an operation: summary, description, parameters."""
        summary = wrapped(operation.get("summary") or f"Call {operation['operationId']}").rstrip(".") + "."
        described = {
            item["name"]: {**_limits(item.get("schema", {})), **item} for item in operation.get("parameters", ())
        }
        entries = [("body", field_doc(operation.get("requestBody", {})))] if endpoint.bodies else []
        entries += [
            (
                f"{prop.python_name} ({self.annotation(prop)})",
                field_doc(described.get(prop.name.get_untrusted_value(), {})),
            )
            for prop in self.parameters(endpoint)
        ]
        text = wrapped(operation.get("description"))
        return _docstring(f"{summary}\n\n{text}" if text else summary, "Args", entries)

    def names_in(self, code: str) -> list[str]:
        """Which classes of the client a piece of code names."""
        words = "".join(char if char.isidentifier() or char.isdigit() else " " for char in code).split()
        return sorted(set(words).intersection(self.names))


def _schemas(operation: Json, prop: Property) -> Iterator[Json]:
    return (item.get("schema", {}) for item in operation.get("parameters", ()) if prop.name == item["name"])


def _flag(operation: Json, prop: Property, flag: str) -> bool:
    return any(item.get(flag) for item in operation.get("parameters", ()) if prop.name == item["name"])


def _limits(schema: Json) -> Json:
    facts = {word: schema[key] for key, word in LIMITS.items() if key in schema}
    return facts | ({"default": schema["default"]} if "default" in schema else {})


def field_doc(facts: Json) -> str:
    """What a field or parameter is, with its limits and the server's default."""
    notes = [
        *_range("", facts.get("ge"), facts.get("le")),
        *_range(" characters", facts.get("min_length") or None, facts.get("max_length")),
        *_range(" items", facts.get("min_items") or None, facts.get("max_items")),
    ]
    notes += [f"more than {facts['gt']}"] if "gt" in facts else []
    notes += [f"less than {facts['lt']}"] if "lt" in facts else []
    if facts.get("default") is not None:
        notes.append(f"the server's default is `{facts['default']}`")
    if facts.get("read_only"):
        notes.append("set by the server")
    note = wrapped("; ".join(notes))
    return " ".join(
        part for part in (wrapped(facts.get("description")), f"{note[:1].upper()}{note[1:]}." if note else "") if part
    )


def _range(unit: str, low: float | None, high: float | None) -> list[str]:
    if low is not None and high is not None:
        return [f"{low} to {high}{unit}"]
    if low is not None:
        return [f"at least {low}{unit}"]
    return [] if high is None else [f"at most {high}{unit}"]


def _docstring(text: str, heading: str, entries: list[tuple[str, str]]) -> str:
    entries = [(name, " ".join(doc.split())) for name, doc in entries]
    if not entries:
        return text
    lines = (
        textwrap.fill(
            f"{name}: {doc}".removesuffix(": "),
            width=_WIDTH,
            initial_indent="    ",
            subsequent_indent="        ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, doc in entries
    )
    return "\n".join((text, "", f"{heading}:", *lines))


def wrapped(text: Any) -> str:
    """A text of the document made safe for a docstring, its paragraphs wrapped."""
    paragraphs = safe_for_docstring(text or "").replace("\r", "").strip().split("\n\n")
    return "\n\n".join(
        part  # a table or a list is set by hand
        if part.startswith(("|", "- ", "* "))
        else textwrap.fill(" ".join(part.split()), width=_WIDTH, break_long_words=False, break_on_hyphens=False)
        for part in paragraphs
    )
