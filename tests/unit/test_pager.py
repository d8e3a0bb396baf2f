"""What the pagers of the two clients do differently: fetching ahead in a thread or a task, and `len`."""

from __future__ import annotations

import asyncio
import gc
import operator
import threading
from contextvars import ContextVar
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext import _prefetch
from civitai_ext._async.pager import AsyncPager
from civitai_ext._async.pager import Page as AsyncPage
from civitai_ext._sync.pager import Numbered, Page, Pager


@attrs.frozen
class Item:
    id: int


class Service:
    """Two pages of two; the second one waits until it is let go."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.asked: list[str | None] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.thread = threading.current_thread()
        self.value: str | None = None
        self.error = error

    def fetch(self, cursor: str | None, size: int) -> Page[Item]:
        self.asked.append(cursor)
        self.thread, self.value = threading.current_thread(), context.get()
        if cursor is None:
            return Page([Item(1), Item(2)], "a", 4)
        self.begun.set()
        assert self.go.wait(5)
        if self.error is not None:
            raise self.error
        return Page([Item(3), Item(4)], None, 4)


context: ContextVar[str] = ContextVar("context", default="unset")


# ------------------------------------------------------------------------------------------------------------- threads


def test_the_next_page_is_fetched_while_the_caller_works() -> None:
    service = Service()
    items = iter(Pager(service.fetch))
    assert next(items) == Item(1)
    assert service.begun.wait(5)  # the caller has the first item and asks for nothing
    assert next(items) == Item(2)
    service.go.set()
    assert list(items) == [Item(3), Item(4)]
    assert service.asked == [None, "a"]


def test_pages_are_fetched_ahead_too() -> None:
    service = Service()
    pages = Pager(service.fetch).pages()
    assert next(pages) == [Item(1), Item(2)]
    assert service.begun.wait(5)
    service.go.set()
    assert list(pages) == [[Item(3), Item(4)]]


def test_fetching_ahead_can_be_switched_off_on_the_way() -> None:
    service = Service()
    service.go.set()
    pager = Pager(service.fetch)
    pager.prefetch = False
    assert len(pager.to_list()) == 4
    assert service.thread is threading.current_thread()


@pytest.mark.parametrize("options", [{"limit": 2}, {"limit": 1}, {"prefetch": False}])
def test_no_thread_is_started_where_none_is_needed(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    service = Service()
    service.go.set()
    list(Pager(service.fetch, **options))
    assert Pager(service.fetch).take(2) == [Item(1), Item(2)]
    assert Pager(lambda *_: Page([Item(1)], None)).to_list() == [Item(1)]


def test_the_thread_ends_with_the_page() -> None:
    service = Service()
    service.go.set()
    assert len(list(Pager(service.fetch))) == 4
    assert service.thread is not threading.current_thread()
    assert service.thread.daemon
    service.thread.join(5)
    assert not service.thread.is_alive()


@pytest.mark.parametrize("error", [None, OSError("down")])
def test_stopping_early_does_not_wait_and_leaves_nothing_behind(error: Exception | None) -> None:
    service = Service(error=error)
    pager = Pager(service.fetch)
    for _ in pager:
        assert service.begun.wait(5)
        break
    assert pager.cursor == "~1~"
    service.go.set()
    service.thread.join(5)
    assert not service.thread.is_alive()
    service.error = None
    assert list(pager) == [Item(2), Item(3), Item(4)]
    assert service.asked == [None, "a", "a"]


def test_a_pager_that_is_forgotten_goes_while_its_page_is_still_fetched() -> None:
    gone = threading.Event()

    class Forgotten(Pager[Item]):
        def __del__(self) -> None:
            gone.set()

    service = Service()
    items = iter(Forgotten(service.fetch))
    next(items)
    assert service.begun.wait(5)
    del items
    gc.collect()
    assert gone.is_set()
    service.go.set()
    service.thread.join(5)
    assert not service.thread.is_alive()


def test_what_the_caller_set_for_its_context_holds_in_the_thread() -> None:
    service = Service()
    service.go.set()
    token = context.set("mine")
    try:
        Pager(service.fetch).to_list()
    finally:
        context.reset(token)
    assert service.value == "mine"


def test_where_no_thread_can_be_had_pages_are_fetched_when_due(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    service = Service()
    service.go.set()
    assert len(Pager(service.fetch).to_list()) == 4
    assert service.thread is threading.current_thread()


def test_an_error_from_the_thread_is_freed_without_the_collector() -> None:
    freed = threading.Event()

    class NoticedError(OSError):
        def __del__(self) -> None:
            freed.set()

    def fail(*_: object) -> None:
        raise NoticedError

    prefetch: _prefetch.Prefetch[None] = _prefetch.Prefetch()
    gc.disable()
    try:
        prefetch.start(fail)
        for thread in threading.enumerate():
            if thread.name == "civitai-prefetch":
                thread.join(5)
        with pytest.raises(NoticedError) as caught:
            prefetch.take()
        del caught
        assert freed.is_set()
    finally:
        gc.enable()


# --------------------------------------------------------------------------------------------------------------- tasks


class AsyncService:
    """Two pages of two; the second one waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.canceled = False

    async def fetch(self, cursor: str | None, size: int) -> AsyncPage[Item]:
        self.asked.append(cursor)
        if cursor is None:
            return AsyncPage([Item(1), Item(2)], "a")
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.canceled = True
            raise
        return AsyncPage([Item(3), Item(4)], None)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Debugging, so that the event loop tells what is left over."""
    return "asyncio", {"debug": True}


@pytest.mark.anyio
async def test_the_next_page_is_fetched_in_a_task_while_the_caller_waits() -> None:
    service = AsyncService()
    items = aiter(AsyncPager(service.fetch))
    assert await anext(items) == Item(1)
    async with asyncio.timeout(5):
        await service.begun.wait()
    assert await anext(items) == Item(2)
    service.go.set()
    assert [item async for item in items] == [Item(3), Item(4)]
    assert service.asked == [None, "a"]


@pytest.mark.anyio
async def test_closing_cancels_the_task_and_waits_for_it() -> None:
    service = AsyncService()
    pager = AsyncPager(service.fetch)
    items = aiter(pager)
    await anext(items)
    await service.begun.wait()
    await pager.aclose()
    assert service.canceled
    service.go.set()
    assert [item async for item in items] == [Item(2), Item(3), Item(4)]
    assert service.asked == [None, "a", "a"]


@pytest.mark.anyio
async def test_stopping_early_cancels_the_task() -> None:
    service = AsyncService()
    async for _ in AsyncPager(service.fetch):
        await service.begun.wait()
        break
    async with asyncio.timeout(5):
        while not service.canceled:
            await asyncio.sleep(0)
        while "civitai-prefetch" in {task.get_name() for task in asyncio.all_tasks()}:
            await asyncio.sleep(0)


@pytest.mark.anyio
async def test_a_caller_that_is_canceled_while_it_waits_cancels_the_fetch_and_can_go_on() -> None:
    service = AsyncService()
    pager = AsyncPager(service.fetch)
    assert await pager.take(2) == [Item(1), Item(2)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await pager.take(1)
    pager.prefetch = True
    items = aiter(pager)
    service.begun.clear()
    waiting = asyncio.ensure_future(anext(items))
    await service.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert service.canceled
    service.go.set()
    assert await pager.to_list() == [Item(3), Item(4)]


@pytest.mark.anyio
async def test_a_caller_that_is_canceled_while_it_waits_for_the_task_cancels_that() -> None:
    service = AsyncService()
    pager = AsyncPager(service.fetch)
    read: list[Item] = []

    async def crawl() -> None:
        async for item in pager:
            read.append(item)  # noqa: PERF401  # what came before it was canceled is looked at

    crawling = asyncio.create_task(crawl())
    await service.begun.wait()
    crawling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crawling
    assert service.canceled
    assert read == [Item(1), Item(2)]
    service.go.set()
    assert await pager.to_list() == [Item(3), Item(4)]


def test_an_event_loop_that_ends_in_the_middle_is_left_clean(caplog: pytest.LogCaptureFixture) -> None:
    async def forget() -> AsyncPager[Item]:
        service = AsyncService()
        pager = AsyncPager(service.fetch)
        await anext(aiter(pager))
        await service.begun.wait()
        return pager

    pager = asyncio.run(forget(), debug=True)
    del pager
    gc.collect()
    assert not caplog.records


@pytest.mark.anyio
async def test_an_error_that_nobody_takes_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def fetch(cursor: str | None, size: int) -> AsyncPage[Item]:
        if cursor is not None:
            begun.set()
            raise OSError("down")
        return AsyncPage([Item(1), Item(2)], "a")

    async for _ in AsyncPager(fetch):
        await begun.wait()
        break
    await asyncio.sleep(0)
    gc.collect()
    assert not caplog.records


# ----------------------------------------------------------------------------------------------------------------- len


def counted(total: int | None, asked: list[str | None] | None = None, **options: Any) -> Pager[Item]:
    def fetch(cursor: str | None, size: int) -> Page[Item]:
        if asked is not None:
            asked.append(cursor)
        start = int(cursor or 0)
        return Page([Item(start), Item(start + 1)], str(start + 2) if start < 2 else None, total)

    return Pager(fetch, **options)


def test_len_is_what_the_service_says() -> None:
    asked: list[str | None] = []
    pager = counted(4, asked)
    assert len(pager) == 4
    assert len(list(pager)) == 4
    assert asked == [None, "2"]
    assert len(counted(4, limit=3)) == 3


def test_len_is_an_error_where_the_service_does_not_say() -> None:
    with pytest.raises(TypeError, match="does not say how many"):
        len(counted(None))
    with pytest.raises(TypeError, match="begun in the middle"):
        len(counted(4, cursor="2"))


def test_a_list_can_be_made_where_len_is_an_error() -> None:
    asked: list[str | None] = []
    assert len(list(counted(None, asked))) == 4
    assert asked == [None, "2"]
    assert len(tuple(counted(None))) == 4
    assert operator.length_hint(counted(None), 7) == 7


def test_a_pager_is_true_whether_len_is_known_or_not() -> None:
    asked: list[str | None] = []
    assert counted(None, asked)
    assert counted(0, asked)
    assert asked == []


def test_an_asynchronous_pager_has_no_len() -> None:
    assert not hasattr(AsyncPager, "__len__")


# ------------------------------------------------------------------------------------------------------------- numbers


@given(done=st.integers(0, 10_000), size=st.integers(1, 200))
def test_a_number_leads_to_the_place_that_the_cursor_means(done: int, size: int) -> None:
    at = Numbered.at(str(done), size)
    assert (at.number - 1) * at.size == done
    assert 1 <= at.size <= size
    assert int(at.next) == done + at.size


def test_page_sizes_recover_after_a_small_one() -> None:
    cursor, sizes = "5", []
    for _ in range(8):
        at = Numbered.at(cursor, 100)
        sizes.append(at.size)
        cursor = at.next
    assert sizes == [5, 10, 20, 40, 80, 80, 80, 80]
