"""The receiver: what it answers, and what reaches the handler."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import random
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from civitai_ext import RetryPolicy
from civitai_ext.errors import ConfigurationError, NotFound
from civitai_ext.webhooks import Event, MemoryStore, Receiver, SQLiteStore, Store, parse
from tests.webhooks.posting import SECRET, Serving, job_event, post, step_event, until, workflow_event

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(attempts=3, budget=None, scale=0)


def receiver(handler: Callable[[Event], object], store: Store | None = None, **options: Any) -> Receiver:
    return Receiver(handler, secret=SECRET, store=store, **{"retry": AT_ONCE, **options})


def refused(event: Event) -> None:
    raise AssertionError(f"{event} should not have come here")


# What it answers


async def test_an_event_is_answered_before_it_is_worked_on(store: Store) -> None:
    gate, seen = asyncio.Event(), list[Event]()

    async def handle(event: Event) -> None:
        await gate.wait()
        seen.append(event)

    async with receiver(handle, store) as app:
        assert await post(app, step_event()) == 202
        assert await post(app, step_event()) == 200
        assert seen == []
        gate.set()
        await until(lambda: len(seen) == 1)
        assert await post(app, step_event()) == 200
    assert seen == [parse(step_event())]


@pytest.mark.parametrize(
    "path", ["/", "", "/wrong", f"/{SECRET}x", f"/{SECRET[:-1]}", f"/{SECRET}/more", f"/{SECRET.upper()}", "/\ud800ü"]
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_without_the_secret_nothing_is_here(path: str, method: str) -> None:
    async with receiver(refused) as app:
        assert await post(app, step_event(), path=path, method=method) == 404


@pytest.mark.parametrize("path", [f"/{SECRET}", f"/{SECRET}/", f"/hooks/civitai/{SECRET}"])
async def test_the_secret_is_the_last_part_of_the_path(path: str) -> None:
    async with receiver(lambda event: None) as app:
        assert await post(app, step_event(), path=path) == 202


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
async def test_events_are_posted(method: str) -> None:
    async with receiver(refused) as app:
        assert await post(app, step_event(), method=method) == 405


@pytest.mark.parametrize("chunk", [None, 1, 7])
async def test_a_body_may_come_in_parts(chunk: int | None) -> None:
    async with receiver(lambda event: None) as app:
        assert await post(app, step_event(), chunk=chunk) == 202


async def test_a_large_body_is_not_read_to_its_end() -> None:
    size = len(json.dumps(step_event()))
    async with receiver(lambda event: None, max_body=size) as app:
        assert await post(app, step_event()) == 202
    async with receiver(refused, max_body=1000) as app:
        assert await post(app, b"x" * 1001) == 413
        assert await post(app, b"", headers=[(b"content-length", b"1001")]) == 413
        assert await post(app, b"", headers=[(b"content-length", b"9" * 9999)]) == 413
        parts = iter([b"x" * 600] * 2)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": next(parts), "more_body": True}

        async def send(message: MutableMapping[str, Any]) -> None:
            assert message.get("status", 413) == 413

        await app({"type": "http", "method": "POST", "path": f"/{SECRET}", "headers": []}, receive, send)


async def test_who_hangs_up_has_sent_nothing() -> None:
    async with receiver(refused) as app:
        assert await post(app, json.dumps(step_event()).encode(), chunk=10, cut=True) is None
        assert await post(app, step_event(), cut=True) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5),
    chunk=st.none() | st.integers(1, 50), cut=st.booleans(),
    method=st.sampled_from(["POST", "GET", "PATCH"]), secret=st.sampled_from([SECRET, "x", ""]),
    length=st.none() | st.binary(max_size=6),
)  # fmt: skip
async def test_nothing_that_is_posted_does_harm(
    body: Any, chunk: int | None, cut: bool, method: str, secret: str, length: bytes | None
) -> None:
    headers = [] if length is None else [(b"content-length", length)]
    async with receiver(refused) as app:
        status = await post(app, body, chunk=chunk, cut=cut, method=method, path=f"/{secret}", headers=headers)
        assert status in {400, 404, 405, 413} or (status is None and cut)


async def test_too_many_events_are_to_come_again(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    for store in (MemoryStore(capacity=2), SQLiteStore(tmp_path / "e.db", capacity=2)):
        gate, seen = asyncio.Event(), list[str]()

        async def handle(event: Event, gate: asyncio.Event = gate, seen: list[str] = seen) -> None:
            await gate.wait()
            seen.append(event.workflow_id)

        async with receiver(handle, store) as app:
            answers = [await post(app, step_event(workflow)) for workflow in "abcb"]
            assert answers == [202, 202, 503, 200]
            gate.set()
            await until(lambda seen=seen: len(seen) == 2)  # type: ignore[misc]
            assert await post(app, step_event("c")) == 202
            await until(lambda seen=seen: seen[2:] == ["c"])  # type: ignore[misc]
    assert SECRET not in caplog.text


async def test_without_a_store_that_works_nothing_is_promised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = receiver(refused, SQLiteStore(tmp_path / "missing" / "events.db"))
    assert await post(app, step_event()) == 503
    assert "The store" in caplog.text
    with pytest.raises(sqlite3.OperationalError):
        await app.start()


async def test_after_closing_it_takes_nothing_more(store: Store) -> None:
    async with receiver(lambda event: None, store) as app:
        assert await post(app, step_event("a")) == 202
    assert await post(app, step_event("b")) == 503
    await app.close()
    async with app:
        assert await post(app, step_event("a")) == 200
        assert await post(app, step_event("b")) == 202


# What reaches the handler


async def test_events_of_a_workflow_come_in_order_and_workflows_side_by_side(store: Store) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    running: Counter[str] = Counter()
    posted = asyncio.Event()
    most = 0

    async def handle(event: Event) -> None:
        nonlocal most
        running[event.workflow_id] += 1
        assert running[event.workflow_id] == 1, "one at a time"
        most = max(most, running.total())
        await posted.wait()
        await asyncio.sleep(random.random() / 1000)  # noqa: S311
        seen[event.workflow_id].append(event.data["number"])
        running[event.workflow_id] -= 1

    async with receiver(handle, store, concurrency=5) as app:
        for number in range(30):
            for workflow in "abcdefgh":
                assert await post(app, step_event(workflow, number=number)) == 202
        posted.set()
        await until(lambda: sum(map(len, seen.values())) == 240)
    assert list(seen.values()) == [list(range(30))] * 8
    assert most == 5


async def test_a_handler_that_is_not_asynchronous_does_not_hold_up_the_server() -> None:
    gate, threads = threading.Event(), set[str]()

    def handle(event: Event) -> None:
        threads.add(threading.current_thread().name)
        assert gate.wait(10)

    async with receiver(handle, concurrency=2) as app:
        assert [await post(app, step_event(workflow)) for workflow in "abc"] == [202, 202, 202]
        await until(lambda: len(threads) == 2)
        gate.set()
    assert threading.current_thread().name not in threads


class Callable_:  # noqa: N801
    def __init__(self) -> None:
        self.seen: list[Event] = []

    async def __call__(self, event: Event) -> None:
        self.seen.append(event)


async def test_handlers_of_all_forms() -> None:
    called = Callable_()
    seen: list[Event] = []

    async def with_more(more: int, event: Event) -> None:
        seen.append(event)

    for handler in (called, functools.partial(with_more, 1), lambda event: with_more(1, event), seen.append):
        async with receiver(handler) as app:
            assert await post(app, step_event()) == 202
    assert len(called.seen) == 1
    assert len(seen) == 3


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), asyncio.CancelledError(), KeyError()])
async def test_a_failure_is_tried_again_then_put_aside_and_holds_up_nobody(
    store: Store, error: BaseException, in_thread: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, int]] = []
    is_broken = True

    def work(event: Event) -> None:
        seen.append((event.workflow_id, event.data["n"]))
        if is_broken and event.workflow_id == "bad" and event.data["n"] == 1:
            raise error

    async def wait_and_work(event: Event) -> None:
        try:
            work(event)
        except StopIteration as stop:
            raise LookupError from stop

    async with receiver(work if in_thread else wait_and_work, store) as app:
        for body in (step_event("bad", n=1), step_event("bad", n=2), step_event("good", n=1)):
            assert await post(app, body) == 202
        await until(lambda: len(seen) == 5)
        assert [number for workflow, number in seen if workflow == "bad"] == [1, 1, 1, 2]
        assert await post(app, step_event("bad", n=1)) == 200
        await until(lambda: caplog.text.count("put aside") == 1)
        await until(lambda: "put aside" in caplog.text)
        (failed,) = await app.failed()
        assert failed.event.workflow_id == "bad"
        assert failed.error
        is_broken = False
        assert await app.retry_failed() == 1
        await until(lambda: len(seen) == 6)
        assert seen[-1] == ("bad", 1)
    assert caplog.text.count("again in") == 2
    assert list(await app.failed()) == []
    await store.close()


async def test_an_error_that_cannot_be_written_is_put_aside_too(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "civitai_ext")  # what reports the tests cannot write it either

    def handle(event: Event) -> None:
        raise ValueError("half a pair: \ud800")

    async with receiver(handle, store, retry=RetryPolicy.off()) as app:
        assert await post(app, step_event()) == 202
        await until_over(store)
        assert [failed.error for failed in await app.failed()] == ["ValueError: half a pair: \\ud800"]


async def test_a_failure_waits_before_it_is_tried_again_and_the_rest_goes_on() -> None:
    seen: list[str] = []

    def handle(event: Event) -> None:
        seen.append(event.workflow_id)
        if event.workflow_id == "bad":
            raise ValueError

    # Memory is emptied before closing: what waits for its next attempt is waited for.
    patient = RetryPolicy(base=1000, cap=1000, jitter=0, budget=None)
    async with receiver(handle, concurrency=1, retry=patient, grace=0.05) as app:
        for workflow in ("bad", "bad2", "a", "b"):
            assert await post(app, step_event(workflow)) == 202
        await until(lambda: len(seen) == 4)
    assert seen == ["bad", "bad2", "a", "b"]


async def test_the_workflow_is_read_again_first() -> None:
    asked: list[str] = []
    seen: list[tuple[str, str]] = []

    async def refetch(workflow_id: str) -> str:
        asked.append(workflow_id)
        if workflow_id == "forged":
            raise NotFound("No such workflow", status=404)
        if len(asked) == 1:
            raise ConnectionError
        return f"the whole of {workflow_id}"

    def handle(event: Event, workflow: str) -> None:
        seen.append((event.workflow_id, workflow))

    async with Receiver(handle, secret=SECRET, refetch=refetch, retry=AT_ONCE, concurrency=1) as app:
        assert await post(app, step_event("real")) == 202
        await until(lambda: len(seen) == 1)
        assert await post(app, step_event("forged")) == 202
        await until(lambda: len(asked) == 3)
    assert seen == [("real", "the whole of real")]
    assert asked == ["real", "real", "forged"]
    (failed,) = await app.failed()
    assert "no workflow 'forged'" in failed.error

    def read(workflow_id: str) -> str:
        return workflow_id.upper()

    async with Receiver(handle, secret=SECRET, refetch=read) as app:
        assert await post(app, step_event("real")) == 202
    assert seen[1:] == [("real", "REAL")]


# Starting and stopping


async def test_closing_lets_what_has_begun_come_to_its_end(tmp_path: Path) -> None:
    begun, ended = list[str](), list[str]()
    gate = asyncio.Event()

    async def handle(event: Event) -> None:
        begun.append(event.workflow_id)
        await gate.wait()
        ended.append(event.workflow_id)

    store = SQLiteStore(tmp_path / "events.db")
    async with receiver(handle, store, concurrency=2) as app:
        for workflow in "abcd":
            assert await post(app, step_event(workflow)) == 202
        await until(lambda: len(begun) == 2)
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert ended == begun == ["a", "b"]
    async with app:
        await until(lambda: len(ended) == 4)
    assert ended == ["a", "b", "c", "d"]


async def test_what_does_not_end_in_time_is_taken_up_again(tmp_path: Path) -> None:
    begun: list[str] = []
    gate = asyncio.Event()

    async def handle(event: Event) -> None:
        begun.append(event.workflow_id)
        await gate.wait()

    async with receiver(handle, SQLiteStore(tmp_path / "events.db"), grace=0.01) as app:
        assert await post(app, step_event("a")) == 202
        await until(lambda: begun == ["a"])
    gate.set()
    async with app:
        await until(lambda: begun == ["a", "a"])


async def test_what_never_ends_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun: list[str] = []

    async def handle(event: Event) -> None:
        begun.append(event.workflow_id)
        if event.workflow_id == "a":
            await asyncio.Event().wait()

    app = receiver(handle, SQLiteStore(tmp_path / "events.db"), grace=0, concurrency=1)
    for attempt in range(1, 4):
        async with app:
            assert await post(app, step_event("a")) == (202 if attempt == 1 else 200)
            await until(lambda attempt=attempt: len(begun) == attempt)  # type: ignore[misc]
    async with app:
        assert await post(app, step_event("b")) == 202
        await until(lambda: len(begun) == 4)
        (failed,) = await app.failed()
    assert begun == ["a", "a", "a", "b"]
    assert "the process ended" in failed.error
    assert "put aside" in caplog.text


async def test_memory_is_emptied_before_closing(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def handle(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.workflow_id)

    async with receiver(handle, concurrency=1) as app:
        for workflow in "abcdef":
            assert await post(app, step_event(workflow)) == 202
    assert seen == list("abcdef")

    async with receiver(lambda event: asyncio.sleep(100), grace=0.01) as app:
        assert await post(app, step_event()) == 202
    assert "lost" in caplog.text


async def test_keys_are_forgotten_after_a_time(tmp_path: Path) -> None:
    for store in (MemoryStore(keep=0), SQLiteStore(tmp_path / "e.db", keep=0), MemoryStore(most_keys=0)):
        seen: list[Event] = []
        async with receiver(seen.append, store) as app:
            assert await post(app, step_event()) == 202
            await until(lambda seen=seen: len(seen) == 1)  # type: ignore[misc]
            await until_over(store)
            assert await post(app, step_event()) == 202
            await until(lambda seen=seen: len(seen) == 2)  # type: ignore[misc]


async def until_over(store: Store) -> None:
    async with asyncio.timeout(5):
        while await store.waiting(0):
            await asyncio.sleep(0)


async def test_two_receivers_share_a_file(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    async def handle(name: str, event: Event) -> None:
        seen.append((name, event.data["n"]))

    stores = [SQLiteStore(tmp_path / "events.db") for _ in range(2)]
    leader, other = (receiver(functools.partial(handle, name), stores.pop()) for name in ("leader", "other"))
    async with leader, other:
        for number in range(8):
            apps = [leader, other] if number % 2 else [other, leader]
            assert [await post(app, step_event(n=number)) for app in apps] == [202, 200]
        await until(lambda: len(seen) == 8)
        assert seen == [("leader", number) for number in range(8)]
        await leader.close()
        assert await post(other, step_event(n=8)) == 202
        await until(lambda: len(seen) == 9)
    assert seen[8:] == [("other", 8)]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Receiver(refused, secret="short"), "secret"),
        (lambda: Receiver(refused, secret="with/slashes/in/it-and-long"), "secret"),
        (lambda: Receiver(refused, secret=SECRET, concurrency=0), "concurrency"),
        (lambda: MemoryStore(capacity=0), "capacity"),
        (lambda: SQLiteStore("x", keep=-1), "keep"),
    ],
)
async def test_mistakes_are_told(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        make()
    assert "with/slashes" not in str(caught.value)


async def test_the_secret_does_not_show(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "civitai_ext")
    app = receiver(refused)
    assert repr(app) == "<Receiver for refused>"
    assert SECRET not in repr(vars(app))
    async with app:
        assert await post(app, b"nonsense") == 400
    assert SECRET not in caplog.text


async def test_what_else_asgi_servers_ask() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    await receiver(refused)({"type": "websocket", "path": f"/{SECRET}"}, receive, send)
    assert sent == [{"type": "websocket.close"}]
    with pytest.raises(RuntimeError, match="smoke"):
        await receiver(refused)({"type": "smoke"}, receive, send)


# Under a real server


def test_on_its_own_under_uvicorn(tmp_path: Path) -> None:
    seen: list[Event] = []
    app = receiver(seen.append, SQLiteStore(tmp_path / "events.db"))
    with Serving(app) as server, httpx.Client(base_url=server.url) as client:
        assert client.post(f"/hooks/{SECRET}", json=workflow_event()).status_code == 202
        assert client.post(f"/hooks/{SECRET}", json=workflow_event()).status_code == 200
        assert client.post(f"/{SECRET}", content=iter([b"{", b"}"])).status_code == 400
        assert client.get(f"/{SECRET}").headers["allow"] == "POST"
        assert client.post("/", json=workflow_event()).status_code == 404
        assert client.post(f"/{SECRET}", content=b"x" * 2**21).status_code == 413
        assert client.post(f"/{SECRET}", json=job_event()).status_code == 202
    assert [event.name for event in seen] == ["workflow:processing", "job:processing"]


async def test_a_store_that_cannot_be_opened_stops_the_server_from_starting(tmp_path: Path) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    await receiver(refused, SQLiteStore(tmp_path / "missing" / "events.db"))({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "unable to open" in sent[0]["message"]


@pytest.mark.parametrize("way", ["mount", "route", "mount without lifespan"])
def test_mounted_in_another_application(way: str) -> None:
    seen: list[Event] = []
    app = receiver(seen.append)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with app:
            yield

    route = Route("/hooks/{secret}", app, methods=["POST"]) if way == "route" else Mount("/hooks", app)
    outer = Starlette(routes=[route], lifespan=None if way.endswith("without lifespan") else lifespan)
    with Serving(outer) as server, httpx.Client(base_url=server.url) as client:
        assert client.post(f"/hooks/{SECRET}", json=step_event()).status_code == 202
        assert client.post("/hooks/wrong", json=step_event()).status_code == 404
        assert client.post("/hooks/", json=step_event()).status_code == 404
    assert [event.name for event in seen] == ["step:processing"]
