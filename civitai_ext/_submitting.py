"""What a submit is made of, and what is wrong with it before it is sent. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

from civitai_api.orchestration import models
from civitai_api.runtime import UNSET, ApiModel, dump
from civitai_ext._checks import Problem, problems
from civitai_ext._polling import LONGEST_HOLD
from civitai_ext._reading import number
from civitai_ext.errors import InvalidRequest
from civitai_ext.steps import Step, StepLike, build_steps

if TYPE_CHECKING:
    from civitai_api.orchestration.models import BuzzClientAccount, WorkflowCallback, WorkflowTips

__all__ = ["WorkflowOptions", "check_cost", "check_hold", "check_key", "template_of", "template_problems"]

_KEY: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST_TAG: Final = 200


class WorkflowOptions(TypedDict, total=False):
    """What a workflow can be submitted with, besides its steps."""

    tags: Sequence[str]
    """Up to 10, each at most 200 characters; workflows can be listed by them."""
    metadata: Mapping[str, Any]
    """Values of your own, kept with the workflow."""
    callbacks: Sequence[WorkflowCallback]
    """Where to post its events."""
    arguments: Mapping[str, Any]
    """Values that steps may refer to: `arguments["prompt"]` in a step's input, with `civitai_ext.arguments`."""
    tips: WorkflowTips
    """What to give to Civitai and to the creators of the models, as factors of the price."""
    currencies: Sequence[BuzzClientAccount]
    """Which kinds of Buzz may be taken; by default blue, then green, then yellow."""
    allow_mature_content: bool
    """Whether mature output is wanted; it is paid in yellow Buzz."""
    upgrade_mode: str
    """`manual` or `automatic`: what happens where output turns out to be mature."""
    experimental: bool
    """Whether experimental providers may be used."""
    ephemeral: bool
    """Whether the service forgets the workflow once it is over. It needs `callbacks`, or `wait`."""


def check_key(key: str | None) -> None:
    """Check a key of the caller.

    Raises:
        InvalidRequest: The service does not take such a key.
    """
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= 128 and _KEY.issuperset(key)):
        raise InvalidRequest(f"external_id is {key!r}; it takes 1 to 128 letters, digits, '_' and '-'")


def check_hold(wait: float, options: WorkflowOptions) -> None:
    """Check for how long a submit is to be held.

    Raises:
        InvalidRequest: The service cannot hold a request as long, or forgets the result before anybody has it.
    """
    if number(wait) is None or not 0 <= wait <= LONGEST_HOLD:
        raise InvalidRequest(
            f"wait is {wait!r}; a submit can be held for 0 to {LONGEST_HOLD:g} seconds",
            hint="Use `workflow.wait()` to wait for longer.",
        )
    if options.get("ephemeral") and not wait and not options.get("callbacks"):
        raise InvalidRequest(
            "An ephemeral workflow is forgotten as soon as it is over, and nobody would get what it made",
            hint="Give `callbacks`, or `wait` for it, as `run` does.",
        )


def check_cost(max_cost: float | None) -> None:
    """Check a limit of what may be spent.

    Raises:
        InvalidRequest: It is no amount of Buzz.
    """
    if max_cost is not None and (number(max_cost) is None or max_cost < 0):
        raise InvalidRequest(f"max_cost is {max_cost!r}; it takes an amount of Buzz, 0 or more")


def template_of(steps: Sequence[StepLike], key: str | None, options: WorkflowOptions) -> models.WorkflowTemplate:
    """Make the body of a submit.

    Raises:
        InvalidRequest: The steps do not fit together, or there is no such option.
    """
    fields: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    known = {*WorkflowOptions.__annotations__}
    if unknown := sorted(fields.keys() - known):
        raise InvalidRequest(f"There is no option {unknown[0]!r}", hint=f"There are {', '.join(sorted(known))}.")
    built: Any = build_steps(steps, fields.get("arguments"))
    return models.WorkflowTemplate(steps=built, external_id=UNSET if key is None else key, **fields)


def template_problems(steps: Sequence[StepLike], template: models.WorkflowTemplate) -> Iterator[Problem]:
    """Find what is wrong with a submit, as far as the documents tell."""
    for place, step in enumerate(steps, start=1):
        if isinstance(step, Step):
            yield from problems(step.metadata, f"steps[{place}].metadata")
        if isinstance(step, ApiModel):
            yield from problems(step, f"steps[{place}].{type(step).__name__}")
        elif isinstance(step, Step) and isinstance(step.input, ApiModel):
            yield from problems(step.input, f"steps[{place}].input")
        else:  # what was given as JSON is read as what the service would take it for
            read = models.WorkflowStepTemplate.from_dict(dump(step))
            yield from problems(getattr(read, "input", None), f"steps[{place}].input")
    yield from problems(template, "workflow")
    for tag in template.tags or ():
        if isinstance(tag, str) and len(tag) > _LONGEST_TAG:
            yield Problem(f"workflow.tags has one of {len(tag)} characters, and the service takes {_LONGEST_TAG}")
