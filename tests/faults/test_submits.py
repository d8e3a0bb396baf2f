"""Five hundred submits while everything goes wrong that can cost Buzz twice, or lose a workflow."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import AsyncCivitai, Civitai, CivitaiError, RetryPolicy
from civitai_ext.emulator import Emulator

SUBMITS = 500
ROUTE = "POST /v2/consumer/workflows"
PATIENT = RetryPolicy(attempts=6, base=0.001, cap=0.01)


def make_trouble(emulator: Emulator) -> list[Any]:
    """Let more than half of the submits meet something, some of them several times in a row."""
    add = emulator.faults.add
    return [
        add(ROUTE, every=7, lost_answer=True),
        add(ROUTE, every=11, status=502, accepted=True),
        add(ROUTE, every=13, html_page=True, accepted=True),
        add(ROUTE, every=17, cut_body=True),
        add(ROUTE, every=19, doubled=True),
        add(ROUTE, every=23, status=503, retry_after="0"),
        add(ROUTE, every=41, delay=0.3, accepted=True),
        add(ROUTE, every=43, delay=0.3),
    ]


def check_ledger(emulator: Emulator, ids: list[str], faults: list[Any]) -> None:
    assert all(fault.hits for fault in faults)
    assert len(ids) == len(set(ids)) == SUBMITS
    charged = Counter(each.workflow_id for each in emulator.ledger.transactions if each.type == "debit")
    assert charged == Counter(ids), "each workflow is paid once, and none that nobody knows of"


def test_threads() -> None:
    with Emulator(models=1, speed=0, balance={"blue": 0, "green": 0, "yellow": 10_000}) as emulator:
        faults = make_trouble(emulator)
        url = emulator.url
        with Civitai(emulator.token, orchestration_url=url, timeout=0.15, retry=PATIENT) as civitai:

            def submit(number: int) -> str:
                key = None
                while True:
                    try:
                        return civitai.workflows.submit(EchoInput(message=str(number)), external_id=key).id
                    except CivitaiError as error:  # too much in a row: the program takes it up itself
                        key = error.external_id
                        assert key is not None

            with ThreadPoolExecutor(16) as pool:
                ids = list(pool.map(submit, range(SUBMITS)))
        check_ledger(emulator, ids, faults)


def test_tasks() -> None:
    async def work(emulator: Emulator) -> list[str]:
        options: Any = {"orchestration_url": emulator.url, "timeout": 0.15, "retry": PATIENT}
        async with AsyncCivitai(emulator.token, **options) as civitai:

            async def submit_one(number: int) -> str:
                key = None
                while True:
                    try:
                        return (await civitai.workflows.submit(EchoInput(message=str(number)), external_id=key)).id
                    except CivitaiError as error:
                        key = error.external_id
                        assert key is not None

            async def submit(numbers: range) -> list[str]:
                return [await submit_one(each) for each in numbers]

            groups = await asyncio.gather(*[submit(range(start, SUBMITS, 16)) for start in range(16)])
            return [id for group in groups for id in group]

    with Emulator(models=1, speed=0, balance={"blue": 0, "green": 0, "yellow": 10_000}) as emulator:
        faults = make_trouble(emulator)
        check_ledger(emulator, asyncio.run(work(emulator)), faults)


def test_a_submit_that_never_gets_an_answer_can_be_taken_up() -> None:
    with Emulator(models=1, speed=0) as emulator:
        fault = emulator.faults.add(ROUTE, lost_answer=True)
        with Civitai(emulator.token, orchestration_url=emulator.url, retry=RetryPolicy.immediate()) as civitai:
            with pytest.raises(CivitaiError, match="not paid twice") as caught:
                civitai.workflows.submit(EchoInput(message="x"))
            assert fault.hits == 4
            emulator.faults.clear()
            key = caught.value.external_id
            workflow = civitai.workflows.submit(EchoInput(message="x"), external_id=key)
        assert [each.workflow_id for each in emulator.ledger.transactions] == [workflow.id]
