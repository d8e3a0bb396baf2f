"""The vault: putting in and taking out does what was asked for, whatever becomes of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_ext import AsyncCivitai, errors
from civitai_ext.emulator import Emulator
from tests._async.helpers import no_sleep
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset, closed_port

pytestmark = pytest.mark.anyio


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def holds(id: int = 5) -> Answer:
    """The vault says that it has the version."""
    return answer([{"modelVersionId": id, "vaultItem": {"id": 70, "modelVersionId": id, "status": "Pending"}}])


def lacks(id: int = 5) -> Answer:
    """The vault says that it does not have it."""
    return answer([{"modelVersionId": id, "vaultItem": None}])


PUT_IN, TAKEN_OUT = answer({"success": True, "vaultId": 70}), answer({"success": True})
REFUSED = answer({"message": "You have no membership", "error": {}}, 500)
LOST: list[Action] = [Reset(), Cut(), Answer(502), Answer(200, b"<html><title>Hm", media_type="text/html")]


def calls(server: FaultServer) -> list[str]:
    """What the server was asked, in order."""
    return [request.target.partition("?")[0].rpartition("/")[2].partition("-")[0] for request in server.received]


async def storable(civitai: AsyncCivitai, emulator: Emulator, count: int) -> list[int]:
    """Versions that were put in."""
    kept: list[int] = []
    async for model in civitai.models.list(sort="Newest"):
        try:
            kept.append((await civitai.vault.add(model.model_versions[0].id)).model_version_id)
        except errors.ServerError:
            continue
        if len(kept) == count:
            break
    return kept


# ------------------------------------------------------------------------------------------------------ on the emulator


async def test_what_is_put_in_is_there_until_it_is_taken_out(civitai: AsyncCivitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    first, second = await storable(civitai, emulator, 2)
    checked = await civitai.vault.check([second, 1, first])
    assert list(checked) == [second, 1, first]
    assert [item.model_version_id if item else None for item in checked.values()] == [second, None, first]
    known = checked[first]
    assert known is not None
    assert (await civitai.vault.add(first)).id == known.id  # what else it says goes on with the clock
    await civitai.vault.remove(first)
    await civitai.vault.remove(first)
    assert [item.model_version_id async for item in civitai.vault.list()] == [second]
    vault = await civitai.vault.get()
    assert vault is not None
    assert 0 < vault.used_storage_kb < vault.storage_kb


async def test_the_toggle_itself(civitai: AsyncCivitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    (id,) = await storable(civitai, emulator, 1)
    assert not (await civitai.vault.toggle(id)).vault_id
    assert (await civitai.vault.toggle(id)).vault_id
    assert (await civitai.vault.check([id]))[id] is not None


async def test_the_list_goes_through_every_page(civitai: AsyncCivitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    kept = await storable(civitai, emulator, 5)
    pager = civitai.vault.list(page_size=2, sort="Recently Added")
    begun = await pager.take(3)
    rest = await civitai.vault.list(cursor=pager.cursor, sort="Recently Added").to_list()
    assert sorted(item.model_version_id for item in begun + rest) == sorted(kept)
    types = {item.type for item in begun + rest}
    found = await civitai.vault.list(types=["LORA", "Checkpoint"]).to_list()
    assert {item.type for item in found} == types & {"LORA", "Checkpoint"}


async def test_an_account_without_membership() -> None:
    with Emulator(models=3, tier=None) as emulator:
        async with AsyncCivitai(emulator.token, site_url=emulator.url) as civitai:
            civitai.transport.sleep = no_sleep
            assert await civitai.vault.get() is None
            assert await civitai.vault.list().to_list() == []
            (model, *_) = await civitai.models.list(nsfw=True).to_list()
            with pytest.raises(errors.ServerError) as caught:
                await civitai.vault.add(model.model_versions[0].id)
    assert "membership" in str(caught.value.body)


async def test_the_vault_of_nobody(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncCivitai(site_url=emulator.url) as anonymous:
        with pytest.raises(errors.AuthenticationError):
            await anonymous.vault.add(5)
    assert [each.method for each in emulator.journal] == ["GET"]


# --------------------------------------------------------------------------------------------------- before the request


async def test_a_single_value_is_sent_in_the_form_that_works(civitai: AsyncCivitai, emulator: Emulator) -> None:
    await civitai.vault.list(types="LORA", limit=1).to_list()
    assert [pair for pair in emulator.journal[-1].query if pair[0] == "types"] == [("types", "LORA")] * 2
    assert emulator.journal[-1].status == 200


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"types": ["LORA", "lora"]}, "spelt 'LORA'"),
        ({"sort": "Oldest"}, "sort is 'Oldest'"),
        ({"query": " "}, "query is"),
        ({"page_size": 201}, "page_size is 201"),
    ],
)
async def test_what_the_service_would_fail_at_is_not_sent(
    civitai: AsyncCivitai, emulator: Emulator, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        civitai.vault.list(**filters)
    assert not emulator.journal


@pytest.mark.parametrize("id", ["5", 0, 2**31, True, None])
async def test_ids_that_nothing_can_have_are_not_sent(civitai: AsyncCivitai, emulator: Emulator, id: Any) -> None:
    for call in (civitai.vault.add, civitai.vault.remove, civitai.vault.toggle):
        with pytest.raises(errors.InvalidRequest, match="an id is an integer"):
            await call(id)
    with pytest.raises(errors.InvalidRequest):
        await civitai.vault.check([id])
    assert await civitai.vault.check([]) == {}
    assert not emulator.journal


# ------------------------------------------------------------------------------------------------ when answers get lost


async def test_what_is_there_already_is_not_toggled(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(holds())
    assert (await scripted.vault.add(5)).id == 70
    server.script(lacks())
    await scripted.vault.remove(5)
    assert calls(server) == ["check", "check"]


@pytest.mark.parametrize("fault", LOST)
async def test_a_toggle_whose_answer_was_lost_is_looked_at_and_not_repeated(
    scripted: AsyncCivitai, server: FaultServer, fault: Action
) -> None:
    server.script(lacks(), fault, holds())
    assert (await scripted.vault.add(5)).id == 70
    assert calls(server) == ["check", "toggle", "check"]
    server.received.clear()
    server.script(holds(), fault, lacks())
    await scripted.vault.remove(5)
    assert calls(server) == ["check", "toggle", "check"]


@pytest.mark.parametrize("fault", LOST)
async def test_a_toggle_that_did_nothing_is_told_and_not_repeated(
    scripted: AsyncCivitai, server: FaultServer, fault: Action
) -> None:
    server.script(lacks(), fault, lacks())
    with pytest.raises((errors.ConnectionFailed, errors.UnexpectedResponse, errors.ServerError)):
        await scripted.vault.add(5)
    assert calls(server) == ["check", "toggle", "check", "check", "check"]


async def test_a_vault_that_takes_a_moment_to_show_it(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(lacks(), PUT_IN, lacks(), holds())
    assert (await scripted.vault.add(5)).id == 70
    server.script(holds(), TAKEN_OUT, holds(), holds(), lacks())
    await scripted.vault.remove(5)
    assert calls(server).count("toggle") == 2


async def test_a_refusal_is_told_in_the_words_of_the_service(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(lacks(), REFUSED, lacks())
    with pytest.raises(errors.ServerError, match="You have no membership"):
        await scripted.vault.add(5)
    assert calls(server) == ["check", "toggle", "check"]


async def test_somebody_else_at_the_same_time(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(lacks(), TAKEN_OUT, lacks())
    with pytest.raises(errors.UnexpectedResponse, match=r"not in the vault after it was put in.*at the same time"):
        await scripted.vault.add(5)
    server.script(holds(), PUT_IN, holds())
    with pytest.raises(errors.UnexpectedResponse, match="still in the vault after it was taken out"):
        await scripted.vault.remove(5)
    assert calls(server).count("toggle") == 2


@pytest.mark.parametrize(
    "body",
    [
        [],
        [None],
        [{"modelVersionId": 6, "vaultItem": None}],
        [{"modelVersionId": 5}],
        [{"modelVersionId": 5, "vaultItem": "yes"}],
        [{"modelVersionId": "5", "vaultItem": None}],
    ],
)
async def test_nothing_is_toggled_unless_it_is_known_what_is_there(
    scripted: AsyncCivitai, server: FaultServer, body: Any
) -> None:
    server.script(answer(body))
    for call in (scripted.vault.add, scripted.vault.remove):
        with pytest.raises(errors.UnexpectedResponse):
            await call(5)
    assert calls(server) == ["check", "check"]


async def test_a_toggle_that_was_lost_is_not_repeated(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(Reset(), PUT_IN)
    with pytest.raises(errors.ConnectionFailed):
        await scripted.vault.toggle(5)
    assert calls(server) == ["toggle"]


async def test_many_ids_are_checked_in_batches(scripted: AsyncCivitai, server: FaultServer) -> None:
    ids = list(range(1, 251))
    server.script(answer([{"modelVersionId": id, "vaultItem": None} for id in ids]))
    assert await scripted.vault.check([*ids, 1, 2]) == dict.fromkeys(ids)
    assert sorted(request.target.count("modelVersionIds=") for request in server.received) == [50, 100, 100]


async def test_a_list_of_an_account_without_a_vault(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(answer({"vault": None}))
    assert await scripted.vault.list().to_list() == []
    assert await scripted.vault.get() is None


async def test_a_vault_that_cannot_be_reached() -> None:
    async with AsyncCivitai("secret-token", site_url=f"http://127.0.0.1:{closed_port()}") as civitai:
        civitai.transport.sleep = no_sleep
        with pytest.raises(errors.ConnectionFailed):
            await civitai.vault.add(5)
