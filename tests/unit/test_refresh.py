"""`scripts.refresh`: what is accepted, what the house form is, what is refused, and that a refusal writes nothing."""

import copy
import hashlib
import json
import socket
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import validate

from scripts.openapi import documents, lock
from scripts.openapi.documents import DocumentError, check_openapi, dump, load, operations, parse, schemas
from scripts.openapi.normalise import normalise
from scripts.refresh.__main__ import main

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
UPSTREAM = ROOT.parent / "shared" / "upstream"
PUBLISHED = [UPSTREAM / "orchestration-2025-12-19.json", UPSTREAM / "orchestration-2026-06-25.json"]
needs_upstream = pytest.mark.skipif(not UPSTREAM.exists(), reason="the published revisions are not here")


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def make(named: Json | None = None, count: int = 10, version: str = "3.1.1", **top: Any) -> Json:
    """A document with `count` operations, the first of which takes and answers a Thing."""
    paths: Json = {
        f"/v2/things/{n}": {"get": {"operationId": f"GetThing{n}", "tags": ["Things"], "responses": {"204": {}}}}
        for n in range(1, count)
    }
    body = {"application/json": {"schema": ref("Thing")}}
    paths["/v2/things"] = {
        "post": {
            "operationId": "MakeThing",
            "tags": ["Things"],
            "requestBody": {"content": body},
            "responses": {"200": {"description": "prose", "content": body}},
        }
    }
    named = {"Thing": {"type": "object", "properties": {"name": {"type": "string"}}}, **(named or {})}
    return {
        "openapi": version,
        "info": {"title": "x", "version": "1"},
        "paths": paths,
        **top,
        "components": {"schemas": named},
    }


