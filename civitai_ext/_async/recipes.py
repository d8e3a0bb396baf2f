"""Recipes: one step run by itself, without a workflow to look after."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from time import monotonic
from typing import Any, Final

import attrs

from civitai_api.orchestration.models import Workflow
from civitai_api.runtime import ApiModel, Request, Response
from civitai_ext._arguments import a_switch
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._async.workflow import DEFAULT_TIMEOUT
from civitai_ext._async.workflows import AsyncWorkflows
from civitai_ext._checks import check_types
from civitai_ext._outputs import output_of
from civitai_ext._polling import check_timeout
from civitai_ext._reading import models_in, record, text
from civitai_ext._recipes import recipe_of
from civitai_ext.errors import ConnectionFailed, InvalidRequest, ServerError, UnexpectedResponse
from civitai_ext.estimates import Estimate
from civitai_ext.steps import Step, build_steps

__all__ = ["AsyncRecipes"]

_LONGEST_REQUEST: Final = 110.0
"""Seconds; the gateway in front of the service gives up earlier."""
_UNKNOWN_END: Final = (
    "It may run, and be charged, all the same: look into `workflows.list`. `workflows.run` can be repeated safely."
)


class AsyncRecipes:
    """One step run by itself: `civitai.recipes`.

    A recipe has no key by which the service knows a repeated request. So it is never sent again once it may have been
    accepted, and after a lost answer nobody knows whether it runs. For what costs Buzz or takes more than a minute,
    `civitai.workflows.run` is the safe way.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def invoke(
        self,
        input: ApiModel | Mapping[str, Any] | str,  # noqa: A002  # the service's own word
        *,
        type: str | None = None,
        allow_mature_content: bool | None = None,
        experimental: bool | None = None,
        ephemeral: bool | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> Any:
        """Run a step, pay for it, and give its output.

        Args:
            input: An input model, whose class tells the step type; or a mapping, or the text that `imageUpload` takes,
                with `type`.
            type: The step type, such as `imageGen`; needed only where the input does not tell it.
            allow_mature_content: Whether mature output is wanted; it is paid in yellow Buzz.
            experimental: Whether experimental providers may be used.
            ephemeral: Whether the service forgets the work once it is over.
            timeout: Seconds to wait in all; None for no end. When they are up the work goes on.

        Returns:
            The output, of the class of its step type: `ImageGenOutput` for `imageGen`.

        Raises:
            WorkflowFailed: The step failed. So do `WorkflowExpired` and `WorkflowCanceled`; all hold the workflow.
            WaitTimeout: It was not over in time.
            InsufficientBuzz: The account cannot pay for it.
            BadRequest: The service refuses the input, or the step failed.
            ConnectionFailed: No answer came; the step may run all the same.
            InvalidRequest: It cannot be right: nothing was sent.
        """
        check_timeout(timeout)
        if timeout == 0:
            raise InvalidRequest("timeout is 0; it takes more than 0 seconds")
        request = _request(
            input,
            type,
            allow_mature_content=allow_mature_content,
            experimental=experimental,
            ephemeral=ephemeral,
        )
        left = inf if timeout is None else timeout
        ends = monotonic() + left
        try:
            answer = await self._transport.send(request, timeout=min(left, _LONGEST_REQUEST), held=True)
        except (ConnectionFailed, ServerError, UnexpectedResponse) as error:
            if not isinstance(error, ConnectionFailed) or error.sent:
                error.hint = _UNKNOWN_END
            raise
        # The published document promises the output, and the guide a workflow.
        workflow = _workflow_in(answer)
        if workflow is None:
            return self._transport.decode(request, answer)
        if workflow.status != "succeeded" and text(workflow.id):
            handle = await AsyncWorkflows(self._transport).get(text(workflow.id))
            done = await handle.wait(max(0.0, ends - monotonic()))
            workflow = done.snapshot
        return _output_of(workflow)

    async def estimate(
        self,
        input: ApiModel | Mapping[str, Any] | str,  # noqa: A002  # the service's own word
        *,
        type: str | None = None,
        allow_mature_content: bool | None = None,
        experimental: bool | None = None,
    ) -> Estimate:
        """Price a step, and check it, without running it.

        Args:
            input: As for `invoke`.
            type: As for `invoke`.
            allow_mature_content: As for `invoke`.
            experimental: As for `invoke`.

        Returns:
            The price; what the service does not say is None in it.

        Raises:
            BadRequest: The service refuses the input.
            InvalidRequest: It cannot be right: nothing was sent.
        """
        request = _request(
            input, type, allow_mature_content=allow_mature_content, experimental=experimental, whatif=True
        )
        answer = await self._transport.call(attrs.evolve(request, idempotent=True))
        # Whichever of the two it is, the price stands where a workflow has it.
        return Estimate.of(Workflow.from_dict(answer.to_dict()))


def _request(given: ApiModel | Mapping[str, Any] | str, type: str | None, **switches: bool | None) -> Request[ApiModel]:
    check_types(given, given.__class__.__name__)
    for name, on in switches.items():
        if on is not None:
            a_switch(name, on)
    step = Step(given, type=type)
    (template,) = build_steps([step])
    request: Request[ApiModel] = recipe_of(step.type).request(body=template["input"], **switches)
    return request


def _workflow_in(answer: Response) -> Workflow | None:
    """The workflow that an answer is, if it is one. The output of `repeat` has steps too, but no status."""
    try:
        data = record(answer.json())
    except (ValueError, RecursionError):
        return None
    return Workflow.from_dict(data) if "steps" in data and "status" in data else None


def _output_of(workflow: Workflow | None) -> Any:
    steps = models_in(workflow.steps) if workflow is not None else []
    output = output_of(steps[0]) if steps else None
    if not output:
        raise UnexpectedResponse("the answer is a workflow without the output of its step", status=200)
    return output
