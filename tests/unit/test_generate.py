"""`python -m scripts.generate`: the tree is what it makes, nothing is lost in silence, and any document will do."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.generate.__main__ import main
from scripts.openapi import documents
from scripts.openapi.names import class_name

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
OPENAPI = ROOT / "openapi"
SMALL = ("generator", "oauth", "site")

SURVEY = """
import importlib, json, pkgutil, sys
import civitai_api
modules = [importlib.import_module(info.name) for info in pkgutil.walk_packages(civitai_api.__path__, "civitai_api.")]
models = importlib.import_module(f"civitai_api.{sys.argv[1]}.models")
classes = {name: getattr(models, name) for name in dir(models)}
choices = {
    name: cls.__chosen_by__
    for name, cls in classes.items()
    if isinstance(cls, type) and vars(cls).get("__chosen_by__")
}
operations = [module.__name__ for module in modules if ".api." in module.__name__ and hasattr(module, "request")]
print(json.dumps({"operations": operations, "classes": sorted(classes), "choices": choices}))
"""


def run(code: str, package: Path, *arguments: str) -> Any:
    """What a fresh interpreter, in which `civitai_api` is the one in `package`, prints as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(**fields: Json) -> Json:
    return {"type": "object", "properties": fields}


TEXT: Json = {"type": "string"}
THING = obj(name=TEXT)


def operation(name: str = "getThing", tag: str = "Things", **more: Any) -> Json:
    content = {"application/json": {"schema": ref("Thing")}}
    responses = {"200": {"description": "It.", "content": content}}
    return {"operationId": name, "tags": [tag], "summary": "Get It", "responses": responses, **more}


def document(named: Json | None = None, paths: Json | None = None, **top: Any) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "paths": {"/thing": {"get": operation()}} if paths is None else paths,
        "components": {"schemas": {"Thing": THING, **(named or {})}},
        **top,
    }


