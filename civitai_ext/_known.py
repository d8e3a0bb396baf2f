"""What is known of a workflow, as it was last read. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from civitai_api.orchestration import models
from civitai_ext._outcome import failure_of
from civitai_ext._outputs import texts_of
from civitai_ext._reading import models_in, text
from civitai_ext.progress import FINAL_STATUSES

__all__ = ["KnownWorkflow"]


class KnownWorkflow:
    """What is known of a workflow.

    Attributes:
        id: The service's name for it; with it `civitai.workflows.attach` finds it again, from any process.
        snapshot: The whole of it as it was last read; None if it has not been read yet.
    """

    def __init__(self, id: str, snapshot: models.Workflow | None = None) -> None:
        self.id = id
        self.snapshot = snapshot

    @property
    def status(self) -> str:
        """Its status when it was last read, such as `processing`; `unknown` if it never was."""
        return (text(self.snapshot.status) if self.snapshot is not None else "") or "unknown"

    @property
    def is_final(self) -> bool:
        """Whether it is over, with or without success."""
        return self.status in FINAL_STATUSES

    @property
    def ephemeral(self) -> bool:
        """Whether the service forgets it once it is over."""
        return self.snapshot is not None and self.snapshot.ephemeral is True

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted; None if that is not known."""
        made = self.snapshot.created_at if self.snapshot is not None else None
        return made if isinstance(made, datetime) else None

    @property
    def steps(self) -> list[models.WorkflowStep]:
        """Its steps as they were last read, each of the class of its type."""
        return models_in(self.snapshot.steps) if self.snapshot is not None else []

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return [tag for tag in (self.snapshot.tags if self.snapshot is not None else ()) or () if isinstance(tag, str)]

    @property
    def metadata(self) -> dict[str, Any]:
        """The values of your own that are kept with it."""
        held = self.snapshot.metadata if self.snapshot is not None else None
        return held if isinstance(held, dict) else {}

    @property
    def cost(self) -> models.WorkflowCost | None:
        """What it cost; None if the service did not say."""
        return next(iter(models_in([self.snapshot.cost])), None) if self.snapshot is not None else None

    def raise_for_status(self) -> None:
        """Raise the error for a workflow that ended without success.

        Raises:
            WorkflowFailed: A step failed. So do `WorkflowExpired` and `WorkflowCanceled`; all hold the workflow.
        """
        error = failure_of(self.snapshot, self) if self.snapshot is not None else None
        if error is not None:
            raise error

    @property
    def text(self) -> list[str]:
        """Every text that its steps gave, in order: answers of a chat, captions, transcriptions."""
        return texts_of(self.snapshot) if self.snapshot is not None else []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.status}>"
