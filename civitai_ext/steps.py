"""Steps of a workflow, and references from one step to what another will give.

A workflow's steps run side by side unless one refers to another's output: the reference stands in an input where the
value will be, and orders the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from civitai_api.runtime import ApiModel, Reference, dump
from civitai_ext.errors import InvalidRequest

__all__ = ["ArgumentReference", "OutputReference", "Step", "StepLike", "arguments", "build_steps"]

_ARGUMENTS = "$arguments"
_NOT_IN_TEXT = "A reference cannot be a part of a text: its value is not there yet. Let it be the whole value."


class OutputReference(Reference):
    """A place in the output that a step will have, to be put in another step's input.

    Attributes and indexes lead to the place. Attributes are spelled as on the output's class (`preview_url`) and
    turned into the service's spelling (`previewUrl`); an index in quotes is taken as it is.

    >>> hero = Step({"prompt": "a cat"}, type="imageGen", name="hero")
    >>> hero.output.images[0].preview_url
    <hero: output.images[0].previewUrl>
    """

    __slots__ = ("_step",)

    def __init__(self, step: Step, path: str = "output") -> None:
        super().__init__(step.name or "", path)
        self._step = step

    def __getattr__(self, name: str) -> OutputReference:
        if name.startswith("_"):
            raise AttributeError(name)
        head, *rest = name.rstrip("_").split("_")
        return self[head + "".join(part.capitalize() for part in rest)]

    def __getitem__(self, key: str | int) -> OutputReference:
        return OutputReference(self._step, f"{self.path}{_place(key)}")

    def __iter__(self) -> Any:
        raise TypeError(f"{self!r} is not there yet, so its items cannot be gone through; name one by its index")

    def __format__(self, spec: str) -> str:
        raise InvalidRequest(_NOT_IN_TEXT)

    def to_wire(self) -> dict[str, Any]:
        """The JSON form, except that the step stands in place of its name until the workflow names it."""
        return {"$ref": self._step, "path": self.path}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputReference) and (self._step, self.path) == (other._step, other.path)

    def __hash__(self) -> int:
        return hash((id(self._step), self.path))

    def __repr__(self) -> str:
        return f"<{self._step.name or 'unnamed step'}: {self.path}>"


class ArgumentReference(Reference):
    """A place in the arguments of the workflow, to be put in a step's input: see `arguments`."""

    __slots__ = ()

    def __init__(self, path: str = "") -> None:
        super().__init__(_ARGUMENTS, path)

    def __getitem__(self, key: str | int) -> ArgumentReference:
        return ArgumentReference(f"{self.path}{_place(key)}".removeprefix("."))

    def __iter__(self) -> Any:
        raise TypeError("arguments cannot be gone through; name one by its key")

    def __format__(self, spec: str) -> str:
        raise InvalidRequest(_NOT_IN_TEXT)

    def __repr__(self) -> str:
        return f"<arguments: {self.path}>"


arguments = ArgumentReference()
"""The arguments of the workflow that a step will be in: `arguments["prompt"]` in a step's input stands for what the
workflow is submitted with as `arguments={"prompt": …}`.

>>> arguments["styles"][0].to_wire()
{'$ref': '$arguments', 'path': 'styles[0]'}
"""


