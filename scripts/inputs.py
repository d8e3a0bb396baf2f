"""Writes what the emulator knows of the types of a submit: `civitai_ext/emulator/declared.json`.

It is the part of `openapi/orchestration.yaml` that says which values a field takes, without inheritance and prose.
`python -m scripts.inputs` writes it anew; with `--check` it exits 1 if that would change it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.openapi import documents

__all__ = ["main", "render"]

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "civitai_ext" / "emulator" / "declared.json"
BODY: Final = "WorkflowTemplate"
STEP: Final = "WorkflowStepTemplate"
KEPT: Final = ("type", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_SCHEMAS: Final = "#/components/schemas/"

Json = dict[str, Any]


def render(document: Json) -> str:
    """Write the classes that a submit is made of, each with its fields, as JSON."""
    schemas = document["components"]["schemas"]
    classes: dict[str, Json] = {}
    _collect(schemas, [BODY], classes)
    into = classes[STEP]["chosenBy"]["into"]
    for path, item in document["paths"].items():
        type_ = path.removeprefix("/v2/consumer/recipes/")
        if type_ != path and type_ not in into:
            # Some steps are known from their recipes only.
            into[type_] = f"{type_}:recipe"
            schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
            field = _field(schemas, schema)
            classes[into[type_]] = {"extends": STEP, "fields": {"input": field}}
            _collect(schemas, list(_named_in(field)), classes)
    # A line for each class, so that a diff shows which ones have changed.
    lines = (f"{json.dumps(name)}: {json.dumps(classes[name], sort_keys=True)}" for name in sorted(classes))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _collect(schemas: Json, waiting: list[str], classes: dict[str, Json]) -> None:
    """Add classes, and all that they lead to."""
    while waiting:
        name = waiting.pop()
        if name not in classes:
            classes[name] = _class(schemas, name)
            waiting += _named_in(classes[name])


def _class(schemas: Json, name: str) -> Json:
    """Describe a class: what it extends, its own fields, and how one of those below it is chosen."""
    schema = schemas[name]
    found: Json = {"fields": {}}
    for part in schema.get("allOf", (schema,)):
        if "$ref" in part:
            found["extends"] = part["$ref"].removeprefix(_SCHEMAS)
            continue
        found["fields"] |= {key: _field(schemas, value) for key, value in part.get("properties", {}).items()}
        if chosen := part.get("discriminator", {}).get("mapping"):
            field = part["discriminator"]["propertyName"]
            into = {value: reference.removeprefix(_SCHEMAS) for value, reference in chosen.items()}
            default = part["properties"].get(field, {}).get("default")
            found["chosenBy"] = {"field": field, "into": into, **({"default": default} if default else {})}
    return found


def _field(schemas: Json, schema: Json) -> Json:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SCHEMAS)
        target = schemas[name]
        is_class = "properties" in target or "allOf" in target
        return {"class": name} if is_class else _field(schemas, target)
    found: Json = {key: schema[key] for key in KEPT if key in schema}
    if schema.get("format") == "int32":
        found.setdefault("minimum", -(2**31))
        found.setdefault("maximum", 2**31 - 1)
    if isinstance(schema.get("items"), dict):
        found["items"] = _field(schemas, schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        found["values"] = _field(schemas, schema["additionalProperties"])
    if "properties" in schema:
        found["fields"] = {key: _field(schemas, value) for key, value in schema["properties"].items()}
    return found


def _named_in(part: Any) -> Iterator[str]:
    """Find the classes that a part names."""
    if isinstance(part, dict):
        if isinstance(part.get("class"), str):
            yield part["class"]
        if isinstance(part.get("extends"), str):
            yield part["extends"]
        if isinstance(part.get("into"), dict):
            yield from part["into"].values()
        for value in part.values():
            yield from _named_in(value)


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's description."""
    parser = argparse.ArgumentParser(prog="python -m scripts.inputs", description="Write what a submit may hold.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something differs")
    options = parser.parse_args(argv)
    text = render(documents.load(ROOT / "openapi" / "orchestration.yaml"))
    if options.check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET.relative_to(ROOT)} is not what openapi/ says; run `make fix`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
