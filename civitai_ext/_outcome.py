"""How a workflow ended, in words. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from civitai_api.orchestration.models import Workflow, WorkflowStep
from civitai_api.runtime import ApiModel
from civitai_ext import errors
from civitai_ext._outputs import output_of
from civitai_ext._reading import models_in, record, text

__all__ = ["failure_of"]

_ENDS: dict[str, tuple[type[errors.WorkflowError], str]] = {
    "failed": (errors.WorkflowFailed, "failed"),
    "expired": (errors.WorkflowExpired, "was not done within its time"),
    "canceled": (errors.WorkflowCanceled, "was canceled"),
}


def failure_of(workflow: Workflow, handle: Any) -> errors.WorkflowError | None:
    """Make the error for a workflow that ended without success; None for any other.

    Args:
        workflow: As it was last read.
        handle: What the error is to give as its workflow.
    """
    end = _ENDS.get(text(workflow.status))
    if end is None:
        return None
    kind, words = end
    steps = [step for step in models_in(workflow.steps) if step.status in ("failed", "expired")]
    reasons, blocked, told = [], [], []
    for step in steps:
        here, refused = list(_said(step, "reason", "errors", "message")), list(_said(step, "blockedReason"))
        reasons += here
        blocked += refused
        said = ", ".join(dict.fromkeys(here + refused))
        told.append(f"step {text(step.name)} {step.status}{f' ({said})' if said else ''}")
    return kind(
        f"Workflow {text(workflow.id)} {words}{': ' if told else ''}{'; '.join(told)}",
        workflow=handle,
        step=text(steps[0].name) or None if steps else None,
        reason=next(iter(reasons), None),
        blocked_reason=next(iter(blocked), None),
        hint="The content was refused, and would be again: change it before you submit it once more."
        if blocked
        else None,
    )


def _said(step: WorkflowStep, *names: str) -> Iterator[str]:
    """What the service says about a step: the fields differ by deployment and by step type."""
    for holder in (*models_in(step.jobs), step, output_of(step)):
        fields = holder.to_dict() if isinstance(holder, ApiModel) else record(holder)
        for name in names:
            found = fields.get(name)
            for item in found if isinstance(found, list) else [found]:
                if text(item):
                    yield text(item)
