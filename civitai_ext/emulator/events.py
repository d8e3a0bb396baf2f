"""What happened to a workflow, and how callbacks are told: each event as of the moment of it, whoever looks when."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.workflows import FINAL, Step, Workflow, overall

Json = dict[str, Any]

TOLD = frozenset({"unassigned", "processing", *FINAL})
"""The statuses that there are events of."""


@dataclass(frozen=True)
class Event:
    """A change of a status.

    Attributes:
        at: When it happened.
        kind: To what: `workflow`, `step` or `job`.
        status: The new status.
        step: The step, unless it happened to the whole workflow.
        progress: How far a job is that goes on.
        statuses: Those of all steps then, by their names.
        attempt: Which attempt of the step it was, counted from 0.

    """

    at: datetime
    kind: str
    status: str
    step: Step | None
    progress: float | None
    statuses: Mapping[str, str]
    attempt: int = 0

    @property
    def name(self) -> str:
        """What callbacks call it."""
        return f"{self.kind}:{self.status}"

    @property
    def identity(self) -> Hashable:
        """What tells it apart from all other events of the workflow."""
        return self.name, self.step and self.step.template.name, self.progress, self.attempt


@dataclass(frozen=True)
class _Change:
    """A step's new status, and what is told of it: of the step, of its job, of both, or nothing.

    A job that is `retried` is over, and its step is not.
    """

    at: datetime
    status: str
    kinds: tuple[str, ...]
    progress: float | None = None
    attempt: int = 0
    retried: bool = False


def events_until(workflow: Workflow, now: datetime) -> list[Event]:
    """List what has happened, oldest first. The workflow has to be up to date."""
    depths = _depths(workflow)
    changes = [
        (change.at, depths[step.template.name], step, change)
        for step in workflow.steps
        for change in _changes(workflow, step)
        if change.at <= now
    ]
    # What ends comes before what that lets begin in the same moment.
    changes.sort(key=itemgetter(0, 1))
    statuses = {step.template.name: "unassigned" for step in workflow.steps}
    last = "unassigned"
    events = [Event(workflow.created_at, "workflow", last, None, None, dict(statuses))]
    for at, together in itertools.groupby(changes, key=itemgetter(0)):
        for _, _, step, change in together:
            if not change.retried:
                statuses[step.template.name] = change.status
            now_are = dict(statuses)
            events += [
                Event(at, kind, change.status, step, _progress(kind, change), now_are, change.attempt)
                for kind in change.kinds
            ]
        status = overall(list(statuses.values()))
        if status != last and status in TOLD:
            events.append(Event(at, "workflow", status, None, None, dict(statuses)))
        last = status
    return events


def next_event(workflow: Workflow, now: datetime) -> datetime | None:
    """Tell when something happens next, if anything is under way."""
    moments = [change.at for step in workflow.steps if not step.final for change in _changes(workflow, step)]
    ends = [step.timeline.end for step in workflow.steps if step.timeline and not step.final]
    return min((moment for moment in (*moments, *ends) if moment > now), default=None)


def _changes(workflow: Workflow, step: Step) -> Iterator[_Change]:
    """List the changes of a step in order, those to come as well."""
    last = 0
    yield _Change(workflow.created_at, "unassigned", ("step",))
    if step.timeline is not None:
        at = step.timeline.start
        for number, attempt in enumerate(step.timeline.attempts):
            if number and at >= (step.completed_at or step.timeline.end):
                break  # canceled before
            if number:
                last = number
                yield _Change(at, "failed", ("job",), attempt=number - 1, retried=True)
            for status, length in attempt.phases:
                if step.completed_at is not None and at > step.completed_at:
                    break
                if status == "processing":
                    yield _Change(at, status, ("job", "step"), 0.0, number)
                    half = at + length / 2
                    if at < half < (step.completed_at or step.timeline.end):
                        yield _Change(half, status, ("job",), 0.5, number)
                else:
                    yield _Change(at, status, ("job",) if status in TOLD else (), attempt=number)
                at += length
    if step.completed_at is not None:
        yield _Change(step.completed_at, step.status, ("job", "step") if step.timeline else ("step",), attempt=last)


def _progress(kind: str, change: _Change) -> float | None:
    return change.progress if kind == "job" else None


def _depths(workflow: Workflow) -> dict[str, int]:
    """Tell of each step how many others come before it, one after another."""
    depths: dict[str, int] = {}
    waiting = workflow.steps
    for depth in itertools.count():
        ready = [step for step in waiting if step.template.needs <= depths.keys()]
        depths |= {step.template.name: depth for step in ready}
        waiting = [step for step in waiting if step not in ready]
        if not waiting:
            break
    return depths


def event_json(workflow: Workflow, event: Event, show: Callable[[Any], Any], *, detailed: bool) -> Json:
    """Write an event as it is posted.

    Args:
        workflow: What it happened to.
        event: The event.
        show: Writes an output as JSON.
        detailed: Whether the callback has asked for details.

    """
    told: Json = {"$type": event.kind, "workflowId": workflow.id, "status": event.status}
    step = event.step
    if step is None:
        told["timestamp"] = orchestration_time(event.at)
        if detailed:
            told["details"] = _workflow_details(workflow, event, show)
    elif event.kind == "step":
        told["name"] = step.template.name
        if detailed:
            told["details"] = _step_details(step, event, show) | {"retries": step.template.retries}
    else:
        told |= {"stepName": step.template.name, "jobId": step.job_of(event.attempt), "progress": event.progress}
        if event.status in FINAL:
            retried = step.timeline.attempts[event.attempt] if step.timeline and event.attempt < step.attempt else None
            told["reason"] = retried.reason if retried else step.reason
            told["blockedReason"] = None if retried else step.blocked_reason
            told["matureContent"] = not retried and any(blob.mature for blob in step.blobs)
    return _without_nulls(told)


def _workflow_details(workflow: Workflow, event: Event, show: Callable[[Any], Any]) -> Json:
    begun = [step.started_at for step in workflow.steps if step.started_at and step.started_at <= event.at]
    steps = [
        {
            "name": step.template.name,
            "status": event.statuses[step.template.name],
            **_step_details(step, event, show),
            "cost": step.template.price.total,
        }
        for step in workflow.steps
    ]
    return _without_nulls(
        {
            "metadata": workflow.metadata,
            "arguments": workflow.template.arguments,
            "createdAt": orchestration_time(workflow.created_at),
            "startedAt": orchestration_time(min(begun)) if begun else None,
            "completedAt": orchestration_time(event.at) if event.status in FINAL else None,
            "steps": steps,
        }
    )


def _step_details(step: Step, event: Event, show: Callable[[Any], Any]) -> Json:
    began = step.started_at if step.started_at and step.started_at <= event.at else None
    ended = step.completed_at if event.statuses[step.template.name] in FINAL else None
    return _without_nulls(
        {
            "startedAt": orchestration_time(began) if began else None,
            "completedAt": orchestration_time(ended) if ended else None,
            "metadata": step.metadata,
            "input": step.input,
            "output": show(step.output) if ended else None,
        }
    )


def _without_nulls(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if value is not None}
