"""Repeating a step for every member of a list."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.pricing import Price
from civitai_ext.emulator.references import UnresolvedError, resolve
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.core import (
    Ending,
    Faults,
    Input,
    Json,
    Kind,
    StepFailedError,
    Workplace,
    find_kind,
    wrong_in,
)

_ENDINGS: Mapping[Ending | None, tuple[str, str]] = {
    Ending.FAIL: ("failed", "no_provider_available"),
    Ending.BLOCK: ("failed", "blocked"),
    Ending.EXPIRE: ("expired", "expired"),
}


def repeating(kinds: Mapping[str, Kind]) -> Kind:
    """Describe the kind that repeats a step of other kinds.

    The steps of all members run at the same time. One that fails says so itself; the others and the whole go on.
    """

    def check(given: Input, path: str, faults: Faults) -> None:
        rules("for{} template{}")(given, path, faults)
        if path in faults:
            return
        clause, template = given.raw("for"), given.object("template")
        if isinstance(clause, dict):
            for name in ("$ref", "path", "as"):
                if not isinstance(clause.get(name), str):
                    faults[f"{path}.for.{name}"] = [f"The {name} field is required."]
            if clause.get("as") == clause.get("$ref"):
                faults[f"{path}.for.as"] = ["The variable has the name of what it goes through."]
        type_ = find_kind(kinds, template.raw("$type"))
        if type_ is None:
            faults[f"{path}.template.$type"] = [f"'{template.raw('$type')}' is no type of step that can be repeated."]
        elif template.raw("input") is None:
            faults[f"{path}.template.input"] = ["The input field is required."]
        else:
            kinds[type_].check(template.object("input"), f"{path}.template.input", faults)

    def inner(given: Input) -> tuple[str, Kind, Input]:
        template = given.object("template")
        type_ = find_kind(kinds, template.raw("$type"))
        assert type_ is not None  # noqa: S101 - checked when the step was submitted
        return type_, kinds[type_], template

    def price(given: Input, priority: str) -> Price:
        # How long the list is shows when the step runs; the service's way of charging for that is not known.
        _, kind, template = inner(given)
        return kind.price(template.object("input"), priority)

    def seconds(given: Input) -> float:
        _, kind, template = inner(given)
        return kind.seconds(template.object("input"))

    def produce(given: Input, place: Workplace) -> Json:
        type_, kind, template = inner(given)
        clause = given.raw("for")
        try:
            members = resolve({"$ref": clause["$ref"], "path": clause["path"]}, place.look_up)
            if not isinstance(members, list):
                raise StepFailedError(f"'{clause['path']}' is not a list to go through")
            inputs = [_fill_in(template.raw("input"), clause["as"], member, place) for member in members]
        except UnresolvedError as error:
            raise StepFailedError(str(error)) from error
        return {"steps": [_run(type_, kind, template, content, place, number) for number, content in enumerate(inputs)]}

    return Kind(check, price, seconds, produce, failed=lambda reason: {"steps": []}, binds=_variable)


def _variable(given: Input) -> str:
    return given.object("for").text("as")


def _fill_in(content: Any, variable: str, member: Any, place: Workplace) -> Any:
    return resolve(content, lambda name: member if name == variable else place.look_up(name))


def _run(type_: str, kind: Kind, template: Input, content: Any, place: Workplace, number: int) -> Json:
    given = Input(content)
    status, reason = _ENDINGS.get(given.ending, ("succeeded", ""))
    if fault := wrong_in(kind, given):
        status, reason = "failed", fault
    output = None
    if status == "succeeded":
        level = "x" if given.ending is Ending.MATURE else place.level
        try:
            output = kind.produce(given, dataclasses.replace(place, level=level, seed=place.seed + number))
        except StepFailedError as error:
            status, reason = "failed", str(error)
    if status != "succeeded" and kind.failed:
        output = kind.failed(reason)
    priority = template.text("priority", "normal").lower()
    job: Json = {"id": place.job_id, "status": status, "cost": kind.price(given, priority).total}
    step: Json = {
        "$type": type_,
        "name": f"{template.text('name') or type_}-{number}",
        "priority": priority,
        "jobs": [job | ({"reason": reason} if reason else {})],
        "status": status,
        "startedAt": orchestration_time(place.at - timedelta(seconds=place.seconds)),
        "completedAt": orchestration_time(place.at),
        "metadata": template.object("metadata").value or {},
        "input": content,
    }
    return step | ({"output": output} if output is not None else {})
