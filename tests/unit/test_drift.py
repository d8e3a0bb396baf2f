"""`scripts.openapi.drift`: what is told of two revisions, and what of it is said to break callers."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.openapi.documents import load, operations, schemas
from scripts.openapi.drift import Change, Report, compare
from scripts.openapi.normalise import normalise

Json = dict[str, Any]
Edit = Callable[[Json], object]

UPSTREAM = Path(__file__).parents[2].parent / "shared" / "upstream"


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def subclass(base: str, value: str, **properties: Json) -> Json:
    own = {"$type": {"type": "string", "enum": [value]}, **properties}
    return {"allOf": [ref(base), {"type": "object", "properties": own}]}


def choice(*names: str, **properties: Json) -> Json:
    mapping = {name: f"#/components/schemas/{name.title()}" for name in names}
    own = {"$type": {"type": "string"}, **properties}
    return {
        "type": "object",
        "properties": own,
        "required": ["$type"],
        "discriminator": {"propertyName": "$type", "mapping": mapping},
    }


DOCUMENT: Json = {
    "openapi": "3.1.1",
    "paths": {
        "/v2/workflows": {
            "post": {
                "operationId": "SubmitWorkflow",
                "tags": ["Workflows"],
                "parameters": [
                    {"name": "wait", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "hideMature", "in": "query", "schema": {"type": "boolean"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": ref("WorkflowStepTemplate")}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": ref("WorkflowStep")}}},
                    "202": {"content": {"application/json": {"schema": ref("WorkflowStep")}}},
                },
            }
        },
        "/v2/open": {"get": {"operationId": "GetOpen", "security": [], "responses": {"204": {}}}},
    },
    "components": {
        "schemas": {
            "WorkflowStepTemplate": {
                **choice(),
                "discriminator": {
                    "propertyName": "$type",
                    "mapping": {name: f"#/components/schemas/{name.title()}StepTemplate" for name in ("echo", "paint")},
                },
            },
            "EchoStepTemplate": subclass("WorkflowStepTemplate", "echo", input=ref("EchoInput")),
            "PaintStepTemplate": subclass("WorkflowStepTemplate", "paint", input=ref("Paint")),
            "WorkflowStep": {
                **choice(status=ref("Status")),
                "discriminator": {
                    "propertyName": "$type",
                    "mapping": {name: f"#/components/schemas/{name.title()}Step" for name in ("echo", "paint")},
                },
            },
            "EchoStep": subclass("WorkflowStep", "echo", input=ref("EchoInput"), output=ref("EchoOutput")),
            "PaintStep": subclass("WorkflowStep", "paint", input=ref("Paint"), output=ref("EchoOutput")),
            "EchoInput": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "message": {"type": "string", "maxLength": 10},
                    "loudVoice": {"type": "boolean"},
                    "count": {"type": "integer", "default": 1, "minimum": 1},
                    "style": {"type": "string", "enum": ["plain", "fancy"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "when": {"type": "string"},
                    "size": ref("Size"),
                    "price": {"type": "number", "readOnly": True},
                },
            },
            "Paint": choice("oil", "ink", prompt={"type": "string"}),
            "Oil": subclass("Paint", "oil", layers={"type": "integer"}),
            "Ink": subclass("Paint", "ink", layers={"type": "integer"}),
            "EchoOutput": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string"}, "seconds": {"type": "integer"}, "blob": ref("Blob")},
            },
            "Blob": {"type": "object", "properties": {"url": {"type": "string"}}},
            "Size": {"type": "string", "enum": ["small", "large"]},
            "Status": {"type": "string", "enum": ["running", "done"]},
        }
    },
}


def drift(edit: Edit) -> Report:
    """What is told when `edit` is the change from one revision to the next."""
    after = copy.deepcopy(DOCUMENT)
    edit(after)
    return compare(normalise(DOCUMENT), normalise(after))


def only(edit: Edit) -> Change:
    changes = drift(edit).changes
    assert len(changes) == 1, changes
    return changes[0]


def field(owner: str, name: str, **update: Any) -> Edit:
    """Change a field of a class; without an update it is removed, and an `_` in front of a key removes the key."""

    def edit(document: Json) -> None:
        schema = schemas(document)[owner]
        properties = schema.get("allOf", [schema])[-1]["properties"]
        if not update:
            del properties[name]
            return
        properties.setdefault(name, {})
        for key, value in update.items():
            if key.startswith("_"):
                del properties[name][key[1:]]
            else:
                properties[name][key] = value

    return edit


def require(owner: str, *names: str) -> Edit:
    return lambda document: schemas(document)[owner].__setitem__("required", list(names))


def operation(document: Json, path: str = "/v2/workflows", method: str = "post") -> Json:
    found: Json = document["paths"][path][method]
    return found


# ----------------------------------------------------------------------------------------------------- fields and types


@pytest.mark.parametrize(
    ("edit", "kind", "subject", "detail", "effect", "semver"),
    [
        # what callers send
        (field("EchoInput", "loudVoice"), "removed", "EchoInput.loud_voice", "", "breaking", "major"),
        (field("EchoInput", "pitch", type="number"), "added", "EchoInput.pitch", "float", "compatible", "minor"),
        (
            field("EchoInput", "count", type="number"),
            "changed",
            "EchoInput.count",
            "int → float",
            "compatible",
            "minor",
        ),
        (field("EchoInput", "count", type="string"), "changed", "EchoInput.count", "int → str", "breaking", "major"),
        (
            field("EchoInput", "message", type=["string", "null"]),
            "changed",
            "EchoInput.message",
            "str → str | None",
            "compatible",
            "minor",
        ),
        (
            field("EchoInput", "when", format="date-time"),
            "changed",
            "EchoInput.when",
            "str → datetime",
            "breaking",
            "major",
        ),
        (
            field("EchoInput", "tags", items={"type": "integer"}),
            "changed",
            "EchoInput.tags",
            "list[str] → list[int]",
            "breaking",
            "major",
        ),
        (
            field("EchoInput", "tags", items={}),
            "changed",
            "EchoInput.tags",
            "list[str] → list[Any]",
            "compatible",
            "minor",
        ),
        (
            field("EchoInput", "style", _enum=None),
            "changed",
            "EchoInput.style",
            "Literal['plain', 'fancy'] → str",
            "compatible",
            "minor",
        ),
        (
            field("EchoInput", "when", enum=["now"]),
            "changed",
            "EchoInput.when",
            "str → Literal['now']",
            "breaking",
            "major",
        ),
        (
            field("EchoInput", "size", **{"_$ref": None}, type="string"),
            "changed",
            "EchoInput.size",
            "Size → str",
            "compatible",
            "minor",
        ),
        (
            field("EchoInput", "message", maxLength=5),
            "changed",
            "EchoInput.message",
            "maxLength 10 → 5",
            "breaking",
            "major",
        ),
        (
            field("EchoInput", "message", maxLength=50),
            "changed",
            "EchoInput.message",
            "maxLength 10 → 50",
            "compatible",
            "minor",
        ),
        (field("EchoInput", "count", minimum=0), "changed", "EchoInput.count", "minimum 1 → 0", "compatible", "minor"),
        (
            field("EchoInput", "tags", items={"type": "string", "pattern": "^a"}),
            "changed",
            "EchoInput.tags",
            "items.pattern none → '^a'",
            "breaking",
            "major",
        ),
        (field("EchoInput", "count", default=2), "changed", "EchoInput.count", "default 1 → 2", "care", "patch"),
        (
            field("EchoInput", "when", default="now"),
            "changed",
            "EchoInput.when",
            "default none → 'now'",
            "compatible",
            "patch",
        ),
        (
            field("EchoInput", "when", format="uri"),
            "changed",
            "EchoInput.when",
            "format none → 'uri'",
            "compatible",
            "patch",
        ),
        (field("EchoInput", "when", readOnly=True), "changed", "EchoInput.when", "read-only", "breaking", "major"),
        (
            field("EchoInput", "price", _readOnly=None),
            "changed",
            "EchoInput.price",
            "no longer read-only",
            "compatible",
            "minor",
        ),
        (field("EchoInput", "price", type="string"), "changed", "EchoInput.price", "float → str", "breaking", "major"),
        (require("EchoInput", "message", "when"), "changed", "EchoInput.when", "required", "breaking", "major"),
        (require("EchoInput", "message", "count"), "changed", "EchoInput.count", "required", "compatible", "patch"),
        (require("EchoInput", "message", "price"), "changed", "EchoInput.price", "required", "compatible", "patch"),
        (require("EchoInput"), "changed", "EchoInput.message", "optional", "compatible", "minor"),
        # what callers receive
        (field("EchoOutput", "seconds"), "removed", "EchoOutput.seconds", "", "breaking", "major"),
        (field("EchoOutput", "extra", type="string"), "added", "EchoOutput.extra", "str", "compatible", "minor"),
        (
            field("EchoOutput", "seconds", type=["integer", "null"]),
            "changed",
            "EchoOutput.seconds",
            "int → int | None",
            "care",
            "patch",
        ),
        (
            field("EchoOutput", "seconds", type="string"),
            "changed",
            "EchoOutput.seconds",
            "int → str",
            "breaking",
            "major",
        ),
        (
            field("EchoOutput", "seconds", maximum=9),
            "changed",
            "EchoOutput.seconds",
            "maximum none → 9",
            "compatible",
            "patch",
        ),
        (
            field("EchoOutput", "text", enum=["a", "b"]),
            "changed",
            "EchoOutput.text",
            "str → Literal['a', 'b']",
            "compatible",
            "patch",
        ),
        (
            field("EchoOutput", "blob", **{"$ref": "#/components/schemas/EchoInput"}),
            "changed",
            "EchoOutput.blob",
            "Blob → EchoInput",
            "breaking",
            "major",
        ),
        (require("EchoOutput"), "changed", "EchoOutput.text", "optional", "care", "patch"),
        (require("EchoOutput", "text", "blob"), "changed", "EchoOutput.blob", "required", "compatible", "patch"),
    ],
)
def test_a_field(edit: Edit, kind: str, subject: str, detail: str, effect: str, semver: str) -> None:
    change = only(edit)
    assert (change.group, change.kind, change.subject, change.detail) == ("Fields", kind, subject, detail)
    assert (change.effect, change.semver) == (effect, semver)
    assert change.reason or effect == "compatible"


def test_a_new_field_that_callers_have_to_give() -> None:
    def edit(document: Json) -> None:
        schemas(document)["EchoInput"]["properties"] |= {
            "pitch": {"type": "number"},
            "speed": {"type": "number", "default": 1},
        }
        require("EchoInput", "message", "pitch", "speed")(document)

    effects = {change.subject: change.effect for change in drift(edit).changes}
    assert effects == {"EchoInput.pitch": "breaking", "EchoInput.speed": "compatible"}


def test_an_inherited_field_is_told_once() -> None:
    change = only(field("Paint", "prompt", type="integer"))
    assert change.subject == "Paint.prompt"


def test_a_field_that_moves_to_all_subclasses_is_still_there() -> None:
    def edit(document: Json) -> None:
        field("Paint", "prompt")(document)
        for name in ("Oil", "Ink"):
            field(name, "prompt", type="string")(document)

    change = only(edit)
    assert (change.subject, change.kind, change.effect) == ("Paint.prompt", "removed", "care")


def test_a_field_that_moves_to_the_base_is_new_there_only() -> None:
    def edit(document: Json) -> None:
        for name in ("Oil", "Ink"):
            field(name, "layers")(document)
        field("Paint", "layers", type="integer")(document)

    change = only(edit)
    assert (change.subject, change.kind) == ("Paint.layers", "added")


@pytest.mark.parametrize(
    ("edit", "subject", "value", "kind", "effect"),
    [
        (lambda d: schemas(d)["Size"].update(enum=["small"]), "Size", "'large'", "removed", "breaking"),
        (lambda d: schemas(d)["Size"]["enum"].append("huge"), "Size", "'huge'", "added", "compatible"),
        (lambda d: schemas(d)["Status"].update(enum=["done"]), "Status", "'running'", "removed", "compatible"),
        (lambda d: schemas(d)["Status"]["enum"].append("lost"), "Status", "'lost'", "added", "care"),
        (field("EchoInput", "style", enum=["plain"]), "EchoInput.style", "'fancy'", "removed", "breaking"),
    ],
)
def test_an_enum_value(edit: Edit, subject: str, value: str, kind: str, effect: str) -> None:
    change = only(edit)
    assert (change.group, change.subject, change.detail) == ("Enum values", subject, value)
    assert (change.kind, change.effect) == (kind, effect)


def test_the_order_of_an_enum_is_no_change_for_callers() -> None:
    assert drift(lambda d: schemas(d)["Size"]["enum"].reverse()).semver == "patch"


# ---------------------------------------------------------------------------------------- classes and what chooses them


def test_a_step_type_is_one_line() -> None:
    def edit(document: Json) -> None:
        named = schemas(document)
        for owner in ("WorkflowStepTemplate", "WorkflowStep"):
            child = owner.replace("Workflow", "Sing")
            named[owner]["discriminator"]["mapping"]["sing"] = f"#/components/schemas/{child}"
            named[child] = subclass(owner, "sing", input=ref("EchoInput"), output=ref("EchoOutput"))

    added = only(edit)
    assert (added.group, added.kind, added.subject) == ("Step types", "added", "sing")
    assert (added.detail, added.effect, added.semver) == ("EchoInput → EchoOutput", "compatible", "minor")

    after = copy.deepcopy(DOCUMENT)
    edit(after)
    (removed,) = compare(normalise(after), normalise(DOCUMENT)).changes
    assert (removed.kind, removed.subject, removed.effect) == ("removed", "sing", "breaking")


def test_an_input_is_told_with_what_chooses_it() -> None:
    def edit(document: Json) -> None:
        schemas(document)["Paint"] = choice("oil", "ink", "chalk", prompt={"type": "string"})
        schemas(document)["Chalk"] = subclass("Paint", "chalk")

    change = only(edit)
    assert (change.group, change.subject, change.detail) == ("Inputs", "Chalk", "extends Paint for type='chalk'")
    assert change.effect == "compatible"

    gone = only(lambda d: (schemas(d)["Paint"]["discriminator"]["mapping"].pop("ink"), schemas(d).pop("Ink")))
    assert (gone.group, gone.kind, gone.subject, gone.effect) == ("Inputs", "removed", "Ink", "breaking")


def test_a_value_that_no_longer_chooses_a_class() -> None:
    changes = drift(lambda d: schemas(d)["Paint"]["discriminator"]["mapping"].pop("ink")).changes
    assert ("Paint", "type='ink' for Ink", "breaking") in [(c.subject, c.detail, c.effect) for c in changes]

    def swap(document: Json) -> None:
        mapping = schemas(document)["Paint"]["discriminator"]["mapping"]
        mapping["ink"], mapping["oil"] = mapping["oil"], mapping["ink"]

    changes = drift(swap).changes
    assert "type='ink' is Oil, not Ink" in [change.detail for change in changes if change.effect == "breaking"]


def test_another_discriminator_breaks_dispatch() -> None:
    change, *_ = drift(lambda d: schemas(d)["Paint"]["discriminator"].update(propertyName="engine")).breaking
    assert (change.subject, change.detail) == ("Paint", "chosen by engine, not type")


def test_another_base() -> None:
    def edit(document: Json) -> None:
        schemas(document)["Liquid"] = {"allOf": [ref("Paint")]}
        schemas(document)["Ink"]["allOf"][0] = ref("Liquid")

    changes = {change.subject: change for change in drift(edit).changes}
    assert changes["Ink"].detail == "extends Liquid, not Paint"
    assert changes["Ink"].effect == "compatible"

    changes = {change.subject: change for change in drift(lambda d: schemas(d)["Ink"]["allOf"].pop(0)).changes}
    assert changes["Ink"].reason == "isinstance(…, Paint) is false now"
    assert changes["Ink"].effect == "breaking"


def test_an_answer_class() -> None:
    def edit(document: Json) -> None:
        schemas(document)["Meter"] = {"type": "object"}
        field("EchoOutput", "meter", **ref("Meter"))(document)

    added, used = drift(edit).changes
    assert (added.group, added.subject) == ("Answers", "Meter")
    assert (used.group, used.subject, used.detail) == ("Fields", "EchoOutput.meter", "Meter")


def test_a_class_that_becomes_an_enum() -> None:
    changed = only(lambda d: schemas(d).__setitem__("Blob", {"type": "string", "enum": ["x"]}))
    assert (changed.subject, changed.effect) == ("Blob", "breaking")


# ----------------------------------------------------------------------------------------------------------- operations


def submit(**update: Any) -> Edit:
    return lambda document: operation(document).update(update)


@pytest.mark.parametrize(
    ("edit", "subject", "detail", "effect"),
    [
        (lambda d: d["paths"].pop("/v2/open"), "default.get_open", "", "breaking"),
        (
            lambda d: d["paths"]["/v2/open"].update(put={"operationId": "PutOpen", "responses": {}}),
            "default.put_open",
            "",
            "compatible",
        ),
        (
            lambda d: d["paths"].update({"/v2/new": d["paths"].pop("/v2/open")}),
            "default.get_open",
            "was GET /v2/open",
            "care",
        ),
        (submit(tags=["Jobs"]), "jobs.submit_workflow", "was in api.workflows", "breaking"),
        (submit(security=[]), "workflows.submit_workflow", "needs no token", "compatible"),
        (lambda d: operation(d, "/v2/open", "get").pop("security"), "default.get_open", "needs a token", "breaking"),
        (submit(deprecated=True), "workflows.submit_workflow", "deprecated", "care"),
        (lambda d: operation(d).pop("requestBody"), "workflows.submit_workflow", "no longer takes a body", "breaking"),
        (
            lambda d: operation(d)["responses"].pop("202"),
            "workflows.submit_workflow",
            "no longer answers 202",
            "compatible",
        ),
        (
            lambda d: operation(d)["responses"].update({"429": {}}),
            "workflows.submit_workflow",
            "may answer 429",
            "care",
        ),
        (
            lambda d: operation(d)["responses"]["200"]["content"].update({"application/zip": {}}),
            "workflows.submit_workflow",
            "answers application/zip",
            "compatible",
        ),
        (lambda d: operation(d)["parameters"].pop(1), "workflows.submit_workflow(hide_mature)", "", "breaking"),
        (
            lambda d: operation(d)["parameters"].append(
                {"name": "dryRun", "in": "query", "schema": {"type": "boolean"}}
            ),
            "workflows.submit_workflow(dry_run)",
            "bool",
            "compatible",
        ),
        (
            lambda d: operation(d)["parameters"].append(
                {"name": "key", "in": "header", "required": True, "schema": {"type": "string"}}
            ),
            "workflows.submit_workflow(key)",
            "str",
            "breaking",
        ),
        (
            lambda d: operation(d)["parameters"][0].update(schema={"type": "integer"}),
            "workflows.submit_workflow(wait)",
            "bool → int",
            "breaking",
        ),
        (
            lambda d: operation(d)["parameters"][0].update(required=True),
            "workflows.submit_workflow(wait)",
            "required",
            "breaking",
        ),
        (
            lambda d: operation(d)["parameters"][0].update(style="form"),
            "workflows.submit_workflow(wait)",
            "how it is written in a request",
            "compatible",
        ),
    ],
)
def test_an_operation(edit: Edit, subject: str, detail: str, effect: str) -> None:
    change = only(edit)
    assert (change.group, change.subject, change.detail, change.effect) == ("Operations", subject, detail, effect)


def test_a_renamed_operation_says_its_new_name() -> None:
    gone, come = drift(lambda d: operation(d, "/v2/open", "get").update(operationId="ReadOpen")).changes
    assert (gone.subject, gone.reason) == ("default.get_open", "it is default.read_open now")
    assert (come.subject, come.kind) == ("default.read_open", "added")


# ----------------------------------------------------------------------------------------------------------- the report


def everything(document: Json) -> None:
    field("EchoInput", "loudVoice")(document)
    field("EchoInput", "pitch", type="number")(document)
    document["paths"].pop("/v2/open")
    schemas(document)["Size"]["enum"].append("huge")
    schemas(document)["Meter"] = {"type": "object"}


def test_the_report_as_text() -> None:
    assert (
        drift(everything).to_text()
        == """\
