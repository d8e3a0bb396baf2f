"""Asking for events: the callbacks that a workflow is submitted with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from civitai_ext._config import is_loopback, origin_of
from civitai_ext.errors import InvalidRequest

if TYPE_CHECKING:
    from civitai_api.orchestration.models import WorkflowCallback, WorkflowCallbackEvent

__all__ = ["callback"]

_STATUSES: Final = ("*", "unassigned", "processing", "succeeded", "failed", "expired", "canceled")
_EVENTS: Final = frozenset(f"{kind}:{status}" for kind in ("workflow", "step", "job") for status in _STATUSES)


def callback(url: str, *events: WorkflowCallbackEvent, detailed: bool = False) -> WorkflowCallback:
    """Make a callback for `workflows.submit(callbacks=[…])`.

    Args:
        url: Where to post the events: an https URL that Civitai can reach, with the secret of the `Receiver` as the
            last part of its path. http is for the emulator, and for this machine only.
        events: Which ones, such as `workflow:*`, `step:succeeded` or `job:failed`.
        detailed: Whether events carry `details`, with inputs and outputs.

    Raises:
        InvalidRequest: The service would refuse it. The message does not repeat the URL.

    >>> callback("https://example.com/hooks/secret", "workflow:*").type
    ['workflow:*']
    """
    origin = origin_of(url)
    if origin is None:
        raise InvalidRequest("The URL of a callback is not an absolute https URL", hint="As in https://example.com/x.")
    if urlsplit(url).scheme != "https" and not is_loopback(origin[1]):
        raise InvalidRequest(
            f"The URL of a callback to {origin[1]} is not https", hint="http is for the emulator on this machine."
        )
    if not events:
        raise InvalidRequest("A callback needs an event", hint="Ask for 'workflow:*' to get all of a workflow.")
    if unknown := [event for event in events if event not in _EVENTS]:
        raise InvalidRequest(
            f"There is no event {unknown[0]!r}",
            hint=f"An event is workflow, step or job, a colon, and one of {', '.join(_STATUSES)}.",
        )
    from civitai_api.orchestration.models import WorkflowCallback

    return WorkflowCallback(url=url, type=list(events), detailed=detailed)
