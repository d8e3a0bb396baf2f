"""The overlay applier on small documents, and what the overlay of the Orchestration API has to bring about."""

import copy
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.openapi.overlay import Miss, OverlayError, apply
from tests.documents import document

OPENAPI = Path(__file__).parents[2] / "openapi"
METHODS = {"get", "head", "post", "put", "patch", "delete"}
SMALL_WORDS = {"a", "an", "and", "by", "for", "of", "the", "to", "with"}
# Whose fields are all described; of the inputs only the frequent fields are.
FAMILIES = re.compile(
    r"(Update)?Workflow\w*|JsonPatch\w+|Transaction\w+|\w*ProblemDetails|\w*Response|ServiceHistory|CursedArray\w+"
    r"|(Audio|Image|Video|Model3D)?Blob|Resource(Info|Fee)|\w*ResourceAvailability|\w+Step(Template)?"
)


def run(document: dict[str, Any], *actions: dict[str, Any], **options: Any) -> dict[str, Any]:
    return apply(document, {"overlay": "1.0.0", "actions": list(actions)}, **options)


# --------------------------------------------------------------------------------------------------------------- update


def test_update_merges_objects_concatenates_arrays_and_replaces_the_rest() -> None:
    document = {"info": {"title": "old", "contact": {"name": "n"}, "tags": ["a"], "license": {"name": "l"}}}
    update = {"title": "new", "contact": {"url": "u"}, "tags": ["b"], "license": "gone", "extra": {"deep": [1]}}
    assert run(document, {"target": "$.info", "update": update}) == {
        "info": {
            "title": "new",
            "contact": {"name": "n", "url": "u"},
            "tags": ["a", "b"],
            "license": "gone",
            "extra": {"deep": [1]},
        }
    }


def test_update_of_an_array_appends_one_member() -> None:
    assert run({"tags": [{"name": "a"}]}, {"target": "$.tags", "update": {"name": "b"}}) == {
        "tags": [{"name": "a"}, {"name": "b"}]
    }


def test_update_reaches_every_selected_node_and_keeps_references() -> None:
    document = {"schemas": {"A": {"p": {"$ref": "#/x"}}, "B": {"p": {"type": "string"}}, "C": {}}}
    assert run(document, {"target": "$.schemas.*.p", "update": {"description": "d"}}) == {
        "schemas": {
            "A": {"p": {"$ref": "#/x", "description": "d"}},
            "B": {"p": {"type": "string", "description": "d"}},
            "C": {},
        }
    }


def test_updated_nodes_do_not_share_what_they_were_given() -> None:
    result = run(
        {"a": {}, "b": {}},
        {"target": "$.*", "update": {"tags": ["x"]}},
        {"target": "$.a", "update": {"tags": ["y"]}},
    )
    assert result == {"a": {"tags": ["x", "y"]}, "b": {"tags": ["x"]}}


def test_update_of_a_scalar_is_refused() -> None:
    with pytest.raises(OverlayError, match=r"action 1: \$\.title: .*object or an array"):
        run({"title": "t"}, {"target": "$.title", "update": {"a": 1}})


# --------------------------------------------------------------------------------------------------------------- remove


def test_remove_takes_several_members_of_an_array_by_filter() -> None:
    document = {"required": ["a", "b", "c", "b", "d"]}
    assert run(document, {"target": "$.required[?@ == 'b' || @ == 'd']", "remove": True}) == {"required": ["a", "c"]}


def test_remove_by_index_in_any_order_and_twice() -> None:
    assert run({"a": [0, 1, 2, 3]}, {"target": "$.a[1, 3, 1, 0]", "remove": True}) == {"a": [2]}


def test_remove_takes_nodes_within_removed_nodes() -> None:
    document = {"a": [{"x": {"x": 1}}, {"x": 2, "y": 3}], "x": 4}
    assert run(document, {"target": "$..x", "remove": True}) == {"a": [{}, {"y": 3}]}


def test_removing_the_document_is_refused() -> None:
    with pytest.raises(OverlayError, match="cannot be removed"):
        run({"a": 1}, {"target": "$", "remove": True})


# --------------------------------------------------------------------------------------------------------------- misses


def test_a_target_without_a_match_names_the_action() -> None:
    actions: list[dict[str, Any]] = [
        {"target": "$.a", "update": {}},
        {"target": "$.b", "update": {}, "description": "why"},
    ]
    with pytest.raises(OverlayError, match=r"^action 2: \$\.b selects nothing \(why\)$"):
        run({"a": {}}, *actions)


