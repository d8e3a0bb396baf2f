"""Each rule of `scripts.openapi.rewrite` on a document of a few lines."""

import copy
from typing import Any

import pytest

from scripts.openapi.rewrite import ALIASES, MARK, ancestors, reachable, references, rewrite, schemas

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(*required: str, **fields: Json) -> Json:
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def extends(base: str, *required: str, **fields: Json) -> Json:
    return {"allOf": [ref(base), obj(*required, **fields)]}


def constant(value: str) -> Json:
    return {"type": "string", "enum": [value]}


def choice(field: str, **into: str) -> Json:
    return {"propertyName": field, "mapping": {value: ref(name)["$ref"] for value, name in into.items()}}


def operation(body: Any = None, answer: Any = None, **more: Any) -> Json:
    found: Json = {"operationId": "DoIt", "responses": {"200": {"description": "d"}}, **more}
    if body is not None:
        found["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if answer is not None:
        found["responses"]["200"]["content"] = {"application/json": {"schema": answer}}
    return found


def document(named: Json | None = None, do_it: Json | None = None, **components: Json) -> Json:
    return {
        "openapi": "3.1.1",
        "info": {"title": "t", "version": "1"},
        "paths": {"/do": {"post": do_it or operation()}},
        "components": {"schemas": named or {}, **components},
    }


def rewritten(named: Json, do_it: Json | None = None) -> Json:
    return schemas(rewrite(document(named, do_it)))


def marks(named: Json, do_it: Json | None = None) -> Json:
    return {name: schema[MARK] for name, schema in rewritten(named, do_it).items() if MARK in schema}


def the_operation(do_it: Json, **components: Json) -> Json:
    found: Json = rewrite(document({}, do_it, **components))["paths"]["/do"]["post"]
    return found


SHAPES = {
    "Shape": {
        **obj(kind={"type": "string", "default": "disc"}),
        "discriminator": choice("kind", disc="Disc", box="Box"),
    },
    "Disc": extends("Shape", "radius", kind=constant("disc"), radius={"type": "number"}),
    "Box": extends("Shape", kind=constant("box")),
}


def test_the_document_is_left_as_it_is() -> None:
    given = document(SHAPES, operation(body=ref("Shape"), answer=ref("Shape")))
    before = copy.deepcopy(given)
    rewrite(given)
    assert given == before


# --------------------------------------------------------------------------------------------------------- operations


def test_shared_parts_stand_where_they_are_used() -> None:
    wait = {"in": "query", "name": "wait", "schema": {"type": "boolean"}}
    body = {"content": {"application/json": {"schema": {"type": "string"}}}}
    do_it = {
        "operationId": "DoIt",
        "parameters": [{"$ref": "#/components/parameters/Wait"}, {"in": "query", "name": "own", "schema": {}}],
        "requestBody": {"$ref": "#/components/requestBodies/Text"},
        "responses": {"200": {"$ref": "#/components/responses/Done"}},
    }
    parts: Json = {
        "parameters": {"Wait": wait},
        "requestBodies": {"Text": body},
        "responses": {"Done": {"description": "d"}},
    }
    given = document({}, do_it, **parts)
    result = rewrite(given)
    found = result["paths"]["/do"]["post"]
    assert [parameter["name"] for parameter in found["parameters"]] == ["wait", "own"]
    assert found["requestBody"]["content"] == body["content"]
    assert found["responses"]["200"] == {"description": "d"}
    assert result["components"].keys() == {"schemas"}


def test_a_shared_part_that_is_used_twice_is_two_parts() -> None:
    given = document(parameters={"Wait": {"in": "query", "name": "wait", "schema": {"type": "boolean"}}})
    given["paths"]["/do"] = {
        method: {"operationId": method, "parameters": [{"$ref": "#/components/parameters/Wait"}], "responses": {}}
        for method in ("get", "put")
    }
    item = rewrite(given)["paths"]["/do"]
    assert item["get"]["parameters"] == item["put"]["parameters"]
    assert item["get"]["parameters"][0] is not item["put"]["parameters"][0]


def test_only_successes_and_redirects_are_kept() -> None:
    statuses = ("200", "2XX", "302", "400", "404", "500", "4XX", "default")
    do_it = {"operationId": "DoIt", "responses": {status: {"description": "d"} for status in statuses}}
    assert list(the_operation(do_it)["responses"]) == ["200", "2XX", "302"]


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        (["application/json"], "application/json"),
        (["text/html", "application/json", "application/zip"], "application/json"),
        (["application/json-patch+json", "text/plain"], "application/json-patch+json"),
        (["application/problem+json; charset=utf-8", "text/csv"], "application/problem+json; charset=utf-8"),
        (["application/x-www-form-urlencoded"], "application/x-www-form-urlencoded"),
        (["application/zip"], "application/octet-stream"),
        (["image/png", "video/mp4"], "application/octet-stream"),
    ],
)
def test_one_form_of_a_body_is_kept(offered: list[str], kept: str) -> None:
    content = {kind: {"schema": {"type": "object"}, "example": {}} for kind in offered}
    found = the_operation(
        {
            "operationId": "DoIt",
            "requestBody": {"content": content},
            "responses": {"200": {"description": "d", "content": content}},
        }
    )
    is_binary = kept == "application/octet-stream"
    schema = {"type": "string", "format": "binary"} if is_binary else {"type": "object"}
    assert found["requestBody"]["content"] == {kept: {"schema": schema}}
    assert found["responses"]["200"]["content"] == {kept: {"schema": schema}}


