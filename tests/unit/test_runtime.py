"""The runtime of the generated code: reading and writing, date-times, requests and answers, operations."""

import asyncio
import collections
import copy
import datetime as dt
import enum
import itertools
import json
import pickle
import sys
from typing import Any, NoReturn

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import civitai_api.generator.models as generator
import civitai_api.oauth.models as oauth
import civitai_api.orchestration.models as orchestration
import civitai_api.site.models as site
from civitai_api import runtime
from civitai_api.generator.api.jobs import submit_jobs
from civitai_api.oauth.api.tokens import create_token
from civitai_api.orchestration.api.workflows import get_workflow, submit_workflow
from civitai_api.orchestration.models import ImageGenInput, Workflow, WorkflowStep, WorkflowTemplate
from civitai_api.runtime import (
    DATETIME,
    UNSET,
    ApiModel,
    Reference,
    Request,
    Response,
    Segments,
    Timestamp,
    UnexpectedAnswer,
    Unset,
    dump,
    path,
    reader_of,
)
from civitai_api.site.api.content import get_content
from civitai_api.site.api.images import list_images
from civitai_api.site.api.models import list_models

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def text_of(value: Any) -> str:
    """A JSON text that is equal only for the same JSON: 1, 1.0 and true differ, the order of keys does not count."""
    return json.dumps(value, sort_keys=True)


