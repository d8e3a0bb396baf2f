"""Every input that the document knows, from submitting to the bytes of what comes out, and every recipe.

The leaves are found by walking the discriminators of the generated classes, and the values that a leaf needs by its
schema: what a new revision of the document adds is covered by itself.
"""

from __future__ import annotations

import io
import json
import wave
import zipfile
from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from PIL import Image

from civitai_api.orchestration import models
from civitai_api.runtime import ApiModel
from civitai_ext import Civitai
from civitai_ext.emulator import Emulator
from scripts.openapi.names import class_name
from tests.documents import document

Json = dict[str, Any]

DOCUMENT = document("orchestration.yaml")
SCHEMAS: Json = DOCUMENT["components"]["schemas"]
NAMES = {class_name(name): name for name in SCHEMAS}
RECIPES = {
    path.rpartition("/")[2]: item["post"] for path, item in DOCUMENT["paths"].items() if "/consumer/recipes/" in path
}

MEDIUM = "https://media.example/source"
"""What the emulator does not fetch and replaces."""


# ------------------------------------------------------------------------------------------------- walking the document


def choice(cls: type[ApiModel]) -> tuple[str, dict[str, str]]:
    field, _, into = cls.__dict__["__chosen_by__"]
    return field, into


def leaves(cls: type[ApiModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[ApiModel]]]:
    if cls.__dict__.get("__chosen_by__") is None:
        yield path, cls
    else:
        for value, name in choice(cls)[1].items():
            yield from leaves(getattr(models, name), (*path, value))


def inputs() -> Iterator[tuple[str, tuple[str, ...], type[ApiModel] | None]]:
    """Every type of step with every leaf of its input; one has a string for an input."""
    for type_, name in choice(models.WorkflowStepTemplate)[1].items():
        (field,) = (field for field in attrs.fields(getattr(models, name)) if field.name == "input")
        shape = field.metadata.get("shape")
        for path, leaf in leaves(getattr(models, shape)) if shape else [((), None)]:
            yield type_, path, leaf


def resolved(schema: Json) -> Json:
    """A schema with its references followed and its bases merged."""
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "allOf" not in schema:
        return schema
    merged: Json = {"properties": {}, "required": []}
    own = {key: value for key, value in schema.items() if key not in ("allOf", "discriminator")}
    for part in map(resolved, (*schema["allOf"], own)):
        properties = {**merged["properties"], **part.get("properties", {})}
        required = [*merged["required"], *part.get("required", [])]
        merged |= {**part, "properties": properties, "required": required}
    # That of a base has brought us here already; that of the class stands beside its bases or in its own part.
    own_parts = (schema, *(part for part in schema["allOf"] if "$ref" not in part))
    merged["discriminator"] = next((part["discriminator"] for part in own_parts if "discriminator" in part), None)
    return merged


def sample(schema: Json, name: str, air: str) -> Any:
    """A value that fits a schema: the first of an enumeration, the lowest number, only what is required."""
    if branches := (resolved(schema).get("discriminator") or {}).get("mapping"):
        return sample({"$ref": next(iter(branches.values()))}, name, air)
    schema = resolved(schema)
    types = schema.get("type", "object")
    type_ = types if isinstance(types, str) else types[0]
    if schema.get("enum"):
        return schema["enum"][0]
    if type_ == "string":
        if schema.get("format") == "air":
            return air
        is_medium = schema.get("format") in ("uri", "media") or name.lower().endswith(("url", "image", "images"))
        return MEDIUM if is_medium else "a lighthouse"
    if type_ in ("integer", "number"):
        return schema.get("default", schema.get("minimum", 4))
    if type_ == "boolean":
        return False
    if type_ == "array":
        return [sample(schema["items"], name, air)]
    if isinstance(extra := schema.get("additionalProperties"), dict) and not schema.get("properties"):
        return {"a": sample(extra, name, air)}
    properties = schema.get("properties", {})
    needed = dict.fromkeys(schema.get("required", ()))
    return {key: sample(properties[key], key, air) for key in needed if not properties[key].get("readOnly")}


def fields_of(leaf: type[ApiModel]) -> Iterator[tuple[Any, str, Json, bool]]:
    """The fields that a caller may give: attribute, name in JSON, schema, and whether the document requires it."""
    schema = resolved({"$ref": f"#/components/schemas/{NAMES[leaf.__name__]}"})
    for field in attrs.fields(leaf):
        name = field.metadata.get("wire") or field.name
        if field.init and name in schema["properties"]:
            yield field, name, resolved(schema["properties"][name]), name in schema["required"]


