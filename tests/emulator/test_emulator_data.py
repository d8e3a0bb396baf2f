"""What outlasts a run, what a folder must be like, and the command that uses it."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
import pkgutil
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import civitai_ext.emulator
from civitai_ext.emulator import Emulator, EmulatorError
from civitai_ext.emulator.keeping import state
from civitai_ext.emulator.keeping.graph import Graph, UnreadableError

# Without certificates, as nothing is called by https: to load them takes longer than most tests.
_BARE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_request = functools.partial(httpx.request, verify=_BARE)

COMMAND = [sys.executable, "-m", "civitai_ext.emulator", "--port", "0"]
WORKFLOWS = "/v2/consumer/workflows"
START = datetime(2026, 8, 1, tzinfo=UTC)
ECHO = {"$type": "echo", "input": {"message": "hello"}}
PICTURE = {
    "$type": "imageGen",
    "input": {
        "engine": "flux2", "model": "klein", "operation": "createImage", "prompt": "a cat", "width": 512, "height": 512,
    },
}  # fmt: skip
Json = dict[str, Any]


@contextmanager
def _run(folder: Path, **settings: Any) -> Iterator[tuple[Emulator, httpx.Client]]:
    """One run of an emulator, and a client of it."""
    usual: dict[str, Any] = {"speed": 0, "models": 3, "start": START, "data": folder}
    with Emulator(**(usual | settings)) as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.url, headers=headers, timeout=20, verify=_BARE) as client:
            yield emulator, client


@contextmanager
def _command(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An emulator in a process of its own, which does not outlast the test."""
    command = [*COMMAND, "--data", str(folder), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _printed(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return "".join(process.stdout.readline() for _ in range(5))


def _submit(client: httpx.Client, *steps: Json, **fields: Any) -> str:
    answer = client.post(WORKFLOWS, json={"steps": list(steps), **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _seen(client: httpx.Client) -> list[str]:
    """All that the control shows of what is kept, whatever the port is."""
    origin = str(client.base_url).rstrip("/")
    paths = ("workflows", "jobs", "ledger", "accounts", "oauth", "clock")
    return [client.get(f"/_emulator/{path}").text.replace(origin, "http://here") for path in paths]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """Give other threads and processes the processor until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        os.sched_yield()


# What outlasts a run


def test_the_next_run_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    with _run(tmp_path / "new" / "folder") as (emulator, client):
        over = _submit(client, PICTURE, externalId="mine", tags=["kept"], metadata={"@": {"@tuple": [1]}})
        emulator.clock.advance(100)
        blob = client.get(f"{WORKFLOWS}/{over}").json()["steps"][0]["output"]["images"][0]["id"]
        content = _request("GET", f"{emulator.url}/_emulator/blobs/{blob}").content
        _submit(client, PICTURE)
        emulator.clock.advance(1)
        model = "urn:air:sd1:checkpoint:civitai:4201@130072"
        params = {"prompt": "a", "width": 512, "height": 512, "scheduler": "EulerA", "steps": 20, "cfgScale": 7}
        client.post("/v1/consumer/jobs", json={"$type": "textToImage", "model": model, "params": params})
        emulator.accounts.add("ada", tier="gold", balance={"green": 7})
        key = emulator.accounts.add_key(next(iter(emulator.accounts)), scope=16384)
        emulator.oauth.limit(key, [{"type": "absolute", "limit": 5}])
        pair = emulator.oauth.issue()
        emulator.oauth.register("A tool", id="tool")
        emulator.oauth.rate_limits = False
        version = emulator.catalogue.models[0].versions[0].id
        client.post("/api/v1/vault/toggle-version", params={"modelVersionId": version})
        vault = client.get("/api/v1/vault/all").json()["items"]
        upload = client.post("/api/v1/image-upload").json()
        _request("PUT", upload["uploadURL"], content=b"an image", headers={"Content-Type": "image/png"})
        emulator.catalogue.remove(emulator.catalogue.models[1].id)
        models = [model["id"] for model in client.get("/api/v1/models").json()["items"]]
        seen = _seen(client)
    with _run(tmp_path / "new" / "folder") as (emulator, client):
        assert _seen(client) == seen
        assert _request("GET", f"{emulator.url}/_emulator/blobs/{blob}").content == content
        assert client.get(f"{WORKFLOWS}/{over}").json()["metadata"] == {"@": {"@tuple": [1]}}
        again = client.post(WORKFLOWS, json={"steps": [ECHO], "externalId": "mine"})
        assert again.json()["id"] == over
        assert [model["id"] for model in client.get("/api/v1/models").json()["items"]] == models
        assert [item["id"] for item in client.get("/api/v1/vault/all").json()["items"]] == [vault[0]["id"]]
        assert client.get(f"/media/{upload['id']}/original=true/x.png").content == b"an image"
        limited = client.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"}).json()
        assert limited["buzzLimit"] == [{"type": "absolute", "limit": 5}]
        form = {
            "grant_type": "refresh_token",
            "refresh_token": pair.refresh_token,
            "client_id": emulator.oauth.public.id,
        }
        assert _request("POST", f"{emulator.auth_url}/api/auth/oauth/token", data=form).status_code == 200
        assert emulator.oauth.client("tool") is not None
        assert emulator.oauth.rate_limits is False
        emulator.clock.advance(100)
        workflows = client.get("/_emulator/workflows").json()["items"]
        assert [workflow["status"] for workflow in workflows] == ["succeeded", "succeeded"]


def test_two_runs_make_the_same_identifiers_as_one(tmp_path: Path) -> None:
    def ids(*folders: Path) -> list[str]:
        made = []
        for folder in folders:
            with _run(folder) as (_, client):
                made.append(_submit(client, PICTURE))
        return made

    with _run(tmp_path / "one") as (_, client):
        together = [_submit(client, PICTURE), _submit(client, PICTURE)]
    assert ids(tmp_path / "two", tmp_path / "two") == together


def test_events_that_were_not_taken_are_posted_by_the_next_run(tmp_path: Path) -> None:
    callback = {"url": "http://127.0.0.1:9/nobody", "type": ["workflow:*"]}
    told = {"url": "https://elsewhere.example/", "type": ["workflow:*"]}
    with _run(tmp_path) as (emulator, client):
        _submit(client, ECHO, callbacks=[callback, told])
        emulator.callbacks.settle()
        assert {delivery.event for delivery in emulator.deliveries} == {"workflow:unassigned"}
    with _run(tmp_path) as (emulator, client):
        emulator.clock.advance(100)
        client.get("/api/v1/enums")
        _until(lambda: len(emulator.deliveries) >= 3)
        emulator.callbacks.settle()
        posted = {(delivery.url, delivery.event) for delivery in emulator.deliveries}
    refused = [event for url, event in posted if url == callback["url"]]
    assert refused == ["workflow:unassigned"], "it comes before those that follow, and was not taken"
    assert {event for url, event in posted if url == told["url"]} == {"workflow:processing", "workflow:succeeded"}


def test_time_goes_on_where_it_was_or_at_the_present(tmp_path: Path) -> None:
    with _run(tmp_path, start=None) as (emulator, _):
        emulator.clock.advance(86_400)
        stood_at = emulator.clock.now()
    with _run(tmp_path, start=None) as (emulator, _):
        assert emulator.clock.now() == stood_at
    with _run(tmp_path, start=None, speed=1) as (emulator, _):
        assert timedelta() <= emulator.clock.now() - stood_at < timedelta(minutes=1)
    with _run(tmp_path / "past", start=START, speed=1):
        pass
    with _run(tmp_path / "past", start=None, speed=1) as (emulator, _):
        assert abs(emulator.clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    with _run(tmp_path / "past", start=START, speed=1) as (emulator, _):
        assert emulator.clock.now() - START > timedelta(days=1)


def test_a_reset_begins_anew_and_that_is_kept(tmp_path: Path) -> None:
    with _run(tmp_path) as (_, client):
        upload = client.post("/api/v1/image-upload").json()
        _request("PUT", upload["uploadURL"], content=b"an image", headers={"Content-Type": "image/png"})
        _submit(client, ECHO)
    assert list((tmp_path / "contents").iterdir())
    with _run(tmp_path) as (_, client):
        assert client.post("/_emulator/reset").json()["workflows"] == 0
    assert not list((tmp_path / "contents").iterdir())
    with _run(tmp_path) as (_, client):
        assert client.get("/_emulator/state").json()["workflows"] == 0


def test_odd_json_is_kept(tmp_path: Path) -> None:
    body = '{"steps": [{"$type": "echo", "input": {"message": "x"}}], "metadata": {"x": %s, "y": "\\ud800"}}'
    nested = "[" * 50 + "]" * 50
    with _run(tmp_path) as (_, client):
        answer = client.post(WORKFLOWS, content=body % nested, headers={"Content-Type": "application/json"})
        id_ = answer.json()["id"]
    with _run(tmp_path) as (_, client):
        assert json.dumps(client.get(f"{WORKFLOWS}/{id_}").json()["metadata"]["x"]) == nested


def test_every_kind_of_file_can_be_kept() -> None:
    package = Path(civitai_ext.emulator.__file__).parent
    names = [module.name for module in pkgutil.walk_packages([str(package)], "civitai_ext.emulator.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    sources = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and hasattr(value, "render")
    }
    assert len(sources) > 10
    assert sources <= set(state._CLASSES)


# Ends of all kinds


def test_a_killed_emulator_has_kept_what_was_there_a_second_before(tmp_path: Path) -> None:
    with _command(tmp_path, "--models", "3", "--speed", "0") as process:
        environment = dict(re.findall(r"export (\w+)=(\S+)", _printed(process)))
        with httpx.Client(base_url=environment["CIVITAI_SITE_URL"], verify=_BARE) as client:
            client.headers["Authorization"] = f"Bearer {environment['CIVITAI_TOKEN']}"
            id_ = _submit(client, ECHO)
            kept = tmp_path / "state.json"
            _until(lambda: kept.exists() and id_ in kept.read_text(encoding="utf-8"))
            process.kill()
    with _run(tmp_path) as (_, client):
        assert client.get(f"{WORKFLOWS}/{id_}").json()["status"] == "unassigned"


def test_what_a_killed_one_has_left_half_written_does_not_matter(tmp_path: Path) -> None:
    with _run(tmp_path) as (_, client):
        id_ = _submit(client, ECHO)
    for name in ("state.json.new", "emulator.json.new", "contents/0123.new"):
        (tmp_path / name).write_bytes(b'{"half')
    (tmp_path / "contents" / "abcdef").write_bytes(b"referred to by nothing")
    with _run(tmp_path) as (_, client):
        assert client.get(f"{WORKFLOWS}/{id_}").is_success
    assert not list((tmp_path / "contents").iterdir())
    # Killed before the first state was there.
    (tmp_path / "state.json").unlink()
    with _run(tmp_path) as (_, client):
        assert client.get(f"{WORKFLOWS}/{id_}").status_code == 404


def test_a_state_that_cannot_be_saved_is_said_once_and_the_emulator_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with _run(tmp_path) as (_, client):
        (tmp_path / "contents").rmdir()
        (tmp_path / "contents").write_bytes(b"in the way")
        upload = client.post("/api/v1/image-upload").json()
        _request("PUT", upload["uploadURL"], content=b"an image", headers={"Content-Type": "image/png"})
        _until(lambda: bool(caplog.records))
        assert client.get("/api/v1/enums").status_code == 200
        assert len(caplog.records) == 1
        (tmp_path / "contents").unlink()
        (tmp_path / "contents").mkdir()
    assert "cannot save its state in" in caplog.text
    with _run(tmp_path) as (_, client):
        assert client.get(f"/media/{upload['id']}/original=true/x.png").content == b"an image"


# Folders that will not do


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("emulator.json", b"{", "emulator.json is damaged"),
        ("emulator.json", b"[]", "holds something else"),
        ("emulator.json", b"{}", "holds something else"),
        ("emulator.json", b'{"format": "other"}', "holds something else"),
        ("emulator.json", b'{"format": "civitai-ext-emulator", "version": 2, "settings": {}}', "another version"),
        (
            "emulator.json",
            b'{"format": "civitai-ext-emulator", "version": 1, "settings": {"a": 1}}',
            "its settings are not",
        ),
        ("state.json", b"", "state.json is damaged"),
        ("state.json", b"[" * 100_000, "state.json is damaged"),
        ("state.json", b"[]", "state.json is damaged"),
        ("state.json", b'{"moment": "2026-01-01", "state": {"root": {}, "objects": []}}', "other parts"),
        (
            "state.json",
            b'{"state": {"root": {"@": 0}, "objects": [["Popen", {"args": "ls"}]]}}',
            "state.json is damaged",
        ),
        ("state.json", b'{"state": {"root": {"@": 0}, "objects": [["Blob", {"id": 1}]]}}', "other attributes"),
        ("state.json", b'{"state": {"root": {"@bytes": "../state.json"}, "objects": []}}', "is no name"),
        ("state.json", b'{"state": {"root": {"@bytes": "00"}, "objects": []}}', "00 is missing"),
        ("state.json", b'{"state": {"root": {"@run": "ls"}, "objects": []}}', "there is no @run"),
    ],
)
def test_a_damaged_folder_is_one_line_and_left_as_it_is(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with _run(tmp_path) as (_, client):
        _submit(client, ECHO)
    (tmp_path / name).write_bytes(content)
    before = _files(tmp_path)
    for _ in range(2):  # the first one lets go of it
        with pytest.raises(EmulatorError, match=said) as caught:
            Emulator(models=3, data=tmp_path).start()
        assert len(str(caught.value).splitlines()) == 1
        assert str(tmp_path) in str(caught.value)
    assert _files(tmp_path) == before


def test_contents_that_have_changed_are_noticed(tmp_path: Path) -> None:
    with _run(tmp_path) as (_, client):
        upload = client.post("/api/v1/image-upload").json()
        _request("PUT", upload["uploadURL"], content=b"an image", headers={"Content-Type": "image/png"})
    (content,) = (tmp_path / "contents").iterdir()
    content.write_bytes(b"an imago")
    with pytest.raises(EmulatorError, match="has changed"):
        Emulator(models=3, data=tmp_path).start()


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter one", encoding="utf-8")
    with pytest.raises(EmulatorError, match="holds something else"):
        Emulator(models=3, data=tmp_path).start()
    with pytest.raises(EmulatorError, match="is no folder"):
        Emulator(models=3, data=tmp_path / "thesis.txt").start()
    assert list(_files(tmp_path)) == ["thesis.txt"]


def test_a_folder_belongs_to_one_emulator_and_to_its_settings(tmp_path: Path) -> None:
    with _run(tmp_path), pytest.raises(EmulatorError, match="is used by another emulator"):
        Emulator(models=3, data=tmp_path).start()
    with pytest.raises(EmulatorError, match="was made with seed 1, not 2"):
        Emulator(models=3, seed=2, data=tmp_path).start()
    with _run(tmp_path):
        pass


# The command


def test_the_command_knows_the_settings_of_a_folder_and_ends_cleanly(tmp_path: Path) -> None:
    with Emulator(speed=0, models=3, seed=9, token="a'quoted'token", tier=None, data=tmp_path):
        pass
    with _command(tmp_path, "--speed", "0") as process:
        lines = _printed(process)
        shown = subprocess.check_output(["sh", "-c", f'{lines}\necho "$CIVITAI_SITE_URL $CIVITAI_TOKEN"'], text=True)
        url, _, token = shown.strip().partition(" ")
        assert token == "a'quoted'token"
        found = _request("GET", f"{url}/_emulator/state").json()
        assert (found["seed"], found["models"]) == (9, 4)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".new"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tier", "iron"], "there is no membership 'iron'"),
        (["--start", "yesterday"], "'yesterday' is no moment"),
        (["--data", str(Path(__file__).parent)], "holds something else"),
        (["--speed", "nan"], "speed"),
        (["--start", "9999-12-31T23:59:59Z"], "the clock ends with the year 8999"),
        (["--token", ""], "a token is one word"),
        (["--token", "two words"], "a token is one word"),
        (["--data", ""], "--data: a folder has a name"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    from civitai_ext.emulator.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(["--models", "2", "--port", "0", *arguments])
    errors = capsys.readouterr().err
    assert (caught.value.code, len(errors.splitlines())) == (2, 1)
    assert said in errors


def test_a_quiet_one_says_nothing(tmp_path: Path) -> None:
    with _command(tmp_path, "--models", "2", "--quiet") as process:
        _until((tmp_path / "emulator.json").exists)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


# Graphs


@dataclasses.dataclass
class Node:
    value: Any
    next: Node | None = None


_KEYS = st.text() | st.sampled_from(["@", "@dict", "@tuple"])
_PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)) | st.timedeltas() | st.frozensets(st.text())
)  # fmt: skip


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keyed = st.dictionaries(_KEYS, inner) | st.dictionaries(st.integers(), inner)
    return st.lists(inner) | st.tuples(inner, inner) | keyed


def _json(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(_KEYS, inner)


@settings(max_examples=50)
@given(st.recursive(_PLAIN, _nested, max_leaves=10))
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    graph, contents = Graph((Node,), ()), list[bytes]()

    def store(content: bytes) -> str:
        contents.append(content)
        return str(len(contents) - 1)

    node = Node(value)
    node.next = Node([node, node], node)
    written = json.loads(json.dumps(graph.write({"node": node}, store)))
    read = graph.read(written, lambda name: contents[int(name)])["node"]
    assert (read.value, type(read.value)) == (value, type(value))
    assert read.next.next is read.next.value[0] is read.next.value[1] is read


def test_long_chains_are_no_matter() -> None:
    node = None
    for number in range(3000):
        node = Node(number, node)
    graph = Graph((Node,), ())
    read = graph.read(graph.write(node, str), str.encode)
    assert (read.value, read.next.next.value) == (2999, 2997)


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner))
)
def test_whatever_is_read_fails_in_one_way(data: Any) -> None:
    for given_data in (data, {"root": data, "objects": []}, {"root": None, "objects": [["Node", data]]}):
        try:
            Graph((Node,), ()).read(given_data, str.encode)
        except UnreadableError:
            continue


def test_what_is_not_known_is_not_written() -> None:
    with pytest.raises(TypeError, match="class Graph cannot be kept"):
        Graph((), ()).write(Graph((), ()), str)
