# Derived from civitai_ext/_async/workflow_service.py by scripts/unasync.py: change that file, then run `make fix`.
"""What can be done with a workflow by its id: reading and changing it, and its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from civitai_api.orchestration import models
from civitai_api.orchestration.api.workflow_steps import (
    get_workflow_step,
    patch_workflow_step,
    update_workflow_step,
)
from civitai_api.orchestration.api.workflows import (
    add_workflow_tag,
    delete_workflow,
    get_workflow,
    patch_workflow,
    remove_all_workflow_tags,
    remove_workflow_tag,
    update_workflow,
)
from civitai_api.runtime import UNSET
from civitai_ext._arguments import a_mapping, a_switch, texts
from civitai_ext._filters import a_segment, switches
from civitai_ext._json_patch import difference
from civitai_ext._sync.transport import Transport
from civitai_ext._sync.waiting import GONE, Waiting
from civitai_ext.errors import InvalidRequest, NotFound

__all__ = ["WorkflowService", "WorkflowSteps", "checked_id"]


class WorkflowService:
    """Workflows by their ids: what handles of workflows, and `civitai.workflows`, do.

    Attributes:
        transport: What sends.
        waiting: All waits of this client.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.waiting = Waiting(transport)

    def read(self, id: str, *, hide_mature_content: bool = False) -> models.Workflow:
        """Read the whole of a workflow.

        Raises:
            NotFound: There is no such workflow: it is older than 30 days, was deleted, or was ephemeral and is over.
        """
        request = get_workflow.request(workflow_id=checked_id(id), **switches(hide_mature_content=hide_mature_content))
        try:
            return self.transport.call(request)
        except NotFound as error:
            error.hint = GONE
            raise

    def cancel(self, id: str) -> None:
        """Stop a workflow; its record stays. What has not begun may be refunded."""
        self.transport.call(
            update_workflow.request(workflow_id=checked_id(id), body=models.UpdateWorkflowRequest(status="canceled"))
        )

    def delete(self, id: str) -> None:
        """Remove a workflow with its record; what has not begun may be refunded. To stop it only, use `cancel`."""
        self.transport.call(delete_workflow.request(workflow_id=checked_id(id)))

    def update(
        self,
        id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        allow_mature_content: bool | None = None,
    ) -> None:
        """Change a workflow; what is left out stays.

        Args:
            id: The workflow.
            metadata: The new values of your own, instead of all that it has.
            tags: The new tags, instead of all that it has.
            allow_mature_content: True lets out what was withheld: what was paid is given back, and paid again in
                yellow Buzz.

        Raises:
            BadRequest: The service refuses the change, as when there is not enough yellow Buzz.
            NotFound: There is no such workflow.
            InvalidRequest: There is nothing to change, or something is of a wrong type.
        """
        body = models.UpdateWorkflowRequest(
            metadata=UNSET if metadata is None else a_mapping("metadata", metadata),
            tags=UNSET if tags is None else texts("tags", tags),
            allow_mature_content=UNSET
            if allow_mature_content is None
            else a_switch("allow_mature_content", allow_mature_content),
        )
        if not body.to_dict():
            raise InvalidRequest("There is nothing to change", hint="Give metadata, tags or allow_mature_content.")
        self.transport.call(update_workflow.request(workflow_id=checked_id(id), body=body))

    def patch(self, id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Change of a workflow only what differs between two states, and leave what others changed meanwhile.

        Args:
            id: The workflow.
            before: What is known of it, such as `{"metadata": {"rating": 1, "seen": True}}`.
            after: What it is to be, such as `{"metadata": {"rating": 5, "seen": True}}`. Lists are replaced whole.

        Raises:
            BadRequest: The service refuses the change.
            NotFound: There is no such workflow.
            InvalidRequest: One of the states is no map, or holds what JSON cannot hold.
        """
        if changes := [*difference(a_mapping("before", before), a_mapping("after", after))]:
            self.transport.call(patch_workflow.request(workflow_id=checked_id(id), body=changes))

    def add_tag(self, id: str, tag: str) -> None:
        """Give a workflow a tag."""
        # A tag that is there already stays there once, so this may be sent again.
        request = add_workflow_tag.request(workflow_id=checked_id(id), body=_tag(tag))
        self.transport.call(attrs.evolve(request, idempotent=True))

    def remove_tag(self, id: str, tag: str) -> None:
        """Take a tag from a workflow."""
        self.transport.call(remove_workflow_tag.request(workflow_id=checked_id(id), tag=_tag(tag)))

    def remove_all_tags(self, id: str) -> None:
        """Take all tags from a workflow."""
        self.transport.call(remove_all_workflow_tags.request(workflow_id=checked_id(id)))


class WorkflowSteps:
    """Single steps of workflows: `civitai.workflows.steps`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, workflow_id: str, name: str) -> models.WorkflowStep:
        """Read a step.

        Raises:
            NotFound: There is no such workflow, or no such step in it.
        """
        return self._transport.call(
            get_workflow_step.request(workflow_id=checked_id(workflow_id), step_name=_step(name))
        )

    def update(self, workflow_id: str, name: str, *, metadata: Mapping[str, Any]) -> None:
        """Change the values of your own that are kept with a step that has not begun.

        Raises:
            Conflict: The step has begun.
            NotFound: There is no such workflow, or no such step in it.
            InvalidRequest: The metadata is no map, or holds what JSON cannot hold.
        """
        body = models.UpdateWorkflowStepRequest(metadata=a_mapping("metadata", metadata))
        self._transport.call(
            update_workflow_step.request(workflow_id=checked_id(workflow_id), step_name=_step(name), body=body)
        )

    def patch(self, workflow_id: str, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Change of a step that has not begun only what differs between two states: see `Workflows.patch`.

        Raises:
            Conflict: The step has begun.
            NotFound: There is no such workflow, or no such step in it.
            InvalidRequest: One of the states is no map, or holds what JSON cannot hold.
        """
        if changes := [*difference(a_mapping("before", before), a_mapping("after", after))]:
            self._transport.call(
                patch_workflow_step.request(workflow_id=checked_id(workflow_id), step_name=_step(name), body=changes)
            )


def checked_id(value: Any) -> str:
    """Check the id of a workflow.

    Raises:
        InvalidRequest: No workflow can have such an id.
    """
    return a_segment(value, "the id of a workflow")


def _step(value: Any) -> str:
    return a_segment(value, "the name of a step")


def _tag(value: Any) -> str:
    return a_segment(value, "a tag")
