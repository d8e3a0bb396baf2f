"""Workflows, steps and jobs as the Orchestration API shows them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.steps import Input
from civitai_ext.emulator.workflows import Step, Timeline, Workflow
from civitai_ext.emulator.world import World

Json = dict[str, Any]

_LEVELS = ("pg", "pg13", "r", "x", "xxx")
_QUEUE = 4


def workflow_json(world: World, workflow: Workflow, *, hide_mature: bool = False) -> Json:
    """Show a workflow; the preview of one shows what would be charged."""
    template = workflow.template
    listed: list[Json] = [transaction.as_json() for transaction in workflow.transactions]
    listed += [{"type": "debit", "amount": amount, "accountType": colour} for colour, amount in workflow.planned]
    transactions: Json = {"list": listed}
    if workflow.insufficient is not None:
        transactions["insufficientBuzz"] = workflow.insufficient
    ends = [step.completed_at for step in workflow.steps if step.completed_at]
    levels = [blob.level for blob in workflow.blobs]
    return _finished(
        world,
        {
            "id": workflow.id,
            "createdAt": orchestration_time(workflow.created_at),
            "transactions": transactions,
            "metadata": workflow.metadata,
            "status": workflow.status,
            "startedAt": _moment(min((s.started_at for s in workflow.steps if s.started_at), default=None)),
            "completedAt": _moment(max(ends)) if ends and workflow.final else None,
            "tags": workflow.tags,
            "arguments": template.arguments,
            "steps": [step_json(world, workflow, step, hide_mature=hide_mature) for step in workflow.steps],
            "callbacks": template.callbacks,
            "tips": dict(template.tips),
            "cost": template.bill.as_json(),
            "nsfwLevel": max(levels, key=_LEVELS.index, default=None),
            "experimental": template.experimental,
            "allowMatureContent": workflow.allow_mature,
            "upgradeMode": template.upgrade_mode,
            "currencies": template.currencies or template.colours,
            "forceRefunded": False,
            "ephemeral": template.ephemeral or None,
            "externalId": template.external_id,
        },
    )


def step_json(world: World, workflow: Workflow, step: Step, *, hide_mature: bool = False) -> Json:
    """Show a step."""
    template = step.template
    return _finished(
        world,
        {
            "$type": template.type,
            "name": template.name,
            "priority": template.priority,
            "timeout": template.timeout_text,
            "retries": template.retries,
            "jobs": _jobs_json(world, step, step.timeline) if step.timeline else [],
            "status": step.status,
            "startedAt": _moment(step.started_at),
            "completedAt": _moment(step.completed_at),
            "metadata": step.metadata,
            "estimatedProgressRate": _progress(step),
            "preparation": _preparation_json(step),
            "input": step.input,
            "output": world.workflows.show(step.output, hide_mature=hide_mature),
        },
    )


def _jobs_json(world: World, step: Step, timeline: Timeline) -> list[Json]:
    """Show the jobs of a step: one for each attempt that has begun, the last one as the step is."""
    *earlier, last = timeline.attempts[: step.attempt + 1]
    failed = [
        {
            "id": step.job_of(number),
            "status": attempt.ending,
            "startedAt": _moment(attempt.begin_of("processing")),
            "completedAt": _moment(attempt.end),
            "cost": step.template.price.total,
            "reason": attempt.reason,
        }
        for number, attempt in enumerate(earlier)
    ]
    return [*failed, _job_json(world, step, last)]


def _job_json(world: World, step: Step, timeline: Timeline) -> Json:
    shown: Json = {
        "id": step.job_of(step.attempt),
        "status": step.status,
        "startedAt": _moment(step.began(timeline)),
        "completedAt": _moment(step.completed_at),
        "cost": step.template.price.total,
    }
    if step.final:
        return _finished(world, shown | {"reason": step.reason, "blockedReason": step.blocked_reason})
    if step.status != "processing":
        waiting = 1 - (step.progress or 0) if step.status == "scheduled" else 1.0
        shown["queuePosition"] = {
            "support": "available" if step.status == "scheduled" else "unavailable",
            "precedingJobs": math.ceil(_QUEUE * waiting) - 1,
            "startAt": orchestration_time(timeline.begin_of("processing")),
            "completeAt": orchestration_time(timeline.end),
        }
    return _finished(world, shown | {"estimatedProgressRate": _progress(step)})


def _progress(step: Step) -> float | None:
    """Tell the progress of a download or of the processing; there is none to tell in between."""
    if step.progress is None or step.status not in ("preparing", "processing"):
        return None
    return round(step.progress, 3)


def _preparation_json(step: Step) -> Json | None:
    """Show which model is being fetched, when the input names one."""
    model = Input(step.input).text("model")
    if step.status != "preparing" or step.timeline is None or not model.startswith("urn:air:"):
        return None
    length = next((length for name, length in step.timeline.phases if name == "preparing"), timedelta())
    left = length.total_seconds() * (1 - (step.progress or 0))
    return {"resource": model, "queuePosition": 0, "progress": _progress(step), "etaSeconds": math.ceil(left)}


def _moment(moment: datetime | None) -> str | None:
    return orchestration_time(moment) if moment else None


def _finished(world: World, shown: Json) -> Json:
    """Leave out what is null, as the service does it."""
    if Quirk.V2_NULLS not in world.quirks:
        return shown
    return {name: value for name, value in shown.items() if value is not None}
