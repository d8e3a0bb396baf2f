"""Webhooks as their users write them. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_type

from civitai_api.orchestration.models import WorkflowCallback, WorkflowEvent, WorkflowStepJobEvent
from civitai_ext import AsyncCivitai, AsyncWorkflow, Civitai, RetryPolicy, Workflow, errors
from civitai_ext.webhooks import (
    Added,
    Begun,
    Event,
    Failed,
    MemoryStore,
    Receiver,
    SQLiteStore,
    Store,
    Waiting,
    callback,
    parse,
)

SECRET = "a-secret-of-the-tests"


def reading(body: bytes) -> None:
    event = parse(body)
    assert_type(event, Event)
    assert_type(event.workflow_id, str)
    assert_type(event.step, str | None)
    assert_type(event.timestamp, datetime | None)
    assert_type(event.is_final, bool)
    if isinstance(event.data, WorkflowEvent) and event.data.details:
        print([step.output for step in event.data.details.steps])
    if isinstance(event.data, WorkflowStepJobEvent):
        print(event.data.reason)
    try:
        parse({"$type": "workflow"})
        parse("{}")
    except errors.InvalidEvent as error:
        print(error)


async def handle(event: Event) -> None:
    print(event)


def handle_in_thread(event: Event) -> str:
    return event.key


async def handle_both(event: Event, workflow: AsyncWorkflow) -> None:
    print(event, workflow.status)


def handle_both_in_thread(event: Event, workflow: Workflow) -> None:
    print(event, workflow.status)


def receiving(client: AsyncCivitai, civitai: Civitai) -> None:
    Receiver(handle, secret=SECRET)
    Receiver(handle_in_thread, secret=SECRET, store=MemoryStore(capacity=10), concurrency=2)
    Receiver(print, secret=SECRET, store=SQLiteStore("events.db", keep=60), retry=RetryPolicy(attempts=2))
    Receiver(lambda event: print(event.status), secret=SECRET)
    Receiver(handle_both, secret=SECRET, refetch=client.workflows.get)
    Receiver(handle_both_in_thread, secret=SECRET, refetch=civitai.workflows.get)


async def looking(receiver: Receiver) -> None:
    async with receiver as started:
        assert_type(started, Receiver)
        assert_type(await receiver.failed(), Sequence[Failed])
        assert_type(await receiver.retry_failed(), int)
        for failed in await receiver.failed():
            print(failed.event.name, failed.error)


def asking(civitai: Civitai) -> None:
    hook = callback("https://example.com/hooks/secret", "workflow:*", "job:failed", detailed=True)
    assert_type(hook, WorkflowCallback)
    civitai.workflows.submit({"$type": "echo", "input": {"message": "x"}}, callbacks=[hook])


class OwnStore:
    """A store of one's own."""

    durable = True
    shared = False

    async def add(self, key: str, workflow_id: str, body: bytes) -> Added:
        return "known"

    async def lead(self) -> bool:
        return True

    async def waiting(self, after: int) -> list[Waiting]:
        return [Waiting(1, "wf_1")]

    async def begin(self, number: int) -> Begun:
        return Begun(b"", 1)

    async def finish(self, number: int, error: str | None = None) -> None: ...

    async def failed(self) -> list[Failed]:
        return []

    async def revive(self) -> int:
        return 0

    async def close(self) -> None: ...


def own() -> None:
    store: Store = OwnStore()
    Receiver(handle, secret=SECRET, store=store)


def mistakes(client: AsyncCivitai) -> None:
    """Each line is wrong, and a type checker has to say so: an ignore that is not needed is an error itself."""
    Receiver(handle)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Receiver(handle_both, secret=SECRET)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Receiver(  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
        handle_both_in_thread,
        secret=SECRET,
        refetch=client.workflows.get,  # pyright: ignore[reportArgumentType]
    )
    parse(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
