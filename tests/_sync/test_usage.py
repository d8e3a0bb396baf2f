# Derived from tests/_async/test_usage.py by scripts/unasync.py: change that file, then run `make fix`.
"""What the Generator API can run, and what was used of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from civitai_api.generator.models import ProviderAssetAvailability
from civitai_ext import Air, AirError, Civitai, errors, image_job
from civitai_ext.emulator import Emulator
from tests._sync.helpers import no_sleep

pytestmark = pytest.mark.anyio

MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
COVERAGE = "GET /v1/consumer/coverage"


def cat(prompt: str = "a cat", **fields: Any) -> Any:
    return image_job(MODEL, prompt, width=512, height=512, **fields)


def airs(emulator: Emulator) -> list[str]:
    return [version.air for version in emulator._catalogue.version_by_id.values()]


@pytest.mark.parametrize("given", [MODEL, Air.parse(MODEL), [MODEL], (Air.parse(MODEL), MODEL.upper())])
def test_the_coverage_of_a_model(civitai: Civitai, emulator: Emulator, given: Any) -> None:
    found = civitai.coverage.get(given)
    assert {air: coverage.availability for air, coverage in found.items()} == {MODEL: "Unknown"}
    assert len(emulator.journal) == 1


def test_the_coverage_of_many_models_takes_the_fewest_requests_that_fit(civitai: Civitai, emulator: Emulator) -> None:
    wanted = airs(emulator)[:100]
    found = civitai.coverage.get(Air.parse(air) for air in wanted)
    assert list(found) == wanted
    assert {coverage.availability for coverage in found.values()} >= {"Available", "Unavailable"}
    assert any(coverage.workers for coverage in found.values())
    assert [each.status for each in emulator.journal] == [200] * 2


def test_no_models_take_no_request(civitai: Civitai, emulator: Emulator) -> None:
    assert civitai.coverage.get([]) == {}
    assert not emulator.journal


def test_what_is_no_air_is_told_at_once(civitai: Civitai, emulator: Emulator) -> None:
    with pytest.raises(AirError):
        civitai.coverage.get([MODEL, "pony"])
    with pytest.raises(errors.InvalidRequest, match="takes an AIR or several"):
        civitai.coverage.get(5)  # type: ignore[arg-type]
    assert not emulator.journal


def test_coverage_in_another_spelling_or_shape(civitai: Civitai, emulator: Emulator) -> None:
    emulator.faults.add(COVERAGE, fields={MODEL: "Available", MODEL.upper(): {"availability": "Soon", "eta": 5}})
    found = civitai.coverage.get(MODEL)
    assert (found[MODEL].availability, found[MODEL]["eta"]) == ("Soon", 5)
    emulator.faults.clear()
    emulator.faults.add(COVERAGE, fields={MODEL: None})
    found = civitai.coverage.get(MODEL)
    assert found == {MODEL: ProviderAssetAvailability(availability=None)}  # type: ignore[arg-type]


def test_what_was_used_within_a_time(civitai: Civitai, emulator: Emulator) -> None:
    civitai.transport.sleep = no_sleep
    jobs = (civitai.jobs.submit(cat(quantity=2))).wait()
    whole = civitai.usage.consumption()
    assert (whole.images, whole.total_cost) == (2, jobs.cost)
    now = emulator.clock.now()
    later = civitai.usage.consumption(now + timedelta(hours=1), now + timedelta(hours=2))
    assert (later.images, later.start_date) == (0, now + timedelta(hours=1))
    # A moment without a zone is UTC.
    naive = civitai.usage.consumption(end=datetime(2020, 1, 1))
    assert naive.end_date == datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(errors.InvalidRequest, match="start is 'now'"):
        civitai.usage.consumption("now")  # type: ignore[arg-type]


def test_submissions_are_listed_page_by_page(civitai: Civitai, emulator: Emulator) -> None:
    submitted = [(civitai.jobs.submit(cat(f"number {number}", quantity=2))).ids for number in range(5)]
    pager = civitai.usage.requests(page_size=2)
    found = pager.take(3)
    found += civitai.usage.requests(cursor=pager.cursor, page_size=2).to_list()
    assert [[job.job.id for job in request.jobs if job.job] for request in found] == submitted[::-1]
    assert len(civitai.usage.requests(limit=2).to_list()) == 2


def test_a_service_that_ignores_its_cursor_ends_the_list(civitai: Civitai, emulator: Emulator) -> None:
    for _ in range(3):
        civitai.jobs.submit(cat())
    first = {"nextDateTime": "2026-01-01T00:00:00Z", "nextId": 3}
    emulator.faults.add("GET /v1/consumer/requests", fields={"cursor": first})
    assert len(civitai.usage.requests(page_size=2).to_list()) == 2
    emulator.faults.clear()
    emulator.faults.add("GET /v1/consumer/requests", fields={"cursor": {"nextDateTime": None, "nextId": None}})
    assert len(civitai.usage.requests(page_size=2).to_list()) == 2
