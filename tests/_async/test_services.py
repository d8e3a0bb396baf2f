"""What can be run, and with which models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_api.orchestration.models import LoadingResourceAvailability
from civitai_ext import Air, AirError, AsyncCivitai, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


def page(*ids: str, **fields: Any) -> Answer:
    return Answer(200, json.dumps({"items": [{"id": id} for id in ids]} | fields).encode())


# ------------------------------------------------------------------------------------------------------------ services


async def test_services_are_listed_in_pages_and_without_a_token(civitai: AsyncCivitai, emulator: Emulator) -> None:
    pager = civitai.services.list(page_size=4)
    services = await pager.to_list()
    assert len({service.id for service in services}) == len(services) == pager.total == 6
    assert [dict(each.query)["offset"] for each in emulator.journal] == ["0", "4"]
    assert {each.credential for each in emulator.journal} == {None}


async def test_a_list_of_services_goes_on_later(civitai: AsyncCivitai) -> None:
    everything = await civitai.services.list().to_list()
    begun = civitai.services.list(page_size=4)
    first = await begun.take(3)
    rest = await civitai.services.list(cursor=begun.cursor, page_size=2).to_list()
    assert [service.id for service in [*first, *rest]] == [service.id for service in everything]


async def test_filters_of_services(civitai: AsyncCivitai, emulator: Emulator) -> None:
    found = civitai.services.list(
        category="image", prefix="image/flux2", tags="imageGen", query="9b", status="available", window="7d", limit=5
    )
    assert [service.id for service in await found.to_list()] == ["image/flux2/klein/createImage/9b"]
    assert emulator.journal[-1].query == (
        ("category", "image"),
        ("prefix", "image/flux2"),
        ("tags", "imageGen"),
        ("query", "9b"),
        ("status", "available"),
        ("window", "7d"),
        ("limit", "5"),
        ("offset", "0"),
    )


@pytest.mark.parametrize(
    "filters",
    [
        {"category": ""},
        {"prefix": 5},
        {"tags": "a,b"},
        {"tags": []},
        {"query": " "},
        {"status": "fine"},
        {"window": "a day"},
        {"window": 24},
        {"page_size": 51},
    ],
)
async def test_filters_that_cannot_be(scripted: AsyncCivitai, server: FaultServer, filters: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequest):
        await scripted.services.list(**filters).to_list()
    with pytest.raises(errors.InvalidRequest):
        await scripted.services.list(cursor="next").to_list()
    with pytest.raises(TypeError):
        scripted.services.list(categories="image")  # type: ignore[call-arg]
    assert server.received == []


@pytest.mark.parametrize("total", [{}, {"totalCount": None}, {"totalCount": "3"}])
async def test_without_a_total_a_full_page_has_another(
    scripted: AsyncCivitai, server: FaultServer, total: dict[str, Any]
) -> None:
    server.script(page("a", "b", **total), page("c", **total))
    pager = scripted.services.list(page_size=2)
    assert [service.id async for service in pager] == ["a", "b", "c"]
    assert pager.total is None
    assert [request.target for request in server.received] == [
        "/v2/services?limit=2&offset=0",
        "/v2/services?limit=2&offset=2",
    ]


async def test_pages_that_are_cut_short_leave_nothing_out(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(page("a", totalCount=3), page("b", "c", totalCount=3))
    assert [service.id async for service in scripted.services.list(page_size=2)] == ["a", "b", "c"]
    assert server.received[1].target.endswith("offset=1")


async def test_an_empty_page_ends_the_list(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(page("a", totalCount=9), page(totalCount=9))
    assert [service.id async for service in scripted.services.list(page_size=1)] == ["a"]
    assert len(server.received) == 2


async def test_a_service_has_a_history(civitai: AsyncCivitai, emulator: Emulator) -> None:
    service = await civitai.services.get("image/flux2/klein/createImage/9b", window="7d", interval="1h")
    assert service.history
    assert len(service.history.buckets) == 24
    assert emulator.journal[-1].credential is None
    with pytest.raises(errors.NotFound):
        await civitai.services.get("image/none")


async def test_slashes_of_an_id_stay(scripted: AsyncCivitai, server: FaultServer) -> None:
    await scripted.services.get("image/a b/c?d")
    assert server.received[0].target == "/v2/services/image/a%20b/c%3Fd"
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize("id", ["", "/", "image/", "image//x", "..", "image/../x", None, 5])
async def test_ids_that_no_service_has(scripted: AsyncCivitai, server: FaultServer, id: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="id of a service"):
        await scripted.services.get(id)
    with pytest.raises(errors.InvalidRequest):
        await scripted.services.get("image/x", interval="often")
    assert server.received == []


# ----------------------------------------------------------------------------------------------------------- resources


async def test_resources_that_are_being_loaded(civitai: AsyncCivitai, emulator: Emulator) -> None:
    everything = await civitai.resources.list().to_list()
    assert len(everything) > 3
    assert await civitai.resources.list(view="queue", page_size=2).to_list() == everything
    assert {type(resource.availability) for resource in everything} == {LoadingResourceAvailability}
    with pytest.raises(errors.InvalidRequest, match="queue"):
        civitai.resources.list(view="all")
    with pytest.raises(TypeError):
        civitai.resources.list(status="all")  # type: ignore[call-arg]


async def test_a_resource_by_its_air(civitai: AsyncCivitai, emulator: Emulator) -> None:
    (listed,) = await civitai.resources.list(limit=1).to_list()
    air = Air.parse(listed.air)
    for named in (air, listed.air, f" {listed.air.removeprefix('urn:air:')}"):
        resource = await civitai.resources.get(named)
        assert resource.air == listed.air
    assert resource.availability
    assert resource.availability.status == "loading"
    with pytest.raises(errors.NotFound):
        await civitai.resources.get("urn:air:sdxl:lora:civitai:1@2")
    async with AsyncCivitai(False, orchestration_url=emulator.url) as anonymous:
        with pytest.raises(errors.AuthenticationError):
            await anonymous.resources.get(air)


async def test_slashes_of_an_air_stay(scripted: AsyncCivitai, server: FaultServer) -> None:
    await scripted.resources.get("urn:air:flux1:checkpoint:huggingface:org/name@main")
    assert server.received[0].target == "/v2/resources/urn%3Aair%3Aflux1%3Acheckpoint%3Ahuggingface%3Aorg/name%40main"


@pytest.mark.parametrize("air", ["", "nonsense", "huggingface/org/name", "urn:air:x:y:huggingface:a/../b@1"])
async def test_what_is_no_air(scripted: AsyncCivitai, server: FaultServer, air: str) -> None:
    with pytest.raises((AirError, errors.InvalidRequest)):
        await scripted.resources.get(air)
    assert server.received == []


@pytest.mark.parametrize("body", [{}, {"items": None, "next": 5}, {"items": [1, None], "next": ""}, {"next": [1]}])
async def test_a_page_of_any_shape_ends_the_list(scripted: AsyncCivitai, server: FaultServer, body: Any) -> None:
    server.script(Answer(200, json.dumps(body).encode()))
    assert await scripted.resources.list().to_list() == []
    assert await scripted.services.list().to_list() == []


async def test_a_resource_of_any_shape_can_be_looked_at(scripted: AsyncCivitai, server: FaultServer) -> None:
    server.script(Answer(200, b'{"air": null, "availability": {"status": "melting", "heat": 9}, "size": "big"}'))
    resource = await scripted.resources.get("urn:air:sdxl:lora:civitai:1@2")
    assert resource.availability
    assert (resource.availability.status, resource.availability["heat"]) == ("melting", 9)
