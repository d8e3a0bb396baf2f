"""Bring a published OpenAPI document into the house form, in which two revisions differ only where the service does.

The house form is OpenAPI 3.1.1 and structure only: no prose, examples, titles, vendor keys or operation callbacks; the
descriptions that remain are the ones OpenAPI demands, and `info`, `servers` and the security scheme are ours. In it

- a subclass is `allOf: [{$ref: base}, {type: object, …}]`, its second member holding only what the bases do not say;
- the value that makes a base choose a subclass is an `enum` of that one value in the subclass, and the value that an
  absent field means is the `default` of the base's field;
- a nullable type is `[string, 'null']`, and a nullable enum lists `null`;
- text that is an AIR has the `format` `air`; one that is a URL, a data URL or bare base64 has `media`;
- of media types that mean the same only `application/json` is left;
- keys, `required` and mappings are sorted, while enum values, parameters and alternatives keep their order.

A document in the house form comes out as it went in.
"""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

from scripts.openapi.documents import METHODS, DocumentError, Json, operations, schemas

__all__ = ["NAMED", "ancestors", "normalise"]

NAMED: Final = "#/components/schemas/"
"""What a reference to a named schema begins with."""

INFO: Final[Json] = {
    "contact": {"name": "civitai-ext", "url": "https://github.com/civitai-ext/civitai-ext"},
    "license": {"identifier": "MIT", "name": "MIT"},
    "title": "Civitai Orchestration API",
    "version": "v2",
}
SERVERS: Final = [{"url": "https://orchestration.civitai.com"}]
SECURITY: Final[Json] = {"bearer": {"scheme": "bearer", "type": "http"}}

