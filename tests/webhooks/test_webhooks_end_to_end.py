"""From submit to the handler: the client, the emulator's callbacks, a receiver on a socket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from civitai_ext import AsyncCivitai, AsyncWorkflow, Civitai
from civitai_ext.emulator import Emulator
from civitai_ext.webhooks import Event, Receiver, SQLiteStore, callback
from tests.webhooks.posting import SECRET, Serving

ECHO = {"$type": "echo", "input": {"message": "hello"}}
OF_ONE = [
    "workflow:unassigned", "step:unassigned", "job:unassigned", "job:processing", "step:processing",
    "workflow:processing", "job:processing", "job:succeeded", "step:succeeded", "workflow:succeeded",
]  # fmt: skip


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=1, speed=0) as running:
        yield running


@pytest.fixture
def civitai(emulator: Emulator) -> Iterator[Civitai]:
    url = emulator.url
    with Civitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url) as client:
        yield client


def test_the_handler_sees_all_events_in_order(emulator: Emulator, civitai: Civitai, tmp_path: Path) -> None:
    seen: dict[str, list[str]] = defaultdict(list)

    def handle(event: Event) -> None:
        seen[event.workflow_id].append(event.name)

    app = Receiver(handle, secret=SECRET, store=SQLiteStore(tmp_path / "events.db"))
    emulator.callbacks.duplicate(every=2)
    with Serving(app) as server:
        hook = callback(f"{server.url}/hooks/{SECRET}", "workflow:*", "step:*", "job:*", detailed=True)
        workflows = [civitai.workflows.submit(ECHO, callbacks=[hook]) for _ in range(3)]
        emulator.clock.advance(60)
        emulator.callbacks.settle()
        while sum(map(len, seen.values())) < 30:
            server.wait()
    assert seen == {workflow.id: OF_ONE for workflow in workflows}
    assert len(emulator.deliveries) == 45
    assert {delivery.status for delivery in emulator.deliveries} == {200, 202}


def test_events_wait_for_a_receiver_that_is_down(emulator: Emulator, civitai: Civitai) -> None:
    seen: list[str] = []
    gate = {"open": False}
    app = Receiver(lambda event: seen.append(event.name), secret=SECRET)

    down = Response(status_code=503)

    async def switch(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if gate["open"] else down)(scope, receive, send)

    with Serving(Starlette(routes=[Mount("/", switch)])) as server:
        civitai.workflows.submit(ECHO, callbacks=[callback(f"{server.url}/{SECRET}", "workflow:*")])
        emulator.clock.advance(60)
        emulator.callbacks.settle()
        assert [delivery.status for delivery in emulator.deliveries] == [503]
        gate["open"] = True
        emulator.clock.advance(60)
        emulator.callbacks.settle()
        while len(seen) < 3:
            server.wait()
    assert seen == ["workflow:unassigned", "workflow:processing", "workflow:succeeded"]


def test_the_handler_gets_the_workflow_as_the_service_has_it(emulator: Emulator, civitai: Civitai) -> None:
    seen: list[tuple[str, str]] = []

    async def handle(event: Event, workflow: AsyncWorkflow) -> None:
        seen.append((event.workflow_id, workflow.status))

    url = emulator.url
    client = AsyncCivitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url)
    app = Receiver(handle, secret=SECRET, refetch=client.workflows.get)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client, app:
            yield

    with Serving(Starlette(routes=[Mount("/", app)], lifespan=lifespan)) as server:
        hook = callback(f"{server.url}/{SECRET}", "workflow:succeeded")
        workflow = civitai.workflows.submit(ECHO, callbacks=[hook])
        forged = {"$type": "workflow", "workflowId": "wf_forged", "status": "succeeded"}
        assert httpx.post(f"{server.url}/{SECRET}", json=forged).status_code == 202
        emulator.clock.advance(60)
        emulator.callbacks.settle()
        while not seen:
            server.wait()
    assert seen == [(workflow.id, "succeeded")]
    (failed,) = asyncio.run(app.failed())
    assert failed.event.workflow_id == "wf_forged"


def test_a_client_that_waits_in_threads_will_do(emulator: Emulator, civitai: Civitai) -> None:
    seen: list[str] = []
    app = Receiver(lambda event, workflow: seen.append(workflow.status), secret=SECRET, refetch=civitai.workflows.get)
    with Serving(app) as server:
        civitai.workflows.submit(ECHO, callbacks=[callback(f"{server.url}/{SECRET}", "workflow:unassigned")])
        emulator.callbacks.settle()
        while not seen:
            server.wait()
    assert seen == ["unassigned"]
