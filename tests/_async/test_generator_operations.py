"""Every operation of `openapi/generator.yaml` is reached through the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from civitai_ext import AsyncCivitai, image_job
from civitai_ext.emulator import Emulator
from tests.operations import Operations

pytestmark = pytest.mark.anyio

MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
OPERATIONS = Operations.of("generator.yaml")


async def test_every_operation_is_called_by_its_method(civitai: AsyncCivitai, emulator: Emulator) -> None:
    jobs = await civitai.jobs.submit(image_job(MODEL, "a cat", width=512, height=512))
    (id,), token = jobs.ids, str(jobs.token)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "submitJobs": lambda: civitai.jobs.submit(image_job(MODEL, "a cat", width=512, height=512)),
        "queryJobsByToken": lambda: civitai.jobs.get_by_token(token),
        "getJob": lambda: civitai.jobs.get(id),
        "queryJobs": lambda: civitai.jobs.query({"order": 1}).to_list(),
        "taintJob": lambda: civitai.jobs.taint(id, "dull"),
        "taintJobsByToken": lambda: civitai.jobs.taint_by_token(token, "dull"),
        "cancelJob": lambda: civitai.jobs.cancel(id),
        "cancelJobsByToken": lambda: civitai.jobs.cancel_by_token(token),
        "getCoverage": lambda: civitai.coverage.get(MODEL),
        "getConsumption": lambda: civitai.usage.consumption(),
        "queryRequests": lambda: civitai.usage.requests().to_list(),
    }
    emulator.journal.clear()
    for call in calls.values():
        await call()
    # All of the document's, each by one method and in this order.
    assert sorted(calls) == sorted(OPERATIONS.names.values())
    assert [(OPERATIONS.of_request(each.method, each.path), each.status) for each in emulator.journal] == [
        (name, 200) for name in calls
    ]
