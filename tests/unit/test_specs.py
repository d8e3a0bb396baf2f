"""The documents in `openapi/` keep ten rules, and `sources.lock` knows them.

Each rule is a function that yields what breaks it, tried first on a small document with that fault.
"""

import copy
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from scripts.openapi import documents, lock, overlay

Json = dict[str, Any]
Rule = Callable[[Json], Iterator[str]]

SMALL_WORDS = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"}
RULES: dict[str, Rule] = {}
ORCHESTRATION_RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def orchestration_rule(function: Rule) -> Rule:
    ORCHESTRATION_RULES[function.__name__] = function
    return function


# ------------------------------------------------------------------------------------------------------ the ten rules


@rule
def contact_and_license(document: Json) -> Iterator[str]:
    if not document["info"].get("contact", {}).get("url", "").startswith("https://"):
        yield "info.contact has no URL"
    if not document["info"].get("license", {}).get("name"):
        yield "info.license has no name"


@rule
def https_servers(document: Json) -> Iterator[str]:
    if not document.get("servers"):
        yield "there are no servers"
    for server in document.get("servers", ()):
        if not server["url"].startswith("https://"):
            yield f"server {server['url']} is not HTTPS"


@rule
def camel_case_operation_ids(document: Json) -> Iterator[str]:
    names = [operation.get("operationId", "") for _, _, operation in documents.operations(document)]
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name) or name.isupper():
            yield f"operationId {name!r} is neither camelCase nor PascalCase"
    if len({name.casefold() for name in names}) != len(names):
        yield "two operations have one operationId"


@rule
def title_case_summaries(document: Json) -> Iterator[str]:
    for path, method, operation in documents.operations(document):
        words = operation.get("summary", "").split()
        capitals = [not word[0].islower() or (at > 0 and word in SMALL_WORDS) for at, word in enumerate(words)]
        if not words or not all(capitals) or words[-1].endswith("."):
            yield f"{method} {path}: {operation.get('summary')!r} is not in Title Case"


@rule
def bearer_scheme(document: Json) -> Iterator[str]:
    schemes = document["components"].get("securitySchemes", {})
    bearers = {name for name, scheme in schemes.items() if (scheme["type"], scheme.get("scheme")) == ("http", "bearer")}
    if not bearers:
        yield "there is no bearer scheme"
    for path, method, operation in documents.operations(document):
        for needed in operation.get("security", document.get("security")) or ():
            if unknown := needed.keys() - schemes.keys():
                yield f"{method} {path} needs {', '.join(sorted(unknown))}, which is no scheme"


@rule
def shared_error_schema(document: Json) -> Iterator[str]:
    shared = set()
    for path, method, operation in documents.operations(document):
        for status, answer in operation["responses"].items():
            if str(status)[0] not in "45d":
                continue
            for body in resolved(document, answer).get("content", {}).values():
                shared.update(re.findall(r"#/components/schemas/(\w+)", str(body)))
                if "properties" in body.get("schema", {}):
                    yield f"{method} {path}: the body of {status} has a schema of its own"
    if not shared:
        yield "no error has a shared schema"


@rule
def no_pickles_in_examples(document: Json) -> Iterator[str]:
    for where, value in walk(document):
        if where and where[-1] in ("example", "examples") and "PickleTensor" in str(value):
            yield f"{'/'.join(where)} has a PickleTensor"


@rule
def valid(document: Json) -> Iterator[str]:
    errors: Any = OpenAPIV31SpecValidator(document).iter_errors()
    yield from map(str, errors)


@orchestration_rule
def workflows_have_a_cost(document: Json) -> Iterator[str]:
    cost = documents.schemas(document).get("Workflow", {}).get("properties", {}).get("cost")
    if not cost:
        yield "Workflow has no cost"
    elif "total" not in resolved(document, cost).get("properties", {}):
        yield "the cost of a Workflow has no total"


@orchestration_rule
def callback_events_are_an_enum(document: Json) -> Iterator[str]:
    callback = documents.schemas(document).get("WorkflowCallback", {})
    events = resolved(document, callback.get("properties", {}).get("type", {}).get("items", {})).get("enum", [])
    if not {"workflow:succeeded", "step:succeeded", "job:succeeded"} <= set(events):
        yield "the events of a callback are no enum"


def resolved(document: Json, node: Json) -> Json:
    while "$ref" in node:
        _, *parts = node["$ref"].split("/")
        node = functools.reduce(lambda held, part: held[part], parts, document)
    return node


def walk(node: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield where, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*where, str(key)))
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from walk(value, (*where, str(at)))


# ------------------------------------------------------------------------------------------------------ the documents


