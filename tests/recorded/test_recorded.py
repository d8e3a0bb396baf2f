"""What the client makes of exchanges that were recorded: the requests must be the same, and what comes of the answers.

Each test has a cassette in `tests/cassettes`. `python -m scripts.cassettes` records all of them anew.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import Flux2KleinCreateImageInput, ImageGenStep, ImageUploadStepTemplate
from civitai_ext import Air, AsyncCivitai, Civitai, Progress, Step, errors
from tests.recorded.cassettes import WRONG_TOKEN

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

# A file that does not depend on the version of a drawing library.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
UPLOAD = ImageUploadStepTemplate(input=f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}")
CAT = Flux2KleinCreateImageInput(prompt="a cat astronaut", width=512, height=512, seed=7)


def echo(message: str, **fields: Any) -> dict[str, Any]:
    return {"$type": "echo", "input": {"message": message}, **fields}


# ---------------------------------------------------------------------------------------------------------- catalogue


def test_a_list_goes_on_to_its_second_page(civitai: Civitai) -> None:
    pager = civitai.models.list(sort="Most Downloaded", nsfw=True, limit=3, page_size=2)
    models = pager.to_list()
    assert len({model.id for model in models}) == 3
    downloads = [model.stats.download_count or 0 for model in models]
    assert downloads == sorted(downloads, reverse=True)
    # The second page has a fourth model, and the cursor leads to it.
    assert str(pager.cursor).startswith("~1~")


def test_a_model_and_its_version(civitai: Civitai) -> None:
    (listed,) = civitai.models.list(types=["Checkpoint"], limit=1)
    model = civitai.models.get(listed.id)
    assert (model.id, model.name, model.type) == (listed.id, listed.name, "Checkpoint")
    version = civitai.model_versions.get(model.model_versions[0].id)
    air = Air.parse(version.air or "")
    assert (air.type, air.model_id, air.version_id) == ("checkpoint", model.id, version.id)
    assert version.files[0].download_url == f"{civitai.config.site_url}/api/download/models/{version.id}"


def test_a_model_that_is_not_there(civitai: Civitai) -> None:
    with pytest.raises(errors.NotFound, match="No model with id 5") as caught:
        civitai.models.get(5)
    assert (caught.value.status, caught.value.body) == (404, {"error": "No model with id 5"})


def test_a_filter_that_the_site_refuses(civitai: Civitai) -> None:
    # Types come and go, so one that is not known here is sent all the same.
    with pytest.raises(errors.BadRequest) as caught:
        civitai.models.list(types=["Sculpture"], limit=1).to_list()
    assert list(caught.value.issues) == ["types.0"]
    assert caught.value.issues["types.0"][0].startswith("Invalid option: expected one of")


# ------------------------------------------------------------------------------------------------------------ account


def test_me(civitai: Civitai) -> None:
    me = civitai.me()
    assert (me.username, me.tier) == ("emulated", "bronze")


def test_without_a_token_none_is_sent(hosts: dict[str, Any]) -> None:
    with Civitai(**hosts) as anonymous:
        assert len(anonymous.models.list(limit=1).to_list()) == 1
        with pytest.raises(errors.AuthenticationError, match="No token was sent"):
            anonymous.me()


def test_a_token_that_is_refused(hosts: dict[str, Any]) -> None:
    refused = pytest.raises(errors.AuthenticationError, match="was sent and refused")
    with Civitai(WRONG_TOKEN, **hosts) as civitai, refused as caught:
        civitai.me()
    assert caught.value.status == 401
    assert WRONG_TOKEN not in str(caught.value)


# --------------------------------------------------------------------------------------------------------- generation


def test_an_estimate(civitai: Civitai) -> None:
    estimate = civitai.workflows.estimate(CAT)
    assert estimate.affordable is True
    assert estimate.total is not None
    assert sum(estimate.currencies.values()) == estimate.total > 0


def test_a_workflow_that_the_service_refuses(civitai: Civitai) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        civitai.workflows.submit(
            {"$type": "imageGen", "input": {"engine": "flux2"}}, external_id="recorded-1", validate="off"
        )
    assert any("prompt" in field for field in caught.value.issues)
    assert caught.value.request_id


def test_a_workflow_from_submit_to_its_end(civitai: Civitai, advance: Callable[[float], None]) -> None:
    workflow = civitai.workflows.submit(
        Step(CAT, name="hero"), external_id="recorded-1", tags=["recorded"], metadata={"order": 17}, max_cost=100
    )
    assert (workflow.status, workflow.outputs) == ("unassigned", [])
    advance(5)
    assert workflow.refresh().status == "processing"
    advance(60)
    seen: list[Progress] = []
    done = workflow.wait(on_progress=seen.append)
    assert [each.status for each in seen] == ["processing", "succeeded"]
    (step,) = done.steps
    assert isinstance(step, ImageGenStep)
    assert (step.name, step.input) == ("hero", CAT)
    (picture,) = done.outputs
    assert str(picture.url).startswith(f"{civitai.config.orchestration_url}/v2/consumer/blobs/")
    assert (picture.blob.url_expires_at or datetime.min.replace(tzinfo=UTC)) > datetime(2026, 8, 2, 12, tzinfo=UTC)


def test_a_workflow_that_fails(civitai: Civitai, advance: Callable[[float], None]) -> None:
    workflow = civitai.workflows.submit(echo("[fail]", name="parrot"), external_id="recorded-1")
    advance(60)
    with pytest.raises(errors.WorkflowFailed, match="step parrot failed") as caught:
        workflow.wait()
    assert caught.value.workflow is workflow


def test_what_came_out_is_saved(civitai: Civitai, advance: Callable[[float], None], tmp_path: Path) -> None:
    workflow = civitai.workflows.submit(UPLOAD, external_id="recorded-1")
    advance(60)
    (path,) = workflow.wait().save(tmp_path / "out")
    assert path.suffix == ".png"
    assert path.read_bytes() == PIXEL
    assert list(path.parent.iterdir()) == [path]


def test_workflows_are_listed_newest_first(civitai: Civitai, advance: Callable[[float], None]) -> None:
    ids = []
    for key, tags in (("recorded-1", ["kept"]), ("recorded-2", ["other"]), ("recorded-3", ["kept"])):
        ids.append(civitai.workflows.submit(echo(key), external_id=key, tags=tags).id)
        advance(1)
    listed = civitai.workflows.list(tags=["kept"], page_size=1)
    assert [workflow.id for workflow in listed] == [ids[2], ids[0]]


# ------------------------------------------------------------------------------------------------------- asynchronous


@pytest.mark.anyio
async def test_an_asynchronous_list(async_civitai: AsyncCivitai) -> None:
    pages = [page async for page in async_civitai.models.list(nsfw=True, limit=3, page_size=2).pages()]
    assert [len(page) for page in pages] == [2, 1]


@pytest.mark.anyio
async def test_an_asynchronous_run_and_save(
    async_civitai: AsyncCivitai, advance: Callable[[float], None], tmp_path: Path
) -> None:
    workflow = await async_civitai.workflows.submit(UPLOAD, external_id="recorded-1")
    advance(60)
    (path,) = await (await workflow.wait()).save(tmp_path)
    assert path.read_bytes() == PIXEL