# ------------------------------------------------------------------------------------------ whatever the server sends

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.datetimes().map(dt.datetime.isoformat)
    | st.sampled_from(["2025-10-29T21:29:24.7599308Z", "2025-02-30T00:00:00Z", "2025-10-29", "null", "NaN", "-1"])
)
names = st.text(max_size=5) | st.sampled_from(["$ref", "path", "$type", "id", "additional_properties", "self", "src"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def family(cls: type[ApiModel]) -> list[type[ApiModel]]:
    """A class and all classes that its discriminator leads to."""
    choice = cls.__dict__.get("__chosen_by__")
    models = sys.modules[cls.__module__.rpartition(".")[0]]
    below = [getattr(models, name) for name in choice[2].values()] if choice else []
    return [cls, *(found for child in below for found in family(child))]


def shapes(cls: type[ApiModel]) -> dict[str, Any]:
    fields = [field for field in attrs.fields(cls) if field.name != "additional_properties"]
    return {name_of(field): field.metadata.get("shape") for field in fields}


def constants(cls: type[ApiModel]) -> dict[str, str]:
    return {name_of(field): field.default for field in attrs.fields(cls) if isinstance(field.default, str)}


def name_of(field: Any) -> str:
    return str(field.metadata.get("wire") or field.name)


@st.composite
def objects(draw: st.DrawFn, root: type[ApiModel], depth: int = 3) -> dict[str, Any]:
    """Objects that are nearly what the document says: known and unknown names, with values of any kind."""
    cls = draw(st.sampled_from(family(root)))
    known, models = shapes(cls), sys.modules[cls.__module__.rpartition(".")[0]]
    found: dict[str, Any] = constants(cls) if draw(st.booleans()) else {}
    for name in draw(st.lists(st.sampled_from(sorted(known)) | names, max_size=5, unique=True)):
        found[name] = draw(anything | fitting(known.get(name), models, depth - 1))
    return found


def fitting(shape: Any, models: Any, depth: int) -> st.SearchStrategy[Any]:
    """Values of a shape, as far as it is followed."""
    if depth == 0 or shape is None:
        return anything
    if isinstance(shape, str):
        return objects(getattr(models, shape), depth)
    if isinstance(shape, list):
        return st.lists(anything | fitting(shape[0], models, depth), max_size=3)
    if isinstance(shape, dict):
        return st.dictionaries(names, anything | fitting(shape[""], models, depth), max_size=3)
    if isinstance(shape, tuple):
        return st.one_of([fitting(member, models, depth) for member in shape])
    return st.datetimes().map(dt.datetime.isoformat)


CLASSES = [
    Workflow,
    WorkflowTemplate,
    WorkflowStep,
    ImageGenInput,
    orchestration.WorkflowEvent,
    site.Model,
    site.ModelVersion,
    site.ImagePage,
    generator.JobStatus,
    generator.JobTemplate,
    oauth.TokenResponse,
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: str(cls.__name__))
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_object_is_read_and_written_back(cls: type[ApiModel], data: st.DataObject) -> None:
    source = data.draw(objects(cls))
    before = text_of(source)
    model = cls.from_dict(source)
    assert isinstance(model, cls)
    assert text_of(model.to_dict()) == before
    assert text_of(source) == before
    assert repr(model)
    assert cls.from_dict(source) == model
    assert copy.deepcopy(model) == model
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301
    assert (
        text_of(json.loads(Request(service="", operation="", method="", path="", body=model).content or b"")) == before
    )


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: str(cls.__name__))
def test_no_field_needs_its_own_type(cls: type[ApiModel]) -> None:
    values: list[Any] = [None, "text", 7, 1.5, True, [], [None], {}, {"a": 1}, [[{}]], "2025-13-01"]
    for member, value in itertools.product(family(cls), values):
        source = dict.fromkeys(shapes(member), value) | constants(member)
        assert text_of(member.from_dict(source).to_dict()) == text_of(source)


@pytest.mark.parametrize("source", [[], None, "text", 7, [{}]])
def test_only_a_mapping_can_be_read(source: Any) -> None:
    with pytest.raises(TypeError, match=r"Workflow\.from_dict takes a mapping, not"):
        Workflow.from_dict(source)


def test_any_mapping_can_be_read() -> None:
    assert Workflow.from_dict(collections.ChainMap({"id": "a"}, {"new": 1})).to_dict() == {"id": "a", "new": 1}


def test_what_was_written_is_a_copy() -> None:
    model = Workflow.from_dict({"metadata": {"a": [1]}, "new": {"b": [2]}})
    written = model.to_dict()
    written["metadata"]["a"].append(2)
    written["new"]["b"].append(3)
    assert model.to_dict() == {"metadata": {"a": [1]}, "new": {"b": [2]}}


def test_reading_leaves_the_source_and_its_readers_apart() -> None:
    source = {"id": "a", "new": 1}
    model = Workflow.from_dict(source)
    model["new"] = 2
    model["newer"] = 3
    assert source == {"id": "a", "new": 1}
    assert Workflow.from_dict(source).to_dict() == source


def test_fields_that_are_absent_are_unset_and_null_is_none() -> None:
    workflow = Workflow.from_dict({"externalId": None})
    assert workflow.external_id is None
    assert workflow.id is UNSET
    assert workflow.steps is UNSET  # type: ignore[comparison-overlap]
    assert workflow.to_dict() == {"externalId": None}


def test_a_seed_of_any_size_stays_exact() -> None:
    seed = 2**80 + 1
    body = json.dumps({"meta": {"seed": seed}}).encode()
    image = site.Image.from_dict(Response(200, {}, body).json())
    assert json.loads(json.dumps(image.to_dict())) == {"meta": {"seed": seed}}
    built = orchestration.TextToImageInput(prompt="a", model="urn:air:sd1:checkpoint:civitai:1@2", seed=seed)
    assert built.to_dict()["seed"] == seed


def test_nested_objects_are_of_their_classes() -> None:
    page = site.ModelPage.from_dict({"items": [{"modelVersions": [{"files": [{"hashes": {"AutoV2": "AB"}}]}]}]})
    version = page.items[0].model_versions[0]
    assert isinstance(version, site.ModelVersion)
    assert isinstance(version.files[0].hashes, site.ModelFileHashes)
    assert page.to_dict() == {"items": [{"modelVersions": [{"files": [{"hashes": {"AutoV2": "AB"}}]}]}]}


def test_a_union_is_read_by_what_came() -> None:
    one = generator.JobStatus.from_dict({"result": {"blobKey": "a"}})
    many = generator.JobStatus.from_dict({"result": [{"blobKey": "a"}]})
    assert isinstance(one.result, generator.JobResult)
    assert isinstance(many.result, list)
    assert isinstance(many.result[0], generator.JobResult)


def test_a_union_of_classes_is_read_by_the_names_that_came() -> None:
    read = reader_of(("Workflow", "WorkflowEvent"), orchestration)
    assert read is not None
    assert type(read({"workflowId": "a", "type": "workflow"})) is orchestration.WorkflowEvent
    assert type(read({"steps": [], "cost": {}})) is Workflow
    assert [read(value) for value in (None, "a", 1, [1])] == [None, "a", 1, [1]]


def test_a_union_with_a_map_and_a_moment() -> None:
    read = reader_of(({"": "Workflow"}, DATETIME), orchestration)
    assert read is not None
    assert type(read({"a": {"id": "b"}})["a"]) is Workflow
    assert type(read("2025-10-29T21:29:24Z")) is Timestamp


def test_a_map_of_classes() -> None:
    read = reader_of({"": "Workflow"}, orchestration)
    assert read is not None
    assert type(read({"a": {}})["a"]) is Workflow
    assert read({"a": None, "b": 1}) == {"a": None, "b": 1}
    assert read([1]) == [1]


@pytest.mark.parametrize("shape", [None, [None], {"": None}, [[None]]])
def test_what_is_taken_as_it_comes_needs_no_reader(shape: Any) -> None:
    assert reader_of(shape, None) is None


REFERENCE = {"$ref": "hero", "path": "output.images[0]"}


def test_a_reference_is_no_object_of_the_class_it_stands_for() -> None:
    read = reader_of("WorkflowStep", orchestration)
    assert read is not None
    assert read(REFERENCE) == REFERENCE
    assert type(read({**REFERENCE, "name": "a"})) is WorkflowStep


def test_a_reference_is_no_object_of_a_union_either() -> None:
    read = reader_of(("WorkflowStep", "Workflow"), orchestration)
    assert read is not None
    assert read(REFERENCE) == REFERENCE


@pytest.mark.parametrize("shape", [[bytes], (DATETIME, bytes), {"": bytes}])
def test_binary_text_within_json_is_taken_as_it_comes(shape: Any) -> None:
    read = reader_of(shape, orchestration) or (lambda value: value)
    assert read(["aGk="]) == ["aGk="]


class OwnStep(WorkflowStep):
    """A caller's own class, outside the generated packages."""


def test_a_class_of_a_caller_reads_what_its_base_does() -> None:
    step = OwnStep.from_dict({"name": "a", "jobs": [{"id": "b"}]})
    assert type(step) is OwnStep
    assert isinstance(step.jobs, list)
    assert isinstance(step.jobs[0], orchestration.WorkflowStepJob)


# --------------------------------------------------------------------------------------------------------- the models


def test_unknown_fields_are_read_and_set_by_name() -> None:
    workflow = Workflow.from_dict({"id": "a", "fromNextYear": [1]})
    assert workflow["fromNextYear"] == [1]
    assert "fromNextYear" in workflow
    assert "id" not in workflow
    workflow["own"] = Reference("a", "b")
    assert workflow.additional_properties.keys() == {"fromNextYear", "own"}
    assert workflow.to_dict() == {"id": "a", "fromNextYear": [1], "own": {"$ref": "a", "path": "b"}}
    with pytest.raises(KeyError):
        workflow["unheardOf"]


def test_constructed_models_do_not_share_what_is_unknown() -> None:
    first, second = Workflow(), Workflow()
    first["a"] = 1
    assert second.to_dict() == {}
    assert Workflow(additional_properties={"a": 1}) == first


def test_an_unknown_field_can_be_left_out_again() -> None:
    workflow = Workflow.from_dict({"id": "a", "new": 1})
    workflow["new"] = UNSET
    assert workflow.to_dict() == {"id": "a"}


def test_a_misspelt_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Workflow().identity = "a"  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Workflow(identity="a")  # type: ignore[call-arg]


def test_models_are_equal_by_class_and_content() -> None:
    assert Workflow(id="a") == Workflow.from_dict({"id": "a"})
    assert Workflow(id="a") != Workflow(id="b")
    assert Workflow(id="a") != Workflow(id="a", additional_properties={"b": 1})
    assert Workflow(id="a") != WorkflowStep()
    assert Workflow() != {}
    assert orchestration.ImageGenStep() != WorkflowStep()


def test_models_have_no_hash_because_they_change() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Workflow())
    with pytest.raises(TypeError, match="unhashable"):
        hash(orchestration.ImageGenStep())


