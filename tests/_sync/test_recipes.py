# Derived from tests/_async/test_recipes.py by scripts/unasync.py: change that file, then run `make fix`.
"""Recipes: one step run by itself, and never twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_api.orchestration.models import (
    EchoInput,
    EchoOutput,
    Flux2KleinCreateImageInput,
    ImageGenOutput,
    ImageUploadOutput,
    RepeatOutput,
)
from civitai_ext import Civitai, Step, errors
from civitai_ext.emulator import Emulator
from tests._sync.helpers import no_sleep
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset, Silence, closed_port

pytestmark = pytest.mark.anyio

CAT = Flux2KleinCreateImageInput(prompt="a cat", width=512, height=512)


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), named)


def workflow(status: str, **output: Any) -> dict[str, Any]:
    step = {"$type": "echo", "name": "$0", "status": status} | ({"output": output} if output else {})
    return {"id": "wf_1", "status": status, "steps": [step]}


# ------------------------------------------------------------------------------------------------------ on the emulator


def test_a_recipe_gives_the_output(civitai: Civitai, emulator: Emulator) -> None:
    output = civitai.recipes.invoke(CAT)
    assert isinstance(output, ImageGenOutput)
    assert output.images[0].width == 512
    assert len(civitai.blobs.read(output.images[0])) > 100
    assert (emulator.journal[0].method, emulator.journal[0].path) == ("POST", "/v2/consumer/recipes/imageGen")


def test_inputs_that_do_not_tell_their_type(civitai: Civitai, emulator: Emulator) -> None:
    said = civitai.recipes.invoke({"message": "hi"}, type="echo")
    assert said == EchoOutput(message="hi")
    picture = (civitai.recipes.invoke(CAT)).images[0]
    uploaded = civitai.recipes.invoke(str(picture.url), type="imageUpload")
    assert isinstance(uploaded, ImageUploadOutput)


def test_an_estimate_costs_nothing(civitai: Civitai, emulator: Emulator) -> None:
    before = dict(emulator.ledger.balance)
    estimate = civitai.recipes.estimate(CAT)
    assert estimate.total is not None
    assert estimate.total > 0
    assert estimate.affordable is True
    assert emulator.ledger.balance == before
    assert dict(emulator.journal[-1].query) == {"whatif": "true"}


def test_a_recipe_that_fails_or_is_refused(civitai: Civitai) -> None:
    with pytest.raises(errors.BadRequest, match="no_provider_available"):
        civitai.recipes.invoke(EchoInput(message="[fail]"))
    with pytest.raises(errors.BadRequest, match="message field is required"):
        civitai.recipes.invoke({}, type="echo")


# --------------------------------------------------------------------------------------------------- what is and is not


def test_what_is_sent(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer({"message": "hi"}))
    scripted.recipes.invoke(EchoInput(message="hi"), allow_mature_content=False, experimental=True, ephemeral=True)
    (request,) = server.received
    assert request.target == "/v2/consumer/recipes/echo?experimental=true&allowMatureContent=false&ephemeral=true"
    assert json.loads(request.body) == {"message": "hi"}


@pytest.mark.parametrize(
    ("given", "type", "said"),
    [
        ({"message": "hi"}, None, "step type"),
        ("https://x.example/cat.png", None, "step type"),
        ({"message": "hi"}, "ecco", "no recipe"),
        (EchoInput(message="hi"), "imageGen", "'echo', not 'imageGen'"),
        (EchoInput(message=5), None, "message"),  # type: ignore[arg-type]
        (EchoInput(message=Step(CAT, name="hero").output.images[0].url), None, "not in the workflow"),
        (EchoInput(message="hi"), "", "step type|not ''"),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    scripted: Civitai, server: FaultServer, given: Any, type: str | None, said: str
) -> None:
    for ask in (scripted.recipes.invoke, scripted.recipes.estimate):
        with pytest.raises(errors.InvalidRequest, match=said):
            ask(given, type=type)
    assert server.received == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_no_time_at_all(scripted: Civitai, server: FaultServer, timeout: float) -> None:
    with pytest.raises(errors.InvalidRequest, match="timeout"):
        scripted.recipes.invoke(CAT, timeout=timeout)
    assert server.received == []


# ------------------------------------------------------------------------------------------------------ lost and found


@pytest.mark.parametrize("fault", [Reset(), Cut(), answer({}, 500), answer({}, 503), answer({}, 504)])
def test_nothing_is_sent_again_that_may_have_been_accepted(
    scripted: Civitai, server: FaultServer, fault: Action
) -> None:
    server.script(fault, answer({"message": "hi"}))
    with pytest.raises(errors.CivitaiError, match=r"workflows\.list"):
        scripted.recipes.invoke(EchoInput(message="hi"))
    assert len(server.received) == 1


def test_silence_is_told_as_what_it_may_be(scripted: Civitai, server: FaultServer) -> None:
    server.script(Silence())
    with pytest.raises(errors.RequestTimeout, match=r"workflows\.list"):
        scripted.recipes.invoke(EchoInput(message="hi"), timeout=0.2)
    assert len(server.received) == 1


def test_what_was_not_accepted_is_sent_again(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer({}, 429, retry_after="1"), answer({}, 503, retry_after="1"), answer({"message": "hi"}))
    assert scripted.recipes.invoke(EchoInput(message="hi")) == EchoOutput(message="hi")
    with Civitai("t", orchestration_url=f"http://127.0.0.1:{closed_port()}") as nobody:
        nobody.transport.sleep = no_sleep
        with pytest.raises(errors.ConnectionFailed) as caught:
            nobody.recipes.invoke(EchoInput(message="hi"))
    assert "workflows.list" not in str(caught.value)


def test_an_estimate_is_asked_for_again(scripted: Civitai, server: FaultServer) -> None:
    server.script(Reset(), answer({}, 500), answer(workflow("unassigned") | {"cost": {"total": 8}}))
    assert (scripted.recipes.estimate(EchoInput(message="hi"))).total == 8


@pytest.mark.parametrize("body", [{}, {"message": "hi"}, {"cost": 5}, {"steps": 5, "status": []}])
def test_an_estimate_without_a_price(scripted: Civitai, server: FaultServer, body: Any) -> None:
    server.script(answer(body))
    assert (scripted.recipes.estimate(EchoInput(message="hi"))).total is None


# --------------------------------------------------------------------------------------- answers that are a workflow


def test_a_workflow_that_is_done_is_its_output(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer(workflow("succeeded", message="hi")))
    assert scripted.recipes.invoke(EchoInput(message="hi")) == EchoOutput(message="hi")
    assert len(server.received) == 1


def test_a_workflow_that_is_not_done_is_waited_for(scripted: Civitai, server: FaultServer) -> None:
    server.script(
        answer(workflow("processing"), 202),
        answer(workflow("processing"), 202),
        answer(workflow("succeeded", message="hi")),
    )
    assert scripted.recipes.invoke(EchoInput(message="hi")) == EchoOutput(message="hi")
    assert [request.method for request in server.received] == ["POST", "GET", "GET"]


def test_a_workflow_that_fails_is_an_error(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer(workflow("processing"), 202), answer(workflow("failed")))
    with pytest.raises(errors.WorkflowFailed) as caught:
        scripted.recipes.invoke(EchoInput(message="hi"))
    assert caught.value.workflow_id == "wf_1"


def test_a_workflow_that_is_not_done_in_time(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer(workflow("processing"), 202))
    with pytest.raises(errors.WaitTimeout) as caught:
        scripted.recipes.invoke(EchoInput(message="hi"), timeout=0.3)
    assert caught.value.workflow_id == "wf_1"


def test_steps_alone_make_no_workflow(scripted: Civitai, server: FaultServer) -> None:
    server.script(answer({"steps": [{"$type": "echo", "name": "a", "status": "succeeded"}]}))
    output = scripted.recipes.invoke({"for": [1], "as": "x", "template": {}}, type="repeat")
    assert isinstance(output, RepeatOutput)
    assert output.steps[0].name == "a"


@pytest.mark.parametrize(
    "page",
    [
        Answer(200, b"<html>", media_type="text/html"),
        Answer(200, b"{", media_type="application/json"),
        answer([1]),
        answer(None),
        answer(workflow("succeeded")),
        answer({"status": "succeeded", "steps": None}),
        answer({"status": "processing", "steps": []}, 202),
        Answer(302, b"", {"location": "https://evil.example/"}),
    ],
)
def test_answers_that_are_no_output(scripted: Civitai, server: FaultServer, page: Answer) -> None:
    server.script(page)
    with pytest.raises(errors.UnexpectedResponse):
        scripted.recipes.invoke(EchoInput(message="hi"))
    assert len(server.received) == 1
