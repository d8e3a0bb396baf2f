"""The public API as its users write it. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import assert_type

from civitai_api.orchestration.api.workflows import get_workflow
from civitai_api.orchestration.models import (
    Flux2KleinCreateImageInput,
    ImageGenStep,
    ImageUpscalerInput,
    SdxlCreateImageGenInput,
    Wan27FalTextToVideoInput,
    WorkflowStep,
)
from civitai_api.orchestration.models import Workflow as WorkflowData
from civitai_api.runtime import Reference, Unset
from civitai_ext import (
    Air,
    AirError,
    AsyncCivitai,
    AsyncPager,
    AsyncWorkflow,
    Civitai,
    Estimate,
    Output,
    Pager,
    Progress,
    RetryPolicy,
    Step,
    Workflow,
    arguments,
    errors,
)
from civitai_ext.account import CurrentUser
from civitai_ext.catalogue import Model, ModelVersion


def catalogue(civitai: Civitai) -> None:
    found = civitai.models.list(query="pony", types=["LORA"], sort="Most Downloaded", limit=50)
    assert_type(found, Pager[Model])
    for model in found:
        assert_type(model.name, str)
        print(model.name, model.creator.username if model.creator else None)
        for version in model.model_versions:
            assert_type(version, ModelVersion)
            for file in version.files:
                print(file.name, file.size_kb, [word.upper() for word in version.trained_words])
    for page in found.pages():
        assert_type(page, list[Model])
    assert_type(found.take(3), list[Model])
    assert_type(found.cursor, str | None)
    # Values that are not known yet are legal; a single one may stand alone.
    civitai.models.list(types="SomethingNew", base_models="SDXL 1.0")

    version = civitai.model_versions.get(2514310)
    assert_type(version, ModelVersion)
    if version.published_at:
        assert_type(version.published_at, datetime)
    air = Air.parse(version.air or "")
    assert_type(air, Air)
    assert_type(Air.try_parse("x"), Air | None)
    assert_type(civitai.me(), CurrentUser)


def generation(civitai: Civitai, air: Air) -> None:
    estimate = civitai.workflows.estimate(Flux2KleinCreateImageInput(prompt="a cat astronaut"))
    assert_type(estimate, Estimate)
    assert_type(estimate.total, float | None)
    print(estimate.total, estimate.currencies, estimate.affordable)

    hero = Step(Flux2KleinCreateImageInput(prompt="a cat astronaut"), name="hero")
    big = Step(ImageUpscalerInput(image=hero.output.images[0].url))
    workflow = civitai.workflows.submit(hero, big, tags=["demo"], max_cost=60)
    assert_type(workflow, Workflow)
    done = workflow.wait(timeout=600, on_progress=print)
    assert_type(done, Workflow)
    paths: list[Path] = done.save("out/", pattern="{date}/{step}-{number:03}", exists="skip")
    print(paths, [skipped.reason for skipped in done.save("out/").skipped])
    assert_type(done.outputs, list[Output])
    assert_type(done.images[0].read(), bytes)
    assert_type(done.text, list[str])
    for change in workflow.events():
        assert_type(change, Progress)
    assert_type(civitai.workflows.wait(workflow), Workflow)
    assert_type(civitai.workflows.wait("wf_1"), Workflow)
    assert_type(civitai.workflows.wait([workflow, "wf_1"]), list[Workflow])
    for finished in civitai.workflows.as_completed([workflow]):
        assert_type(finished, Workflow)
    civitai.workflows.submit(
        ImageUpscalerInput(image=arguments["picture"]), arguments={"picture": "https://x/y.png"}, validate="strict"
    )
    assert_type(civitai.workflows.steps.get("wf_1", "hero"), WorkflowStep)
    for step in done.steps:
        assert_type(step, WorkflowStep)
        if isinstance(step, ImageGenStep) and step.output:
            print([image.width for image in step.output.images])

    def watch(progress: Progress) -> None:
        print(progress.fraction, progress.queue_position)

    civitai.workflows.run(
        SdxlCreateImageGenInput(prompt="x", model=air, width=832, loras={"urn:air:sdxl:lora:civitai:1@2": 0.8}),
        {"$type": "echo", "input": {"message": "dict"}},
        on_progress=watch,
        currencies=["blue"],
    )
    Wan27FalTextToVideoInput(prompt="a wave", duration=5)
    Flux2KleinCreateImageInput(prompt=Reference("$arguments", "prompt"), steps=Reference("other", "output.steps"))


async def asynchronous() -> None:
    async with AsyncCivitai("token", retry=RetryPolicy(attempts=2), app="tool/1.0") as civitai:
        found = civitai.models.list(limit=3)
        assert_type(found, AsyncPager[Model])
        async for model in found:
            assert_type(model, Model)
        workflow = await civitai.workflows.submit(Flux2KleinCreateImageInput(prompt="x"))
        assert_type(workflow, AsyncWorkflow)
        await workflow.wait(timeout=5)
        assert_type(await get_workflow.asyncio(civitai.transport, workflow_id=workflow.id), WorkflowData)
        saved: list[Path] = await civitai.workflows.attach("wf").save("out")
        print(saved, await workflow.images[0].read())
        assert_type(await civitai.workflows.wait([workflow]), list[AsyncWorkflow])
        async for finished in civitai.workflows.as_completed(["wf_1"]):
            assert_type(finished, AsyncWorkflow)
        async for change in workflow.events():
            assert_type(change, Progress)


def low_level(civitai: Civitai) -> None:
    workflow = get_workflow.sync(civitai.transport, workflow_id="wf_1", wait=10)
    assert_type(workflow, WorkflowData)
    result = get_workflow.sync_detailed(civitai.transport, workflow_id="wf_1")
    assert_type(result.status, int)
    assert_type(result.parsed, WorkflowData)
    if isinstance(workflow.started_at, Unset):
        print("not started")


def failures(civitai: Civitai) -> None:
    try:
        civitai.workflows.attach("wf_1").wait()
    except errors.WorkflowFailed as error:
        print(error.workflow_id)
    except errors.WaitTimeout as error:
        assert_type(error.workflow_id, str)
    except (errors.RateLimited, AirError, TimeoutError) as error:
        print(error)


def mistakes(civitai: Civitai) -> None:
    """Each line is wrong, and a type checker has to say so: an ignore that is not needed is an error itself."""
    _ = civitai.modles  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    Flux2KleinCreateImageInput(prompt=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Flux2KleinCreateImageInput("x")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Flux2KleinCreateImageInput()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    civitai.workflows.submit(tag=["x"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    civitai.models.list(limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    get_workflow.sync(civitai.transport)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