def thing(field: Json, version: str = "3.0.4") -> Json:
    """What the house form makes of one field."""
    document = make(
        {"Thing": {"type": "object", "properties": {"it": field}}, "Other": {"type": "object"}}, version=version
    )
    found: Json = schemas(normalise(document))["Thing"]["properties"]["it"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An `openapi/` folder with a small document in it."""
    folder = tmp_path / "openapi"
    folder.mkdir()
    (folder / "orchestration.yaml").write_text(dump(normalise(make())), encoding="utf-8")
    (folder / "site.yaml").write_text("openapi: 3.1.1\n", encoding="utf-8")
    lock.update(folder)
    return folder


@pytest.fixture
def publish(tmp_path: Path) -> Any:
    """Writes a document (or any bytes) to a file and gives its path."""

    def write(content: Json | bytes, name: str = "published.json") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    return write


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------------- published revisions


@needs_upstream
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_revision_has_a_valid_house_form(path: Path) -> None:
    published = load(path)
    check_openapi(published)
    untouched = copy.deepcopy(published)
    found = normalise(published)

    assert published == untouched
    validate(found)
    assert normalise(found) == found
    assert parse(dump(found).encode()) == found
    assert set(schemas(found)) == set(schemas(published))
    assert {o["operationId"] for _, _, o in operations(found)} == {
        o["operationId"] for _, _, o in operations(published)
    }


@needs_upstream
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_revision_loses_its_prose_and_nothing_else(path: Path) -> None:
    published, found = schemas(load(path)), schemas(normalise(load(path)))

    def fields(named: Json, name: str) -> set[str]:
        parts = [named[name], *named[name].get("allOf", [])]
        own = {field for part in parts for field in part.get("properties", {})}
        bases = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
        return own.union(*(fields(named, base) for base in bases))

    assert {name: fields(found, name) for name in found} == {name: fields(published, name) for name in published}
    prose = "Either A URL, A DataURL or a Base64 string"
    assert prose in path.read_text(encoding="utf-8")
    text = dump(normalise(load(path)))
    assert prose not in text
    assert "(?:urn:)?" not in text
    assert text.count("format: media") > 20
    assert text.count("format: air") > 10


@needs_upstream
def test_both_dialects_come_to_one_form() -> None:
    """3.0.4 states a discriminator's value beside `allOf`, 3.1.1 inside it and again in every subclass below."""
    old, new = (schemas(normalise(load(path))) for path in PUBLISHED)
    same = [name for name in old if "allOf" in old[name] and old[name] == new.get(name)]
    assert {"EchoStepTemplate", "ImageGenStepTemplate", "VideoBlob", "Wan22FalImageToVideoInput"} <= set(same)
    assert len(same) > 60


@needs_upstream
def test_the_next_revision_replaces_the_last(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = map(str, PUBLISHED)
    assert main([old, "--openapi", str(folder), "--allow-fewer"]) == 0
    capsys.readouterr()
    assert main([new, "--openapi", str(folder), "--check"]) == 1
    checked = capsys.readouterr().out
    assert main([new, "--openapi", str(folder)]) == 0
    assert capsys.readouterr().out == checked

    assert load(folder / "orchestration.yaml") == normalise(load(new))
    entry = tomllib.loads((folder / "sources.lock").read_text())["documents"]["orchestration"]
    assert entry["source"] == "orchestration-2026-06-25.json"
    assert entry["published_sha256"] == hashlib.sha256(Path(new).read_bytes()).hexdigest()
    assert entry["sha256"] == hashlib.sha256((folder / "orchestration.yaml").read_bytes()).hexdigest()
    assert main([new, "--openapi", str(folder), "--check"]) == 0
    assert "No drift" in capsys.readouterr().out


def test_the_committed_document_is_in_the_house_form() -> None:
    found = load(ROOT / "openapi" / "orchestration.yaml")
    assert normalise(found) == found
    assert dump(found) == (ROOT / "openapi" / "orchestration.yaml").read_text(encoding="utf-8").partition("\n")[2]
    assert (sum(1 for _ in operations(found)), len(schemas(found))) >= (77, 765)


# --------------------------------------------------------------------------------------------------------- house form


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["null", "string"]}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"nullable": True}, {}),
        ({"type": "null"}, {}),
        (
            {"type": "string", "enum": ["b", "a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["b", "a", None]},
        ),
        ({"type": "integer", "enum": [3, 20], "default": 5}, {"type": "integer", "enum": [3, 20, 5], "default": 5}),
        ({"type": "string", "const": "x"}, {"type": "string", "enum": ["x"]}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "number", "default": 4.0}, {"type": "number", "default": 4}),
        ({**ref("Other"), "description": "prose", "nullable": True}, {"anyOf": [ref("Other"), {"type": "null"}]}),
        ({"allOf": [ref("Other")], "description": "prose"}, ref("Other")),
        ({"allOf": [ref("Other")], "nullable": True}, {"anyOf": [ref("Other"), {"type": "null"}]}),
        ({"allOf": [ref("Other")], "readOnly": True}, {**ref("Other"), "readOnly": True}),
        (
            {"oneOf": [{"type": "string"}, {"type": "number"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        ),
        (
            {"type": "null", "anyOf": [{"type": "string"}, {"type": "object"}]},
            {"anyOf": [{"type": "string"}, {"type": "object"}, {"type": "null"}]},
        ),
        (
            {"type": "object", "additionalProperties": {"nullable": True}},
            {"type": "object", "additionalProperties": {}},
        ),
        ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": {}}),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        ({"type": "string", "example": "x", "title": "T", "description": "prose", "x-a": 1}, {"type": "string"}),
        ({"type": "string", "pattern": "^(?:urn:)?(?:air:)?(?<source>a)$"}, {"type": "string", "format": "air"}),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
        (
            {"type": "string", "description": "Either A URL, A DataURL or a Base64 string"},
            {"type": "string", "format": "media"},
        ),
        ({"type": "string", "description": "A base64 data URI"}, {"type": "string"}),
        (
            {"type": "object", "properties": {"description": {"type": "string"}, "example": {"type": "string"}}},
            {"type": "object", "properties": {"description": {"type": "string"}, "example": {"type": "string"}}},
        ),
    ],
)
def test_a_field_in_the_house_form(given: Json, expected: Json) -> None:
    found = thing(given)
    assert found == expected
    assert thing(found, "3.1.1") == expected


BASE = {
    "type": "object",
    "required": ["kind", "id"],
    "properties": {"kind": {"type": "string"}, "id": {"type": "string"}},
    "discriminator": {"propertyName": "kind", "mapping": {"z": "Zebra", "a": "#/components/schemas/Ape"}},
}


def test_a_subclass_says_only_what_its_bases_do_not() -> None:
    beside = {
        "allOf": [ref("Animal"), {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}],
        "properties": {"kind": {"type": "string", "enum": ["a"]}},
        "required": ["kind"],
        "description": "prose",
    }
    inside = {
        "allOf": [
            ref("Animal"),
            {
                "type": "object",
                "required": ["tail", "kind"],
                "properties": {
                    "tail": {"type": "integer"},
                    "id": {"type": "string", "maxLength": 9},
                    "kind": {"type": "string", "enum": ["z"]},
                },
                "additionalProperties": False,
            },
        ]
    }
    below = {
        "allOf": [
            ref("Zebra"),
            {
                "type": "object",
                "properties": {"kind": {"type": "string", "enum": ["z"]}, "id": {"type": "string", "maxLength": 9}},
            },
        ]
    }
    named = schemas(normalise(make({"Animal": BASE, "Ape": beside, "Zebra": inside, "Foal": below})))

    assert named["Animal"]["discriminator"]["mapping"] == {
        "a": "#/components/schemas/Ape",
        "z": "#/components/schemas/Zebra",
    }
    assert named["Animal"]["required"] == ["id", "kind"]
    assert named["Ape"] == {
        "allOf": [ref("Animal"), {"properties": {"kind": {"enum": ["a"], "type": "string"}}, "type": "object"}]
    }
    assert named["Zebra"]["allOf"][1]["properties"] == {
        "id": {"maxLength": 9, "type": "string"},
        "kind": {"enum": ["z"], "type": "string"},
        "tail": {"type": "integer"},
    }
    assert named["Zebra"]["allOf"][1]["required"] == ["tail"]
    assert named["Foal"] == {"allOf": [ref("Zebra")]}


def test_a_mapping_fixes_the_value_that_a_subclass_does_not_state() -> None:
    child = {"allOf": [ref("Animal")]}
    named = schemas(normalise(make({"Animal": BASE, "Ape": child, "Zebra": child})))
    assert named["Zebra"]["allOf"][1]["properties"] == {"kind": {"enum": ["z"], "type": "string"}}

    unmapped = {**BASE, "discriminator": {"propertyName": "kind"}}
    stated = {"allOf": [ref("Animal")], "properties": {"kind": {"type": "string", "enum": ["z"]}}}
    named = schemas(normalise(make({"Animal": unmapped, "Ape": child, "Zebra": stated})))
    mapping = {"Ape": "#/components/schemas/Ape", "z": "#/components/schemas/Zebra"}
    assert named["Animal"]["discriminator"]["mapping"] == mapping


def test_an_operation_in_the_house_form() -> None:
    document = make()
    kinds = {kind: {"schema": {"type": "string"}} for kind in ("text/json", "application/json", "application/*+json")}
    document["components"]["parameters"] = {
        "Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    }
    document["paths"]["/v2/odd/{id}"] = {
        "parameters": [{"$ref": "#/components/parameters/Id", "description": "prose"}],
        "put": {
            "summary": "prose",
            "parameters": [
                {"name": "z", "in": "query", "schema": {"type": "boolean"}, "example": True},
                {"name": "a", "in": "query", "schema": {"type": "string", "nullable": True}},
            ],
            "requestBody": {"description": "", "content": kinds},
            "callbacks": {},
            "responses": {"422": {"description": "prose"}, "200": {"description": "", "content": kinds}},
        },
    }
    assert normalise(document)["paths"]["/v2/odd/{id}"]["put"] == {
        "operationId": "PutV2OddId",
        "parameters": [
            {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
            {"in": "query", "name": "z", "schema": {"type": "boolean"}},
            {"in": "query", "name": "a", "schema": {"type": ["string", "null"]}},
        ],
        "requestBody": {"content": {"application/json": {"schema": {"type": "string"}}}},
        "responses": {
            "200": {"content": {"application/json": {"schema": {"type": "string"}}}, "description": "OK"},
            "422": {"description": "Unprocessable Content"},
        },
        "security": [{"bearer": []}],
    }


def test_what_a_revision_does_not_say_stays_as_it_is_known() -> None:
    """Which operations need no token, and which texts are media, is missing in some published revisions."""
    media = {"type": "object", "properties": {"image": {"type": "string", "format": "media"}}}
    known = make({"Thing": media})
    known["paths"]["/v2/things/1"]["get"]["security"] = []
    known = normalise(known)
    silent = make({"Thing": {"type": "object", "properties": {"image": {"type": "string"}}}}, security=[{}])
    assert normalise(silent, known) == known

    silent["paths"]["/v2/things/1"]["get"]["security"] = [{"ApiKey": []}]
    silent["components"]["schemas"]["Thing"]["properties"]["image"] = {"type": "integer"}
    found = normalise(silent, known)
    assert found["paths"]["/v2/things/1"]["get"]["security"] == [{"bearer": []}]
    assert schemas(found)["Thing"]["properties"]["image"] == {"type": "integer"}


def test_the_text_does_not_depend_on_the_order_of_the_source() -> None:
    def backwards(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: backwards(node[key]) for key in reversed(node)}
        return [backwards(value) for value in node] if isinstance(node, list) else node

    document = make({"Animal": BASE, "Ape": {"allOf": [ref("Animal")]}, "Zebra": {"allOf": [ref("Animal")]}})
    assert dump(normalise(backwards(document))) == dump(normalise(document))


def test_yaml_means_what_json_means() -> None:
    values = [
        "16:9",
        "on",
        "no",
        "2026-08-20",
        "1e5",
        "010",
        "null",
        "",
        "1_000",
        "a: b",
        "é",
        5e-05,
        1e300,
        True,
        None,
    ]
    text = dump({"values": values, "200": {"z": 1, "a": []}})
    assert parse(text.encode()) == {"200": {"a": [], "z": 1}, "values": values}
    assert parse(b"a: [on, 16:9, 2026-08-20, 5e-05, 1.5, true, ~]\n200: x") == {
        "a": ["on", "16:9", "2026-08-20", 5e-05, 1.5, True, None],
        "200": "x",
    }
    assert "\r" not in text


# --------------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize("version", ["3.0.1", "3.0.4", "3.1.0", "3.1.1"])
def test_versions_that_are_accepted(folder: Path, publish: Any, version: str) -> None:
    assert main([publish(make(version=version)), "--openapi", str(folder)]) == 0
    assert load(folder / "orchestration.yaml")["openapi"] == "3.1.1"


def test_a_yaml_document_is_accepted(folder: Path, publish: Any) -> None:
    source = publish(dump(make(count=11)).encode(), "published.yaml")
    assert main([source, "--openapi", str(folder)]) == 0
    assert load(folder / "orchestration.yaml") == normalise(make(count=11))


def test_the_report_is_printed_as_text_or_json(folder: Path, publish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    source = publish(make(count=11))
    assert main([source, "--openapi", str(folder), "--check"]) == 1
    assert "+ things.get_thing_10 [GetThing10, GET /v2/things/10]" in capsys.readouterr().out
    assert main([source, "--openapi", str(folder), "--check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["semver"], report["after"]["operations"]) == ("minor", 11)
    assert [change["kind"] for change in report["changes"]] == ["added"]
    assert content(folder) == before


def test_prose_is_no_drift(folder: Path, publish: Any) -> None:
    document = make()
    document["info"]["description"] = "new words"
    document["components"]["schemas"]["Thing"]["description"] = "new words"
    assert main([publish(document), "--openapi", str(folder), "--check"]) == 0


CUT = json.dumps(make()).encode()[:-40]
DANGLING = make()
DANGLING["components"]["schemas"]["Thing"]["properties"]["other"] = ref("Gone")
HTML = b"<!DOCTYPE html>\n<html><head><title>Just a\n moment...</title></head></html>"
INHERITS = {"allOf": [ref("Loop")]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (HTML, 'is a web page with the title "Just a moment..."'),
        (CUT, "is cut off at line 1"),
        (b'{"openapi": "3.1.1",, }', "is broken JSON at line 1, column 21"),
        (b"a: [1, 2", "is neither JSON nor YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[]", "holds no object"),
        (b"[" * 100_000, "is nested too deeply"),
        ({"message": "Not found"}, "is no OpenAPI document"),
        ({"swagger": "2.0"}, "is Swagger 2.0"),
        (make(version="3.0.0"), "is OpenAPI 3.0.0; versions 3.0.1 to 3.1 are understood"),
        (make(version="3.2.0"), "is OpenAPI 3.2.0"),
        ({"openapi": "3.1.1", "paths": {}}, "has no paths"),
        ({"openapi": "3.1.1", "paths": make()["paths"]}, "has no schemas"),
        (make() | {"paths": {"/v2": {"summary": "x"}}}, "has no operations"),
        (make() | {"paths": {"/v2": []}}, "/v2 of its paths is no object"),
        (DANGLING, "refers to what it does not hold: #/components/schemas/Gone"),
        (make(count=7), "has 7 operations where 10 are known"),
        (make({"Animal": BASE}), "maps a to Ape, which is not in the document"),
        (make({"Loop": INHERITS}), "schema Loop inherits from itself"),
        (make({"Thing": {"properties": []}, "Bad": {"properties": ["x"]}}), "malformed"),
    ],
)
def test_what_is_refused_leaves_the_folder_as_it_was(
    folder: Path, publish: Any, capsys: pytest.CaptureFixture[str], document: Json | bytes, message: str
) -> None:
    before = content(folder)
    source = publish(document)
    assert main([source, "--openapi", str(folder)]) == 2
    out, error = capsys.readouterr()
    first, second = error.splitlines()
    assert first.startswith(f"refused: {source}: ")
    assert message in first
    assert "Nothing was written" in second
    assert out == ""
    assert content(folder) == before


def test_fewer_operations_are_taken_on_demand(folder: Path, publish: Any) -> None:
    assert main([publish(make(count=8)), "--openapi", str(folder)]) == 0
    assert main([publish(make(count=2)), "--openapi", str(folder), "--allow-fewer"]) == 0
    assert sum(1 for _ in operations(load(folder / "orchestration.yaml"))) == 2


def test_a_file_that_is_not_there(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    assert main([str(tmp_path / "none.json"), "--openapi", str(folder)]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err
    assert content(folder) == before


def test_both_files_are_written_or_none(
    folder: Path, publish: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(folder)
    original = Path.replace

    def fail_at_the_lock(self: Path, target: Path) -> Path:
        if target.name == "sources.lock":
            raise OSError("the disk is full")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_the_lock)
    assert main([publish(make(count=11)), "--openapi", str(folder)]) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert content(folder) == before


# --------------------------------------------------------------------------------------------------------------- URLs


class Handler(BaseHTTPRequestHandler):
    """Answers what the test put on the server."""

    def do_GET(self) -> None:
        status, headers, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/openapi.json"


def test_a_url_is_read_and_locked(folder: Path, server: HTTPServer) -> None:
    body = json.dumps(make(count=11)).encode()
    server.answer = (200, {"Content-Length": str(len(body))}, body)  # type: ignore[attr-defined]
    assert main([url(server), "--openapi", str(folder)]) == 0
    source = lock.read(folder).documents["orchestration"]
    assert (source.source, source.published_sha256) == (url(server), hashlib.sha256(body).hexdigest())
    assert source.retrieved == lock.today()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b"{}"), "the server answered 404"),
        ((200, {}, HTML), "is a web page"),
        ((200, {"Content-Length": "999999"}, json.dumps(make()).encode()), "the answer broke off"),
        ((200, {"Transfer-Encoding": "chunked"}, b"ff\r\n{"), "the answer broke off"),
        ((200, {}, b"x" * 200_000), "is larger than"),
    ],
)
def test_a_bad_answer_is_refused(
    folder: Path,
    server: HTTPServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, dict[str, str], bytes],
    message: str,
) -> None:
    before = content(folder)
    monkeypatch.setattr(documents, "MAX_BYTES", 100_000)
    server.answer = answer  # type: ignore[attr-defined]
    assert main([url(server), "--openapi", str(folder)]) == 2
    assert message in capsys.readouterr().err
    assert content(folder) == before


def test_an_answer_that_trickles_is_given_up(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, documents.MAX_SECONDS + 1])
    monkeypatch.setattr(documents, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    server.answer = (200, {}, b"{")  # type: ignore[attr-defined]
    with pytest.raises(DocumentError, match="no whole answer within 60 seconds"):
        documents.read(url(server))


def test_nobody_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/openapi.json"
        assert main([address, "--openapi", str(folder)]) == 2
    assert f"refused: {address}: cannot be reached" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- lock


def test_the_lock_notices_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("oauth", "generator"):
        (folder / f"{name}.yaml").write_text(f"openapi: 3.1.1 # {name}\n", encoding="utf-8")
    assert lock.check(folder) == ["generator.yaml is not in sources.lock", "oauth.yaml is not in sources.lock"]
    assert lock.main(["--openapi", str(folder)]) == 0
    assert lock.main(["--openapi", str(folder), "--check"]) == 0

    before = lock.read(folder)
    (folder / "site.yaml").write_text("openapi: 3.1.0\n", encoding="utf-8")
    (folder / "oauth.yaml").unlink()
    assert lock.main(["--openapi", str(folder), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "oauth.yaml is missing",
        "site.yaml is not the one in sources.lock",
    ]
    assert lock.read(folder) == before
    after = lock.update(folder)
    assert after == lock.read(folder)
    assert after.documents["orchestration"] == before.documents["orchestration"]
    assert after.documents["site"].sha256 == hashlib.sha256(b"openapi: 3.1.0\n").hexdigest()


def test_a_broken_lock_is_named(folder: Path, publish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sources.lock").write_text("[documents.site]\nsource = 1\n", encoding="utf-8")
    before = content(folder)
    assert lock.main(["--openapi", str(folder), "--check"]) == 2
    assert main([publish(make()), "--openapi", str(folder)]) == 2
    assert capsys.readouterr().err.count("sources.lock: cannot be understood") == 2
    assert content(folder) == before
