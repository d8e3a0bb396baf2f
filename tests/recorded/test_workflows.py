"""Every method of `civitai.workflows` against exchanges that were recorded."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput, ImageUploadStepTemplate
from civitai_ext import Civitai, Step, Workflow, arguments, errors

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

# A file that does not depend on the version of a drawing library.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def submitted(civitai: Civitai, key: str = "recorded-1", **options: Any) -> Workflow:
    return civitai.workflows.submit(Step(EchoInput(message=key), name="parrot"), external_id=key, **options)


def test_workflows__estimate(civitai: Civitai) -> None:
    estimate = civitai.workflows.estimate(EchoInput(message="x"), currencies=["yellow"])
    assert (estimate.total, estimate.currencies, estimate.affordable) == (1, {"yellow": 1}, True)


def test_workflows__submit(civitai: Civitai) -> None:
    first = Step(EchoInput(message=arguments["word"]), name="first")
    workflow = civitai.workflows.submit(
        first,
        EchoInput(message=first.output.message),
        arguments={"word": "hello"},
        tags=["recorded"],
        metadata={"order": 17},
        external_id="recorded-1",
        max_cost=5,
    )
    assert workflow.status == "unassigned"
    again = civitai.workflows.submit(EchoInput(message="other"), external_id="recorded-1")
    assert again.id == workflow.id


def test_workflows__run(civitai: Civitai, advance: Callable[[float], None]) -> None:
    submitted(civitai)
    advance(60)
    assert civitai.workflows.run(EchoInput(message="again"), external_id="recorded-1").text == ["recorded-1"]


def test_workflows__get(civitai: Civitai) -> None:
    workflow = submitted(civitai)
    assert civitai.workflows.get(workflow.id, hide_mature_content=True).id == workflow.id
    with pytest.raises(errors.NotFound, match="30 days"):
        civitai.workflows.get("wf_nobody_knows")


def test_workflows__read(civitai: Civitai) -> None:
    workflow = submitted(civitai, metadata={"order": 17})
    assert civitai.workflows.read(workflow.id).metadata == {"order": 17}


def test_workflows__attach(civitai: Civitai, advance: Callable[[float], None]) -> None:
    workflow = submitted(civitai)
    advance(60)
    attached = civitai.workflows.attach(workflow.id)
    assert attached.status == "unknown"
    assert attached.refresh().text == ["recorded-1"]


def test_workflows__wait(civitai: Civitai, advance: Callable[[float], None]) -> None:
    workflow = submitted(civitai)
    advance(60)
    assert [each.text for each in civitai.workflows.wait([workflow])] == [["recorded-1"]]


def test_workflows__as_completed(civitai: Civitai, advance: Callable[[float], None]) -> None:
    workflow = submitted(civitai)
    advance(60)
    assert list(civitai.workflows.as_completed([workflow])) == [workflow]


def test_workflows__list(civitai: Civitai, advance: Callable[[float], None]) -> None:
    ids = []
    for key, tags in (("recorded-1", ["kept"]), ("recorded-2", ["other"]), ("recorded-3", ["kept"])):
        ids.append(submitted(civitai, key, tags=tags).id)
        advance(1)
    listed = civitai.workflows.list(tags=["kept"], page_size=1, exclude_failed=True)
    assert [workflow.id for workflow in listed] == [ids[2], ids[0]]


def test_workflows__export(civitai: Civitai, advance: Callable[[float], None], tmp_path: Path) -> None:
    upload = ImageUploadStepTemplate(input=f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}")
    civitai.workflows.submit(upload, external_id="recorded-1", tags=["kept"])
    advance(60)
    with zipfile.ZipFile(civitai.workflows.export(tmp_path / "all.zip", tags=["kept"])) as archive:
        (name,) = archive.namelist()
        assert archive.read(name) == PIXEL


def test_workflows__cancel(civitai: Civitai) -> None:
    workflow = submitted(civitai)
    civitai.workflows.cancel(workflow.id)
    with pytest.raises(errors.WorkflowCanceled):
        workflow.refresh().raise_for_status()


def test_workflows__delete(civitai: Civitai) -> None:
    workflow = submitted(civitai)
    civitai.workflows.delete(workflow.id)
    with pytest.raises(errors.NotFound):
        workflow.refresh()


def test_workflows__update(civitai: Civitai) -> None:
    workflow = submitted(civitai, metadata={"a": 1})
    civitai.workflows.update(workflow.id, metadata={"b": 2}, tags=["new"], allow_mature_content=False)
    assert (workflow.refresh().metadata, workflow.tags) == ({"b": 2}, ["new"])


def test_workflows__patch(civitai: Civitai) -> None:
    workflow = submitted(civitai, metadata={"a": 1, "b": 2})
    civitai.workflows.patch(workflow.id, {"metadata": {"a": 1}}, {"metadata": {"a": 5, "c": None}})
    assert workflow.refresh().metadata == {"a": 5, "b": 2, "c": None}


def test_workflows__add_tag(civitai: Civitai) -> None:
    workflow = submitted(civitai, tags=["old"])
    civitai.workflows.add_tag(workflow.id, "grün / neu")
    assert workflow.refresh().tags == ["old", "grün / neu"]


def test_workflows__remove_tag(civitai: Civitai) -> None:
    workflow = submitted(civitai, tags=["old", "grün"])
    civitai.workflows.remove_tag(workflow.id, "grün")
    assert workflow.refresh().tags == ["old"]


def test_workflows__remove_all_tags(civitai: Civitai) -> None:
    workflow = submitted(civitai, tags=["old", "new"])
    civitai.workflows.remove_all_tags(workflow.id)
    assert workflow.refresh().tags == []


def test_workflows_steps__get(civitai: Civitai) -> None:
    step = civitai.workflows.steps.get(submitted(civitai).id, "parrot")
    assert (step.name, step.status) == ("parrot", "unassigned")


def test_workflows_steps__update(civitai: Civitai) -> None:
    workflow = submitted(civitai)
    civitai.workflows.steps.update(workflow.id, "parrot", metadata={"a": 1})
    assert civitai.workflows.steps.get(workflow.id, "parrot").metadata == {"a": 1}


def test_workflows_steps__patch(civitai: Civitai) -> None:
    workflow = submitted(civitai)
    civitai.workflows.steps.update(workflow.id, "parrot", metadata={"a": 1, "b": 2})
    civitai.workflows.steps.patch(workflow.id, "parrot", {"metadata": {"a": 1}}, {"metadata": {}})
    assert civitai.workflows.steps.get(workflow.id, "parrot").metadata == {"b": 2}