def test_repr_shows_what_is_set_and_shortens_the_rest() -> None:
    assert repr(Workflow(id="a", external_id=None)) == "Workflow(external_id=None, id='a')"
    assert repr(Workflow()) == "Workflow()"
    assert repr(Workflow(additional_properties={"new": 1})) == "Workflow(additional_properties={'new': 1})"
    long = repr(Workflow(id="x" * 10_000, metadata={"key": "y" * 10_000}))
    assert len(long) < 500
    assert "…" in long


def test_copies_are_deep_where_asked() -> None:
    step = WorkflowStep.from_dict({"$type": "imageGen", "metadata": {"a": [1]}, "new": [2]})
    deep = copy.deepcopy(step)
    deep.metadata["a"].append(2)
    deep["new"].append(3)
    assert type(deep) is type(step)
    assert step.to_dict() == {"$type": "imageGen", "metadata": {"a": [1]}, "new": [2]}
    shallow = copy.copy(step)
    shallow.name = "b"
    assert step.name is UNSET  # type: ignore[comparison-overlap]


# -------------------------------------------------------------------------------------------------------------- unset


def test_unset_is_empty() -> None:
    assert not UNSET
    assert list(UNSET) == []
    assert len(UNSET) == 0
    assert repr(UNSET) == "UNSET"
    assert [step for step in Workflow().steps] == []  # noqa: C416


