"""Workflows: how they move through their states as the clock goes on, and what happens to their Buzz.

Nothing here waits. A step gets a `Timeline` when it can begin; `Workflows.refresh` then brings a workflow up to the
present whenever somebody looks at it.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.blobs import Blob, Blobs
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.ledger import InsufficientBuzzError, Transaction
from civitai_ext.emulator.references import ARGUMENTS, UnresolvedError, resolve
from civitai_ext.emulator.spending import Purse
from civitai_ext.emulator.steps import KINDS, Ending, Input, Part, StepFailedError, Workplace, blobs_in, wrong_in
from civitai_ext.emulator.templates import StepTemplate, Template

RETENTION = timedelta(days=30)
"""How long a workflow is kept."""

FINAL = ("succeeded", "failed", "expired", "canceled")

_FAILED = "no_provider_available"
_UNASSIGNED_SECONDS = 0.5
_PREPARING_SECONDS = 2.0
_SCHEDULED_SECONDS = {"high": 0.5, "normal": 1.5, "low": 4.5}
"""How long a step waits for a worker, by its priority."""
_MOST_RETRIES = 10

_Phases = tuple[tuple[str, timedelta], ...]


@dataclass(frozen=True)
class Timeline:
    """The course of a step that has begun: phases one after another, and how it ends."""

    start: datetime
    phases: _Phases
    ending: str
    reason: str | None = None
    blocked_reason: str | None = None

    @property
    def end(self) -> datetime:
        """When the step is over."""
        return sum((length for _, length in self.phases), timedelta()) + self.start

    @cached_property
    def attempts(self) -> list[Timeline]:
        """The course of each attempt: all but the last one fail while they are processed."""
        parts, phases, start = [], list[tuple[str, timedelta]](), self.start
        for place, phase in enumerate(self.phases, start=1):
            phases.append(phase)
            if phase[0] == "processing" and place < len(self.phases):
                parts.append(Timeline(start, tuple(phases), "failed", _FAILED))
                phases, start = [], parts[-1].end
        return [*parts, Timeline(start, tuple(phases), self.ending, self.reason, self.blocked_reason)]

    def begin_of(self, status: str) -> datetime:
        """Tell when a phase begins for the first time, or the end of all when there is no such phase."""
        moment = self.start
        for name, length in self.phases:
            if name == status:
                return moment
            moment += length
        return moment

    def at(self, now: datetime) -> tuple[str, float]:
        """Tell the phase of a moment before the end, and how much of that phase has passed."""
        moment = self.start
        for name, length in self.phases:
            if now < moment + length:
                return name, max(0.0, (now - moment) / length)
            moment += length
        return self.phases[-1][0], 1.0


@dataclass
class Step:
    """A step of a workflow that was accepted."""

    template: StepTemplate
    metadata: dict[str, Any]
    seed: int
    input: Any
    job_id: str
    status: str = "unassigned"
    progress: float | None = None
    timeline: Timeline | None = None
    attempt: int = 0
    completed_at: datetime | None = None
    output: dict[str, Any] | None = None
    reason: str | None = None
    blocked_reason: str | None = None
    refunded: bool = False

    @property
    def final(self) -> bool:
        """Whether the step is over."""
        return self.status in FINAL

    @property
    def started_at(self) -> datetime | None:
        """When the processing began, if it has."""
        if self.timeline is None:
            return None
        return self.timeline.begin_of("processing") if self.attempt else self.began(self.timeline)

    def began(self, attempt: Timeline) -> datetime | None:
        """Tell when the processing of the present attempt began, if it has."""
        begin = attempt.begin_of("processing")
        reached = self.status == "processing" or (self.completed_at is not None and begin < self.completed_at)
        return begin if reached else None

    def job_of(self, attempt: int) -> str:
        """Name the job of an attempt, counted from 0."""
        return self.job_id if not attempt else str(uuid.uuid5(uuid.UUID(self.job_id), str(attempt)))

    @property
    def blobs(self) -> Iterator[Blob]:
        """The media that the step has made."""
        return blobs_in(self.output)


@dataclass
class Workflow:
    """A workflow that was accepted, or the preview of one (`id` is then `None`)."""

    id: str | None
    number: int
    account: Account
    purse: Purse
    template: Template
    steps: list[Step]
    created_at: datetime
    tags: list[str]
    metadata: dict[str, Any]
    allow_mature: bool | None
    transactions: list[Transaction] = field(default_factory=list)
    planned: list[tuple[str, int]] = field(default_factory=list)
    insufficient: bool | None = None
    listed: bool = True

    @property
    def status(self) -> str:
        """The status that follows from those of the steps."""
        return overall([step.status for step in self.steps])

    @property
    def final(self) -> bool:
        """Whether the workflow is over, or never begins because it is a preview."""
        return self.id is None or self.status in FINAL

    @property
    def blobs(self) -> Iterator[Blob]:
        """The media that all steps have made."""
        return itertools.chain.from_iterable(step.blobs for step in self.steps)

    def next_change(self) -> datetime | None:
        """Tell when a step is over next, if one is under way."""
        ends = [step.timeline.end for step in self.steps if step.timeline is not None and not step.final]
        return min(ends, default=None)

    def step(self, name: str) -> Step | None:
        """Find a step by its name."""
        return next((step for step in self.steps if step.template.name == name), None)


def overall(statuses: Collection[str]) -> str:
    """Tell the status of a workflow from those of its steps.

    >>> overall(["succeeded", "unassigned"]), overall(["succeeded", "canceled"])
    ('processing', 'canceled')
    """
    if all(status in FINAL for status in statuses):
        return next((status for status in ("failed", "expired", "canceled") if status in statuses), "succeeded")
    order = ("processing", "succeeded", "scheduled", "preparing")
    furthest = next((status for status in order if status in statuses), "unassigned")
    # Between two steps the work goes on.
    return "processing" if furthest == "succeeded" else furthest


class Workflows:
    """Takes workflows in, moves them on, settles their Buzz."""

    KEPT = ("_count", "_by_id", "_by_key")

    def __init__(self, clock: Clock, blobs: Blobs, identifiers: Identifiers, catalogue: Catalogue) -> None:
        self._clock = clock
        self._blobs = blobs
        self._identifiers = identifiers
        self._catalogue = catalogue
        self._count = 0
        self._by_id: dict[str, Workflow] = {}
        self._by_key: dict[tuple[int, str], Workflow] = {}

    def __iter__(self) -> Iterator[Workflow]:
        """Go through all that is kept, oldest first, also what no listing shows."""
        for workflow in list(self._by_id.values()):
            self.refresh(workflow)
            yield workflow

    def earlier(self, account: Account, template: Template) -> Workflow | None:
        """Find what an earlier submit with the same `externalId` led to, be it a workflow or a preview."""
        workflow = self._by_key.get((account.id, template.external_id)) if template.external_id else None
        if workflow is None:
            return None
        if self._is_old(workflow):
            self._forget(workflow)
            return None
        self.refresh(workflow)
        return workflow

    def equal(self, account: Account, template: Template) -> Workflow | None:
        """Find the last workflow of an account that does the same, unless it came to nothing."""
        return next(
            (
                workflow
                for workflow in reversed(self.of(account))
                if workflow.template.steps == template.steps
                and workflow.template.arguments == template.arguments
                and workflow.status not in ("failed", "expired", "canceled")
            ),
            None,
        )

    def preview(self, account: Account, template: Template, purse: Purse, *, takes_key: bool = True) -> Workflow:
        """Price a workflow without running it. Its `externalId` may be taken all the same, as the service does it."""
        workflow = self._make(account, template, purse, id_=None)
        if takes_key:
            self._keep_key(workflow)
        try:
            workflow.planned = purse.split(template.bill.total, template.colours)
            workflow.insufficient = False
        except InsufficientBuzzError:
            workflow.planned = [(template.colours[0] if template.colours else "yellow", template.bill.total)]
            workflow.insufficient = True
        return workflow

    def submit(self, account: Account, template: Template, purse: Purse, *, listed: bool = True) -> Workflow:
        """Charge a purse for a workflow and set it going.

        Raises:
            InsufficientBuzzError: The account cannot pay; nothing is kept.

        """
        purse.split(template.bill.total, template.colours)
        id_ = self._identifiers.make("wf")
        workflow = self._make(account, template, purse, id_=id_)
        self._keep_key(workflow)
        workflow.listed = listed
        workflow.transactions = purse.charge(
            template.bill.total, template.colours, workflow_id=id_, at=workflow.created_at
        )
        self._by_id[id_] = workflow
        self.refresh(workflow)
        return workflow

    def get(self, account: Account, id_: str) -> Workflow | None:
        """Find a workflow of an account. An ephemeral one is gone once it is over."""
        workflow = self._by_id.get(id_)
        if workflow is None or workflow.account is not account:
            return None
        self.refresh(workflow)
        if self._is_old(workflow) or (workflow.template.ephemeral and workflow.final):
            self._forget(workflow)
            return None
        return workflow

    def of(self, account: Account) -> list[Workflow]:
        """List the workflows of an account, oldest first."""
        found = (self.get(account, id_) for id_ in list(self._by_id))
        return [workflow for workflow in found if workflow is not None and workflow.listed]

    def cancel(self, workflow: Workflow) -> None:
        """End what is not over yet; work that has not begun is refunded."""
        self.refresh(workflow)
        now = self._clock.now()
        for step in workflow.steps:
            if not step.final:
                if step.status != "processing":
                    self._refund(workflow, step, now)
                self._end(step, "canceled", now, reason="canceled")
        self._clock.wake()

    def delete(self, workflow: Workflow) -> None:
        """Cancel a workflow and forget it."""
        self.cancel(workflow)
        self._forget(workflow)

    def allow_mature(self, workflow: Workflow) -> None:
        """Let mature content out: what other colours have paid is given back, and yellow pays instead.

        Raises:
            InsufficientBuzzError: There is not enough yellow; nothing changes.

        """
        paid: dict[str, int] = {}
        for transaction in workflow.transactions:
            sign = 1 if transaction.type == "debit" else -1
            paid[transaction.account] = paid.get(transaction.account, 0) + sign * transaction.amount
        amount = sum(part for colour, part in paid.items() if colour != "yellow")
        purse, id_, now = workflow.purse, workflow.id or "", self._clock.now()
        purse.split(amount, ["yellow"])
        others = [transaction for transaction in workflow.transactions if transaction.account != "yellow"]
        workflow.transactions += purse.refund(amount, others, workflow_id=id_, at=now)
        workflow.transactions += purse.charge(amount, ["yellow"], workflow_id=id_, at=now)
        workflow.allow_mature = True
        for blob in workflow.blobs:
            blob.withheld = False

    def refresh(self, workflow: Workflow) -> None:
        """Bring a workflow up to the present."""
        if workflow.id is None:
            return
        now = self._clock.now()
        changed = True
        while changed:
            # Until nothing more follows: the end of one step can be the beginning of the next.
            changed = False
            for step in workflow.steps:
                if not step.final and self._move_on(workflow, step, now):
                    changed = True

    def _move_on(self, workflow: Workflow, step: Step, now: datetime) -> bool:
        """Move one step on; tell whether that can change anything for the others."""
        if step.timeline is None:
            sources = [source for source in workflow.steps if source.template.name in step.template.needs]
            begin = max((source.completed_at or now for source in sources), default=workflow.created_at)
            if any(source.final and source.status != "succeeded" for source in sources):
                self._refund(workflow, step, begin)
                self._end(step, "canceled", begin, reason="canceled")
                return True
            if any(not source.final for source in sources):
                return False
            step.timeline = self._begin(workflow, step, begin)
        step.attempt = sum(attempt.end <= now for attempt in step.timeline.attempts[:-1])
        if now < step.timeline.end:
            step.status, step.progress = step.timeline.at(now)
            return False
        self._finish(workflow, step, step.timeline)
        return True

    def _begin(self, workflow: Workflow, step: Step, start: datetime) -> Timeline:
        """Fill in the references of a step and lay out its course."""
        queued: _Phases = (("unassigned", timedelta(seconds=_UNASSIGNED_SECONDS)),)
        kind = KINDS[step.template.type]
        try:
            if kind.binds(Input(step.template.input)) is None:
                step.input = resolve(step.template.input, self._lookup(workflow))
        except UnresolvedError as error:
            return Timeline(start, queued, "failed", str(error))
        given = Input(step.input)
        if fault := wrong_in(kind, given):
            return Timeline(start, queued, "failed", fault)
        ending = given.ending
        if kind.prepares:
            queued += (("preparing", timedelta(seconds=_PREPARING_SECONDS)),)
        timeout, retries = step.template.timeout, min(max(step.template.retries, 0), _MOST_RETRIES)
        if ending is Ending.EXPIRE:
            phases, _ = _cut((*queued, ("scheduled", timeout)), timeout)
            return Timeline(start, phases, "expired", "expired")
        scheduled = ("scheduled", timedelta(seconds=_SCHEDULED_SECONDS[step.template.priority]))
        processing = timedelta(seconds=kind.seconds(given))
        whole, half = (scheduled, ("processing", processing)), (scheduled, ("processing", processing / 2))
        status, reason, blocked_reason, phases = "succeeded", None, None, (*queued, *whole)
        if ending is Ending.FAIL or (ending is Ending.RETRY and not retries):
            status, reason, phases = "failed", _FAILED, (*queued, *half * (retries + 1))
        elif ending is Ending.RETRY:
            phases = (*queued, *half, *whole)
        elif ending is Ending.BLOCK:
            status, reason, blocked_reason = "failed", "blocked", "The content was blocked by moderation."
        phases, fits = _cut(phases, timeout)
        if not fits:
            return Timeline(start, phases, "expired", "timeout")
        return Timeline(start, phases, status, reason, blocked_reason)

    def _finish(self, workflow: Workflow, step: Step, timeline: Timeline) -> None:
        """End a step whose course is over, with its output or with a refund."""
        kind = KINDS[step.template.type]
        if timeline.ending == "succeeded":
            given = Input(step.input)
            place = Workplace(
                blobs=self._blobs,
                catalogue=self._catalogue,
                owner=workflow.account.id,
                job_id=step.job_of(step.attempt),
                at=timeline.end,
                seed=step.seed,
                seconds=(timeline.end - timeline.attempts[step.attempt].begin_of("processing")).total_seconds(),
                level="x" if given.ending is Ending.MATURE else "pg",
                look_up=self._lookup(workflow),
            )
            try:
                step.output = kind.produce(given, place)
            except StepFailedError as error:
                timeline = Timeline(timeline.start, timeline.phases, "failed", str(error))
        if timeline.ending != "succeeded":
            if kind.failed:
                step.output = kind.failed(timeline.blocked_reason or timeline.reason or timeline.ending)
            self._refund(workflow, step, timeline.end)
        self._end(step, timeline.ending, timeline.end, timeline.reason, timeline.blocked_reason)
        if any(blob.mature for blob in step.blobs) and not workflow.allow_mature:
            self._meet_mature(workflow, step)

    def _meet_mature(self, workflow: Workflow, step: Step) -> None:
        """Withhold mature content that nobody has asked for, or pay for it when the workflow says so."""
        for blob in step.blobs:
            blob.withheld = blob.mature
        if workflow.template.upgrade_mode == "automatic":
            try:
                self.allow_mature(workflow)
            except InsufficientBuzzError:
                return

    @staticmethod
    def _end(
        step: Step, status: str, at: datetime, reason: str | None = None, blocked_reason: str | None = None
    ) -> None:
        step.status, step.completed_at, step.progress = status, at, None
        step.reason, step.blocked_reason = reason, blocked_reason

    def _refund(self, workflow: Workflow, step: Step, at: datetime) -> None:
        """Give back the price of a step, and the tips with the last one."""
        step.refunded = True
        amount = step.template.price.total
        if all(other.refunded for other in workflow.steps):
            amount += workflow.template.bill.total - workflow.template.bill.subtotal
        workflow.transactions += workflow.purse.refund(
            amount, workflow.transactions, workflow_id=workflow.id or "", at=at
        )

    def _lookup(self, workflow: Workflow) -> Callable[[str], Any]:
        def find(name: str) -> Any:
            if name == ARGUMENTS:
                return workflow.template.arguments
            step = workflow.step(name) or workflow.steps[int(name.removeprefix("$"))]
            return {"input": step.input, "output": self.show(step.output), "metadata": step.metadata}

        return find

    def show(self, output: Any, *, hide_mature: bool = False) -> Any:
        """Write an output as JSON, with every blob in it as the caller may see it now."""
        if isinstance(output, Blob):
            return self._blobs.as_json(output, hide_mature=hide_mature)
        if isinstance(output, Part):
            return self._blobs.as_json(output.blob, hide_mature=hide_mature).get(output.name)
        if isinstance(output, dict):
            return {name: self.show(value, hide_mature=hide_mature) for name, value in output.items()}
        if isinstance(output, list):
            return [self.show(value, hide_mature=hide_mature) for value in output]
        return output

    def _make(self, account: Account, template: Template, purse: Purse, *, id_: str | None) -> Workflow:
        self._count += 1
        self._forget_old()
        return Workflow(
            id=id_,
            number=self._count,
            account=account,
            purse=purse,
            template=template,
            steps=[
                Step(step, dict(step.metadata), self._identifiers.number(), step.input, self._identifiers.uuid())
                for step in template.steps
            ],
            created_at=self._clock.now(),
            tags=list(template.tags),
            metadata=dict(template.metadata),
            allow_mature=template.allow_mature,
        )

    def _keep_key(self, workflow: Workflow) -> None:
        if key := workflow.template.external_id:
            self._by_key.pop((workflow.account.id, key), None)  # so that the oldest ones stay in front
            self._by_key[workflow.account.id, key] = workflow

    def _forget_old(self) -> None:
        """Forget what nobody would find any more."""
        for kept in (self._by_id, self._by_key):
            while kept and self._is_old(oldest := next(iter(kept.values()))):
                self._forget(oldest)

    def _is_old(self, workflow: Workflow) -> bool:
        return self._clock.now() > workflow.created_at + RETENTION

    def _forget(self, workflow: Workflow) -> None:
        self._by_id.pop(workflow.id or "", None)
        key = (workflow.account.id, workflow.template.external_id or "")
        if self._by_key.get(key) is workflow:
            del self._by_key[key]


def _cut(phases: _Phases, limit: timedelta) -> tuple[_Phases, bool]:
    """Cut a course off where its time is up, and tell whether it was over before."""
    kept = []
    for status, length in phases:
        kept.append((status, min(length, limit)))
        if length > limit:
            return tuple(kept), False
        limit -= length
    return tuple(kept), True