def test_an_optional_target_may_miss() -> None:
    assert run({"a": 1}, {"target": "$.b", "remove": True, "x-optional": True}) == {"a": 1}


def test_without_strict_the_misses_are_collected_and_the_rest_is_applied() -> None:
    skipped: list[Miss] = []
    actions: list[dict[str, Any]] = [
        {"target": "$.b", "remove": True, "description": "why"},
        {"target": "$.a", "update": {"c": 1}},
        {"target": "$.d", "remove": True, "x-optional": True},
    ]
    assert run({"a": {}}, *actions, strict=False, skipped=skipped) == {"a": {"c": 1}}
    assert skipped == [Miss(1, "$.b", "why")]


def test_existing_sets_text_but_adds_no_objects() -> None:
    action = {
        "target": "$.paths",
        "x-existing": True,
        "update": {"/a/{b}": {"get": {"summary": "S"}, "put": {"summary": "S"}}, "/c": {"get": {}}},
    }
    document: dict[str, Any] = {"paths": {"/a/{b}": {"get": {}}}}
    skipped: list[Miss] = []
    assert run(document, action, strict=False, skipped=skipped) == {"paths": {"/a/{b}": {"get": {"summary": "S"}}}}
    assert [miss.missing for miss in skipped] == ["/~1a~1{b}/put", "/~1c"]
    with pytest.raises(OverlayError, match="has no /~1c"):
        run(document, action)


def test_an_invalid_target_is_an_overlay_error() -> None:
    with pytest.raises(OverlayError, match=r"action 1: \$\[\?: "):
        run({}, {"target": "$[?", "update": {}})


def test_the_input_is_left_as_it_is() -> None:
    document = {"a": {"b": [1, 2]}, "c": 3}
    before = copy.deepcopy(document)
    result = run(document, {"target": "$.a.b[0]", "remove": True}, {"target": "$.a", "update": {"b": [4]}})
    assert result == {"a": {"b": [2, 4]}, "c": 3}
    assert document == before


# ------------------------------------------------------------------------------------- the Orchestration API's overlay


@functools.cache
def overlay() -> dict[str, Any]:
    return document("overlays/orchestration.yaml")


@functools.cache
def published() -> dict[str, Any]:
    return document("orchestration.yaml")


@functools.cache
def described() -> dict[str, Any]:
    return apply(published(), overlay())


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [item[method] for item in document["paths"].values() for method in item.keys() & METHODS]


def fields(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (name, field): value
        for name, schema in document["components"]["schemas"].items()
        for part in (schema, *schema.get("allOf", ()))
        for field, value in part.get("properties", {}).items()
    }


def test_every_operation_is_described() -> None:
    lacking = []
    for operation in operations(described()):
        summary = operation.get("summary", "a")
        if not all(word in SMALL_WORDS or not word[0].islower() for word in summary.split()) or summary in SMALL_WORDS:
            lacking.append(f"{operation['operationId']}: no summary in title case")
        if not operation.get("description"):
            lacking.append(f"{operation['operationId']}: no description")
        lacking += [
            f"{operation['operationId']}: parameter {parameter['name']}"
            for parameter in operation.get("parameters", ())
            if not parameter.get("description")
        ]
    assert lacking == []
    assert {tag for operation in operations(described()) for tag in operation["tags"]} == {
        tag["name"] for tag in described()["tags"] if tag["description"]
    }


def test_schemas_that_are_met_first_are_described() -> None:
    schemas = described()["components"]["schemas"]
    bodies = {ref for operation in operations(described()) for ref in re.findall(r"schemas/(\w+)", str(operation))}
    expected = bodies | {name for name, schema in schemas.items() if FAMILIES.fullmatch(name) or "enum" in schema}
    assert {name for name in expected if not schemas[name].get("description")} == set()


def test_every_field_of_the_families_is_described() -> None:
    assert [
        key for key, field in fields(described()).items() if FAMILIES.fullmatch(key[0]) and not field.get("description")
    ] == []


def test_nearly_every_other_field_is_described_too() -> None:
    found = fields(described())
    assert sum("description" in field for field in found.values()) / len(found) > 0.95