class Workshop:
    """Generates the package of a small document under the name of a service that has no overlay."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.spec = folder / "document.json"
        self.out = folder / "out"
        self.package = self.out / "civitai_api"

    def make(self, given: Json, *more: str) -> int:
        self.spec.write_text(json.dumps(given))
        return self.again(*more)

    def again(self, *more: str) -> int:
        return main(["--spec", f"oauth={self.spec}", "--out", str(self.out), *more])

    def refused(self, given: Json) -> str:
        """Why a document is refused."""
        assert self.make(given) == 2
        assert not self.out.exists()
        return self.capsys.readouterr().err

    def survey(self) -> Json:
        found: Json = run(SURVEY, self.out, "oauth")
        return found


@pytest.fixture
def workshop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workshop:
    return Workshop(tmp_path, capsys)


# ----------------------------------------------------------------------------------------------------------- the tree


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    """In processes that order sets differently, in folders of other names, and as they are in the tree."""
    specs = [f"--spec={name}={OPENAPI / name}.yaml" for name in SMALL]
    results = []
    for seed in ("1", "2"):
        out = tmp_path / seed / ("x" * int(seed))
        command = [sys.executable, "-m", "scripts.generate", *specs, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        results.append(contents(out / "civitai_api"))
    assert results[0] == results[1]
    tree = contents(ROOT / "generated" / "civitai_api")
    assert results[0] == {name: data for name, data in tree.items() if not name.startswith("orchestration/")}


# ------------------------------------------------------------------------------------------------------------ options


def test_another_document_leaves_the_tree_as_it_is(workshop: Workshop) -> None:
    before = contents(ROOT / "generated")
    assert workshop.make(document()) == 0
    assert contents(ROOT / "generated") == before
    assert {path.name for path in workshop.package.iterdir()} == {"__init__.py", "py.typed", "runtime", "oauth"}
    assert workshop.survey() == {
        "operations": ["civitai_api.oauth.api.things.get_thing"],
        "classes": ["Thing"],
        "choices": {},
    }


def test_check_names_what_differs_and_generating_repairs_it(workshop: Workshop) -> None:
    assert workshop.make(document({"Other": obj()})) == 0
    assert workshop.again("--check") == 0
    thing, other = (workshop.package / "oauth" / "models" / f"{name}.py" for name in ("thing", "other"))
    thing.write_text(thing.read_text() + "\n")
    other.unlink()
    stray = workshop.package / "oauth" / "stray" / "deep.py"
    stray.parent.mkdir()
    stray.touch()
    broken = contents(workshop.package)
    workshop.capsys.readouterr()
    assert workshop.again("--check") == 1
    assert contents(workshop.package) == broken
    told = workshop.capsys.readouterr().err
    assert told.splitlines()[:3] == [
        "oauth/models/other.py: missing",
        "oauth/models/thing.py: differs",
        "oauth/stray/deep.py: not generated",
    ]
    assert "make generate" in told
    assert workshop.again() == 0
    assert workshop.again("--check") == 0
    assert not stray.parent.exists()


def test_a_class_that_is_gone_from_the_document_is_gone_from_the_package(workshop: Workshop) -> None:
    assert workshop.make(document({"Other": obj()})) == 0
    assert workshop.make(document()) == 0
    assert workshop.survey()["classes"] == ["Thing"]
    assert not (workshop.package / "oauth" / "models" / "other.py").exists()


def test_the_package_that_is_there_stays_when_a_document_is_refused(workshop: Workshop) -> None:
    assert workshop.make(document()) == 0
    before = contents(workshop.out)
    assert workshop.make(document({"Bad": obj(a=ref("Nowhere"))})) == 2
    assert contents(workshop.out) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--spec", "oauth"], "NAME=PATH"),
        (["--spec", "oauth="], "NAME=PATH"),
        (["--spec", "moon=a.json", "--out", "x"], "generator, oauth, orchestration, site"),
        (["--spec", "oauth=a.json"], "--spec needs --out"),
        (["--nonsense"], "unrecognized"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_explained(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file"),
        ("", "is empty"),
        ("<html><title>Moved</title>", "web page"),
        ("[1]", "no object"),
        ('{"openapi": "3.1.0"', "cut off"),
        pytest.param('{"swagger": "2.0", "paths": {}}', "Swagger 2.0"),
        pytest.param('{"a": 1}', "no OpenAPI document"),
    ],
    ids=str,
)
def test_what_is_no_document_is_refused(text: str | None, told: str, workshop: Workshop) -> None:
    if text is not None:
        workshop.spec.write_text(text)
    assert workshop.again() == 2
    assert told in workshop.capsys.readouterr().err
    assert not workshop.out.exists()


SAME_ENUM: Json = {"type": "string", "enum": ["a"]}


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"FooBar": obj(a=TEXT), "Foo_Bar": obj(b=TEXT)}, "FooBar"),
        ({"FooBar": obj(a=TEXT), "fooBar": obj(b=TEXT)}, "fooBar"),
        ({"FooBar": obj(a=TEXT), "FOOBar": obj(b=TEXT)}, "foo_bar"),
        ({"FooBar": obj(a=TEXT), "Foo_Bar": SAME_ENUM}, "FooBar"),
        ({"FooBar": SAME_ENUM, "Foo_Bar": {"type": "string", "enum": ["b"]}}, "FooBar"),
        pytest.param({"FooBar": SAME_ENUM, "Foo_Bar": SAME_ENUM}, "FooBar"),
        pytest.param({"FooBar": TEXT, "Foo_Bar": {"type": "integer"}}, "FooBar"),
        ({"Bad": obj(field=ref("Nowhere"))}, "Bad|Nowhere"),
        ({"Bad": obj(field={"anyOf": [TEXT, ref("Nowhere")]})}, "Bad|Nowhere"),
        ({"Bad": obj(field={"anyOf": [TEXT, {"type": "array", "items": ref("Nowhere")}]})}, "Bad|Nowhere"),
        ({"Bad": {"enum": ["a", 1]}}, "Bad"),
        ({"Bad": obj(thing=obj(a=TEXT)), "BadThing": obj(b=TEXT)}, "BadThing"),
        ({"Bad": obj(**{"$type": TEXT, "type": TEXT})}, "Bad"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_schema_that_would_be_lost_is_named(named: Json, told: str, workshop: Workshop) -> None:
    assert re.search(told, workshop.refused(document(named)))


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        pytest.param({"/a": {"get": operation(), "put": operation("get_thing")}}, "get_thing"),
        pytest.param({"/a": {"get": operation()}, "/b": {"get": operation()}}, "get_thing"),
        pytest.param({"/a": {"get": operation()}, "/b": {"get": operation(tag="Us")}}, "get_thing"),
        pytest.param({"/a": {"get": {"responses": {"200": {"description": "d"}}}}}, "/a"),
        (
            {"/a": {"get": operation(parameters=[{"in": "query", "name": "q", "schema": ref("Nowhere")}])}},
            "get_thing|Nowhere",
        ),
        pytest.param({"/a": {"get": operation(responses={"200": ref("Nowhere")})}}, "Nowhere"),
        ({"/a/{id}": {"get": operation()}}, "Path parameters do not match"),
        pytest.param(
            {
                "/a": {
                    "post": operation(
                        parameters=[{"in": "query", "name": "body", "schema": TEXT}],
                        requestBody={"content": {"application/json": {"schema": ref("Thing")}}},
                    )
                }
            },
            "get_thing",
        ),
    ],
    ids=["one name", "one id", "one id, two tags", "no id", "parameter", "answer", "path", "body"],
)
def test_an_operation_that_would_be_lost_is_named(paths: Json, told: str, workshop: Workshop) -> None:
    assert re.search(told, workshop.refused(document(paths=paths)))


# ----------------------------------------------------------------------------------------------------- what comes out


def test_a_small_document_comes_out_as_it_was_meant(workshop: Workshop) -> None:
    fields: Json = {
        "$type": TEXT,
        "class": {**TEXT, "default": "first"},
        "1st": {"type": "integer", "minimum": 1, "maximum": 9, "default": 4, "description": "How many."},
        "madeAt": {**TEXT, "format": "date-time", "readOnly": True},
        "level": {"anyOf": [ref("Level"), {"type": "null"}]},
        "parts": {"type": "array", "items": ref("Thing")},
        "by_name": {"type": "object", "additionalProperties": ref("Thing")},
        "anything": {},
    }
    named = {"Big": {**obj(**fields), "required": ["$type", "class"]}, "Level": {"enum": ["low", "high"], **TEXT}}
    body = {"content": {"application/json": {"schema": ref("Big")}}}
    assert workshop.make(document(named, {"/big": {"post": operation(requestBody=body)}})) == 0
    code = """
