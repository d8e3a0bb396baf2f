# Derived from tests/_async/test_faults.py by scripts/unasync.py: change that file, then run `make fix`.
"""What a workflow's life is like when the network or the service is not well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import Civitai, Workflow, errors
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)


@pytest.fixture
def civitai(scripted: Civitai) -> Civitai:
    """The client of the server."""
    return scripted


def workflow(status: str = "processing", **fields: Any) -> Answer:
    """An answer about a workflow."""
    body = {"id": "wf_1", "status": status, "steps": [], **fields}
    return Answer(200 if status in {"succeeded", "failed"} else 202, json.dumps(body).encode())


def finished(server: FaultServer, path: str = "/content", **fields: Any) -> Answer:
    """An answer about a workflow that gave one picture."""
    blob = {"type": "image", "id": "blob.png", "available": True, "url": server.url + path, **fields}
    step = {"$type": "imageGen", "name": "hero", "status": "succeeded", "output": {"images": [blob]}}
    return workflow("succeeded", steps=[step])


# --------------------------------------------------------------------------------------------------------- submitting


@pytest.mark.parametrize(
    "fault", [Reset(), Cut(status=202), Answer(502, b"<html><title>Bad gateway</title>", media_type="text/html")]
)
def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    civitai: Civitai, server: FaultServer, fault: Action
) -> None:
    server.script(fault, workflow())
    submitted = civitai.workflows.submit(EchoInput(message="x"))
    assert submitted.id == "wf_1"
    first, second = (json.loads(request.body) for request in server.received)
    assert first == second
    assert len(first["externalId"]) == 32


def test_an_html_page_is_an_error_with_its_title(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(200, b"<!doctype html><title>Just a moment...</title>", media_type="text/html"))
    with pytest.raises(errors.UnexpectedResponse, match="Just a moment"):
        civitai.workflows.get("wf_1")


# ------------------------------------------------------------------------------------------------------------ waiting


def test_waiting_survives_what_passes(civitai: Civitai, server: FaultServer) -> None:
    server.script(workflow("preparing"), Answer(503), Reset(), Cut(), workflow("something new"), workflow("succeeded"))
    done = civitai.workflows.attach("wf_1").wait()
    assert done.status == "succeeded"
    assert len(server.received) == 6


def test_a_service_that_refuses_to_hold_is_asked_plainly(civitai: Civitai, server: FaultServer) -> None:
    pauses: list[float] = []

    def note(seconds: float) -> None:
        pauses.append(seconds)

    civitai.transport.sleep = note
    server.script(Answer(400, b'{"errors": {"wait": ["not a boolean"]}}'), *[workflow()] * 4, workflow("succeeded"))
    done = civitai.workflows.attach("wf_1").wait()
    assert done.status == "succeeded"
    targets = [request.target for request in server.received]
    assert targets == ["/v2/consumer/workflows/wf_1?wait=90", *["/v2/consumer/workflows/wf_1"] * 5]
    assert pauses == [2, 5, 10, 15, 30]


def test_a_refusal_that_has_nothing_to_do_with_holding_is_raised(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(400, b'{"title": "bad id"}'))
    with pytest.raises(errors.BadRequest, match="bad id"):
        civitai.workflows.attach("wf_1").wait()
    assert len(server.received) == 2


def test_a_workflow_that_is_gone_is_told(civitai: Civitai, server: FaultServer) -> None:
    server.script(Answer(404, b'{"title": "Not Found", "status": 404}'))
    with pytest.raises(errors.NotFound):
        civitai.workflows.attach("wf_1").wait()


# ------------------------------------------------------------------------------------------------------------- saving


def saved(civitai: Civitai, server: FaultServer, folder: Path, *script: Action) -> list[Path]:
    """Save the picture of a workflow whose host does as the script says."""
    server.script(finished(server), *script)
    done: Workflow = civitai.workflows.get("wf_1")
    return done.save(folder)


def test_a_download_is_begun_again_when_it_breaks(civitai: Civitai, server: FaultServer, tmp_path: Path) -> None:
    faults: list[Action] = [Cut(PNG[:100]), Reset(), Answer(503)]
    (path,) = saved(civitai, server, tmp_path, *faults, Answer(200, PNG, media_type="image/png"))
    assert path == tmp_path / "wf_1-hero-0.png"
    assert path.read_bytes() == PNG
    assert [request.headers.get("authorization") for request in server.received[1:]] == [None] * 4


@pytest.mark.parametrize(
    "page",
    [
        Answer(200, b"<!DOCTYPE html><title>Log in</title>", media_type="text/html"),
        Answer(200, b"\n<html>", media_type="image/png"),
        Answer(404, b"{}"),
        Answer(200, b"", media_type="image/png"),
        Answer(302, b"", {"location": "https://evil.example/"}),
    ],
)
def test_no_page_or_error_is_saved_as_a_file(
    civitai: Civitai, server: FaultServer, tmp_path: Path, page: Answer
) -> None:
    with pytest.raises((errors.UnexpectedResponse, errors.NotFound)):
        saved(civitai, server, tmp_path, page)
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_outlives_a_failed_download(civitai: Civitai, server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "wf_1-hero-0.png").write_bytes(b"old")
    with pytest.raises(errors.UnexpectedResponse):
        saved(civitai, server, tmp_path, Cut(PNG[:100]))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    "url", ["http://192.168.0.1/admin", "file:///etc/passwd", "//evil", "https://a@b/x", "ftp://x/y"]
)
def test_an_url_that_no_service_would_give_is_not_fetched(
    civitai: Civitai, server: FaultServer, tmp_path: Path, url: str
) -> None:
    server.script(finished(server, url=url))
    done = civitai.workflows.get("wf_1")
    with pytest.raises(errors.UnexpectedResponse, match="not one to fetch"):
        done.save(tmp_path)
    assert len(server.received) == 1


def test_names_from_the_service_stay_in_the_folder(civitai: Civitai, server: FaultServer, tmp_path: Path) -> None:
    blob = {"type": "image", "id": "../../etc/x.png", "available": True, "url": f"{server.url}/../../y"}
    step = {"$type": "imageGen", "name": "../../up", "status": "succeeded", "output": {"images": [blob]}}
    server.script(workflow("succeeded", id="../wf", steps=[step]), Answer(200, PNG, media_type="image/png"))
    (path,) = (civitai.workflows.get("wf_1")).save(tmp_path / "out")
    assert path.parent == tmp_path / "out"
    assert path.name == "_wf-_.._up-0.png"


def test_outputs_of_unknown_step_types_are_saved_too(civitai: Civitai, server: FaultServer, tmp_path: Path) -> None:
    blob = {"id": "b1", "available": True, "url": f"{server.url}/b1"}
    step = {"$type": "dreamGen", "name": "d", "status": "succeeded", "output": {"result": {"deep": [blob]}}}
    server.script(workflow("succeeded", steps=[step]), Answer(200, b"RIFF....", media_type="audio/wav"))
    (path,) = (civitai.workflows.get("wf_1")).save(tmp_path)
    assert path.name == "wf_1-d-0.wav"
