"""Works on the events that a store holds: in order for each workflow, several workflows at a time, with retries."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final

from civitai_ext._backoff import RetryPolicy
from civitai_ext.errors import InvalidEvent, NotFound
from civitai_ext.webhooks._lanes import Lanes
from civitai_ext.webhooks.events import Event, parse
from civitai_ext.webhooks.stores import Store, Waiting

__all__ = ["Worker"]

logger: Final = logging.getLogger("civitai_ext")

_LOOK_SECONDS: Final = 0.5
"""How often to look for events that other processes have added."""
_AFTER_TROUBLE_SECONDS: Final = 1.0
_LONGEST_ERROR: Final = 500


class Worker:
    """Runs the handler. Made by a `Receiver`, for one event loop."""

    def __init__(
        self,
        store: Store,
        handler: Callable[..., Any],
        refetch: Callable[[str], Any] | None,
        *,
        concurrency: int,
        retry: RetryPolicy,
    ) -> None:
        self._store = store
        self._handler = handler
        self._refetch = refetch
        self._retry = retry
        self._lanes = Lanes()
        self._seen = 0
        self._began: dict[int, float] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._concurrency = concurrency
        self._threads = ThreadPoolExecutor(concurrency, "civitai-ext-webhook")
        self._news = asyncio.Event()
        self._is_stopping = False
        self._feeding = asyncio.create_task(self._feed())

    def look(self) -> None:
        """Look for new events, now."""
        self._news.set()

    async def stop(self, grace: float) -> None:
        """Begin nothing more, and wait for what has begun; after `grace` seconds that is canceled.

        What a store would lose is begun and waited for too.
        """
        drained = asyncio.create_task(self._drain())
        await asyncio.wait([drained], timeout=grace)
        self._is_stopping = True
        tasks = [self._feeding, drained, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A thread cannot be canceled. What it works on is not done as long as nobody has noted so.
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._lanes and not self._store.durable:
            logger.warning("Events are lost that were not worked on within the %g seconds of the shutdown", grace)

    async def _drain(self) -> None:
        self._is_stopping = self._store.durable
        while self._running or (not self._store.durable and (self._lanes or self._news.is_set())):
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.01)  # what is left waits to be tried again

    async def _feed(self) -> None:
        """Take over what is in the store, and what is added to it."""
        leads = False
        while True:
            self._news.clear()
            try:
                leads = leads or await self._store.lead()
                while leads and (found := await self._store.waiting(self._seen)):
                    self._seen = found[-1].number
                    self._lanes.add(found)
                    self._begin()
            except Exception:
                logger.exception("The store of a webhook receiver fails; it is asked again")
                await asyncio.sleep(_AFTER_TROUBLE_SECONDS)
                self.look()
            # Not `wait_for`, which may overlook before Python 3.12 that it is canceled.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS if self._store.shared else None):
                    await self._news.wait()

    def _begin(self) -> None:
        """Begin with as many events as may be worked on."""
        while not self._is_stopping and len(self._running) < self._concurrency and (event := self._lanes.take()):
            task = asyncio.create_task(self._work(event))
            self._running.add(task)
            task.add_done_callback(self._go_on)

    def _go_on(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    async def _work(self, waiting: Waiting) -> None:
        """Work on an event once, and decide what follows."""
        number, workflow_id = waiting
        began = self._began.pop(number, monotonic())
        attempt = 1
        failure: str | None = None
        try:
            body, attempt = await self._store.begin(number)
            if attempt > self._retry.attempts:
                raise _EndlessError("the process ended each time before the handler did")
            await self._handle(parse(body))
        except (Exception, asyncio.CancelledError) as error:
            if _is_canceled():
                raise
            is_final = isinstance(error, (_GoneError, _EndlessError, InvalidEvent))
            elapsed = monotonic() - began
            delay = self._retry.decide(attempt, idempotent=True, elapsed=elapsed, final=is_final)
            if delay is not None:
                logger.warning("Event %s of %r failed; again in %.1f s", number, workflow_id, delay, exc_info=True)
                self._began[number] = began
                asyncio.get_running_loop().call_later(delay, self._again, workflow_id)
                return
            logger.exception("Event %s of %r failed for good and is put aside", number, workflow_id)
            failure = _description(error)
        await self._finish(number, failure)
        self._lanes.done(workflow_id)

    def _again(self, workflow_id: str) -> None:
        self._lanes.again(workflow_id)
        self._begin()

    async def _finish(self, number: int, failure: str | None) -> None:
        while True:
            try:
                await self._store.finish(number, failure)
            except Exception:
                # Going on would be to forget that it is done: it would be handled again after a restart.
                logger.exception("It cannot be noted that event %s is over; it is tried again", number)
                await asyncio.sleep(_AFTER_TROUBLE_SECONDS)
            else:
                return

    async def _handle(self, event: Event) -> None:
        if self._refetch is None:
            await self._call(self._handler, event)
            return
        try:
            workflow = await self._call(self._refetch, event.workflow_id)
        except NotFound as error:
            raise _GoneError(f"there is no workflow {event.workflow_id!r}: ephemeral, deleted, or forged") from error
        await self._call(self._handler, event, workflow)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the user's, in a thread unless it is asynchronous."""
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            result = function(*arguments)
        else:
            call = partial(_call_in_thread, function, *arguments)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return await result if inspect.isawaitable(result) else result


class _EndlessError(RuntimeError):
    """An event was begun as often as may be, and neither done nor given up."""


class _GoneError(LookupError):
    """The workflow of an event is not there, and will not be."""


def _is_canceled() -> bool:
    """Whether the task itself is canceled, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _call_in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (StopIteration, SystemExit) as error:
        # The one is lost on its way out of a thread, the other would end the server.
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error


def _description(error: BaseException) -> str:
    text = "".join(traceback.format_exception_only(error)).strip()
    return text.encode(errors="backslashreplace").decode()[:_LONGEST_ERROR]