class Step:
    """One step of a workflow: an input, and how to run it.

    Args:
        input: What the step works on: an input model, whose class tells the step type, or a mapping with `type`.
        name: What other steps and the results call it; steps without one are called `step1`, `step2`… by their place.
        type: The step type, such as `imageGen`; needed only where the input does not tell it.
        priority: `high`, `normal` or `low`; a higher one may cost more.
        timeout: How long the service may work on it.
        retries: How often the service may start over.
        metadata: Values of your own, kept with the step.

    Raises:
        InvalidRequest: The step type is missing or contradicts the input, or an option is of a wrong type.

    >>> from civitai_api.orchestration.models import Flux2KleinCreateImageInput
    >>> Step(Flux2KleinCreateImageInput(prompt="a cat"), name="hero")
    Step('imageGen', name='hero')
    """

    def __init__(
        self,
        input: ApiModel | Mapping[str, Any] | str,  # noqa: A002  # the service's own word
        *,
        name: str | None = None,
        type: str | None = None,
        priority: str | None = None,
        timeout: timedelta | str | None = None,
        retries: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        known = input.__step__ if isinstance(input, ApiModel) else None
        self.input = input
        self.type: str = type or known or ""
        self.name = name
        if type is None and known is None:
            what = input.__class__.__name__
            raise InvalidRequest(
                f"The step type of a {what} is not known",
                hint="Name it, as in Step(…, type='imageGen'), or give an input model.",
            )
        if type is not None and known is not None and type != known:
            raise InvalidRequest(f"{input.__class__.__name__} is the input of a step of type {known!r}, not {type!r}")
        for option, value, fits, words in (
            ("name", name, isinstance(name, str) and name != "", "a text that is not empty"),
            ("priority", priority, isinstance(priority, str), "a text"),
            ("timeout", timeout, _is_span(timeout), "a timedelta of 0 or more, or a text such as '00:10:00'"),
            ("retries", retries, _is_count(retries), "an integer, 0 or more"),
            ("metadata", metadata, isinstance(metadata, Mapping), "a map"),
        ):
            if value is not None and not fits:
                raise InvalidRequest(f"{option} of a step is {value!r}; it takes {words}")
        self.priority = priority
        self.timeout = timeout
        self.retries = retries
        self.metadata = metadata

    @property
    def output(self) -> OutputReference:
        """What the step will give, for use in another step's input."""
        return OutputReference(self)

    def to_wire(self) -> dict[str, Any]:
        """The step's template as JSON, references not yet named."""
        fields = {
            "$type": self.type,
            "name": self.name,
            "input": dump(self.input),
            "priority": self.priority,
            "timeout": timespan(self.timeout) if isinstance(self.timeout, timedelta) else self.timeout,
            "retries": self.retries,
            "metadata": dump(self.metadata),
        }
        return {key: value for key, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"Step({self.type!r}, name={self.name!r})"


StepLike = Step | ApiModel | Mapping[str, Any]
"""What a step may be given as: a `Step`, an input model, a generated step template, or a template as a plain dict."""


def build_steps(steps: Sequence[StepLike], arguments: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Turn steps into the templates of one workflow: named, with their references resolved.

    Raises:
        InvalidRequest: There is no step, a name stands twice, or a reference goes round in a circle or leads to a step
            or an argument that the workflow does not have.
    """
    if not steps:
        raise InvalidRequest("A workflow needs at least one step")
    templates = [_template(step, place) for place, step in enumerate(steps, start=1)]
    taken: dict[str, int] = {}
    for place, template in enumerate(templates, start=1):
        name = template.get("name")
        if name is not None and taken.setdefault(name, place) != place:
            raise InvalidRequest(f"Steps {taken[name]} and {place} are both named {name!r}")
    for place, template in enumerate(templates, start=1):
        if template.get("name") is None:
            template["name"] = next(
                name
                for suffix in ("", *map(str, range(len(templates) + 1)))
                if (name := f"step{place}{suffix}") not in taken
            )
            taken[template["name"]] = place
    named = {id(step): str(template["name"]) for step, template in zip(steps, templates, strict=True)}
    resolved = [_resolve(template, named) for template in templates]
    _check_order(resolved)
    _check_arguments(resolved, arguments or {})
    return resolved


def _template(step: StepLike, place: int) -> dict[str, Any]:
    if isinstance(step, ApiModel) and step.__step__ is not None:
        step = Step(step)
    template: dict[str, Any] = dump(step)
    if not isinstance(template, dict) or "input" not in template or "$type" not in template:
        hint = "Give an input model, a Step, a step template, or a dict with '$type' and 'input'."
        if isinstance(step, type):
            raise InvalidRequest(f"Step {place} is the class {step.__name__}, and no input made of it", hint=hint)
        if isinstance(step, (list, tuple)):
            hint = "Give steps one by one, as in submit(*steps)."
        raise InvalidRequest(f"Step {place} is a {type(step).__name__} without a step type and an input", hint=hint)
    return template


def _resolve(value: Any, named: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        step = value.get("$ref")
        if isinstance(step, Step):
            if id(step) not in named:
                raise InvalidRequest(
                    f"{value['path']} of {step!r} is referred to, but that step is not in the workflow",
                    hint="Give it to the same call.",
                )
            return {**value, "$ref": named[id(step)]}
        return {key: _resolve(item, named) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, named) for item in value]
    return value


def _check_order(templates: Sequence[Mapping[str, Any]]) -> None:
    """Refuse references to a missing step, and circles, which the service would wait on for ever."""
    names = [template["name"] for template in templates]
    loops = {template["input"].get("as") for template in templates if isinstance(template["input"], dict)}
    needs: dict[str, set[str]] = {}
    for template in templates:
        wanted = set()
        for target, _ in _references(template["input"]):
            if re.fullmatch(r"\$\d+", target) and int(target[1:]) < len(names):
                wanted.add(names[int(target[1:])])
            elif target in names:
                wanted.add(target)
            elif not (target.startswith("$") or target in loops):
                raise InvalidRequest(
                    f"Step {template['name']!r} refers to {target!r}, and no step of the workflow has that name",
                    hint=f"Its steps are {', '.join(names)}.",
                )
        needs[template["name"]] = wanted
    while ready := [name for name, wanted in needs.items() if not wanted & needs.keys()]:
        for name in ready:
            del needs[name]
    if needs:
        raise InvalidRequest(f"The references of {' and '.join(needs)} go round in a circle")


def _check_arguments(templates: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> None:
    for template in templates:
        for target, path in _references(template["input"]):
            name = re.split(r"[.\[]", path, maxsplit=1)[0]
            if target == _ARGUMENTS and name not in arguments:
                raise InvalidRequest(
                    f"Step {template['name']!r} refers to the argument {name!r}, and the workflow has no such argument",
                    hint=f"Give arguments={{{name!r}: …}} to the same call.",
                )


def _place(key: str | int) -> str:
    """A key or an index as it continues the path of a reference."""
    if isinstance(key, str) and key:
        return f".{key}"
    if _is_count(key):
        return f"[{key}]"
    raise InvalidRequest(f"A reference cannot lead to [{key!r}]; it takes a name, or an index of 0 or more")


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """The name and the path of every reference in an input."""
    if isinstance(value, dict):
        if value.keys() == {"$ref", "path"} and isinstance(value["$ref"], str):
            yield value["$ref"], str(value["path"])
        else:
            for item in value.values():
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_span(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, timedelta) and value >= timedelta())


def timespan(span: timedelta) -> str:
    """A duration as the service writes it.

    >>> timespan(timedelta(minutes=10)), timespan(timedelta(days=1, seconds=1.5))
    ('00:10:00', '1.00:00:01.500000')
    """
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06}" if span.microseconds else ""
    return f"{days}{hours:02}:{minutes:02}:{seconds:02}{fraction}"