import inspect, json
from civitai_api.oauth.models import Big, Level, Thing
big = Big(type="a", parts=[Thing(name="b")])
read = Big.from_dict({"madeAt": "2025-01-01T00:00:00.1234567Z", "by_name": {"c": {}}, "level": "none", "new": [1]})
print(json.dumps({
    "arguments": {name: item.default is item.empty for name, item in inspect.signature(Big).parameters.items()},
    "written": big.to_dict(),
    "read": [read.made_at.year, type(read.by_name["c"]).__name__, read.to_dict()],
    "doc": " ".join(Big.__doc__.split()),
}))
"""
    found = run(code, workshop.out)
    arguments = {name: needed for name, needed in found["arguments"].items() if name != "additional_properties"}
    names = ["type", "class_", "field_1st", "level", "parts", "by_name", "anything"]
    assert arguments == {name: name == "type" for name in names}
    assert found["written"] == {"$type": "a", "parts": [{"name": "b"}]}
    source = {"madeAt": "2025-01-01T00:00:00.1234567Z", "by_name": {"c": {}}, "level": "none", "new": [1]}
    assert found["read"] == [2025, "Thing", source]
    assert "How many. 1 to 9; the server's default is `4`." in found["doc"]


HOSTILE = "Quotes \"\"\" and ''' and \\ and \\N{x} and {{ braces }} {% raw %} # \r\n\x00 end\\"


def test_no_text_of_a_document_becomes_code(workshop: Workshop) -> None:
    named = {
        "Thing": {**obj(name={**TEXT, "description": HOSTILE, "default": HOSTILE, "pattern": HOSTILE})},
        "Level": {**TEXT, "enum": [HOSTILE, "", "a b", "None"], "description": HOSTILE},
    }
    for schema in named.values():
        schema["description"] = HOSTILE
    parameters = [{"in": "query", "name": 'q"\\', "schema": TEXT, "description": HOSTILE}]
    given = operation(summary=HOSTILE, description=HOSTILE, parameters=parameters)
    body = {"content": {"application/json": {"schema": ref("Thing")}}}
    assert workshop.make(document(named, {'/a"\\': {"post": {**given, "requestBody": body}}})) == 0
    code = """
