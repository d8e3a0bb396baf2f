"""One path through every layer: catalogue, price, submit, wait, save."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from civitai_api.orchestration.api.workflows import get_workflow, query_workflows
from civitai_api.orchestration.models import (
    Flux2KleinCreateImageInput,
    ImageGenStep,
    ImageUpscalerInput,
    SdxlCreateImageGenInput,
)
from civitai_ext import Air, AsyncCivitai, Progress, Step, errors
from civitai_ext.emulator import Emulator
from tests._async.helpers import no_sleep

pytestmark = pytest.mark.anyio


def picture(prompt: str = "a cat astronaut", **fields: Any) -> Flux2KleinCreateImageInput:
    return Flux2KleinCreateImageInput(prompt=prompt, width=512, height=512, **fields)


def submits(emulator: Emulator) -> list[Any]:
    return [each for each in emulator.journal if each.method == "POST" and each.path == "/v2/consumer/workflows"]


# ---------------------------------------------------------------------------------------------------------- catalogue


async def test_a_search_gives_typed_models(civitai: AsyncCivitai) -> None:
    found = await civitai.models.list(types="LORA", sort="Most Downloaded", limit=3).to_list()
    assert len(found) == 3
    assert {model.type for model in found} == {"LORA"}
    downloads = [model.stats.download_count for model in found]
    assert downloads == sorted(downloads, key=lambda count: count or 0, reverse=True)


async def test_a_list_goes_through_every_page(civitai: AsyncCivitai, emulator: Emulator) -> None:
    whole = [model.id async for model in civitai.models.list(nsfw=True)]
    paged = [model.id async for model in civitai.models.list(nsfw=True, page_size=7)]
    assert whole == paged
    assert len(set(whole)) == len(whole) > 40
    first = civitai.models.list(nsfw=True, page_size=7)
    begun = [model.id for model in await first.take(10)]
    rest = [model.id async for model in civitai.models.list(nsfw=True, cursor=first.cursor)]
    assert begun + rest == whole


async def test_switches_that_are_off_are_not_sent(civitai: AsyncCivitai, emulator: Emulator) -> None:
    await civitai.models.list(limit=1, early_access=False, supports_generation=False, favorites=False).to_list()
    assert dict(emulator.journal[-1].query) == {"limit": "1"}


async def test_a_model_its_version_and_its_air(civitai: AsyncCivitai) -> None:
    (listed,) = await civitai.models.list(types=["Checkpoint"], base_models=["SDXL 1.0"], limit=1).to_list()
    model = await civitai.models.get(listed.id)
    version = await civitai.model_versions.get(model.model_versions[0].id)
    air = Air.parse(version.air or "")
    assert (air.ecosystem, air.type, air.model_id, air.version_id) == ("sdxl", "checkpoint", model.id, version.id)
    assert Air.for_version(version) == air


async def test_what_is_not_there_says_so(civitai: AsyncCivitai) -> None:
    with pytest.raises(errors.NotFound, match="No model with id 5"):
        await civitai.models.get(5)


@pytest.mark.parametrize("id", ["x", "5", 0, -1, 2**31, 1.0, True, None])
async def test_ids_that_nothing_can_have_are_not_sent(civitai: AsyncCivitai, emulator: Emulator, id: Any) -> None:
    for get in (civitai.models.get, civitai.model_versions.get):
        with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
            await get(id)
    assert not emulator.journal


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"types": "LORA,Checkpoint"}, "types holds 'LORA,Checkpoint'"),
        ({"types": []}, "types is empty"),
        ({"query": "  "}, "query is empty"),
        ({"limit": -1}, "limit is -1"),
    ],
)
async def test_filters_that_the_service_would_misread_are_not_sent(
    civitai: AsyncCivitai, emulator: Emulator, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        civitai.models.list(**filters)
    assert not emulator.journal


async def test_favorites_need_a_token(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncCivitai(site_url=emulator.url) as anonymous:
        with pytest.raises(errors.InvalidRequest, match="there is no token"):
            anonymous.models.list(favorites=True)
        assert len(await anonymous.models.list(limit=2).to_list()) == 2


# ------------------------------------------------------------------------------------------------------------ account


async def test_me(civitai: AsyncCivitai) -> None:
    me = await civitai.me()
    assert (me.username, me.tier) == ("emulated", "bronze")


async def test_a_wrong_token_is_told_where_it_came_from(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", "sesame-that-opens-nothing")
    async with AsyncCivitai(site_url=emulator.url) as civitai:
        with pytest.raises(errors.AuthenticationError, match="CIVITAI_TOKEN") as caught:
            await civitai.me()
    assert "sesame" not in str(caught.value) + repr(caught.value) + repr(civitai)


async def test_no_token_is_told_which_variables_were_looked_at(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncCivitai(site_url=emulator.url) as civitai:
        with pytest.raises(errors.AuthenticationError, match=r"CIVITAI_TOKEN.*CIVITAI_API_TOKEN.*CIVITAI_API_KEY"):
            await civitai.me()


async def test_a_host_that_is_not_there_is_named() -> None:
    async with AsyncCivitai(site_url="http://127.0.0.1:9") as civitai:
        civitai.transport.sleep = no_sleep
        with pytest.raises(errors.ConnectionFailed, match=r"127\.0\.0\.1:9"):
            await civitai.models.get(1)


# --------------------------------------------------------------------------------------------------------- generation


async def test_the_main_job(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    hero = Step(picture(), name="hero")
    big = Step(ImageUpscalerInput(image=hero.output.images[0].url))
    estimate = await civitai.workflows.estimate(hero, big)
    assert estimate.total is not None
    assert estimate.total > 0
    assert estimate.affordable is True
    assert sum(estimate.currencies.values()) == estimate.total
    before = sum(emulator.ledger.balance.values())

    seen: list[Progress] = []
    workflow = await civitai.workflows.submit(hero, big, tags=["demo"], max_cost=estimate.total)
    done = await workflow.wait(timeout=60, on_progress=seen.append)

    assert done is workflow
    assert done.status == "succeeded"
    assert before - sum(emulator.ledger.balance.values()) == estimate.total
    assert [step.name for step in done.steps] == ["hero", "step2"]
    assert isinstance(done.steps[0], ImageGenStep)
    assert isinstance(done.steps[0].input, Flux2KleinCreateImageInput)
    assert seen[-1].status == "succeeded"
    assert seen[-1].fraction == 1
    paths = await done.save(tmp_path / "out")
    assert [path.suffix for path in paths] == [".png", ".png"]
    with Image.open(paths[0]) as small, Image.open(paths[1]) as large:
        assert small.size == (512, 512)
        assert large.size > small.size
        assert "a cat astronaut" in small.text["parameters"]  # type: ignore[attr-defined]
    assert sorted(tmp_path.rglob("*.part")) == []
    assert [each.credential for each in emulator.journal if "/blobs/content/" in each.path] == [None, None]


async def test_a_version_of_the_catalogue_is_generated_with(civitai: AsyncCivitai, emulator: Emulator) -> None:
    (model,) = await civitai.models.list(types=["Checkpoint"], base_models=["SDXL 1.0"], limit=1).to_list()
    version = await civitai.model_versions.get(model.model_versions[0].id)
    air = Air.parse(version.air or "")
    done = await civitai.workflows.run(SdxlCreateImageGenInput(prompt="x", model=air, width=512, height=512))
    assert done.steps[0].to_dict()["input"]["model"] == str(version.air)
    assert submits(emulator)[0].body["steps"][0]["input"]["model"] == str(air)


async def test_every_submit_has_a_key_and_no_estimate_has(civitai: AsyncCivitai, emulator: Emulator) -> None:
    await civitai.workflows.submit(picture(), max_cost=1000)
    await civitai.workflows.submit(picture())
    priced, first, second = submits(emulator)
    assert ("whatif", "true") in priced.query
    assert "externalId" not in priced.body
    assert first.body["externalId"] != second.body["externalId"]


async def test_a_key_of_ones_own_is_never_paid_twice(civitai: AsyncCivitai, emulator: Emulator) -> None:
    first = await civitai.workflows.submit(picture(), external_id="order-17", max_cost=1000)
    balance = dict(emulator.ledger.balance)
    again = await civitai.workflows.submit(picture(), external_id="order-17", max_cost=1000)
    assert again.id == first.id
    assert dict(emulator.ledger.balance) == balance


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ü", "a:b"])
async def test_a_key_that_the_service_would_refuse(civitai: AsyncCivitai, emulator: Emulator, key: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="1 to 128"):
        await civitai.workflows.submit(picture(), external_id=key)
    assert not emulator.journal


async def test_a_budget_is_kept(civitai: AsyncCivitai, emulator: Emulator) -> None:
    with pytest.raises(errors.BudgetExceeded, match="at most 1 is allowed") as caught:
        await civitai.workflows.submit(picture(quantity=4), max_cost=1)
    assert caught.value.estimate.total > 1
    assert [("whatif", "true") in each.query for each in submits(emulator)] == [True]


async def test_a_wrong_type_is_an_error_before_the_request(civitai: AsyncCivitai, emulator: Emulator) -> None:
    wrong: Any = Flux2KleinCreateImageInput(prompt=3)  # type: ignore[arg-type]
    for call in (civitai.workflows.estimate, civitai.workflows.submit):
        with pytest.raises(errors.InvalidRequest, match=r"prompt of Flux2KleinCreateImageInput takes text"):
            await call(wrong)
    with pytest.raises(errors.InvalidRequest, match="There is no option 'tag'"):
        await civitai.workflows.submit(picture(), tag=["x"])  # type: ignore[call-arg]
    with pytest.raises(errors.InvalidRequest, match=r"workflow\.tags"):
        await civitai.workflows.submit(picture(), tags="x")
    assert not emulator.journal


async def test_what_the_service_refuses_is_told_with_the_field(civitai: AsyncCivitai) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        await civitai.workflows.submit({"$type": "imageGen", "input": {"engine": "flux2"}}, validate="off")
    assert "prompt" in str(caught.value).lower()


async def test_not_enough_buzz(emulator: Emulator) -> None:
    with Emulator(models=1, balance={"blue": 1, "green": 0, "yellow": 0}) as poor:
        async with AsyncCivitai(poor.token, orchestration_url=poor.url) as civitai:
            estimate = await civitai.workflows.estimate(picture())
            assert estimate.affordable is False
            with pytest.raises(errors.InsufficientBuzz):
                await civitai.workflows.submit(picture())


# ------------------------------------------------------------------------------------------------------------ waiting


@pytest.mark.parametrize(
    ("word", "error", "status"),
    [("[fail]", errors.WorkflowFailed, "failed"), ("[expire]", errors.WorkflowExpired, "expired")],
)
async def test_an_end_without_success_is_an_error(
    civitai: AsyncCivitai, word: str, error: type[errors.WorkflowError], status: str
) -> None:
    workflow = await civitai.workflows.submit(Step(picture(f"a cat {word}"), name="hero"))
    with pytest.raises(error, match="step hero") as caught:
        await workflow.wait(timeout=600)
    assert caught.value.workflow is workflow
    assert pickle.loads(pickle.dumps(caught.value)).workflow.status == status  # noqa: S301
    again = await civitai.workflows.attach(workflow.id).wait(raise_on_failure=False)
    assert again.status == status
    assert again.outputs == []


async def test_a_canceled_workflow(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    workflow = await civitai.workflows.submit(picture())
    await workflow.cancel()
    with pytest.raises(errors.WorkflowCanceled, match="was canceled"):
        await workflow.wait()


async def test_the_time_to_wait_is_bounded(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    workflow = await civitai.workflows.submit(picture())
    with pytest.raises(errors.WaitTimeout, match="goes on") as caught:
        await workflow.wait(timeout=0)
    assert caught.value.workflow_id == workflow.id
    assert isinstance(caught.value, TimeoutError)
    emulator.clock.advance(3600)
    assert (await civitai.workflows.wait(caught.value.workflow_id, timeout=5)).status == "succeeded"


async def test_a_timeout_can_cancel(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    workflow = await civitai.workflows.submit(picture())
    with pytest.raises(errors.WaitTimeout):
        await workflow.wait(timeout=0, cancel_on_timeout=True)
    assert (await workflow.refresh()).status == "canceled"


async def test_one_look_is_enough_when_the_service_holds_it(civitai: AsyncCivitai, emulator: Emulator) -> None:
    workflow = await civitai.workflows.submit(picture())
    await workflow.wait()
    looks = [each for each in emulator.journal if each.method == "GET" and each.path.endswith(workflow.id)]
    assert len(looks) == 1
    assert dict(looks[0].query) == {"wait": "90"}


async def test_a_workflow_that_is_over_is_not_asked_for(civitai: AsyncCivitai, emulator: Emulator) -> None:
    workflow = await (await civitai.workflows.submit(picture())).wait()
    asked = len(emulator.journal)
    await workflow.wait()
    assert len(emulator.journal) == asked


@pytest.mark.parametrize("id", ["", "..", None, 5])
async def test_an_id_that_is_none(civitai: AsyncCivitai, emulator: Emulator, id: Any) -> None:
    for call in (civitai.workflows.get, civitai.workflows.cancel, civitai.workflows.delete):
        with pytest.raises(errors.InvalidRequest, match="not the id of a workflow"):
            await call(id)
    with pytest.raises(errors.InvalidRequest, match="not the id of a workflow"):
        civitai.workflows.attach(id)
    assert not emulator.journal


async def test_workflows_are_found_again(civitai: AsyncCivitai) -> None:
    ids = [(await civitai.workflows.submit(picture(str(number)), tags=["mine"])).id for number in range(3)]
    await civitai.workflows.submit(picture("other"))
    listed = [workflow.id async for workflow in civitai.workflows.list(tags=["mine"], page_size=2)]
    assert sorted(listed) == sorted(ids)
    await civitai.workflows.delete(ids[0])
    with pytest.raises(errors.NotFound):
        await civitai.workflows.get(ids[0])


# ------------------------------------------------------------------------------------------------------------- saving


async def test_an_url_that_has_run_out_is_signed_again(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path
) -> None:
    done = await civitai.workflows.run(picture())
    emulator.clock.speed = 0
    emulator.clock.advance(14 * 24 * 3600)
    (path,) = await done.save(tmp_path)
    with Image.open(path) as image:
        assert image.size == (512, 512)
    assert [each.status for each in emulator.journal if "/blobs/" in each.path] == [401, 200, 200]


async def test_saving_twice_replaces(civitai: AsyncCivitai, tmp_path: Path) -> None:
    done = await civitai.workflows.run(picture(quantity=2))
    first = await done.save(tmp_path)
    first[0].write_bytes(b"old")
    assert await done.save(tmp_path) == first
    assert sorted(tmp_path.iterdir()) == sorted(first)
    assert first[0].stat().st_size > 3
    (tmp_path / "plain").touch()
    assert first[0].stat().st_mode == (tmp_path / "plain").stat().st_mode


async def test_what_was_blocked_is_told(
    civitai: AsyncCivitai, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = await civitai.workflows.submit(picture("a cat [block]"))
    done = await workflow.wait(raise_on_failure=False)
    with caplog.at_level(logging.WARNING, "civitai_ext"):
        paths = await done.save(tmp_path)
    blocked = [blob for blob in done.outputs if blob.blocked_reason]
    assert len(caplog.records) == len(blocked)
    assert len(paths) + len(blocked) == len(done.outputs)


async def test_a_folder_that_cannot_be_made(civitai: AsyncCivitai, tmp_path: Path) -> None:
    done = await civitai.workflows.run(picture())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        await done.save(tmp_path / "file" / "out")


# ---------------------------------------------------------------------------------------------------------- low level


async def test_generated_operations_run_on_the_same_connections(civitai: AsyncCivitai) -> None:
    workflow = await civitai.workflows.submit(picture())
    data = await get_workflow.asyncio(civitai.transport, workflow_id=workflow.id)
    assert data.id == workflow.id
    result = await query_workflows.asyncio_detailed(civitai.transport, take=1)
    assert result.status == 200
    assert result.headers["server"] == "civitai-ext-emulator"
    assert [item.id for item in result.parsed.items] == [workflow.id]
