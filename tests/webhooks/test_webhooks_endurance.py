"""Many events, with duplicates, restarts and crashes: each is handled, in order, and none twice without need."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from civitai_ext.webhooks import Event, Receiver, Store
from tests.webhooks.posting import SECRET, post, step_event, until
from tests.webhooks.served import CONCURRENCY

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


async def send_in_order(workflow: str, count: int, send: Callable[[Json], Any], draw: random.Random) -> int:
    """Post the events of a workflow one at a time, each until it is taken in, some of them again later."""
    posted = 0
    for number in range(count):
        again = [number - draw.randrange(3)] if draw.random() < 0.25 else []
        for this in (number, *(max(0, old) for old in again)):
            while await send(step_event(workflow, number=this)) not in {200, 202}:
                await asyncio.sleep(0.005)
            posted += 1
    return posted


async def test_ten_thousand_events_with_duplicates_and_restarts(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    workflows, count = 100, 100
    seen: dict[str, list[int]] = defaultdict(list)
    taken = 0

    async def handle(event: Event) -> None:
        number = event.data["number"]
        if number % 10 == 0:
            await asyncio.sleep(0.002)
        seen[event.workflow_id].append(number)

    apps = [Receiver(handle, secret=SECRET, store=store, concurrency=20)]
    restarts: list[asyncio.Task[None]] = []
    one_at_a_time = asyncio.Lock()

    async def restart() -> None:
        async with one_at_a_time:
            await apps[-1].close()
            apps.append(Receiver(handle, secret=SECRET, store=store, concurrency=20))
            await apps[-1].start()

    async def send(body: Json) -> int | None:
        nonlocal taken
        status = await post(apps[-1], body)
        if status == 202:
            taken += 1
            if taken % 2000 == 0:
                restarts.append(asyncio.create_task(restart()))
        return status

    sending = [send_in_order(f"wf_{n}", count, send, random.Random(n)) for n in range(workflows)]  # noqa: S311
    async with asyncio.timeout(30):
        posted = sum(await asyncio.gather(*sending))
    await asyncio.gather(*restarts)
    await until(lambda: sum(map(len, seen.values())) >= workflows * count)
    await apps[-1].close()
    assert posted > 12_000
    assert len(restarts) == 5
    assert taken == workflows * count
    assert set(map(tuple, seen.values())) == {tuple(range(count))}
    assert len(seen) == workflows
    assert not caplog.records


# Crashes


class Sender:
    """Posts over connections that it keeps open; finds the receiver again after a crash."""

    def __init__(self) -> None:
        self.port = 0
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, body: Json) -> int | None:
        """Post an event; None if there was no answer."""
        content = json.dumps(body).encode()
        head = f"POST /{SECRET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        try:
            connection = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return None
        reader, writer = connection
        try:
            writer.write(head.encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return None
        self._free.append(connection)
        return int(answer.split()[1])

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()
        self._free.clear()


@asynccontextmanager
async def served(file: Path, log: Path, sender: Sender) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ["-m", "tests.webhooks.served", str(file), str(log)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout
        sender.port = int(await process.stdout.readline())
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        sender.close()


async def test_a_receiver_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    file, log, sender = tmp_path / "events.db", tmp_path / "log", Sender()
    workflows, count, kills = 40, 50, 3
    answered: dict[str, set[int]] = defaultdict(set)
    log.touch()

    async def send(body: Json) -> int | None:
        status = await sender.send(body)
        if status in {200, 202}:
            answered[body["workflowId"]].add(body["number"])
        return status

    sending = asyncio.gather(*(
        send_in_order(f"wf_{n}", count, send, random.Random(n))  # noqa: S311
        for n in range(workflows)
    ))  # fmt: skip
    total = workflows * count
    for number in range(1, kills + 1):
        async with served(file, log, sender):
            # Killed in the middle of the work: some events are done, some begun, some wait.
            await until(lambda n=number: log.read_text().count("begin") > n * total // (kills + 2), seconds=30)  # type: ignore[misc]
    async with served(file, log, sender) as process:
        await sending
        await until(lambda: log.read_text().count("end") >= total, seconds=30)
        process.terminate()
        assert await process.wait() in {0, -signal.SIGTERM}

    handled = begun(log)
    assert {workflow: set(numbers) for workflow, numbers in handled.items()} == answered, "nothing is lost"
    assert sum(map(len, answered.values())) == total
    assert all(numbers == sorted(numbers) for numbers in handled.values()), "in order"
    again = sum(map(len, handled.values())) - total
    assert again <= kills * CONCURRENCY, "only what was running comes again"


def begun(log: Path) -> dict[str, list[int]]:
    """The events that handlers began with, for each workflow."""
    found: dict[str, list[int]] = defaultdict(list)
    for what, workflow, number in map(str.split, log.read_text().splitlines()):
        if what == "begin":
            found[workflow].append(int(number))
    return found


async def test_when_the_process_that_works_is_killed_another_takes_over(tmp_path: Path) -> None:
    file, log, senders = tmp_path / "events.db", tmp_path / "log", (Sender(), Sender())
    log.touch()
    async with served(file, log, senders[0]) as first, served(file, log, senders[1]):

        async def send(*numbers: int) -> None:
            for number in numbers:
                statuses = [await sender.send(step_event(number=number)) for sender in senders]
                assert set(statuses) <= {202, 200, None}
                assert statuses.count(202) == 1

        await send(*range(20))
        await until(lambda: "end wf_1 19" in log.read_text())
        first.kill()
        await first.wait()
        await send(*range(20, 40))
        await until(lambda: "end wf_1 39" in log.read_text())
    # The twentieth comes again if it was killed before it could note the end.
    assert begun(log)["wf_1"] in ([*range(40)], [*range(20), *range(19, 40)])
