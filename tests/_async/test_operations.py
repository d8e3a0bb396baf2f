"""Every operation of `openapi/orchestration.yaml` is called once, by name, and the emulator answers it well."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from civitai_api.orchestration.api.blobs import get_blocked_content
from civitai_api.orchestration.api.civitai_consumer import invalidate_user_cache, invalidate_user_tokens
from civitai_api.orchestration.api.streaming_blobs import get_streaming_blob
from civitai_api.orchestration.models import BlobArchiveEntry, BlobArchiveInput, EchoInput, Flux2KleinCreateImageInput
from civitai_ext import AsyncCivitai, Step, errors
from civitai_ext.emulator import Emulator
from tests.emulator.test_emulator_inputs import RECIPES, sample
from tests.operations import Operations

pytestmark = pytest.mark.anyio

OPERATIONS = Operations.of("orchestration.yaml")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A Civitai of one's own, so fast that a recipe is done before its request is."""
    with Emulator(models=20, speed=20_000, balance={"yellow": 10_000_000}) as emulator:
        yield emulator


async def test_every_operation_is_called(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    picture = buffer.getvalue()
    blob = await civitai.blobs.upload(picture)
    done = await civitai.workflows.run(
        Flux2KleinCreateImageInput(prompt="x", width=512, height=512),
        BlobArchiveInput(entries=[BlobArchiveEntry(blob_id=str(blob.id))]),
    )
    await done.add_tag("old")
    archive = next(each for each in done.outputs if each.type == "archive")
    emulator.clock.speed = 0
    fresh = await civitai.workflows.submit(Step(EchoInput(message="x"), name="parrot"))
    service = (await civitai.services.list(limit=1).to_list())[0]
    version = next(iter(emulator._catalogue.version_by_id.values()))
    transport, key = civitai.transport, str(blob.url).rpartition("/")[2]

    async def blocked() -> None:
        with pytest.raises(errors.AuthenticationError):  # nothing here is blocked, so that no token opens it
            await get_blocked_content.asyncio(transport, encrypted_token="x")

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "UploadConsumerBlob": lambda: civitai.blobs.upload(picture),
        "GetConsumerBlobUploadUrl": lambda: civitai.blobs.presign(),
        "HeadBlob": lambda: civitai.blobs.exists(str(blob.id)),
        "GetBlob": lambda: civitai.blobs.url(str(blob.id)),
        "RefreshBlob": lambda: civitai.blobs.refresh(str(blob.id)),
        "GetBlobContent": lambda: civitai.blobs.read(blob),
        "GetBlobArchive": lambda: archive.save(tmp_path / "all.zip"),
        "GetBlockedContent": blocked,
        "GetStreamingBlob": lambda: get_streaming_blob.asyncio(transport, blob_key=key),
        "InvalidateUserCache": lambda: invalidate_user_cache.asyncio(transport, user_id=1),
        "InvalidateUserTokens": lambda: invalidate_user_tokens.asyncio(transport, user_id=1),
        "ListServices": lambda: civitai.services.list(limit=1).to_list(),
        "GetService": lambda: civitai.services.get(service.id),
        "QueryResources": lambda: civitai.resources.list(view="queue", limit=1).to_list(),
        "GetResource": lambda: civitai.resources.get(version.air),
        "SubmitWorkflow": lambda: civitai.workflows.submit(EchoInput(message="x")),
        "QueryWorkflows": lambda: civitai.workflows.list(limit=1).to_list(),
        "GetWorkflow": lambda: civitai.workflows.get(fresh.id),
        "UpdateWorkflow": lambda: civitai.workflows.update(fresh.id, metadata={"a": 1}),
        "PatchWorkflow": lambda: civitai.workflows.patch(fresh.id, {}, {"metadata": {"b": 2}}),
        "AddWorkflowTag": lambda: civitai.workflows.add_tag(fresh.id, "new"),
        "RemoveWorkflowTag": lambda: civitai.workflows.remove_tag(fresh.id, "new"),
        "RemoveAllWorkflowTags": lambda: civitai.workflows.remove_all_tags(done.id),
        "GetWorkflowStep": lambda: civitai.workflows.steps.get(fresh.id, "parrot"),
        "UpdateWorkflowStep": lambda: civitai.workflows.steps.update(fresh.id, "parrot", metadata={"a": 1}),
        "PatchWorkflowStep": lambda: civitai.workflows.steps.patch(fresh.id, "parrot", {}, {"metadata": {"b": 1}}),
        "DeleteWorkflow": lambda: civitai.workflows.delete(fresh.id),
    }
    recipes = {operation["operationId"]: type_ for type_, operation in RECIPES.items()}
    assert calls.keys() | recipes.keys() == set(OPERATIONS.names.values())
    assert not calls.keys() & recipes.keys()

    emulator.journal.clear()
    for call in calls.values():
        await call()
    assert [OPERATIONS.of_request(each.method, each.path) for each in emulator.journal] == list(calls)
    assert {each.status for each in emulator.journal} <= {200, 201, 202, 204, 308, 401}


@pytest.mark.parametrize("type_", sorted(RECIPES))
async def test_every_recipe_is_invoked(civitai: AsyncCivitai, emulator: Emulator, type_: str) -> None:
    operation = RECIPES[type_]
    air = next(iter(emulator._catalogue.version_by_id.values())).air
    body = sample(operation["requestBody"]["content"]["application/json"]["schema"], "image", air)
    if type_ in ("training", "imageResourceTraining"):
        body["epochs"] = 1  # no request lasts as long as a training usually does
    if type_ in ("blobArchive", "repeat"):
        # There is no such blob, and nothing that a recipe could go through.
        with pytest.raises(errors.BadRequest):
            await civitai.recipes.invoke(body, type=type_)
    else:
        documented = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        answer = await civitai.recipes.invoke(body, type=type_)
        bases = {base.__name__.casefold() for base in type(answer).__mro__}
        assert documented.rpartition("/")[2].casefold() in bases
    (asked,) = emulator.journal
    assert OPERATIONS.of_request(asked.method, asked.path) == operation["operationId"]
