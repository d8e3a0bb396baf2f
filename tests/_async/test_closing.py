"""Closing a client while something waits for it: the wait ends at once, and says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import AsyncCivitai, AsyncWorkflow, errors, image_job
from civitai_ext._together import AsyncTogether
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio

WORKFLOWS = "/v2/consumer/workflows"
LONG = 60
"""Seconds: longer than any of these tests takes."""


async def submitted(civitai: AsyncCivitai, count: int) -> list[AsyncWorkflow]:
    return [await civitai.workflows.submit(EchoInput(message=str(number))) for number in range(count)]


async def one(civitai: AsyncCivitai, emulator: Emulator) -> object:
    (workflow,) = await submitted(civitai, 1)
    return await workflow.wait(LONG)


async def several(civitai: AsyncCivitai, emulator: Emulator) -> object:
    return await civitai.workflows.wait(await submitted(civitai, 3), LONG)


async def a_crowd(civitai: AsyncCivitai, emulator: Emulator) -> object:
    return await civitai.workflows.wait(await submitted(civitai, 40), LONG)


async def a_pause_between_looks(civitai: AsyncCivitai, emulator: Emulator) -> object:
    (workflow,) = await submitted(civitai, 1)
    emulator.faults.add(f"GET {WORKFLOWS}/*", status=500)
    return await workflow.wait(LONG)


async def a_pause_that_the_service_asks_for(civitai: AsyncCivitai, emulator: Emulator) -> object:
    emulator.faults.add("GET /api/v1/*", status=429, retry_after=str(LONG // 2))
    return await AsyncTogether(civitai.models.get).each([1, 2, 3])


async def an_answer(civitai: AsyncCivitai, emulator: Emulator) -> object:
    emulator.faults.add("GET /api/v1/*", delay=3)
    return await civitai.models.get(1)


async def jobs(civitai: AsyncCivitai, emulator: Emulator) -> object:
    job = image_job("urn:air:sd1:checkpoint:civitai:4384@128713", prompt="x", width=512, height=512)
    return await (await civitai.jobs.submit(job)).wait(LONG)


WAITS = [one, several, a_crowd, a_pause_between_looks, a_pause_that_the_service_asks_for, an_answer, jobs]


@pytest.mark.parametrize("wait", WAITS)
async def test_a_wait_ends_when_the_client_is_closed(
    civitai: AsyncCivitai, emulator: Emulator, wait: Callable[[AsyncCivitai, Emulator], Awaitable[Any]]
) -> None:
    emulator.clock.speed = 0
    closed: list[float] = []

    async def do(what: str) -> float:
        if what == "close":
            await asyncio.sleep(0.3)
            closed.append(time.monotonic())
            await civitai.aclose()
        else:
            with pytest.raises(errors.ConfigurationError, match="This client is closed"):
                await wait(civitai, emulator)
        return time.monotonic()

    ended, _ = await AsyncTogether(do).each(["wait", "close"])
    emulator.clock.advance(3600)
    assert 0 <= ended - closed[0] < 1.5