def test_there_is_one_unset() -> None:
    assert Unset() is UNSET
    assert copy.copy(UNSET) is UNSET
    assert copy.deepcopy([UNSET])[0] is UNSET
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(UNSET, protocol)) is UNSET  # noqa: S301


# --------------------------------------------------------------------------------------------------------- date-times

zones = [None, dt.UTC, *(dt.timezone(dt.timedelta(seconds=seconds)) for seconds in (7200, -34_200, 1172))]
moments = st.datetimes(timezones=st.sampled_from(zones))
offsets = st.sampled_from(["", "Z", "+00:00", "-00:00", "+02:00", "-09:30", "+0530", "+14"])


@given(moment=st.datetimes(), digits=st.text("0123456789", min_size=1, max_size=9), offset=offsets)
def test_a_moment_keeps_its_text(moment: dt.datetime, digits: str, offset: str) -> None:
    text = f"{moment.replace(microsecond=0).isoformat()}.{digits}{offset}"
    read = Timestamp.parse(text)
    assert read.text == text
    assert read.replace(tzinfo=None) == moment.replace(microsecond=int(digits.ljust(6, "0")[:6]))
    assert read.utcoffset() is not None
    assert dump(read) == text


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2025-10-29T21:29:24Z", 0),
        ("2025-10-29T21:29:24.1", 100_000),
        ("2025-10-29T21:29:24.12", 120_000),
        ("2025-10-29T21:29:24.123Z", 123_000),
        ("2025-10-29T21:29:24.1234567Z", 123_456),
        ("2025-10-29 21:29:24.123456789+00:00", 123_456),
        ("2025-10-29T23:29:24.5+02:00", 500_000),
    ],
)
def test_moments_come_in_many_forms(text: str, microsecond: int) -> None:
    moment = Timestamp.parse(text)
    assert moment == dt.datetime(2025, 10, 29, 21, 29, 24, microsecond, tzinfo=dt.UTC)
    assert Workflow.from_dict({"createdAt": text}).to_dict() == {"createdAt": text}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2025-02-30T00:00:00Z",
        "9999-12-31T24:00:00",
        "2025-10-29T21:29:24+99:00",
        "２０２５-10-29",
        "\ud800",
    ],
    ids=ascii,
)
def test_what_is_no_moment_stays_text(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        Timestamp.parse(text)
    workflow = Workflow.from_dict({"createdAt": text, "startedAt": 1730237364})
    assert workflow.created_at == text
    assert workflow.to_dict() == {"createdAt": text, "startedAt": 1730237364}


@given(st.text("0123456789-:TZW+. ", max_size=30) | st.text(max_size=20))
def test_any_text_in_place_of_a_moment_is_kept(text: str) -> None:
    assert Workflow.from_dict({"createdAt": text}).to_dict() == {"createdAt": text}


def test_a_new_moment_has_a_new_text() -> None:
    moment = Timestamp.parse("2025-10-29T21:29:24.7599308Z")
    assert (moment + dt.timedelta(seconds=1)).text == "2025-10-29T21:29:25.759930Z"
    assert moment.replace(microsecond=0).text == "2025-10-29T21:29:24Z"
    assert moment.astimezone(dt.timezone(dt.timedelta(hours=1))).text == "2025-10-29T22:29:24.759930+01:00"
    assert moment - Timestamp.parse("2025-10-29T21:29:24Z") == dt.timedelta(microseconds=759_930)


@pytest.mark.parametrize("text", ["2025-10-29T21:29:24.7599308Z", "2025-10-29T21:29:24", "2025-10-29"])
def test_copies_of_a_moment_keep_its_text(text: str) -> None:
    moment = Timestamp.parse(text)
    copies = [copy.copy(moment), copy.deepcopy(moment)]
    copies += [pickle.loads(pickle.dumps(moment, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]  # noqa: S301
    for other in copies:
        assert type(other) is Timestamp
        assert other == moment
        assert other.text == text


def test_copies_of_a_moment_without_zone_have_none() -> None:
    moment = Timestamp.parse("2025-10-29T21:29:24Z").replace(tzinfo=None)
    assert copy.copy(moment).tzinfo is None


@given(moments)
def test_a_plain_datetime_is_written_in_iso_form(moment: dt.datetime) -> None:
    read = Timestamp.parse(dump(moment))
    assert read == (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))


# ------------------------------------------------------------------------------------------------------------ dumping


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Wired:
    def to_wire(self) -> str:
        return "wired"

    def __repr__(self) -> str:
        return "Wired()"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Wired(), "wired"),
        (Reference("a", "b"), {"$ref": "a", "path": "b"}),
        ((1, [Wired()]), [1, ["wired"]]),
        ({"a": UNSET, "b": None, Colour.RED: {1: Wired()}}, {"b": None, "red": {"1": "wired"}}),
        (Workflow(id="a", tags=["b"]), {"id": "a", "tags": ["b"]}),
        ({"steps": [WorkflowStep(name="a")]}, {"steps": [{"name": "a"}]}),
        (dt.datetime(2025, 1, 2, 3, 4, 5), "2025-01-02T03:04:05Z"),
        (dt.datetime(2025, 1, 2, tzinfo=dt.UTC), "2025-01-02T00:00:00Z"),
    ],
    ids=str,
)
def test_values_are_written_as_json_can_hold_them(value: Any, expected: Any) -> None:
    assert text_of(dump(value)) == text_of(expected)


