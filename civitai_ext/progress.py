"""How far a workflow is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from civitai_api.runtime import ApiModel
from civitai_ext._reading import models_in, number, text

if TYPE_CHECKING:
    from civitai_api.orchestration.models import Workflow, WorkflowStep

__all__ = ["FINAL_STATUSES", "Progress"]

FINAL_STATUSES: Final = frozenset({"succeeded", "failed", "expired", "canceled"})
"""The statuses that a workflow, a step or a job does not leave. Any other, known or not, means that it goes on."""


@attrs.frozen
class Progress:
    """One look at a workflow that is being waited for.

    Attributes:
        workflow_id: The workflow.
        status: Its status, such as `processing`.
        fraction: How much of it is done, 0 to 1; a hint, since models may still have to be fetched.
        step: The name of the step that is being worked on; None between steps.
        queue_position: How many jobs are ahead of it; None if it is not queued or the service does not say.
        elapsed: Seconds since the waiting began.
    """

    workflow_id: str
    status: str
    fraction: float
    step: str | None
    queue_position: int | None
    elapsed: float

    @classmethod
    def of(cls, workflow: Workflow, elapsed: float) -> Progress:
        """Read it from a workflow."""
        steps = models_in(workflow.steps)
        current = next((step for step in steps if text(step.status) not in FINAL_STATUSES | {"unassigned"}), None)
        done = 1.0 if text(workflow.status) in FINAL_STATUSES else sum(map(_done, steps)) / max(len(steps), 1)
        return cls(
            workflow_id=text(workflow.id),
            status=text(workflow.status) or "unknown",
            fraction=min(max(done, 0.0), 1.0),
            step=(text(current.name) or None) if current is not None else None,
            queue_position=_ahead(current),
            elapsed=elapsed,
        )

    def __str__(self) -> str:
        where = f" {self.step}" if self.step else ""
        queued = f", {self.queue_position} ahead" if self.queue_position else ""
        return f"{self.workflow_id}: {self.status}{where} {self.fraction:.0%}{queued} ({self.elapsed:.0f} s)"


def _done(step: WorkflowStep) -> float:
    if text(step.status) in FINAL_STATUSES:
        return 1.0
    if step.status != "processing":
        return 0.0  # while a step prepares, its rate is that of fetching models, which says nothing of the work
    if rate := number(step.estimated_progress_rate):
        return rate
    jobs = models_in(step.jobs)
    rates = [1.0 if text(job.status) in FINAL_STATUSES else number(job.estimated_progress_rate) or 0.0 for job in jobs]
    return sum(rates) / max(len(rates), 1)


def _ahead(step: WorkflowStep | None) -> int | None:
    for job in models_in(step.jobs) if step is not None else ():
        place = job.queue_position
        if isinstance(place, ApiModel) and isinstance(place.preceding_jobs, int):
            return place.preceding_jobs
    return None