import json
from civitai_api.oauth.api.things import get_thing
from civitai_api.oauth.models import Thing
request = get_thing.request(body=Thing(name="a"), q="b")
print(json.dumps([request.path, dict(request.query), Thing.__doc__ + get_thing.request.__doc__]))
"""
    path, query, doc = run(code, workshop.out)
    assert path == '/a"\\'
    assert query == {'q"\\': "b"}
    assert "braces }} {% raw %}" in doc
    workshop.survey()


def check_types(package: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", "-p", "civitai_api"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    "name",
    [
        "Model",
        "Response",
        *(pytest.param(name) for name in ("Any", "Request", "Unset")),
        *(pytest.param(name) for name in ("Class", "Import")),
    ],
)
def test_a_schema_comes_out_under_any_name_or_is_refused(name: str, workshop: Workshop) -> None:
    fields = {"one": ref(name), "maybe": {**TEXT, "format": "date-time"}, "free": {}}
    body = {"content": {"application/json": {"schema": ref(name)}}}
    paths = {"/a": {"post": operation(requestBody=body, responses={"200": {"description": "d", **body}})}}
    code = workshop.make(document({name: obj(a=TEXT), "Holder": obj(**fields)}, paths))
    if code == 0:
        check_types(workshop.out, workshop.folder / "cache")
    else:
        assert name in workshop.capsys.readouterr().err


def shipped(revision: Json) -> tuple[set[str], set[str], dict[str, dict[str, str]]]:
    """The operations and schemas of a published document, and what its discriminators map."""
    named = documents.schemas(revision)
    mappings = {
        class_name(name): {value: class_name(target.rpartition("/")[2]) for value, target in mapping.items()}
        for name, schema in named.items()
        for part in (schema, *schema.get("allOf", ()))
        if (mapping := part.get("discriminator", {}).get("mapping"))
    }
    found = {operation["operationId"] for _, _, operation in documents.operations(revision)}
    return found, {class_name(name) for name in named}, mappings


@pytest.mark.parametrize("name", ["orchestration-2025-12-19.json", "orchestration-2026-06-25.json"])
def test_a_published_revision_comes_out_whole(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "upstream" / name
    assert main(["--spec", f"orchestration={source}", "--out", str(tmp_path)]) == 0
    found = run(SURVEY, tmp_path, "orchestration")
    wanted, classes, mappings = shipped(documents.load(source))
    assert len(found["operations"]) == len(wanted)
    assert {item.rpartition(".")[2].replace("_", "") for item in found["operations"]} == {
        item.casefold() for item in wanted
    }
    assert classes <= set(found["classes"])
    assert {name: found["choices"][name][2] for name in mappings} == mappings
    check_types(tmp_path, tmp_path / "cache")