def works_on(leaf: type[ApiModel]) -> dict[str, str]:
    """The fields without which a leaf has nothing to work on, texts and media: attributes and names."""
    found = {}
    for field, name, schema, required in fields_of(leaf):
        formats = {schema.get("format"), schema.get("items", {}).get("format")}
        is_text = name in ("prompt", "positivePrompt", "text", "message", "model") and "enum" not in schema
        # The discriminators of a leaf are fixed: their attributes have a string for a default.
        is_free = not isinstance(field.default, str) and "default" not in schema
        if required and is_free and (is_text or formats & {"uri", "media"}):
            found[field.name] = name
    return found


def smallest(leaf: type[ApiModel], values: Json) -> ApiModel:
    """The leaf with nothing but what its constructor insists on, and what it works on."""
    needed = works_on(leaf)
    return leaf(
        **{
            field.name: values.get(name) or sample(schema, name, values["air"])
            for field, name, schema, _ in fields_of(leaf)
            if field.default is attrs.NOTHING or field.name in needed
        }
    )


CASES = [pytest.param(*case, id="/".join((case[0], *case[1]))) for case in inputs()]
by_leaf = pytest.mark.parametrize(("type_", "path", "leaf"), CASES)


# ---------------------------------------------------------------------------------------------------- one emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(speed=0, models=20, balance={"yellow": 10_000_000}) as running:
        yield running


@pytest.fixture(scope="module")
def civitai(emulator: Emulator) -> Iterator[Civitai]:
    url = emulator.url
    with Civitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, headers={"Authorization": f"Bearer {emulator.token}"}) as client:
        yield client


@pytest.fixture(scope="module")
def anonymous() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.fixture(scope="module")
def values(emulator: Emulator, client: httpx.Client) -> Json:
    """What an input needs that has to exist: a model, and a blob to put into an archive."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    blob = client.post("/v2/consumer/blobs", content=buffer.getvalue(), headers={"Content-Type": "image/png"}).json()
    version = next(iter(emulator._catalogue.version_by_id.values()))
    return {"air": version.air, "entries": [{"blobId": blob["id"]}]}


def given_input(type_: str, leaf: type[ApiModel] | None, values: Json) -> ApiModel | Json:
    return {"$type": type_, "input": MEDIUM} if leaf is None else smallest(leaf, values)


# ----------------------------------------------------------------------------------------------------- what comes out


def check_documented(value: Any) -> Iterator[str]:
    """Find what a value that was read has too little, too much or of another type than its own class's schema says."""
    if isinstance(value, ApiModel):
        cls = next(base for base in type(value).__mro__ if base.__module__.startswith("civitai_api."))
        whole = {"components": DOCUMENT["components"], "$ref": f"#/components/schemas/{NAMES[cls.__name__]}"}
        for error in OAS31Validator(whole).iter_errors(value.to_dict()):
            yield f"{cls.__name__}.{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        if cls is not models.Blob:
            yield from (f"{cls.__name__} has no {name}" for name in value.additional_properties)
        for field in attrs.fields(cls):
            if field.name != "additional_properties":
                yield from check_documented(getattr(value, field.name))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from check_documented(item)


def check_file(content: bytes, media_type: str, blob: models.Blob) -> None:
    """Open a file as what it claims to be."""
    if media_type == "image/svg+xml":
        assert content.startswith(b'<svg xmlns="http://www.w3.org/2000/svg"')
        assert content.endswith(b"</svg>\n")
    elif media_type.startswith("image/"):
        assert isinstance(blob, models.ImageBlob)
        with Image.open(io.BytesIO(content)) as image:
            assert Image.MIME[str(image.format)] == media_type
            assert image.size == (blob.width, blob.height)
            image.verify()
    elif media_type == "video/mp4":
        assert isinstance(blob, models.VideoBlob)
        assert content[4:8] == b"ftyp"
        frame = content[content.index(b"\xff\xd8\xff") :]
        with Image.open(io.BytesIO(frame)) as image:
            assert image.format == "JPEG"
            assert not blob.width or image.size == (blob.width, blob.height)  # of a `transcode` nobody tells the size
    elif media_type == "audio/wav":
        assert isinstance(blob, models.AudioBlob)
        with wave.open(io.BytesIO(content)) as sound:
            assert sound.getnframes() / sound.getframerate() == pytest.approx(blob.duration, abs=0.01)
    elif media_type == "model/gltf-binary":
        assert isinstance(blob, models.Model3DBlob)
        assert (content[:4], int.from_bytes(content[8:12], "little")) == (b"glTF", len(content))
    elif media_type == "application/zip":
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    elif media_type == "application/json":
        json.loads(content)
    else:
        assert media_type == "application/octet-stream"
        assert "__metadata__" in json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