def test_sets_are_written_as_lists() -> None:
    assert sorted(dump({"a", "b"})) == ["a", "b"]
    assert dump(frozenset({1})) == [1]


def test_what_is_unknown_is_given_back() -> None:
    value = object()
    assert dump(value) is value


def test_references_are_values() -> None:
    assert Reference("a", "b") == Reference("a", "b")
    assert len({Reference("a", "b"), Reference("a", "b"), Reference("a", "c")}) == 2
    assert Reference("a", "b") != ("a", "b")
    assert repr(Reference("a", "b")) == "Reference('a', 'b')"


# ----------------------------------------------------------------------------------------------------------- requests


def make(**given: Any) -> Request[Any]:
    return Request(**{"service": "site", "operation": "doIt", "method": "GET", "path": "/p", **given})


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({}, "/p"),
        ({"a": UNSET, "b": None}, "/p"),
        ({"a": []}, "/p"),
        ({"a": 1, "b": "x y&z=ä/+"}, "/p?a=1&b=x%20y%26z%3D%C3%A4%2F%2B"),
        ({"a": True, "b": False}, "/p?a=true&b=false"),
        ({"a": [1, None, 2, UNSET], "b": ("c",)}, "/p?a=1&a=2&b=c"),
        ({"a": [True, Colour.RED]}, "/p?a=true&a=red"),
        ({"a": ""}, "/p?a="),
        ({"a": 0, "b": 0.5}, "/p?a=0&b=0.5"),
        ({"a": Wired()}, "/p?a=wired"),
        ({"a": Timestamp.parse("2025-10-29T21:29:24.7599308Z")}, "/p?a=2025-10-29T21%3A29%3A24.7599308Z"),
        ({"a": dt.datetime(2025, 1, 2, tzinfo=dt.UTC)}, "/p?a=2025-01-02T00%3A00%3A00Z"),
        ({"a": dt.date(2025, 1, 2)}, "/p?a=2025-01-02"),
        ({"a b": "c"}, "/p?a%20b=c"),
    ],
    ids=str,
)
def test_a_target_holds_the_query(query: dict[str, Any], target: str) -> None:
    assert make(query=query).target == target


@pytest.mark.parametrize("items", [range(1, 3), collections.deque([1, 2]), {1: "a", 2: "b"}.keys()], ids=str)
def test_any_sequence_is_sent_as_repeated_keys(items: Any) -> None:
    assert make(query={"a": items}).target == "/p?a=1&a=2"


