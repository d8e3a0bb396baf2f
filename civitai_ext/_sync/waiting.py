# Derived from civitai_ext/_async/waiting.py by scripts/unasync.py: change that file, then run `make fix`.
"""Waiting for workflows: all waits of one client, so that many of them share requests.

A few workflows are waited for with a request each, which the service holds until the workflow is over. Where many are
waited for at the same time, one of the waits lists them from time to time, and the others wait for what it finds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

import attrs

from civitai_api.orchestration import models
from civitai_api.orchestration.api.workflows import get_workflow, query_workflows
from civitai_api.runtime import UNSET
from civitai_ext._backoff import RetryPolicy
from civitai_ext._known import KnownWorkflow
from civitai_ext._polling import MOST_HELD, Listing, Polling, can_be_listed, check_timeout, listing_interval
from civitai_ext._reading import models_in, text
from civitai_ext._signal import Signal
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import (
    ApiError,
    BadRequest,
    CivitaiError,
    ConnectionFailed,
    NotFound,
    RateLimited,
    ServerError,
    UnexpectedResponse,
    WaitTimeout,
)
from civitai_ext.progress import Progress

__all__ = ["GONE", "Waiting", "Watch"]

_PASSING = (ConnectionFailed, RateLimited, ServerError, UnexpectedResponse)
"""What may be over at the next look."""

_SLACK = 10.0
"""Seconds that an answer to a held request may come late."""

_MOST_CONNECTIONS = 64
"""How many requests may be held at once where workflows cannot be listed: each takes a connection."""

GONE = "Workflows are kept for 30 days; ephemeral ones are gone as soon as they are over."
_FORGOTTEN = "It was ephemeral: the service forgot it when it was over. Its callbacks were told its end."

_PAGE = 100
"""The most workflows that a list gives at a time."""


class Watch:
    """One wait for one workflow.

    Args:
        workflow: The workflow; every look is kept as its snapshot.
        timeout: Seconds to wait in all; None for no end.
        watched: Whether somebody wants to see progress.

    Raises:
        InvalidRequest: The timeout is no time.
    """

    def __init__(self, workflow: KnownWorkflow, timeout: float | None, *, watched: bool) -> None:
        check_timeout(timeout)
        self.workflow = workflow
        self.timeout = timeout
        self.started = monotonic()
        self.polling = Polling(timeout=timeout, started=self.started, watched=watched)
        self.trouble: CivitaiError | None = None
        """What went wrong with the last look."""
        self.alone = False
        """Whether it cannot be found in a list."""
        self.signal = Signal()
        self._told: Progress | None = None

    def news(self) -> Progress | None:
        """How far the workflow is, if that has changed since it was told the last time."""
        if self.workflow.snapshot is None:
            return None
        progress = Progress.of(self.workflow.snapshot, monotonic() - self.started)
        if self._told is not None and attrs.evolve(progress, elapsed=0.0) == attrs.evolve(self._told, elapsed=0.0):
            return None
        self._told = progress
        return progress

    def timed_out(self) -> WaitTimeout:
        """The error for when its time is up."""
        what = f"Workflow {self.workflow.id} was {self.workflow.status} after {self.timeout:g} seconds"
        if self.trouble is not None:
            what += f", and the last look at it failed ({self.trouble.describe()})"
        error = WaitTimeout(what, workflow_ids=[self.workflow.id])
        error.__cause__ = self.trouble
        return error


class Waiting:
    """Looks at the workflows that are waited for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._queued: dict[int, KnownWorkflow] = {}
        """What will be waited for as soon as something else is over."""
        self._leader: Watch | None = None
        """Who is about to list."""
        self._began = 0.0
        self._listed_at = 0.0
        self._pages = 1
        self._held = 0

    @contextmanager
    def joined(self, watch: Watch) -> Iterator[None]:
        """Be one of those that wait, until the end of the block."""
        with self._lock:
            self._watches.add(watch)
            self._began = monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._watches.discard(watch)
            self._wake()

    @contextmanager
    def queued(self, workflows: Sequence[KnownWorkflow]) -> Iterator[Callable[[KnownWorkflow], object]]:
        """Look for workflows in lists already, until they are taken out, or the block ends.

        Yields:
            What takes one out, because it is waited for from now on.
        """

        def take(workflow: KnownWorkflow) -> None:
            with self._lock:
                self._queued.pop(id(workflow), None)

        with self._lock:
            self._queued.update((id(workflow), workflow) for workflow in workflows)
        try:
            yield take
        finally:
            for workflow in workflows:
                take(workflow)

    def next(self, watch: Watch) -> Progress | None:
        """Wait until something has changed, and give how far the workflow is; None once it is over and that was told.

        Raises:
            WaitTimeout: The time is up.
        """
        while True:
            if (progress := watch.news()) is not None:
                return progress
            if watch.workflow.is_final:
                return None
            if not self._look(watch):
                raise watch.timed_out()

    def _look(self, watch: Watch) -> bool:
        """Look at a workflow, alone or with others; tell whether there was time for it."""
        with self._lock:
            left = watch.polling.left(monotonic())
            # Whoever has no time for the next list looks once more alone, so that no end before the deadline is missed.
            listed = len(self._watches) + len(self._queued) > MOST_HELD and not watch.alone and left > 0
            crowded = listed or not left
            if listed and not can_be_listed(watch.workflow.snapshot):
                listed, watch.alone = False, watch.workflow.snapshot is not None
            leads = listed and self._leader is None
            if leads:
                self._leader = watch
            watch.signal = Signal()
        if not listed:
            return self._look_alone(watch, hold=not crowded)
        watch.polling.listed()
        if leads:
            self._lead(left)
        else:
            watch.signal.wait(left)
        return True

    def _look_alone(self, watch: Watch, *, hold: bool) -> bool:
        workflow, polling = watch.workflow, watch.polling
        poll = polling.next(monotonic(), hold=hold and self._held < _MOST_CONNECTIONS)
        if poll is None:
            return False
        if poll.pause:
            self._transport.sleep(poll.pause)
        with self._lock:
            self._held += poll.hold > 0
        try:
            workflow.snapshot = self.read(workflow.id, hold=poll.hold)
        except BadRequest:
            # Deployments that know `wait` as a switch refuse a number of seconds.
            if not poll.hold:
                raise
            polling.refused()
        except NotFound as error:
            error.hint = _FORGOTTEN if workflow.ephemeral else GONE
            raise
        except _PASSING as error:
            polling.failed(error.retry_after if isinstance(error, ApiError) else None)
            if workflow.snapshot is None and polling.failures >= self._transport.policy.attempts:
                raise  # nothing says that there is such a workflow, or such a service
            watch.trouble = error
        else:
            polling.answered()
            watch.trouble = None
        finally:
            with self._lock:
                self._held -= poll.hold > 0
        return True

    def read(self, id: str, *, hold: int = 0) -> models.Workflow:
        """Read a workflow once, the request held for up to `hold` seconds until it is over."""
        return self._transport.call(
            get_workflow.request(workflow_id=id, wait=hold or UNSET),
            timeout=hold + _SLACK,
            policy=RetryPolicy.off(),
            held=hold > 0,
        )

    def _lead(self, left: float) -> None:
        """List those that are waited for, once it is time for that."""
        try:
            now = monotonic()
            pause = self._listed_at + listing_interval(now - self._began, self._pages) - now
            if pause > 0:
                self._transport.sleep(min(pause, left))
            if pause <= left:
                self._list()
                self._listed_at = monotonic()
        finally:
            with self._lock:
                self._leader = None
            self._wake()

    def _list(self) -> None:
        with self._lock:
            watches = [watch for watch in self._watches if not watch.alone]
            workflows = [watch.workflow for watch in watches] + list(self._queued.values())
        missing: dict[str, list[KnownWorkflow]] = {}
        known: list[models.Workflow] = []
        for workflow in workflows:
            snapshot = workflow.snapshot
            if snapshot is not None and can_be_listed(snapshot) and not workflow.is_final:
                missing.setdefault(workflow.id, []).append(workflow)
                known.append(snapshot)
        if not known:
            return  # somebody else has read them meanwhile
        listing = Listing.of(known)
        cursor, pages = "", 0
        try:
            while missing and pages < listing.most_pages and (cursor or not pages):
                page = self._transport.call(
                    query_workflows.request(
                        cursor=cursor or UNSET,
                        take=_PAGE,
                        tags=listing.tags or None,
                        from_date=listing.from_date,
                        to_date=listing.to_date,
                        hide_mature_content=False,
                    )
                )
                pages += 1
                for item in models_in(page.items):
                    for workflow in missing.pop(text(item.id), ()):
                        if not workflow.is_final:  # else its end was known before this list came
                            workflow.snapshot = item
                cursor = text(page.next)
        except _PASSING as error:
            for watch in watches:
                watch.trouble = error
            return
        except ApiError:
            pass  # it cannot be listed: each is asked for, and told what is wrong
        self._pages = pages
        for watch in watches:
            watch.trouble = None
            watch.alone = watch.workflow.id in missing

    def _wake(self) -> None:
        with self._lock:
            for watch in self._watches:
                watch.signal.set()
