"""Turn an API's document into one that openapi-python-client reads without loss.

The generator knows neither inheritance nor discriminators: it merges `allOf` into one flat class and reads a base as
itself (openapi-generators/openapi-python-client#219, #1083). So every rule here takes a construct out of the document
and puts what it meant, as plain data under `x-python`, where our templates read it:

| `x-python` of a schema | |
|---|---|
| `extends` | the base class |
| `chosen_by` | `[field, value that an absent field means, {value: class}]` of a base |
| `fixed` | the discriminator values that a leaf stands for |
| `sent` | requests carry it, so its required fields are required of callers |
| `step_input` | it lies inside a step's input, where a reference may stand for any value |
| `step` | the step type whose input it is |
| `fields` | per field: description, limits, default, whether it is read-only, whether it is an AIR |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

MARK = "x-python"
LIMITS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_items",
    "maxItems": "max_items",
    "pattern": "pattern",
}
ALIASES = "AliasesOfTheDocument"
"""The class whose fields are the schemas that are neither objects nor enums; it is not written."""
_STEP_TEMPLATE = "WorkflowStepTemplate"


def rewrite(document: Json) -> Json:
    """Apply every rule to a copy of `document`."""
    document = copy.deepcopy(document)
    for rule in RULES:
        rule(document)
    return document


# ------------------------------------------------------------------------------------------------------------- rules


def inline_shared_parts(document: Json) -> None:
    """Put shared parameters, bodies and answers where they are used: the generator reads only some of them."""
    shared = document.get("components", {})
    kinds = {"parameters": "parameters", "requestBodies": "requestBody", "responses": "responses"}
    for _, _, operation in operations(document):
        for kind, place in kinds.items():
            parts = shared.get(kind, {})
            held = operation.get(place, {})
            if isinstance(held, list):
                operation[place] = [_inlined(part, parts) for part in held]
            elif "$ref" in held:
                operation[place] = _inlined(held, parts)
            elif kind == "responses":
                operation[place] = {status: _inlined(part, parts) for status, part in held.items()}
    for kind in kinds:
        shared.pop(kind, None)


def _inlined(part: Json, shared: Json) -> Json:
    return copy.deepcopy(shared[_name(part["$ref"])]) if "$ref" in part else part


def keep_what_can_be_decoded(document: Json) -> None:
    """Keep one body per request and success; errors are left to the transport, which knows all their shapes."""
    for _, _, operation in operations(document):
        body = operation.get("requestBody")
        if body:
            body["content"] = _preferred(body.get("content", {}))
            body["required"] = True
        kept = {}
        for status, answer in operation.get("responses", {}).items():
            if str(status)[0] in "23":
                kept[str(status)] = {"description": answer.get("description", "")}
                if "content" in answer:
                    kept[str(status)]["content"] = _preferred(answer["content"])
        operation["responses"] = kept


def _preferred(content: Json) -> Json:
    """JSON where it is offered, else a form, else bytes."""
    if not content:
        return {}
    kinds = sorted(content, key=lambda kind: (kind != "application/json", not _is_json(kind), kind))
    kind = kinds[0]
    if _is_json(kind) or kind == "application/x-www-form-urlencoded":
        return {kind: {"schema": content[kind].get("schema", {})}}
    return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _is_json(kind: str) -> bool:
    return kind.partition(";")[0].endswith("json")


def mark_fields(document: Json) -> None:
    """Move what the generator drops or trips over (descriptions beside `$ref`, limits, defaults) into the mark."""
    for schema in schemas(document).values():
        facts = schema.setdefault(MARK, {}).setdefault("fields", {})
        for part in (schema, *schema.get("allOf", ())):
            facts.update({name: _facts(field) for name, field in part.get("properties", {}).items()})


def _facts(field: Json) -> Json:
    facts: Json = {word: field[key] for key, word in LIMITS.items() if key in field}
    for key in ("description", "default"):
        if key in field:
            facts[key] = field[key]
    if field.get("readOnly"):
        facts["read_only"] = True
    if field.get("format") == "air":
        facts["air"] = True
    return facts


def lift_inheritance(document: Json) -> None:
    """Turn `allOf: [{$ref: base}, own]` into a schema of its own fields that extends its base."""
    for schema in schemas(document).values():
        bases = [_name(part["$ref"]) for part in schema.get("allOf", ()) if "$ref" in part]
        if not bases:
            continue
        for part in schema.pop("allOf"):
            schema.setdefault("properties", {}).update(part.pop("properties", {}))
            schema["required"] = sorted({*schema.get("required", ()), *part.pop("required", ())})
            schema.update({key: value for key, value in part.items() if key not in {"$ref", *schema}})
        schema["type"] = "object"
        schema[MARK]["extends"] = bases[0]
        for mixin in bases[1:]:
            for name, field in schemas(document)[mixin].get("properties", {}).items():
                schema["properties"].setdefault(name, copy.deepcopy(field))
                schema[MARK]["fields"].setdefault(name, _facts(field))


def lift_discriminators(document: Json) -> None:
    """Turn `discriminator` into `chosen_by` on the base and `fixed` on the classes that it picks."""
    known = schemas(document)
    values: dict[tuple[str, str], list[str]] = {}
    for schema in known.values():
        choice = schema.pop("discriminator", {})
        if not choice.get("mapping"):
            continue
        field = choice["propertyName"]
        mapping = {value: _name(target) for value, target in choice["mapping"].items()}
        schema[MARK]["chosen_by"] = [field, schema[MARK]["fields"].get(field, {}).get("default"), mapping]
        for value, target in mapping.items():
            values.setdefault((target, field), []).append(value)
    for (name, field), stands_for in values.items():
        # A class that stands for several values must be told which one is meant.
        if len(stands_for) == 1:
            known[name][MARK].setdefault("fixed", {})[field] = stands_for[0]
            known[name].get("properties", {}).pop(field, None)


def fix_constants(document: Json) -> None:
    """Take a subclass's text of one legal value, of which no base knows, for what it stands for too."""
    for schema in schemas(document).values():
        for name, field in list(schema.get("properties", {}).items()):
            if "extends" in schema[MARK] and field.get("type") == "string" and len(field.get("enum", ())) == 1:
                schema[MARK].setdefault("fixed", {})[name] = field["enum"][0]
                del schema["properties"][name]