def test_any_sequence_is_written_as_a_list() -> None:
    assert dump({"a": range(1, 3), "b": collections.deque([Wired()])}) == {"a": [1, 2], "b": ["wired"]}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("a", "a"),
        (7, "7"),
        (True, "true"),
        (Wired(), "wired"),
        ("urn:air:sdxl:lora:civitai:1@2", "urn%3Aair%3Asdxl%3Alora%3Acivitai%3A1%402"),
        ("a/b", "a%2Fb"),
        ("../admin", "..%2Fadmin"),
        ("a?b#c", "a%3Fb%23c"),
        ("%2e%2e", "%252e%252e"),
        ("ä ~", "%C3%A4%20~"),
        ("...", "..."),
        (Segments("a/b c/d"), "a/b%20c/d"),
    ],
    ids=str,
)
def test_a_path_value_is_encoded_whole(value: Any, encoded: str) -> None:
    assert path("/v/{id}/x", id=value) == f"/v/{encoded}/x"


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", *map(Segments, ["", "..", "a/../b", "./a", "a//b", "/a", "a/", "a/.."])],
    ids=lambda value: f"{type(value).__name__}:{value}",
)
def test_a_path_value_cannot_lead_elsewhere(value: str) -> None:
    with pytest.raises(ValueError, match=r"^id is '.*', which cannot stand in a path$"):
        path("/v/{id}", id=value)


@pytest.mark.parametrize("value", [None, UNSET], ids=str)
def test_a_path_value_must_be_there(value: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        path("/v/{id}", id=value)


def test_braces_in_a_path_value_are_no_template() -> None:
    assert path("/v/{a}/{b}", a="{b}", b="c") == "/v/%7Bb%7D/c"


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({}, None),
        ({"body": b"\x00\xff"}, b"\x00\xff"),
        ({"body": bytearray(b"ab")}, b"ab"),
        ({"body": None}, b"null"),
        ({"body": []}, b"[]"),
        ({"body": {"b": UNSET, "c": None, "d": "ä"}}, '{"c":null,"d":"ä"}'.encode()),
        ({"body": [WorkflowStep(name="a")]}, b'[{"name":"a"}]'),
        ({"body": {"a": "b c", "d": None, "e": True, "f": "ä"}, "media_type": FORM}, b"a=b+c&e=true&f=%C3%A4"),
    ],
    ids=str,
)
def test_the_content_of_a_body(given: dict[str, Any], content: bytes | None) -> None:
    assert make(**given).content == content


def test_half_a_surrogate_pair_can_be_sent_back() -> None:
    read = Workflow.from_dict(Response(200, {}, b'{"metadata":{"a":"\\ud83d"}}').json())
    assert json.loads(make(body=read).content or b"") == {"metadata": {"a": "\ud83d"}}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        assert make(body={"a": number}).content


def test_headers_are_in_lower_case_with_the_type_of_the_body() -> None:
    headers = {"If-None-Match": "a", "X-None": None, "X-Unset": UNSET, "X-Flag": True}
    assert make(headers=headers).sent_headers == {"if-none-match": "a", "x-flag": "true"}
    assert make(body={}, media_type=JSON).sent_headers == {"content-type": JSON}
    assert make(body=UNSET, media_type=JSON).sent_headers == {}
    assert make(body=b"", media_type=JSON, headers={"Content-Type": "image/png"}).sent_headers == {
        "content-type": "image/png"
    }


@pytest.mark.parametrize(
    ("method", "idempotent"), [("GET", True), ("HEAD", True), ("PUT", True), ("DELETE", True), ("POST", False)]
)
def test_what_may_be_sent_twice(method: str, idempotent: bool) -> None:
    assert make(method=method).idempotent is idempotent
    assert make(method=method, idempotent=not idempotent).idempotent is not idempotent
    assert make(method="PATCH").idempotent is False


def test_a_request_is_a_value() -> None:
    assert make(query={"a": 1}) == make(query={"a": 1})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        make().path = "/q"  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------ answers


def answer(content: bytes = b"", status: int = 200, kind: str | None = JSON) -> Response:
    return Response(status, {} if kind is None else {"content-type": kind}, content)


def test_the_media_type_is_without_parameters() -> None:
    assert answer(kind="Application/JSON ; charset=utf-8").media_type == JSON
    assert answer(kind=None).media_type == ""


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1}',
        b' {"a" : 1}\n',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_json_is_read_in_any_dress(content: bytes) -> None:
    assert answer(content).json() == {"a": 1}


def test_control_characters_in_text_are_let_through() -> None:
    assert answer(b'{"a":"x\x01\ty\n"}').json() == {"a": "x\x01\ty\n"}