def test_descriptions_add_no_schemas_and_no_fields() -> None:
    before, after = published(), described()
    assert after["components"]["schemas"].keys() - before["components"]["schemas"].keys() == {"WorkflowCallbackEvent"}
    assert fields(after).keys() - fields(before).keys() == {
        ("ProblemDetails", "errors"),
        ("ProblemDetails", "traceId"),
        ("ValidationProblemDetails", "traceId"),
        ("WorkflowStepJob", "blockedReason"),
        ("WorkflowStepJob", "reason"),
    }
    assert fields(before).keys() <= fields(after).keys()


def test_a_revision_that_lacks_much_gets_nothing_but_the_corrections() -> None:
    document = copy.deepcopy(published())
    names = sorted(document["components"]["schemas"])
    for name in names[::2]:
        del document["components"]["schemas"][name]
    skipped: list[Miss] = []
    result = apply(document, overlay(), strict=False, skipped=skipped)
    assert result["components"]["schemas"].keys() == {*names[1::2], "WorkflowCallbackEvent"}
    assert skipped


def test_every_correction_gives_its_reason() -> None:
    plain = [action for action in overlay()["actions"] if action.get("update", {}).keys() == {"description"}]
    assert plain
    assert [
        action["target"] for action in overlay()["actions"] if action not in plain and not action["description"]
    ] == []


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ("WorkflowTemplate", "currencies"),
        ("ImageOutputFormat", "hideMetadata"),
        ("TextToImageInput", "cfgScale"),
        ("ComfyMageFlowImageGenInput", "cfgScale"),
        ("SeedanceVideoGenInput", "aspectRatio"),
        ("MiniMaxH3VideoGenInput", "aspectRatio"),
        ("Krea2FalImageGenInput", "imageStyleReferences"),
        ("QwenApiImageGenInput", "width"),
        ("QwenApiImageGenInput", "height"),
        ("Flux1SdCppImageGenInput", "clipLModel"),
        ("Flux1SdCppImageGenInput", "t5XXLModel"),
        ("Flux1SdCppImageGenInput", "vaeModel"),
    ],
)
def test_what_samples_leave_out_is_not_required(schema: str, field: str) -> None:
    def required(document: dict[str, Any]) -> set[str]:
        named = document["components"]["schemas"][schema]
        return {name for part in (named, *named.get("allOf", ())) for name in part.get("required", ())}

    assert required(published()) - required(described()) >= {field}


def test_what_a_request_must_carry_stays_required() -> None:
    assert described()["components"]["schemas"]["WorkflowTemplate"]["required"] == ["steps"]
    assert set(described()["components"]["schemas"]["WorkflowCallback"]["required"]) == {"type", "url"}


def test_values_published_as_null_become_free() -> None:
    document = copy.deepcopy(published())
    details = document["components"]["schemas"]["WorkflowEventDetails"]["properties"]
    step = document["components"]["schemas"]["WorkflowEventStepDetails"]["properties"]
    details["arguments"]["additionalProperties"] = {"type": "null"}
    details["metadata"]["additionalProperties"] = {"type": ["null"]}
    step["input"], step["output"] = {"type": "null"}, {"type": ["null"]}
    frees = [action for action in overlay()["actions"] if "'null'" in action["target"]]
    schemas = run(document, *frees)["components"]["schemas"]
    assert schemas["WorkflowEventDetails"]["properties"]["arguments"]["additionalProperties"] == {}
    assert schemas["WorkflowEventDetails"]["properties"]["metadata"]["additionalProperties"] == {}
    assert schemas["WorkflowEventStepDetails"]["properties"]["input"] == {}
    assert schemas["WorkflowEventStepDetails"]["properties"]["output"] == {}
    assert schemas["Workflow"] == published()["components"]["schemas"]["Workflow"]


def test_a_patch_may_set_any_value() -> None:
    assert fields(described())["JsonPatchOperation", "value"].keys() == {"description"}


def test_uploads_have_a_body_and_take_the_token() -> None:
    upload = described()["paths"]["/v2/consumer/blobs"]["post"]
    assert upload["requestBody"]["content"] == {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    }
    assert upload["requestBody"]["required"] is True
    assert upload["security"] == [{"bearer": []}]


def test_callback_events_are_the_published_ones_under_a_name() -> None:
    inline = fields(published())["WorkflowCallback", "type"]["items"]["enum"]
    assert described()["components"]["schemas"]["WorkflowCallbackEvent"]["enum"] == inline
    assert fields(described())["WorkflowCallback", "type"]["items"] == {
        "$ref": "#/components/schemas/WorkflowCallbackEvent"
    }