_PLAIN_KEYS = frozenset(
    {"format", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"}
    | {"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
    | {"contentEncoding", "contentMediaType"}
)
_FLAGS = ("readOnly", "writeOnly", "deprecated")
_LIMITED = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
# The service spells the grammar of an AIR out as a regular expression, in the dialect of .NET and not always the same.
_AIR = "(?:urn:)?(?:air:)?"
# That a text may be a URL, a data URL or base64 is said in prose only.
_MEDIA = re.compile(r"(?=.*\burl\b)(?=.*\bdata ?url\b)(?=.*\bbase64\b)", re.IGNORECASE | re.DOTALL)
# Names that Python's own table changed between versions.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def normalise(document: Json, known: Json | None = None) -> Json:
    """Bring `document` into the house form.

    Args:
        document: A document that `check_openapi` has passed. It is left as it is.
        known: The revision before it in the house form. Of it is taken what some published revisions do not say: which
            operations need no token, and which texts are media.

    Raises:
        DocumentError: The document contradicts itself, so that it has no house form.

    """
    try:
        return _normalised(document, known)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # An object where a list belongs, a parameter without a name and the like.
        raise DocumentError(f"the document is malformed ({type(error).__name__}: {str(error)[:100]})") from error


def _normalised(document: Json, known: Json | None) -> Json:
    named = {name: _subclass(_body(schema)) for name, schema in schemas(document).items()}
    for name in named:
        _check_line(named, name)
    _choose(named)
    _keep_own(named)
    if known is not None:
        _keep_media(named, schemas(known))
    return {
        "components": {"schemas": dict(sorted(named.items())), "securitySchemes": deepcopy(SECURITY)},
        "info": deepcopy(INFO),
        "openapi": "3.1.1",
        "paths": _paths(document, known),
        "servers": deepcopy(SERVERS),
    }


def ancestors(named: Json, name: str) -> Iterator[str]:
    """Name the bases of schema `name`, nearest first, of a document in the house form."""
    for base in _bases(named.get(name, {})):
        yield base
        yield from ancestors(named, base)


# ------------------------------------------------------------------------------------------------------ single schemas


def _schema(schema: Any) -> Json:
    """Bring a schema into the house form where it is used."""
    out = _body(schema)
    if "$ref" in out or "allOf" in out:
        parts = out.get("allOf", [])
        if len(parts) == 1 and "$ref" in parts[0] and not out.keys() & {"properties", "required"}:
            # The wrapper that 3.0 needs in order to say more about a reference.
            out = {**{key: value for key, value in out.items() if key not in ("allOf", "type")}, **parts[0]}
        if _is_nullable(schema):
            whole = {key: out.pop(key) for key in ("$ref", "allOf", "type") if key in out}
            out["anyOf"] = [whole, {"type": "null"}]
    return out


def _body(schema: Any) -> Json:
    """Bring a schema into the house form, as far as that can be done without looking at others."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise DocumentError(f"a schema is no object, but {str(schema)[:60]!r}")
    out: Json = {key: _plain(schema[key]) for key in sorted(_PLAIN_KEYS & schema.keys())}
    out |= {key: True for key in _FLAGS if schema.get(key)}
    if "$ref" in schema:
        out["$ref"] = schema["$ref"]
    for key in ("properties", "patternProperties"):
        if schema.get(key):
            out[key] = {name: _schema(value) for name, value in sorted(schema[key].items())}
    if isinstance(schema.get("items"), (dict, bool)):
        out["items"] = _schema(schema["items"])
    if schema.get("additionalProperties") not in (None, False):
        out["additionalProperties"] = _schema(schema["additionalProperties"])
    for key in ("allOf", "anyOf", "oneOf", "prefixItems"):
        if schema.get(key):
            out["anyOf" if key == "oneOf" else key] = [
                part if part == {"type": "null"} else _schema(part) for part in schema[key]
            ]
    if "not" in schema:
        out["not"] = _schema(schema["not"])
    if schema.get("required"):
        out["required"] = sorted(set(schema["required"]))
    if "enum" in schema or "const" in schema:
        out["enum"] = [_plain(value) for value in schema.get("enum", [schema.get("const")])]
    if "discriminator" in schema:
        out["discriminator"] = _discriminator(schema["discriminator"])
    _lift_limits(out)
    _set_type(out, schema)
    _set_text(out, schema)
    return out


def _plain(value: Any) -> Any:
    """Write a whole number as an integer, however the document spells it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _kinds(schema: Json) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _is_nullable(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("nullable") is True or "null" in _kinds(schema))


def _lift_limits(out: Json) -> None:
    """Turn the flag that 3.0 has beside a limit into the limit that 3.1 has."""
    for limit, exclusive in _LIMITED:
        if isinstance(out.get(exclusive), bool):
            flag = out.pop(exclusive)
            if flag and limit in out:
                out[exclusive] = out.pop(limit)


def _set_type(out: Json, schema: Json) -> None:
    """Set the type, `null` last, and let the enum hold what the schema itself says is legal.

    A type that is nothing but nullable is how the service writes "anything".
    """
    kinds = [kind for kind in _kinds(schema) if kind != "null"]
    if not kinds and "properties" in out:
        kinds = ["object"]
    nullable = _is_nullable(schema)
    if nullable and kinds:
        kinds.append("null")
    if nullable and not kinds and "anyOf" in out and {"type": "null"} not in out["anyOf"]:
        out["anyOf"].append({"type": "null"})
    if "enum" in out:
        # A revision has the two ends of a range for an enum, with a default between them.
        legal = [out["default"]] if "default" in out else []
        out["enum"] += [value for value in (*legal, *([None] if nullable else [])) if value not in out["enum"]]
    if kinds:
        out["type"] = kinds[0] if len(kinds) == 1 else kinds


def _set_text(out: Json, schema: Json) -> None:
    """Give a text its house format."""
    if "string" not in str(out.get("type")) or "format" in out:
        return
    if _AIR in str(out.get("pattern", "")):
        del out["pattern"]
        out["format"] = "air"
    elif "enum" not in out and _MEDIA.search(str(schema.get("description", ""))):
        out["format"] = "media"


def _discriminator(choice: Any) -> Json:
    if not isinstance(choice, dict) or not isinstance(choice.get("propertyName"), str):
        raise DocumentError("a discriminator names no field")
    mapping = {
        value: target if "/" in target else NAMED + target for value, target in choice.get("mapping", {}).items()
    }
    return {**({"mapping": dict(sorted(mapping.items()))} if mapping else {}), "propertyName": choice["propertyName"]}


# ---------------------------------------------------------------------------------------------------------- inheritance


def _subclass(schema: Json) -> Json:
    """Gather what a subclass says of itself, in `allOf` or beside it, in one member after its bases."""
    if "allOf" not in schema:
        return schema
    bases = [part for part in schema["allOf"] if "$ref" in part]
    own: Json = {"type": "object"}
    for part in (*(part for part in schema["allOf"] if "$ref" not in part), schema):
        for key, value in part.items():
            if key == "properties":
                own["properties"] = {**own.get("properties", {}), **value}
            elif key == "required":
                own["required"] = sorted({*own.get("required", ()), *value})
            elif key != "allOf":
                own[key] = value
    return {"allOf": [*bases, own]} if bases else own


def _own(schema: Json) -> Json:
    """Give the part of a schema that holds its own fields."""
    parts: list[Json] = schema.get("allOf", [])
    return parts[-1] if parts else schema


def _bases(schema: Json) -> list[str]:
    return [part["$ref"].removeprefix(NAMED) for part in schema.get("allOf", ()) if "$ref" in part]


def _check_line(named: Json, name: str, below: tuple[str, ...] = ()) -> None:
    if name in below:
        raise DocumentError(f"schema {name} inherits from itself")
    for base in _bases(named[name]):
        _check_line(named, base, (*below, name))


def _choose(named: Json) -> None:
    """State in each subclass the values that make its base choose it, and on each base the field that they are in."""
    for name, schema in named.items():
        own = _own(schema)
        if "discriminator" not in own:
            continue
        choice = own["discriminator"]
        field = choice["propertyName"]
        if "mapping" not in choice:
            choice["mapping"] = dict(sorted(_found_mapping(named, name, field)))
        own.setdefault("properties", {}).setdefault(field, {"type": "string"})
        values: dict[str, list[str]] = {}
        for value, target in choice["mapping"].items():
            values.setdefault(target.removeprefix(NAMED), []).append(value)
        for child, chosen_by in values.items():
            if child not in named:
                raise DocumentError(f"{name} maps {chosen_by[0]} to {child}, which is not in the document")
            if name in ancestors(named, child):
                _own(named[child]).setdefault("properties", {})[field] = {"enum": chosen_by, "type": "string"}


def _found_mapping(named: Json, name: str, field: str) -> Iterator[tuple[str, str]]:
    """Find the mapping that a base leaves out: by the constants of its subclasses, else by their names."""
    for child, schema in named.items():
        if name in _bases(schema):
            values = _own(schema).get("properties", {}).get(field, {}).get("enum", [child])
            yield from ((value, NAMED + child) for value in values)


def _keep_own(named: Json) -> None:
    """Drop from each subclass what its bases say as well, top down, so that a difference is stated where it arises."""
    inherited = {name: _inherited(named, name) for name in named}
    for name, schema in named.items():
        fields, required = inherited[name]
        own = _own(schema)
        for key, kept in (
            ("properties", {k: v for k, v in own.get("properties", {}).items() if fields.get(k) != v}),
            ("required", [field for field in own.get("required", ()) if field not in required]),
        ):
            own.pop(key, None)
            if kept:
                own[key] = dict(sorted(kept.items())) if isinstance(kept, dict) else kept
        if _bases(schema):
            if own == {"type": "object"}:
                schema["allOf"].pop()
            else:
                schema["allOf"][-1] = _sorted(own)
        else:
            named[name] = _sorted(own)


def _inherited(named: Json, name: str) -> tuple[Json, set[str]]:
    """Give the fields of all bases of a schema, a nearer one before a farther one, and which of them are required."""
    fields: Json = {}
    required: set[str] = set()
    for base in ancestors(named, name):
        own = _own(named[base])
        fields = {**own.get("properties", {}), **fields}
        required |= set(own.get("required", ()))
    return fields, required


def _sorted(schema: Json) -> Json:
    return dict(sorted(schema.items()))


def _keep_media(named: Json, known: Json) -> None:
    """Let a text stay media that was media: a new wording of the prose that says so is no change of the service."""
    for name in named.keys() & known.keys():
        before = _own(known[name]).get("properties", {})
        for field, schema in _own(named[name]).get("properties", {}).items():
            was = before.get(field, {})
            for now, then in ((schema, was), (schema.get("items", {}), was.get("items", {}))):
                if then.get("format") == "media" and {**now, "format": "media"} == then:
                    now["format"] = "media"


# ----------------------------------------------------------------------------------------------------------- operations


def _paths(document: Json, known: Json | None) -> Json:
    free = {o["operationId"] for _, _, o in operations(known) if o["security"] == []} if known else set()
    paths: Json = {}
    for path, method, operation in operations(document):
        shared = document["paths"][path].get("parameters", [])
        found = _operation(document, path, method, operation, shared)
        security = operation.get("security")
        if security is None:
            found["security"] = [] if found["operationId"] in free else [{"bearer": []}]
        else:
            found["security"] = _security(security)
        paths.setdefault(path, {})[method] = _sorted(found)
    names = [found["operationId"] for item in paths.values() for found in item.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DocumentError(f"two operations are called {twice[0]}")
    return {path: {m: item[m] for m in METHODS if m in item} for path, item in sorted(paths.items())}


def _security(alternatives: Iterable[Json]) -> list[Json]:
    """Name every scheme ours; what may go without a token, goes without one."""
    found = [{"bearer": list[str]()} if needed else {} for needed in alternatives]
    return [] if found == [{}] else found


def _operation(document: Json, path: str, method: str, operation: Json, shared: list[Json]) -> Json:
    out: Json = {
        "operationId": operation.get("operationId") or _operation_id(path, method),
        "responses": {
            str(status): _response(document, str(status), answer)
            for status, answer in sorted(operation.get("responses", {}).items(), key=lambda item: str(item[0]))
        },
    }
    if operation.get("deprecated"):
        out["deprecated"] = True
    if operation.get("tags"):
        out["tags"] = list(operation["tags"])
    parameters = {}
    for given in (*shared, *operation.get("parameters", ())):
        parameter = _parameter(_resolved(document, given))
        parameters[parameter["name"], parameter["in"]] = parameter
    if parameters:
        out["parameters"] = list(parameters.values())
    if "requestBody" in operation:
        body = _resolved(document, operation["requestBody"])
        out["requestBody"] = {"content": _content(body.get("content", {}))}
        if body.get("required"):
            out["requestBody"]["required"] = True
    return out


def _operation_id(path: str, method: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in (method, *re.findall(r"[A-Za-z0-9]+", path)))


def _parameter(parameter: Json) -> Json:
    out: Json = {"in": parameter["in"], "name": parameter["name"], "schema": _schema(parameter.get("schema", {}))}
    out |= {key: parameter[key] for key in ("style", "explode") if key in parameter}
    out |= {key: True for key in ("required", "deprecated", "allowReserved") if parameter.get(key)}
    return _sorted(out)


def _response(document: Json, status: str, answer: Json) -> Json:
    answer = _resolved(document, answer)
    out: Json = {"description": _phrase(status)}
    if answer.get("content"):
        out["content"] = _content(answer["content"])
    if answer.get("headers"):
        headers = {name: _resolved(document, header) for name, header in sorted(answer["headers"].items())}
        out["headers"] = {name: {"schema": _schema(header.get("schema", {}))} for name, header in headers.items()}
    return _sorted(out)


def _phrase(status: str) -> str:
    if not status.isdecimal():
        return "Any other status" if status == "default" else f"Any {status.upper()} status"
    if int(status) in _PHRASES:
        return _PHRASES[int(status)]
    try:
        return HTTPStatus(int(status)).phrase
    except ValueError:
        return "Unassigned Status"


def _content(content: Json) -> Json:
    """Drop `text/json` and `application/*+json` where `application/json` is offered: to the service they are one."""
    if "application/json" in content:
        content = {kind: body for kind, body in content.items() if kind not in ("text/json", "application/*+json")}
    return {kind: {"schema": _schema(body.get("schema", {}))} for kind, body in sorted(content.items())}


def _resolved(document: Json, node: Json) -> Json:
    """Follow the reference that may stand for a parameter, a body or an answer."""
    seen = 0
    while "$ref" in node:
        for part in node["$ref"].split("/")[1:]:
            node = (document if part == "components" else node)[part.replace("~1", "/").replace("~0", "~")]
        if (seen := seen + 1) > 20:
            raise DocumentError("a reference leads to itself")
    return node