WORKFLOW = {"answers": {200: "Workflow", 202: "Workflow"}, "models": orchestration}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("Workflow", b"[]"),
        ("Workflow", b"null"),
        ("Workflow", b'"x"'),
        (["Workflow"], b"{}"),
        ({"": "Workflow"}, b"[]"),
    ],
)
def test_an_answer_of_another_kind_than_documented_is_none(shape: Any, body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer):
        make(answers={200: shape}, models=orchestration).decode(answer(body))


@pytest.mark.parametrize("kind", [JSON, "application/problem+json", "text/plain", "text/html", "", None])
@pytest.mark.parametrize("status", [200, 202, 201, 299])
def test_json_is_decoded_whatever_its_label(status: int, kind: str | None) -> None:
    assert make(**WORKFLOW).decode(answer(b'{"id":"a"}', status, kind)) == Workflow(id="a")


@pytest.mark.parametrize(
    ("answers", "response", "decoded"),
    [
        ({200: "Workflow"}, answer(status=204), None),
        ({204: NoReturn}, answer(status=204), None),
        ({200: NoReturn}, answer(b"whatever"), None),
        ({307: NoReturn}, answer(b"<html>", 307, "text/html"), None),
        ({200: bytes}, answer(b"\x00\x01", kind="image/png"), b"\x00\x01"),
        ({200: bytes}, answer(b'{"a":1}'), b'{"a":1}'),
        ({200: bytes}, answer(), b""),
        ({200: "Workflow"}, answer(b"PK", kind="application/zip"), b"PK"),
        ({200: None}, answer(b"[1]"), [1]),
        ({200: None}, answer(b"null"), None),
        ({200: None}, answer(b'"text"'), "text"),
        ({200: ["Workflow"]}, answer(b'[{"id":"a"}, null]'), [Workflow(id="a"), None]),
        ({200: {"": "Workflow"}}, answer(b'{"x":{}}'), {"x": Workflow()}),
    ],
)
def test_an_answer_is_decoded_by_its_status(answers: Any, response: Response, decoded: Any) -> None:
    assert make(answers=answers, models=orchestration).decode(response) == decoded


@pytest.mark.parametrize(
    "response",
    [
        answer(b"{}", 400),
        answer(b"{}", 404),
        answer(b"", 500, None),
        answer(b"", 302),
        answer(b"", 304),
        answer(b"<html><title>Just a moment...</title>", kind="text/html"),
        answer(b"<html>"),
        answer(b""),
        answer(b'{"id":'),
        answer(b'{"id": "\xff"}'),
    ],
    ids=lambda response: f"{response.status} {response.content.decode(errors='replace')}",
)
def test_what_the_document_does_not_describe_is_an_error(response: Response) -> None:
    with pytest.raises(UnexpectedAnswer, match=rf"^doIt answered {response.status} with ") as caught:
        make(**WORKFLOW).decode(response)
    assert caught.value.operation == "doIt"
    assert caught.value.response is response
    assert isinstance(caught.value, ValueError)


def test_the_error_names_the_content_type() -> None:
    with pytest.raises(UnexpectedAnswer, match="with text/html, which"):
        make(**WORKFLOW).decode(answer(b"<html>", kind="text/html; charset=utf-8"))
    with pytest.raises(UnexpectedAnswer, match="with no content type, which"):
        make(**WORKFLOW).decode(answer(b"<html>", kind=None))


def test_a_redirect_says_nothing_about_a_success() -> None:
    assert make(answers={307: NoReturn, 200: None}).decode(answer(b'{"a":1}', 201)) == {"a": 1}


def test_an_answer_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(UnexpectedAnswer):
        make(answers={200: None}).decode(answer(b"[" * 100_000))


# --------------------------------------------------------------------------------------------------------- operations


class Transport:
    """Gives one answer to whatever is sent, and remembers what was."""

    def __init__(self, content: bytes = b"{}", status: int = 200) -> None:
        self.answer = Response(status, {"content-type": JSON, "x-request-id": "r"}, content)
        self.sent: list[Request[Any]] = []

    def send(self, request: Request[Any], /) -> Response:
        self.sent.append(request)
        return self.answer


class AsyncTransport(Transport):
    async def send(self, request: Request[Any], /) -> Response:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().send(request)


def test_an_operation_runs_on_the_transport_it_is_given() -> None:
    transport = Transport(b'{"id":"a","steps":[{"$type":"imageGen"}]}')
    workflow = get_workflow.sync(transport, workflow_id="a")
    assert type(workflow) is Workflow
    assert type(workflow.steps[0]) is orchestration.ImageGenStep
    assert transport.sent == [get_workflow.request(workflow_id="a")]
    assert transport.sent[0].target == "/v2/consumer/workflows/a"