operations 2 → 1, step types 2 → 2, schemas 14 → 15
changes: 5, of them breaking (marked !): 2

Breaks callers (2)
! - default.get_open [GetOpen, GET /v2/open] (it is gone)
! - EchoInput.loud_voice [loudVoice] (the attribute is gone)

Answers (1)
  + Meter

Fields (1)
  + EchoInput.pitch: float

Enum values (1)
  + Size: 'huge'

Version step: major
"""
    )


def test_the_report_as_json() -> None:
    report = json.loads(json.dumps(drift(everything).to_json()))
    assert report["before"] == {"operations": 2, "step_types": 2, "schemas": 14}
    assert report["semver"] == "major"
    assert [change["semver"] for change in report["changes"]] == ["major", "minor", "major", "minor", "minor"]
    assert report["changes"][2] == {
        "group": "Fields",
        "kind": "removed",
        "subject": "EchoInput.loud_voice",
        "wire": "loudVoice",
        "detail": "",
        "effect": "breaking",
        "reason": "the attribute is gone",
        "grows": False,
        "semver": "major",
    }


def test_no_drift() -> None:
    report = drift(lambda document: None)
    assert (report.changes, report.semver) == ((), "none")
    assert "No drift" in report.to_text()


def test_the_order_of_the_documents_is_no_matter() -> None:
    after = copy.deepcopy(DOCUMENT)
    everything(after)
    turned = copy.deepcopy(after)
    turned["components"]["schemas"] = dict(reversed(turned["components"]["schemas"].items()))
    assert compare(normalise(DOCUMENT), normalise(after)) == compare(normalise(DOCUMENT), normalise(turned))


# -------------------------------------------------------------------------------------------------- published revisions


@pytest.mark.skipif(not UPSTREAM.exists(), reason="the published revisions are not here")
def test_half_a_year_of_the_service() -> None:
    before, after = (normalise(load(UPSTREAM / f"orchestration-{day}.json")) for day in ("2025-12-19", "2026-06-25"))
    report = compare(before, after)
    told = {(change.group, change.kind, change.subject): change for change in report.changes}

    assert report.semver == "major"
    assert (report.before.operations, report.after.operations) == (38, 68)
    names = [{o["operationId"] for _, _, o in operations(document)} for document in (before, after)]
    come_and_gone = [c for c in report.changes if c.group == "Operations" and c.kind != "changed" and "," in c.wire]
    assert {change.wire.partition(",")[0] for change in come_and_gone} == names[0] ^ names[1]

    assert told["Operations", "removed", "resources.invalidate_resource"].effect == "breaking"
    assert told["Step types", "added", "transcription"].detail == "TranscriptionInput → TranscriptionOutput"
    assert told["Inputs", "added", "AceStepAudioInput"].effect == "compatible"
    assert told["Fields", "removed", "MediaRatingInput.media_url"].effect == "breaking"
    assert told["Fields", "changed", "Veo3VideoGenInput.duration"].detail == "int → Literal[4, 6, 8]"
    assert told["Enum values", "removed", "AIToolkitTrainingInput.optimizer_type"].detail == "'adam'"
    assert compare(after, after).changes == ()