def mark_requests(document: Json) -> None:
    """Mark what callers send, and what of it lies inside a step's input."""
    known = schemas(document)
    bodies = [operation.get("requestBody", {}) for _, _, operation in operations(document)]
    for name in reachable(document, references(bodies)):
        known[name][MARK]["sent"] = True
    steps_of: dict[str, list[str]] = {}
    _, _, templates = known.get(_STEP_TEMPLATE, {}).get(MARK, {}).get("chosen_by", ("", None, {}))
    for step, template in templates.items():
        for target in references(known[template].get("properties", {}).get("input", {})):
            steps_of.setdefault(target, []).append(step)
    for name, steps in steps_of.items():
        if len(steps) == 1:
            known[name][MARK]["step"] = steps[0]
    for name in reachable(document, set(steps_of)):
        known[name][MARK]["step_input"] = True


def relax_requests(document: Json) -> None:
    """Require of callers only what the server requires.

    The document's `required` describes the server's own answers. A request may leave out every field that has a
    default, is read-only or is a switch (absent means off); discriminators are what the class stands for.
    """
    for schema in schemas(document).values():
        mark = schema[MARK]
        if mark.get("sent") and "required" in schema:
            optional = {name for name, facts in mark["fields"].items() if facts.keys() & {"default", "read_only"}}
            optional |= {name for name, field in schema.get("properties", {}).items() if field.get("type") == "boolean"}
            optional |= {*mark.get("chosen_by", ())[:1], *mark.get("fixed", ())}
            schema["required"] = [name for name in schema["required"] if name not in optional]