def test_the_details_are_given_where_asked() -> None:
    result = get_workflow.sync_detailed(Transport(b'{"id":"a"}', 202), workflow_id="a")
    assert (result.status, result.headers["x-request-id"], result.content) == (202, "r", b'{"id":"a"}')
    assert result.parsed == Workflow(id="a")


def test_an_operation_runs_on_an_async_transport() -> None:
    transport = AsyncTransport(b'{"id":"a"}')

    async def run() -> None:
        assert await get_workflow.asyncio(transport, workflow_id="a") == Workflow(id="a")
        assert (await get_workflow.asyncio_detailed(transport, workflow_id="b")).parsed == Workflow(id="a")

    asyncio.run(run())
    assert [request.target for request in transport.sent] == [f"/v2/consumer/workflows/{name}" for name in "ab"]


def test_an_error_comes_out_of_every_form() -> None:
    async def run() -> None:
        for function in (get_workflow.asyncio, get_workflow.asyncio_detailed):
            with pytest.raises(UnexpectedAnswer, match="GetWorkflow answered 404"):
                await function(AsyncTransport(status=404), workflow_id="a")

    asyncio.run(run())
    for function in (get_workflow.sync, get_workflow.sync_detailed):
        with pytest.raises(UnexpectedAnswer, match="GetWorkflow answered 404"):
            function(Transport(status=404), workflow_id="a")


def test_a_body_is_sent_as_json() -> None:
    transport = Transport()
    step = orchestration.EchoStepTemplate(input=orchestration.EchoInput(message="hi"))
    submit_workflow.sync(transport, body=WorkflowTemplate(steps=[step]))
    (sent,) = transport.sent
    assert (sent.method, sent.service, sent.authenticated, sent.idempotent) == ("POST", "orchestration", True, False)
    assert sent.sent_headers["content-type"] == JSON
    assert json.loads(sent.content or b"") == {"steps": [{"$type": "echo", "input": {"message": "hi"}}]}


def test_a_form_is_sent_as_a_form() -> None:
    request = create_token.request(
        body=oauth.TokenRequest(grant_type="authorization_code", code="a b", redirect_uri="http://localhost:1/")
    )
    assert request.sent_headers == {"content-type": FORM}
    assert request.content == b"grant_type=authorization_code&code=a+b&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F"
    assert request.authenticated is False


def test_switches_that_any_text_turns_on_are_sent_only_when_true() -> None:
    assert list_models.request(supports_generation=True).target == "/api/v1/models?supportsGeneration=true"
    assert list_models.request(supports_generation=False).target == "/api/v1/models"
    assert list_models.request(supports_generation=None).target == "/api/v1/models"


def test_other_switches_are_sent_as_they_are() -> None:
    assert list_images.request(with_meta=False).target == "/api/v1/images?withMeta=false"


def test_lists_are_sent_as_repeated_keys() -> None:
    assert list_images.request(tags=[1, 2], limit=0).target == "/api/v1/images?limit=0&tags=1&tags=2"


def test_a_path_parameter_of_several_segments_keeps_its_slashes() -> None:
    assert get_content.request(slug="terms/of use").path.endswith("/terms/of%20use")
    with pytest.raises(ValueError, match="slug"):
        get_content.request(slug="../me")


def test_a_body_of_the_first_api() -> None:
    params = generator.ImageParams(prompt="a", width=512, height=768)
    job = generator.TextToImageJob(model="urn:air:sd1:checkpoint:civitai:1@2", params=params)
    request = submit_jobs.request(body=generator.JobSubmission(jobs=[job]))
    (sent,) = json.loads(request.content or b"")["jobs"]
    assert sent["$type"] == "textToImage"
    assert sent["params"] == {"prompt": "a", "width": 512, "height": 768}


# ------------------------------------------------------------------------------------------------------ lazy packages


def test_a_lazy_package_gives_what_it_names() -> None:
    load, names_of = runtime.lazy("civitai_api.oauth.models", {"UserInfo": "user_info", "Scope": "scope"})
    assert load("UserInfo") is oauth.UserInfo
    assert list(names_of()) == ["Scope", "UserInfo"]
    with pytest.raises(AttributeError, match=r"module 'civitai_api\.oauth\.models' has no attribute 'Nothing'"):
        load("Nothing")
