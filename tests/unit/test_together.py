from __future__ import annotations

import threading

import pytest

from civitai_ext._together import AsyncTogether, Together, in_batches


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_batches() -> None:
    assert in_batches(list(range(5)), 2) == [[0, 1], [2, 3], [4]]
    assert in_batches(range(4), 2) == [[0, 1], [2, 3]]


def test_calls_in_threads_come_back_in_order_and_a_few_at_a_time() -> None:
    together = threading.Barrier(3, timeout=10)
    lock = threading.Lock()
    running = most = 0

    def call(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()  # passes only if three are under way at once
        with lock:
            running -= 1
        return item * 2

    assert Together(call, most=3).each(range(12)) == [item * 2 for item in range(12)]
    assert most == 3


def test_the_first_failure_in_threads_ends_it() -> None:
    called = []

    def call(item: int) -> None:
        called.append(item)
        raise LookupError(item)

    with pytest.raises(LookupError):
        Together(call, most=2).each(range(1000))
    assert len(called) <= 2


@pytest.mark.anyio
async def test_calls_in_tasks_come_back_in_order_and_a_few_at_a_time() -> None:
    import asyncio

    together = asyncio.Barrier(3)
    running = most = 0

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.wait_for(together.wait(), 10)
        running -= 1
        return item * 2

    assert await AsyncTogether(call, most=3).each(range(12)) == [item * 2 for item in range(12)]
    assert most == 3


@pytest.mark.anyio
async def test_the_first_failure_in_tasks_ends_it_and_nothing_runs_on() -> None:
    import asyncio

    canceled = []

    async def call(item: int) -> None:
        if item == 1:
            raise LookupError(item)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            canceled.append(item)
            raise

    with pytest.raises(LookupError) as caught:
        await AsyncTogether(call, most=3).each(range(1000))
    assert type(caught.value) is LookupError
    assert sorted(canceled) == [0, 2]
