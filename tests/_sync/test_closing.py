# Derived from tests/_async/test_closing.py by scripts/unasync.py: change that file, then run `make fix`.
"""Closing a client while something waits for it: the wait ends at once, and says why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import Civitai, Workflow, errors, image_job
from civitai_ext._together import Together
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio

WORKFLOWS = "/v2/consumer/workflows"
LONG = 60
"""Seconds: longer than any of these tests takes."""


def submitted(civitai: Civitai, count: int) -> list[Workflow]:
    return [civitai.workflows.submit(EchoInput(message=str(number))) for number in range(count)]


def one(civitai: Civitai, emulator: Emulator) -> object:
    (workflow,) = submitted(civitai, 1)
    return workflow.wait(LONG)


def several(civitai: Civitai, emulator: Emulator) -> object:
    return civitai.workflows.wait(submitted(civitai, 3), LONG)


def a_crowd(civitai: Civitai, emulator: Emulator) -> object:
    return civitai.workflows.wait(submitted(civitai, 40), LONG)


def a_pause_between_looks(civitai: Civitai, emulator: Emulator) -> object:
    (workflow,) = submitted(civitai, 1)
    emulator.faults.add(f"GET {WORKFLOWS}/*", status=500)
    return workflow.wait(LONG)


def a_pause_that_the_service_asks_for(civitai: Civitai, emulator: Emulator) -> object:
    emulator.faults.add("GET /api/v1/*", status=429, retry_after=str(LONG // 2))
    return Together(civitai.models.get).each([1, 2, 3])


def an_answer(civitai: Civitai, emulator: Emulator) -> object:
    emulator.faults.add("GET /api/v1/*", delay=3)
    return civitai.models.get(1)


def jobs(civitai: Civitai, emulator: Emulator) -> object:
    job = image_job("urn:air:sd1:checkpoint:civitai:4384@128713", prompt="x", width=512, height=512)
    return (civitai.jobs.submit(job)).wait(LONG)


WAITS = [one, several, a_crowd, a_pause_between_looks, a_pause_that_the_service_asks_for, an_answer, jobs]


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_when_the_client_is_closed(
    civitai: Civitai, emulator: Emulator, wait: Callable[[Civitai, Emulator], Any]
) -> None:
    emulator.clock.speed = 0
    closed: list[float] = []

    def do(what: str) -> float:
        if what == "close":
            time.sleep(0.3)
            closed.append(time.monotonic())
            civitai.close()
        else:
            with pytest.raises(errors.ConfigurationError, match="This client is closed"):
                wait(civitai, emulator)
        return time.monotonic()

    ended, _ = Together(do).each(["wait", "close"])
    emulator.clock.advance(3600)
    assert 0 <= ended - closed[0] < 1.5
