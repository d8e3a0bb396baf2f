"""What the Generator API can run, and what was used of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from civitai_api.generator.models import ProviderAssetAvailability
from civitai_ext import Air, AirError, AsyncCivitai, errors, image_job
from civitai_ext.emulator import Emulator
from tests._async.helpers import no_sleep

pytestmark = pytest.mark.anyio

MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
COVERAGE = "GET /v1/consumer/coverage"


def cat(prompt: str = "a cat", **fields: Any) -> Any:
    return image_job(MODEL, prompt, width=512, height=512, **fields)


def airs(emulator: Emulator) -> list[str]:
    return [version.air for version in emulator._catalogue.version_by_id.values()]


@pytest.mark.parametrize("given", [MODEL, Air.parse(MODEL), [MODEL], (Air.parse(MODEL), MODEL.upper())])
async def test_the_coverage_of_a_model(civitai: AsyncCivitai, emulator: Emulator, given: Any) -> None:
    found = await civitai.coverage.get(given)
    assert {air: coverage.availability for air, coverage in found.items()} == {MODEL: "Unknown"}
    assert len(emulator.journal) == 1


async def test_the_coverage_of_many_models_takes_the_fewest_requests_that_fit(
    civitai: AsyncCivitai, emulator: Emulator
) -> None:
    wanted = airs(emulator)[:100]
    found = await civitai.coverage.get(Air.parse(air) for air in wanted)
    assert list(found) == wanted
    assert {coverage.availability for coverage in found.values()} >= {"Available", "Unavailable"}
    assert any(coverage.workers for coverage in found.values())
    assert [each.status for each in emulator.journal] == [200] * 2


async def test_no_models_take_no_request(civitai: AsyncCivitai, emulator: Emulator) -> None:
    assert await civitai.coverage.get([]) == {}
    assert not emulator.journal


async def test_what_is_no_air_is_told_at_once(civitai: AsyncCivitai, emulator: Emulator) -> None:
    with pytest.raises(AirError):
        await civitai.coverage.get([MODEL, "pony"])
    with pytest.raises(errors.InvalidRequest, match="takes an AIR or several"):
        await civitai.coverage.get(5)  # type: ignore[arg-type]
    assert not emulator.journal


async def test_coverage_in_another_spelling_or_shape(civitai: AsyncCivitai, emulator: Emulator) -> None:
    emulator.faults.add(COVERAGE, fields={MODEL: "Available", MODEL.upper(): {"availability": "Soon", "eta": 5}})
    found = await civitai.coverage.get(MODEL)
    assert (found[MODEL].availability, found[MODEL]["eta"]) == ("Soon", 5)
    emulator.faults.clear()
    emulator.faults.add(COVERAGE, fields={MODEL: None})
    found = await civitai.coverage.get(MODEL)
    assert found == {MODEL: ProviderAssetAvailability(availability=None)}  # type: ignore[arg-type]


async def test_what_was_used_within_a_time(civitai: AsyncCivitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    jobs = await (await civitai.jobs.submit(cat(quantity=2))).wait()
    whole = await civitai.usage.consumption()
    assert (whole.images, whole.total_cost) == (2, jobs.cost)
    now = emulator.clock.now()
    later = await civitai.usage.consumption(now + timedelta(hours=1), now + timedelta(hours=2))
    assert (later.images, later.start_date) == (0, now + timedelta(hours=1))
    # A moment without a zone is UTC.
    naive = await civitai.usage.consumption(end=datetime(2020, 1, 1))
    assert naive.end_date == datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(errors.InvalidRequest, match="start is 'now'"):
        await civitai.usage.consumption("now")  # type: ignore[arg-type]


async def test_submissions_are_listed_page_by_page(civitai: AsyncCivitai, emulator: Emulator) -> None:
    submitted = [(await civitai.jobs.submit(cat(f"number {number}", quantity=2))).ids for number in range(5)]
    pager = civitai.usage.requests(page_size=2)
    found = await pager.take(3)
    found += await civitai.usage.requests(cursor=pager.cursor, page_size=2).to_list()
    assert [[job.job.id for job in request.jobs if job.job] for request in found] == submitted[::-1]
    assert len(await civitai.usage.requests(limit=2).to_list()) == 2


async def test_a_service_that_ignores_its_cursor_ends_the_list(civitai: AsyncCivitai, emulator: Emulator) -> None:
    for _ in range(3):
        await civitai.jobs.submit(cat())
    first = {"nextDateTime": "2026-01-01T00:00:00Z", "nextId": 3}
    emulator.faults.add("GET /v1/consumer/requests", fields={"cursor": first})
    assert len(await civitai.usage.requests(page_size=2).to_list()) == 2
    emulator.faults.clear()
    emulator.faults.add("GET /v1/consumer/requests", fields={"cursor": {"nextDateTime": None, "nextId": None}})
    assert len(await civitai.usage.requests(page_size=2).to_list()) == 2