@pytest.mark.parametrize("name", lock.DOCUMENTS)
def test_a_document_keeps_the_rules(name: str) -> None:
    # One test for all rules, so that the overlay is applied by one worker only.
    document = documents.load(lock.OPENAPI / f"{name}.yaml")
    layer = lock.OPENAPI / "overlays" / f"{name}.yaml"
    if layer.exists():
        document = overlay.apply(document, documents.load(layer))
    rules = RULES | (ORCHESTRATION_RULES if name == "orchestration" else {})
    assert {title: found for title, check in rules.items() if (found := list(check(document)))} == {}


def test_the_lock_is_up_to_date() -> None:
    assert lock.check() == []


# ---------------------------------------------------------------------------------------------------------- the rules

EVENTS = [f"{what}:succeeded" for what in ("workflow", "step", "job")]
GOOD: Json = {
    "openapi": "3.1.1",
    "info": {"title": "T", "version": "1", "contact": {"url": "https://e.org"}, "license": {"name": "MIT"}},
    "servers": [{"url": "https://e.org"}],
    "paths": {
        "/workflows": {
            "get": {
                "operationId": "ListWorkflows",
                "summary": "List Workflows of a User",
                "security": [{"bearer": []}],
                "responses": {
                    "200": {"description": "d", "content": {"application/json": {"example": {"format": "SafeTensor"}}}},
                    "404": {
                        "description": "d",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    },
                },
            }
        }
    },
    "components": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Cost": {"type": "object", "properties": {"total": {"type": "integer"}}},
            "Workflow": {"type": "object", "properties": {"cost": {"$ref": "#/components/schemas/Cost"}}},
            "Event": {"type": "string", "enum": EVENTS},
            "WorkflowCallback": {
                "type": "object",
                "properties": {"type": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}},
            },
            "Problem": {"type": "object", "properties": {"format": {"enum": ["PickleTensor"]}}},
        },
    },
}
GET = ("paths", "/workflows", "get")
SCHEMAS = ("components", "schemas")
EXAMPLE = (*GET, "responses", "200", "content", "application/json", "example")
INLINE_ERROR = {"application/json": {"schema": {"type": "object", "properties": {"error": {}}}}}


@pytest.mark.parametrize("title", [*RULES, *ORCHESTRATION_RULES])
def test_a_good_document_keeps_a_rule(title: str) -> None:
    assert list((RULES | ORCHESTRATION_RULES)[title](GOOD)) == []


@pytest.mark.parametrize(
    ("title", "where", "value"),
    [
        ("contact_and_license", ("info", "contact"), {"name": "n"}),
        ("contact_and_license", ("info", "license"), {}),
        ("https_servers", ("servers",), []),
        ("https_servers", ("servers",), [{"url": "https://e.org"}, {"url": "http://e.org"}]),
        ("camel_case_operation_ids", (*GET, "operationId"), "list_workflows"),
        ("camel_case_operation_ids", (*GET, "operationId"), "LIST"),
        ("title_case_summaries", (*GET, "summary"), "List workflows"),
        ("title_case_summaries", (*GET, "summary"), "of Users"),
        ("title_case_summaries", (*GET, "summary"), "List Workflows."),
        ("title_case_summaries", (*GET, "summary"), ""),
        ("bearer_scheme", ("components", "securitySchemes"), {"bearer": {"type": "http", "scheme": "basic"}}),
        ("bearer_scheme", (*GET, "security"), [{"token": []}]),
        ("shared_error_schema", (*GET, "responses", "404", "content"), INLINE_ERROR),
        ("shared_error_schema", (*GET, "responses", "404"), {"description": "d"}),
        ("no_pickles_in_examples", EXAMPLE, {"f": "PickleTensor"}),
        ("no_pickles_in_examples", (*SCHEMAS, "Problem", "examples"), [["PickleTensor"]]),
        ("valid", (*GET, "responses", "404", "description"), 4),
        ("valid", (*SCHEMAS, "Cost", "type"), "money"),
        ("workflows_have_a_cost", (*SCHEMAS, "Workflow", "properties"), {}),
        ("workflows_have_a_cost", (*SCHEMAS, "Cost", "properties"), {}),
        ("callback_events_are_an_enum", (*SCHEMAS, "Event"), {"type": "string"}),
        ("callback_events_are_an_enum", (*SCHEMAS, "Event", "enum"), EVENTS[:2]),
    ],
)
def test_a_rule_finds_its_fault(title: str, where: tuple[str, ...], value: Any) -> None:
    document = copy.deepcopy(GOOD)
    *parents, last = where
    functools.reduce(lambda held, key: held[key], parents, document)[last] = value
    assert list((RULES | ORCHESTRATION_RULES)[title](document))