def test_a_body_that_is_documented_is_required() -> None:
    assert the_operation(operation(body={"type": "string"}))["requestBody"]["required"] is True
    assert "requestBody" not in the_operation(operation())


def test_an_answer_without_content_stays_without() -> None:
    assert the_operation(operation())["responses"] == {"200": {"description": "d"}}


# ------------------------------------------------------------------------------------------------------------- fields


def test_what_the_generator_drops_is_noted() -> None:
    fields = marks(
        {
            "Other": obj(),
            "Thing": obj(
                other={**ref("Other"), "description": "Beside a reference."},
                count={"type": "integer", "minimum": 1, "maximum": 9, "default": 4},
                more={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                text={"type": "string", "minLength": 0, "maxLength": 5, "pattern": "^a"},
                items={"type": "array", "minItems": 1, "maxItems": 2},
                id={"type": "string", "readOnly": True},
                model={"type": "string", "format": "air"},
                nothing={"type": "string", "default": None},
            ),
        }
    )["Thing"]["fields"]
    assert fields == {
        "other": {"description": "Beside a reference."},
        "count": {"ge": 1, "le": 9, "default": 4},
        "more": {"gt": 0, "lt": 1},
        "text": {"min_length": 0, "max_length": 5, "pattern": "^a"},
        "items": {"min_items": 1, "max_items": 2},
        "id": {"read_only": True},
        "model": {"air": True},
        "nothing": {"default": None},
    }


def test_the_fields_of_a_subclass_are_noted_too() -> None:
    found = marks({"Base": obj(), "Sub": extends("Base", size={"type": "integer", "minimum": 1})})
    assert found["Sub"]["fields"] == {"size": {"ge": 1}}


def test_what_the_marks_hold_is_taken_out() -> None:
    found = rewritten(
        {
            "Thing": {
                **obj(count={"type": "integer", "default": 4}, items={"type": "array"}),
                "additionalProperties": False,
            }
        },
        operation(parameters=[{"in": "query", "name": "n", "schema": {"type": "integer", "default": 1}}]),
    )["Thing"]
    assert "additionalProperties" not in found
    assert found["properties"] == {"count": {"type": "integer"}, "items": {"type": "array", "items": {}}}
    parameters = [{"in": "query", "name": "n", "schema": {"type": "integer", "default": 1}}]
    assert the_operation(operation(parameters=parameters))["parameters"][0]["schema"] == {"type": "integer"}


def test_maps_keep_the_shape_of_their_values() -> None:
    found = rewritten({"Thing": obj(by_name={"type": "object", "additionalProperties": {"type": "integer"}})})
    assert found["Thing"]["properties"]["by_name"]["additionalProperties"] == {"type": "integer"}


def test_fields_may_be_called_like_keywords() -> None:
    words = ("default", "properties", "schema", "items", "type", "required", "discriminator", "allOf", "enum")
    fields: Json = {word: {"type": "string", "default": "d", "description": "A word."} for word in words}
    found = rewritten({"Thing": obj(**fields)})["Thing"]
    assert found["properties"].keys() == set(words)
    assert found[MARK]["fields"] == {word: {"description": "A word.", "default": "d"} for word in words}


def test_schemas_that_are_no_objects_are_held_in_one_class() -> None:
    found = rewritten(
        {
            "Text": {"type": "string"},
            "Texts": {"type": "array", "items": ref("Text")},
            "Level": {"type": "string", "enum": ["a"]},
            "Thing": obj(),
            "Loose": {"properties": {"a": {}}},
        }
    )
    assert found[ALIASES]["properties"] == {"Text": ref("Text"), "Texts": ref("Texts")}
    assert found[ALIASES]["required"] == ["Text", "Texts"]
    assert {name for name in found if MARK in found[name]} == {ALIASES, "Level", "Thing", "Loose"}


def test_without_such_schemas_there_is_no_such_class() -> None:
    assert rewritten({"Thing": obj()}).keys() == {"Thing"}


# -------------------------------------------------------------------------------------------------------- inheritance


def test_a_subclass_has_its_own_fields_and_names_its_base() -> None:
    found = rewritten(
        {"Base": obj("a", a={"type": "string"}), "Sub": extends("Base", "b", b={"type": "string"})},
    )["Sub"]
    assert found["properties"] == {"b": {"type": "string"}}
    assert found["required"] == ["b"]
    assert found[MARK]["extends"] == "Base"
    assert found["type"] == "object"
    assert "allOf" not in found


def test_what_stands_beside_all_of_counts_as_well() -> None:
    found = rewritten(
        {"Base": obj(), "Sub": {"allOf": [ref("Base")], **obj("c", c={"type": "string"}), "description": "Sub."}}
    )["Sub"]
    assert found["properties"] == {"c": {"type": "string"}}
    assert found["required"] == ["c"]
    assert found["description"] == "Sub."


def test_a_second_base_is_mixed_in() -> None:
    found = rewritten(
        {
            "Base": obj(),
            "Extra": obj(size={"type": "integer", "minimum": 1}, own={"type": "string"}),
            "Sub": {"allOf": [ref("Base"), ref("Extra"), obj(own={"type": "boolean"})]},
        }
    )["Sub"]
    assert found[MARK]["extends"] == "Base"
    assert found["properties"] == {"size": {"type": "integer", "minimum": 1}, "own": {"type": "boolean"}}
    assert found[MARK]["fields"]["size"] == {"ge": 1}


def test_ancestors_are_named_nearest_first() -> None:
    result = rewrite(document({"A": obj(), "B": extends("A"), "C": extends("B")}))
    assert list(ancestors(result, "C")) == ["B", "A"]


# ----------------------------------------------------------------------------------------------------- discriminators


def test_a_discriminator_becomes_data_on_both_sides() -> None:
    found = rewritten(SHAPES)
    assert found["Shape"][MARK]["chosen_by"] == ["kind", "disc", {"disc": "Disc", "box": "Box"}]
    assert "discriminator" not in found["Shape"]
    assert found["Disc"][MARK]["fixed"] == {"kind": "disc"}
    assert found["Disc"]["properties"] == {"radius": {"type": "number"}}


def test_a_discriminator_without_default_needs_its_field() -> None:
    named = {"Base": {**obj(kind={"type": "string"}), "discriminator": choice("kind", a="A")}, "A": extends("Base")}
    assert marks(named)["Base"]["chosen_by"] == ["kind", None, {"a": "A"}]


def test_a_class_that_stands_for_two_values_is_told_which() -> None:
    named = {
        "Base": {**obj(kind={"type": "string"}), "discriminator": choice("kind", a="A", b="A", c="C")},
        "A": extends("Base", kind={"type": "string", "enum": ["a", "b"]}),
        "C": extends("Base"),
    }
    found = rewritten(named)
    assert found["Base"][MARK]["chosen_by"] == ["kind", None, {"a": "A", "b": "A", "c": "C"}]
    assert "fixed" not in found["A"][MARK]
    assert found["A"]["properties"]["kind"]["enum"] == ["a", "b"]
    assert found["C"][MARK]["fixed"] == {"kind": "c"}


@pytest.mark.parametrize("values", [{"v1": "V1", "v2": "V2"}, {"v1": "V1", "v1.0": "V1", "v2": "V2"}])
def test_a_discriminator_within_all_of_is_kept(values: dict[str, str]) -> None:
    """Published subclasses have theirs there, and a class may stand for several of its values."""
    middle = {**obj(version={"type": "string", "default": "v1"}), "discriminator": choice("version", **values)}
    named = {
        "Base": {**obj(kind={"type": "string"}), "discriminator": choice("kind", mid="Mid")},
        "Mid": {"allOf": [ref("Base"), middle]},
        "V1": extends("Mid", version={"type": "string", "enum": [v for v, name in values.items() if name == "V1"]}),
        "V2": extends("Mid", version=constant("v2")),
    }
    assert marks(named)["Mid"]["chosen_by"] == ["version", "v1", values]


def test_prose_within_all_of_is_kept() -> None:
    named = {"Base": obj(), "Sub": {"allOf": [ref("Base"), {**obj(), "description": "What it is."}]}}
    assert rewritten(named)["Sub"]["description"] == "What it is."


def test_a_text_of_one_value_is_what_a_subclass_stands_for() -> None:
    found = rewritten(
        {
            "Base": obj(kind={"type": "string"}),
            "A": extends("Base", kind=constant("a"), size={"type": "integer", "enum": [1]}),
        }
    )
    assert found["A"][MARK]["fixed"] == {"kind": "a"}
    assert found["A"]["properties"] == {"size": {"type": "integer", "enum": [1]}}
    assert "chosen_by" not in found["Base"][MARK]


def test_what_a_subclass_stands_for_includes_its_discriminator() -> None:
    named = {
        "Base": {
            **obj(also={"type": "string"}, kind={"type": "string"}),
            "discriminator": choice("kind", a="A", b="B"),
        },
        "A": extends("Base", also=constant("x")),
        "B": extends("Base", also=constant("y")),
    }
    found = marks(named)
    assert found["Base"]["chosen_by"] == ["kind", None, {"a": "A", "b": "B"}]
    assert found["A"]["fixed"] == {"kind": "a", "also": "x"}


def test_an_enum_of_one_value_is_no_constant_without_a_base() -> None:
    found = rewritten({"Thing": obj(kind=constant("a"))})["Thing"]
    assert found["properties"] == {"kind": constant("a")}
    assert "fixed" not in found[MARK]


# ----------------------------------------------------------------------------------------------------------- requests


def test_what_a_request_may_hold_is_marked_as_sent() -> None:
    named = {
        **SHAPES,
        "Order": obj(shapes={"type": "array", "items": ref("Shape")}),
        "Receipt": obj(order=ref("Order"), by=ref("Clerk")),
        "Clerk": obj(),
    }
    found = marks(named, operation(body=ref("Order"), answer=ref("Receipt")))
    assert {name for name, mark in found.items() if mark.get("sent")} == {"Order", "Shape", "Disc", "Box"}


def test_a_subclass_that_is_sent_marks_its_bases_but_not_its_siblings() -> None:
    named = {**SHAPES, "Paint": obj(), "Shape": {**SHAPES["Shape"], "properties": {"paint": ref("Paint")}}}
    found = marks(named, operation(body=ref("Disc")))
    assert {name for name, mark in found.items() if mark.get("sent")} == {"Shape", "Disc", "Paint"}


def test_what_lies_in_the_input_of_a_step_is_marked() -> None:
    named = {
        "WorkflowStepTemplate": {
            **obj(**{"$type": {"type": "string"}}),
            "discriminator": choice("$type", draw="DrawTemplate", echo="EchoTemplate", copy="CopyTemplate"),
        },
        "DrawTemplate": extends("WorkflowStepTemplate", input=ref("DrawInput")),
        "EchoTemplate": extends("WorkflowStepTemplate", input=ref("EchoInput")),
        "CopyTemplate": extends("WorkflowStepTemplate", input=ref("EchoInput")),
        "DrawInput": obj(shape=ref("Shape")),
        "EchoInput": obj(),
        **SHAPES,
    }
    found = marks(named, operation(body=ref("WorkflowStepTemplate")))
    inside = {"DrawInput", "EchoInput", "Shape", "Disc", "Box"}
    assert {name for name, mark in found.items() if mark.get("step_input")} == inside
    # An input of two step types does not say of which step it is.
    assert {name: mark["step"] for name, mark in found.items() if "step" in mark} == {"DrawInput": "draw"}


def test_requests_need_not_hold_what_the_server_can_do_without() -> None:
    fields: Json = {
        "must": {"type": "string"},
        "has_default": {"type": "integer", "default": 1},
        "null_default": {"type": ["integer", "null"], "default": None},
        "set_by_server": {"type": "string", "readOnly": True},
        "switch": {"type": "boolean"},
    }
    assert rewritten({"Thing": obj(*fields, **fields)}, operation(body=ref("Thing")))["Thing"]["required"] == ["must"]


def test_answers_keep_what_they_require() -> None:
    fields: Json = {"a": {"type": "integer", "default": 1}, "b": {"type": "string", "readOnly": True}}
    assert rewritten({"Thing": obj(*fields, **fields)}, operation(answer=ref("Thing")))["Thing"]["required"] == [
        "a",
        "b",
    ]


def test_discriminators_are_not_required_of_callers() -> None:
    named = copy.deepcopy(SHAPES)
    named["Shape"]["required"] = ["kind"]
    named["Box"]["allOf"][1]["required"] = ["kind"]
    found = rewritten(named, operation(body=ref("Shape")))
    assert found["Shape"]["required"] == []
    assert found["Box"]["required"] == []
    assert found["Disc"]["required"] == ["radius"]


def test_a_subclass_that_requires_an_inherited_field_restates_it() -> None:
    named = {
        "Base": obj("b", a={"type": "string", "description": "A."}, b={"type": "string"}),
        "Mid": extends("Base"),
        "Sub": extends("Mid", "a", "b", "unheard-of"),
    }
    found = rewritten(named, operation(body=ref("Sub")))["Sub"]
    assert found["properties"] == {"a": {"type": "string", "description": "A."}}
    assert found[MARK]["fields"] == {"a": {"description": "A."}}


# ------------------------------------------------------------------------------------------------------------ looking


def test_references_are_found_at_any_depth_and_a_field_of_that_name_is_none() -> None:
    node = {"a": [{"b": ref("X")}, ref("Y")], "properties": {"$ref": {"type": "string"}}}
    assert references(node) == {"X", "Y"}


def test_a_schema_that_holds_itself_is_reached_once() -> None:
    result = rewrite(document({"Tree": obj(children={"type": "array", "items": ref("Tree")}), "Other": obj()}))
    assert reachable(result, {"Tree", "unknown"}) == {"Tree"}
