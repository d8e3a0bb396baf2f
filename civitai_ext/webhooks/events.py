"""The events that Civitai posts: what they say, and when two of them are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from civitai_api.runtime import ApiModel, Response, Timestamp
from civitai_ext._reading import text
from civitai_ext.errors import InvalidEvent
from civitai_ext.progress import FINAL_STATUSES

if TYPE_CHECKING:
    from civitai_api.orchestration.models import WorkflowEvent, WorkflowStepEvent, WorkflowStepJobEvent

__all__ = ["Event", "parse"]

_CLASSES: Final = {"workflow": "WorkflowEvent", "step": "WorkflowStepEvent", "job": "WorkflowStepJobEvent"}


@attrs.frozen
class Event:
    """What happened to a workflow, to one of its steps, or to a job of a step.

    Attributes:
        data: All that was posted, as the generated class of its kind: `WorkflowEvent`, `WorkflowStepEvent`,
            `WorkflowStepJobEvent`; a bare `ApiModel` for kinds that are not known yet.
        kind: What it happened to: `workflow`, `step`, `job`, or a word that is not known yet.
        workflow_id: The workflow.
        step: The name of the step; None if the event is about the whole workflow.
        job: The id of the job; None if the event is not about a job.
        status: The status it has now, such as `succeeded`.
        timestamp: When that was, which the service tells for workflows only; else None.
        key: Equal for two events that are the same, so that the second can be dropped.

    `key` is a digest of the kind, the workflow, the step, the job, the status and the timestamp. Events of steps and
    jobs have no timestamp. There, a final status comes only once, so that nothing takes its place; any other status may
    come again, such as `processing` with other progress, so that the whole content takes its place: what says word for
    word the same is the same. For kinds that are not known yet it is always the content.
    """

    data: WorkflowEvent | WorkflowStepEvent | WorkflowStepJobEvent | ApiModel = attrs.field(repr=False, hash=False)
    kind: str
    workflow_id: str
    step: str | None
    job: str | None
    status: str
    timestamp: datetime | None
    key: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """Its name as a callback asks for it, such as `workflow:succeeded`."""
        return f"{self.kind}:{self.status}"

    @property
    def is_final(self) -> bool:
        """Whether what it happened to is over, with or without success."""
        return self.status in FINAL_STATUSES

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, self.workflow_id, self.step, self.job) if part)


def parse(body: bytes | str | Mapping[str, Any]) -> Event:
    r"""Read the body of a request that Civitai posted.

    Unknown fields, kinds and statuses are kept. There is no signature in it: whoever knows the URL can post one.

    Args:
        body: The bytes, the text, or the JSON object.

    Raises:
        InvalidEvent: It is no event.

    >>> event = parse(b'{"$type": "step", "workflowId": "wf_1", "name": "hero", "status": "succeeded"}')
    >>> print(event, event.is_final)
    step:succeeded wf_1 hero True
    """
    if not isinstance(body, Mapping):
        body = _read(body)
    kind = _text_of(body, "$type").lower()
    workflow_id = _text_of(body, "workflowId")
    # A kind that is not known may well have no status.
    status = _text_of(body, "status") if kind in _CLASSES else text(body.get("status"))
    step = text(body.get("name") if kind == "step" else body.get("stepName")) or None
    job = text(body.get("jobId")) or None
    moment = _moment(body.get("timestamp"))
    what = [kind, workflow_id, step, job, status]
    # The subject of a final event has to be known for it to come only once.
    is_known = kind == "workflow" or (kind == "step" and step) or (kind == "job" and job)
    if is_known and moment is not None:
        key = _digest([*what, moment.text])
    else:
        key = _digest(what if is_known and status in FINAL_STATUSES else [*what, body])
    return Event(_model(kind, body), kind, workflow_id, step, job, status, moment, key)


def _read(body: object) -> Mapping[str, Any]:
    found, problem = body, ""
    if isinstance(body, (bytes, str)):
        try:
            found = Response(200, content=body.encode() if isinstance(body, str) else body).json()
        except RecursionError:
            problem = "it is nested too deeply"
        except ValueError:
            problem = "it is not JSON" if body.strip() else "it is empty"
    # Raised out here: the errors of JSON readers hold the whole body.
    if problem or not isinstance(found, dict):
        raise InvalidEvent(f"This is no event: {problem or f'it is {_described(found)}, not a JSON object'}")
    return found


def _described(value: object) -> str:
    names = {str: "a text", list: "a list", bool: "true or false", type(None): "null", int: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")


def _text_of(body: Mapping[str, Any], name: str) -> str:
    """A field without which there is no event."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        problem = f"{name} is missing" if value is None else f"{name} is not a text with something in it"
        raise InvalidEvent(f"This is no event: {problem}")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidEvent(f"This is no event: {name} has half a surrogate pair in it")
    return value


def _model(kind: str, body: Mapping[str, Any]) -> ApiModel:
    if kind not in _CLASSES:
        return ApiModel.from_dict(body)
    from civitai_api.orchestration import models

    found: type[ApiModel] = getattr(models, _CLASSES[kind])
    return found.from_dict(body)


def _moment(value: object) -> Timestamp | None:
    try:
        return Timestamp.parse(text(value)) if value else None
    except (ValueError, OverflowError):
        return None


def _digest(what: list[Any]) -> str:
    said = ""
    with suppress(RecursionError, ValueError):
        said = json.dumps(what, sort_keys=True, default=str)
    if not said:
        raise InvalidEvent("This is no event: it is nested too deeply, or holds a number that is too long")
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
