"""Versions of models: by id, by hash, in brief."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_ext import Air, AsyncCivitai, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, Cut, FaultServer, Reset

pytestmark = pytest.mark.anyio

A, B, C = "A" * 64, "B" * 64, "C" * 64


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def version(id: int, *hashes: str, **fields: Any) -> dict[str, Any]:
    """A version with a file for each of these hashes."""
    return {"id": id, "modelId": id * 10, "files": [{"hashes": {"SHA256": hash}} for hash in hashes], **fields}


async def some_version(civitai: AsyncCivitai) -> Any:
    """A version of the emulator that its own id finds, as plain data."""
    (model,) = await civitai.models.list(types=["LORA"], limit=1).to_list()
    return (await civitai.model_versions.get(model.model_versions[0].id)).to_dict()


# -------------------------------------------------------------------------------------------------------------- by id


async def test_a_version_in_brief(civitai: AsyncCivitai) -> None:
    known = await some_version(civitai)
    brief = await civitai.model_versions.get_mini(known["id"])
    assert brief.version_name == known["name"]
    assert Air.parse(brief.air or "").version_id == known["id"]
    file_id = known["files"][-1]["id"]
    of_file = await civitai.model_versions.get_mini(known["id"], model_file_id=file_id)
    assert str(of_file.air) == f"{brief.air}+{file_id}"
    assert [url.partition("?")[2] for url in of_file.download_urls or ()] == [f"fileId={file_id}"]


async def test_a_version_in_brief_of_a_file_that_is_not_its_own(civitai: AsyncCivitai) -> None:
    known = await some_version(civitai)
    with pytest.raises(errors.NotFound, match="Model file 5 not found"):
        await civitai.model_versions.get_mini(known["id"], model_file_id=5)


@pytest.mark.parametrize("id", ["5", 0, 2**31, True, None])
async def test_ids_that_nothing_can_have_are_not_sent(civitai: AsyncCivitai, emulator: Emulator, id: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
        await civitai.model_versions.get_mini(id)
    with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
        await civitai.model_versions.set_early_access(id, None)
    if id is not None:
        with pytest.raises(errors.InvalidRequest, match="model_file_id is"):
            await civitai.model_versions.get_mini(5, model_file_id=id)
    assert not emulator.journal


# ------------------------------------------------------------------------------------------------------------ by hash


async def test_every_kind_of_hash_finds_the_version(civitai: AsyncCivitai) -> None:
    known = await some_version(civitai)
    hashes = known["files"][0]["hashes"]
    assert {"AutoV2", "AutoV3", "SHA256", "CRC32"} <= hashes.keys()
    for hash in hashes.values():
        assert (await civitai.model_versions.by_hash(f" {hash.lower()}\n")).id == known["id"]
    found = await civitai.model_versions.by_hashes([*hashes.values(), "0" * 64, "0" * 10], try_other_kinds=True)
    assert list(found) == [*hashes.values(), "0" * 64, "0" * 10]
    assert [each.id if each else None for each in found.values()] == [*[known["id"]] * len(hashes), None, None]
    ids = await civitai.model_versions.ids_by_hashes(found, try_other_kinds=True)
    assert list(ids) == list(found)
    for hash, match in ids.items():
        if match is not None:
            assert match.to_dict() == {"modelVersionId": known["id"], "modelId": known["modelId"], "hash": hash}
    assert {hash for hash, match in ids.items() if match is None} == {"0" * 64, "0" * 10}


async def test_download_urls_that_name_no_host_are_repaired(civitai: AsyncCivitai, emulator: Emulator) -> None:
    known = await some_version(civitai)
    sha256 = known["files"][0]["hashes"]["SHA256"]
    found = (await civitai.model_versions.by_hashes([sha256]))[sha256]
    assert found is not None
    assert found.download_url == known["downloadUrl"]
    assert [file.download_url for file in found.files] == [file["downloadUrl"] for file in known["files"]]
    assert str(found.download_url).startswith(emulator.url)


async def test_an_unknown_hash(civitai: AsyncCivitai) -> None:
    with pytest.raises(errors.NotFound):
        await civitai.model_versions.by_hash("0" * 64)


@pytest.mark.parametrize("hash", ["", "xyz", "a" * 9, None])
async def test_what_is_no_hash_is_not_sent(civitai: AsyncCivitai, emulator: Emulator, hash: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        await civitai.model_versions.by_hash(hash)
    for several in (civitai.model_versions.by_hashes, civitai.model_versions.ids_by_hashes):
        with pytest.raises(errors.InvalidRequest):
            await several([A, hash])
        assert await several([]) == {}
    assert not emulator.journal


async def test_answers_in_any_order_repeated_or_null(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer([None, version(2, B), version(1, A, C), version(1, C, A), None]))
    found = await scripted.model_versions.by_hashes([C, B, A, C.lower(), "D" * 64, B])
    assert list(found) == [C, B, A, C.lower(), "D" * 64]
    assert [each.id if each else None for each in found.values()] == [1, 2, 1, 1, None]
    (request,) = server.received
    assert json.loads(request.body) == [C, B, A, "D" * 64]
    assert "authorization" not in request.headers


async def test_many_hashes_go_in_batches_that_the_service_takes(scripted: AsyncCivitai, server: FaultServer) -> None:
    hashes = [f"{number:064X}" for number in range(20_050)]
    server.script(answer([]))
    found = await scripted.model_versions.by_hashes(hashes[:250])
    assert list(found) == hashes[:250]
    assert not any(found.values())
    assert sorted(len(json.loads(request.body)) for request in server.received) == [50, 100, 100]
    assert {hash for request in server.received for hash in json.loads(request.body)} == set(hashes[:250])
    server.received.clear()
    ids = await scripted.model_versions.ids_by_hashes(hashes)
    assert list(ids) == hashes
    assert sorted(len(json.loads(request.body)) for request in server.received) == [50, 10_000, 10_000]


async def test_a_lookup_whose_answer_was_lost_is_sent_again(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(Reset(), Cut(), Answer(502), answer([version(1, A)]))
    found = (await scripted.model_versions.by_hashes([A]))[A]
    assert found is not None
    assert found.id == 1
    assert [request.method for request in server.received] == ["POST"] * 4


async def test_versions_that_do_not_show_the_hash_are_found_out(scripted: AsyncCivitai, server: FaultServer) -> None:
    d = "D" * 64
    versions = [version(2), version(1, A), version(3), version(1, A)]
    ids = [
        {"modelVersionId": 3, "modelId": 30, "hash": C},
        {"modelVersionId": 7, "modelId": 30, "hash": B},
        {"modelVersionId": 1, "modelId": 10, "hash": d},
    ]
    server.script(answer(versions), answer(ids))
    found = await scripted.model_versions.by_hashes([A, B, C, d])
    assert [each.id if each else None for each in found.values()] == [1, None, 3, 1]
    assert json.loads(server.received[1].body) == [B, C, d]


async def test_hashes_of_other_kinds_are_asked_for_one_by_one(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer({"error": "Model not found"}, 404))
    short = ["A" * 8, "b" * 10, "C" * 12]
    found = await scripted.model_versions.by_hashes(short)
    assert found == dict.fromkeys(short)
    assert sorted(request.target.rpartition("/")[2] for request in server.received) == ["A" * 8, "B" * 10, "C" * 12]


async def test_a_long_hash_is_taken_for_sha256_unless_asked(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer([]), answer(version(4)))
    assert await scripted.model_versions.by_hashes([A]) == {A: None}
    assert len(server.received) == 1
    server.script(answer([]), answer(version(4)))
    match = (await scripted.model_versions.ids_by_hashes([A], try_other_kinds=True))[A]
    assert match is not None
    assert (match.model_version_id, match.model_id, match.hash) == (4, 40, A)


async def test_a_failure_among_many_is_raised_as_it_is(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer({"error": "not from here", "code": "REGION_BLOCKED"}, 451))
    with pytest.raises(errors.RegionBlocked, match="not from here"):
        await scripted.model_versions.by_hashes([f"{number:08x}" for number in range(200)])
    assert len(server.received) < 200


# ------------------------------------------------------------------------------------------------------- early access


async def test_early_access_is_sent_as_the_site_does(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer({"id": 5}))
    assert await scripted.model_versions.set_early_access(5, None) == {"id": 5}
    await scripted.model_versions.set_early_access(5, {"permanent": True}, donation_goal=9, rights_affirmed=True)
    assert [json.loads(request.body) for request in server.received] == [
        {"id": 5, "paidAccess": None, "rightsAffirmed": False},
        {"id": 5, "paidAccess": {"permanent": True}, "donationGoal": 9, "rightsAffirmed": True},
    ]
    assert server.received[0].headers["authorization"] == "Bearer secret-token"


async def test_early_access_is_not_set_twice(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(Reset(), answer({}))
    with pytest.raises(errors.ConnectionFailed):
        await scripted.model_versions.set_early_access(5, None)
    assert len(server.received) == 1