@by_leaf
def test_an_input_is_taken_kept_and_answered(
    emulator: Emulator,
    civitai: Civitai,
    anonymous: httpx.Client,
    values: Json,
    type_: str,
    path: tuple[str, ...],
    leaf: type[ApiModel] | None,
) -> None:
    given = given_input(type_, leaf, values)
    workflow = civitai.workflows.submit(given)
    assert (workflow.cost.total if workflow.cost else 0) >= 1
    assert workflow.status != "succeeded"
    emulator.clock.advance(600)
    step: Any = workflow.refresh().steps[0]
    assert step.status == "succeeded", step.to_dict()
    if isinstance(given, ApiModel):
        assert type(step.input) is leaf
        assert step.input.to_dict() == given.to_dict()
    else:
        assert step.input == MEDIUM
    assert type(step.output).__name__.endswith("Output")
    assert list(check_documented(step.output)) == []
    for output in workflow.outputs[:2]:
        answer = anonymous.get(str(output.url))
        check_file(answer.content, answer.headers["content-type"], output.blob)


# ----------------------------------------------------------------------------------------------------- what is refused


def estimate(client: httpx.Client, type_: str, given: Any) -> httpx.Response:
    body = {"steps": [{"$type": type_, "input": given}]}
    return client.post("/v2/consumer/workflows", params={"whatif": "true"}, json=body)


def discriminators(leaf: type[ApiModel]) -> list[str]:
    """The fields that chose a leaf, from the outside in."""
    chosen = (base.__dict__.get("__chosen_by__") for base in reversed(leaf.__mro__[1:]))
    return [found[0] for found in chosen if found]


@by_leaf
def test_names_and_discriminators_are_taken_in_any_case(
    client: httpx.Client, values: Json, type_: str, path: tuple[str, ...], leaf: type[ApiModel] | None
) -> None:
    if leaf is None:
        assert estimate(client, type_.upper(), MEDIUM).status_code == 200
        return
    written = smallest(leaf, values).to_dict()
    chosen = {name.title(): str(written.pop(name)).upper() for name in discriminators(leaf)}
    assert estimate(client, type_.upper(), {**written, **chosen}).status_code == 200


@pytest.mark.parametrize(
    ("type_", "leaf", "name"),
    [
        pytest.param(type_, leaf, name, id="/".join((type_, *path, name)))
        for type_, path, leaf in inputs()
        if leaf is not None
        for name in discriminators(leaf)
    ],
)
def test_an_unknown_choice_is_refused(
    client: httpx.Client, values: Json, type_: str, leaf: type[ApiModel], name: str
) -> None:
    answer = estimate(client, type_, {**smallest(leaf, values).to_dict(), name: "steam"})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"steps[0].input.{name}"]


@pytest.mark.parametrize(
    ("type_", "leaf", "name"),
    [
        pytest.param(type_, leaf, name, id="/".join((type_, *path, name)))
        for type_, path, leaf in inputs()
        if leaf is not None
        for name in works_on(leaf).values()
    ],
)
def test_what_is_needed_is_missed(
    client: httpx.Client, values: Json, type_: str, leaf: type[ApiModel], name: str
) -> None:
    written = smallest(leaf, values).to_dict()
    del written[name]
    answer = estimate(client, type_, written)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"steps[0].input.{name}"]


# ------------------------------------------------------------------------------------------------------------ recipes


@pytest.fixture(scope="module")
def hurried() -> Iterator[Emulator]:
    """An emulator in which a minute passes in some milliseconds: recipes answer when they are done."""
    with Emulator(speed=20_000, models=20, balance={"yellow": 10_000_000}) as running:
        yield running


@pytest.fixture(scope="module")
def invoker(hurried: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {hurried.token}"}
    with httpx.Client(base_url=hurried.url, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize("type_", sorted(RECIPES))
def test_every_recipe_answers_its_output(hurried: Emulator, invoker: httpx.Client, type_: str) -> None:
    operation = RECIPES[type_]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    air = next(iter(hurried._catalogue.version_by_id.values())).air
    body = sample(schema, "image", air)
    if type_ in ("training", "imageResourceTraining"):
        body["epochs"] = 1  # no request lasts as long as a training usually does
    answer = invoker.post(f"/v2/consumer/recipes/{type_}", json=body)
    if type_ in ("blobArchive", "repeat"):
        # There is no such blob, and nothing that a recipe could go through.
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        return
    assert answer.status_code == 200, answer.text
    documented = operation["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {"components": DOCUMENT["components"]} | documented
    assert [error.message for error in OAS31Validator(whole).iter_errors(answer.json())] == []


def test_there_are_no_other_recipes(invoker: httpx.Client) -> None:
    assert invoker.post("/v2/consumer/recipes/makeCoffee", json={}).status_code == 404
