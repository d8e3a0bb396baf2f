"""Finding workflows again, and changing them."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput, Flux2KleinCreateImageInput
from civitai_ext import AsyncCivitai, Step, errors
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio

WORKFLOWS = "/v2/consumer/workflows"


def picture(prompt: str = "a cat") -> Flux2KleinCreateImageInput:
    return Flux2KleinCreateImageInput(prompt=prompt, width=512, height=512)


# ------------------------------------------------------------------------------------------------------------- finding


async def test_lists_are_narrowed(civitai: AsyncCivitai, emulator: Emulator) -> None:
    good = await civitai.workflows.run(EchoInput(message="x"), tags=["kept", "good"], metadata={"note": "Löwe"})
    bad = await civitai.workflows.run(EchoInput(message="[fail]"), tags=["kept"], raise_on_failure=False)

    async def ids(**filters: Any) -> list[str]:
        return [each.id async for each in civitai.workflows.list(**filters)]

    assert await ids() == [bad.id, good.id]
    assert await ids(ascending=True) == [good.id, bad.id]
    assert await ids(tags=["kept", "good"]) == [good.id]
    assert await ids(query="löwe") == [good.id]
    assert await ids(exclude_failed=True) == [good.id]
    assert good.created_at is not None
    assert await ids(to_date=good.created_at) == [good.id]
    assert await ids(from_date=good.created_at + timedelta(microseconds=1)) == [bad.id]
    assert await ids(from_date=datetime(2020, 1, 1), to_date=datetime(2021, 1, 1, tzinfo=UTC)) == []
    lists = [dict(each.query) for each in emulator.journal if each.method == "GET" and each.path == WORKFLOWS]
    assert {query["hideMatureContent"] for query in lists} == {"false"}


@pytest.mark.parametrize("wrong", [{"ascending": "yes"}, {"exclude_failed": 1}])
async def test_a_switch_is_true_or_false(civitai: AsyncCivitai, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequest, match="either True or False"):
        civitai.workflows.list(**wrong)


async def test_mature_files_are_hidden_where_that_is_wanted(civitai: AsyncCivitai) -> None:
    done = await civitai.workflows.run(picture("[mature]"), allow_mature_content=True)
    assert done.images[0].url is not None
    hidden = await civitai.workflows.get(done.id, hide_mature_content=True)
    assert hidden.images[0].url is None
    assert [each.images[0].url is None async for each in civitai.workflows.list(hide_mature_content=True)] == [True]
    assert [each.images[0].url is None async for each in civitai.workflows.list()] == [False]


async def test_files_of_several_are_exported(civitai: AsyncCivitai, tmp_path: Path) -> None:
    done = [await civitai.workflows.run(picture(str(number)), tags=["x"]) for number in range(2)]
    await civitai.workflows.run(picture("other"))
    path = await civitai.workflows.export(tmp_path / "new" / "all.zip", tags=["x"])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2
        contents = {archive.read(name) for name in archive.namelist()}
    assert contents == {await each.images[0].read() for each in done}
    assert [each.name for each in path.parent.iterdir()] == ["all.zip"]


@pytest.mark.parametrize("fault", [{"html_page": True, "status": 200}, {"status": 200, "body": {"items": []}}])
async def test_no_page_is_exported_as_an_archive(
    civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path, fault: dict[str, Any]
) -> None:
    emulator.faults.add(f"GET {WORKFLOWS}", **fault)
    target = tmp_path / "all.zip"
    target.write_bytes(b"old")
    with pytest.raises(errors.UnexpectedResponse, match="no zip file"):
        await civitai.workflows.export(target)
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


async def test_an_export_that_is_refused(civitai: AsyncCivitai, emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="1 to 100"):
        await civitai.workflows.export(tmp_path / "x.zip", take=101)
    emulator.faults.add(f"GET {WORKFLOWS}", status=403)
    with pytest.raises(errors.PermissionDenied):
        await civitai.workflows.export(tmp_path / "x.zip")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ changing


async def test_what_is_known_of_a_workflow_can_be_changed(civitai: AsyncCivitai) -> None:
    workflow = await civitai.workflows.submit(EchoInput(message="x"), tags=["a"], metadata={"seen": False, "n": 1})
    await workflow.update(metadata={"seen": True}, tags=["b", "c"])
    assert (workflow.metadata, workflow.tags) == ({"seen": True}, ["b", "c"])
    assert (await workflow.add_tag("d")).tags == ["b", "c", "d"]
    assert (await workflow.remove_tag("c")).tags == ["b", "d"]
    await civitai.workflows.remove_all_tags(workflow.id)
    assert (await workflow.refresh()).tags == []


async def test_nothing_to_change_is_an_error(civitai: AsyncCivitai, emulator: Emulator) -> None:
    with pytest.raises(errors.InvalidRequest, match="nothing to change"):
        await civitai.workflows.update("wf_1")
    for change in (civitai.workflows.add_tag, civitai.workflows.remove_tag):
        with pytest.raises(errors.InvalidRequest, match="not a tag"):
            await change("wf_1", "")
    assert not emulator.journal


async def test_a_patch_leaves_what_others_changed(civitai: AsyncCivitai, emulator: Emulator) -> None:
    workflow = await civitai.workflows.submit(EchoInput(message="x"), metadata={"a/b": 1, "deep": {"x": True, "y": 2}})
    before = workflow.metadata
    await civitai.workflows.update(workflow.id, metadata={**before, "other": "kept"})
    after = {"deep": {"x": 1, "y": 2, "z": [3]}}
    await civitai.workflows.patch(workflow.id, {"metadata": before}, {"metadata": after})
    assert (await workflow.refresh()).metadata == {"deep": {"x": 1, "y": 2, "z": [3]}, "other": "kept"}
    patch = next(each for each in emulator.journal if each.method == "PATCH")
    assert {(each["op"], each["path"]) for each in patch.body} == {
        ("replace", "/metadata/deep/x"),
        ("add", "/metadata/deep/z"),
        ("remove", "/metadata/a~1b"),
    }
    asked = len(emulator.journal)
    await civitai.workflows.patch(workflow.id, {"metadata": after}, {"metadata": after})
    assert len(emulator.journal) == asked


async def test_mature_content_is_let_out(civitai: AsyncCivitai) -> None:
    done = await civitai.workflows.run(picture("[mature]"))
    (image,) = done.images
    assert image.unavailable is not None
    assert "allow_mature_content" in image.unavailable
    await done.update(allow_mature_content=True)
    assert done.images[0].unavailable is None
    assert len(await done.images[0].read()) > 100


async def test_steps_are_read_and_changed_before_they_begin(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    workflow = await civitai.workflows.submit(Step(picture(), name="hero", metadata={"a": 1}))
    assert (await civitai.workflows.steps.get(workflow.id, "hero")).metadata == {"a": 1}
    await civitai.workflows.steps.update(workflow.id, "hero", metadata={"a": 2, "b": 3})
    await civitai.workflows.steps.patch(workflow.id, "hero", {"metadata": {"a": 2}}, {"metadata": {"a": 5}})
    assert (await civitai.workflows.steps.get(workflow.id, "hero")).metadata == {"a": 5, "b": 3}
    emulator.clock.advance(60)
    with pytest.raises(errors.Conflict):
        await civitai.workflows.steps.update(workflow.id, "hero", metadata={})
    with pytest.raises(errors.NotFound):
        await civitai.workflows.steps.get(workflow.id, "nobody")
    with pytest.raises(errors.InvalidRequest, match="not the name of a step"):
        await civitai.workflows.steps.get(workflow.id, "..")


async def test_cancel_keeps_the_record_and_delete_does_not(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.clock.speed = 0
    before = emulator.ledger.total
    kept, removed = [await civitai.workflows.submit(picture()) for _ in range(2)]
    assert emulator.ledger.total < before
    await kept.cancel()
    await removed.delete()
    assert emulator.ledger.total == before
    assert [each.status async for each in civitai.workflows.list()] == ["canceled"]
    with pytest.raises(errors.NotFound, match="30 days"):
        await removed.refresh()