def restate_inherited(document: Json) -> None:
    """Restate a base's optional field where a subclass requires it."""
    known = schemas(document)
    for name, schema in known.items():
        own = schema.get("properties", {})
        for field in sorted(set(schema.get("required", ())) - {*own, *schema[MARK].get("fixed", ())}):
            bases = (known[base] for base in ancestors(document, name))
            base = next((base for base in bases if field in base.get("properties", {})), None)
            if base is not None and field not in base.get("required", ()):
                schema.setdefault("properties", {})[field] = copy.deepcopy(base["properties"][field])
                schema[MARK]["fields"][field] = base[MARK]["fields"].get(field, {})


def strip(document: Json) -> None:
    """Take out what the marks now hold, and `additionalProperties: false`, which readers of unknown fields ignore."""
    for node in _walk({"schemas": schemas(document), "paths": document["paths"]}):
        if node.get("additionalProperties") is False:
            del node["additionalProperties"]
        if node.get("type") == "array":
            node.setdefault("items", {})
        properties = node.get("properties", {})
        for field in (*(properties.values() if isinstance(properties, dict) else ()), node.get("schema")):
            if isinstance(field, dict):
                field.pop("default", None)


def collect_aliases(document: Json) -> None:
    """Hold the schemas that are neither objects nor enums in one class, since the generator makes nothing of them."""
    known = schemas(document)
    names = [name for name, schema in known.items() if not (_is_object(schema) or schema.get("enum"))]
    if names:
        fields = {name: {"$ref": f"#/components/schemas/{name}"} for name in names}
        known[ALIASES] = {"type": "object", "properties": fields, "required": names, MARK: {}}
    for name in names:
        del known[name][MARK]


def _is_object(schema: Json) -> bool:
    return schema.get("type") == "object" or "properties" in schema or "extends" in schema.get(MARK, {})


RULES: tuple[Callable[[Json], None], ...] = (
    inline_shared_parts,
    keep_what_can_be_decoded,
    mark_fields,
    lift_inheritance,
    lift_discriminators,
    fix_constants,
    mark_requests,
    relax_requests,
    restate_inherited,
    strip,
    collect_aliases,
)


# ----------------------------------------------------------------------------------------------------------- looking


def schemas(document: Json) -> dict[str, Json]:
    """The component schemas of `document`."""
    found: dict[str, Json] = document.setdefault("components", {}).setdefault("schemas", {})
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Every operation as path, method and object."""
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if method in {"get", "put", "post", "delete", "options", "head", "patch", "trace"}:
                yield path, method, operation


def references(node: Any) -> set[str]:
    """The component schemas that `node` names."""
    return {_name(part["$ref"]) for part in _walk(node) if isinstance(part.get("$ref"), str)}


def reachable(document: Json, roots: set[str]) -> set[str]:
    """The component schemas that a value of one of `roots` may hold: through fields, subclasses and bases."""
    known = schemas(document)
    children: dict[str, set[str]] = {}
    for name, schema in known.items():
        children.setdefault(schema[MARK].get("extends", ""), set()).add(name)
    followed: set[str] = set()
    inherited: set[str] = set()
    todo = roots & known.keys()
    while todo:
        name = todo.pop()
        followed.add(name)
        held = references(known[name]) | children.get(name, set())
        for base in ancestors(document, name):
            # Its fields are inherited, but its other children are not meant.
            inherited.add(base)
            held |= references(known[base].get("properties", {}))
        todo |= (held & known.keys()) - followed
    return followed | inherited


def ancestors(document: Json, name: str) -> Iterator[str]:
    """The base of schema `name`, the base's base and so on."""
    while base := schemas(document)[name][MARK].get("extends"):
        yield (name := base)


def _walk(node: Any) -> Iterator[Json]:
    """Give every object in `node` but the marks."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key != MARK:
                yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
