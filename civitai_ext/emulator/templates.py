"""What a caller submits: checked, priced, and put into order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from civitai_ext.emulator.declared import check_declared
from civitai_ext.emulator.ledger import COLOURS
from civitai_ext.emulator.pricing import Bill, Price
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.references import ARGUMENTS, references
from civitai_ext.emulator.steps import KINDS, Faults, Input, find_kind

DEFAULT_TIMEOUT = "00:10:00"
MOST_TAGS = 10
LONGEST_TAG = 200

_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MOST_DAYS = 10_675_198
"""How many whole days a duration of .NET may have."""
_LONGEST = timedelta(days=36_500)
"""What longer durations are cut to: the calendar ends in the year 9999."""
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.\d{1,7})?")
_EVENTS = {
    f"{what}:{event}"
    for what in ("workflow", "step", "job")
    for event in ("*", "unassigned", "processing", "succeeded", "failed", "expired", "canceled")
}


class InvalidTemplateError(Exception):
    """The submitted workflow is not acceptable."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.faults = faults


@dataclass(frozen=True)
class StepTemplate:
    """One step of a submitted workflow."""

    type: str
    name: str
    input: Any
    priority: str
    timeout: timedelta
    timeout_text: str
    retries: int
    metadata: dict[str, Any]
    needs: frozenset[str]
    price: Price


@dataclass(frozen=True)
class Template:
    """A submitted workflow that is acceptable."""

    steps: tuple[StepTemplate, ...]
    bill: Bill
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    tips: Mapping[str, float] = field(default_factory=dict)
    currencies: list[str] = field(default_factory=list)
    allow_mature: bool | None = None
    upgrade_mode: str = "manual"
    experimental: bool | None = None
    ephemeral: bool = False
    external_id: str | None = None

    @property
    def colours(self) -> list[str]:
        """The Buzz that may pay: mature content takes yellow only."""
        if self.allow_mature:
            return ["yellow"]
        return [colour for colour in COLOURS if not self.currencies or colour in self.currencies]


def parse_template(body: Any, *, waits: bool) -> Template:
    """Check a submitted workflow.

    Args:
        body: The parsed JSON.
        waits: Whether the request waits for the result, which an ephemeral workflow without callbacks needs.

    Raises:
        InvalidTemplateError: Something is wrong with it.

    """
    if not isinstance(body, dict):
        raise InvalidTemplateError({"$": ["The request body must be a JSON object."]})
    faults: Faults = {}
    given = Input(body)
    tags = given.raw("tags") or []
    check_tags(tags, faults)
    external_id = given.raw("externalId")
    if external_id is not None and not (isinstance(external_id, str) and _EXTERNAL_ID.fullmatch(external_id)):
        faults["externalId"] = ["The field externalId must match the regular expression '^[A-Za-z0-9_-]+$' and have at "
                                "most 128 characters."]  # fmt: skip
    callbacks = given.raw("callbacks") or []
    callbacks = _read_callbacks(callbacks, faults)
    tips = {name: Input(given.raw("tips")).number(name, 0) for name in ("civitai", "creators")}
    for name, share in tips.items():
        if not 0 <= share <= 2:
            faults[f"tips.{name}"] = [f"The field {name} must be between 0 and 2."]
    upgrade_mode = given.text("upgradeMode", "manual").lower()
    if upgrade_mode not in ("manual", "automatic"):
        faults["upgradeMode"] = [f"The value '{given.raw('upgradeMode')}' is not valid."]
    currencies = _in_any_case(given.raw("currencies") or [], {*COLOURS, "fakeRed"})
    if currencies is None:
        faults["currencies"] = ["Currencies are yellow, blue and green."]
    if given.raw("ephemeral") and not waits and not callbacks:
        faults["ephemeral"] = ["An ephemeral workflow needs a callback or a wait."]
    steps = _parse_steps(given.raw("steps"), faults)
    check_declared(body, faults)
    if faults:
        raise InvalidTemplateError(faults)
    return Template(
        steps=steps,
        bill=Bill([step.price for step in steps], tips["civitai"], tips["creators"]),
        tags=list(tags),
        metadata=given.raw("metadata") or {},
        arguments=given.raw("arguments") or {},
        callbacks=callbacks,
        tips=tips,
        currencies=currencies or [],
        allow_mature=given.raw("allowMatureContent"),
        upgrade_mode=upgrade_mode,
        experimental=given.raw("experimental"),
        ephemeral=bool(given.raw("ephemeral")),
        external_id=external_id,
    )


def check_tags(tags: Any, faults: Faults) -> None:
    """Note what is wrong with the tags of a workflow."""
    if not _is_list_of_strings(tags):
        faults["tags"] = ["The tags field must be an array of strings."]
    elif len(tags) > MOST_TAGS:
        faults["tags"] = [f"A workflow has at most {MOST_TAGS} tags."]
    elif any(not 0 < len(tag) <= LONGEST_TAG for tag in tags):
        faults["tags"] = [f"A tag has between 1 and {LONGEST_TAG} characters."]
    elif len(set(tags)) < len(tags):
        faults["tags"] = ["Tags must be unique."]


def is_local(url: str) -> bool:
    """Tell whether a URL is one of this machine.

    >>> is_local("http://127.0.0.1:8000/hook"), is_local("https://localhost.example/hook")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def _may_be_called(url: str) -> bool:
    """Tell whether a URL is absolute, with a host and a port that can be, and safe."""
    try:
        parts = urlsplit(url)
        reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return reachable and (parts.scheme == "https" or (parts.scheme == "http" and is_local(url)))


def parse_duration(text: str) -> timedelta:
    """Read a duration like `1.02:03:04.5`: days, hours, minutes, seconds.

    >>> parse_duration("00:10:00")
    datetime.timedelta(seconds=600)

    Raises:
        ValueError: The text is no duration, or one that .NET cannot hold.

    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    days, hours, minutes, seconds = (whole_number(part or "0") for part in match.groups())
    if days is None or hours is None or minutes is None or seconds is None or days > _MOST_DAYS:
        raise ValueError(f"{text!r} is too long for a duration")
    return min(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds), _LONGEST)


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _in_any_case(texts: Any, values: Collection[str]) -> list[str] | None:
    """Read a list of values of an enumeration; `None` if it is something else."""
    if not _is_list_of_strings(texts):
        return None
    known = {value.casefold(): value for value in values}
    found = [known.get(text.casefold()) for text in texts]
    return None if None in found else [value for value in found if value is not None]


def _read_callbacks(callbacks: Any, faults: Faults) -> list[dict[str, Any]]:
    if not isinstance(callbacks, list):
        faults["callbacks"] = ["The callbacks field must be an array."]
        return []
    read = []
    for place, callback in enumerate(callbacks):
        given = Input(callback)
        url = given.text("url")
        if not _may_be_called(url):
            faults[f"callbacks[{place}].url"] = ["The url must be an absolute HTTPS address."]
        events = _in_any_case(given.raw("type"), _EVENTS)
        if events is None:
            faults[f"callbacks[{place}].type"] = ["The type must be an array of event names."]
        detailed = given.raw("detailed")
        read.append({"url": url, "type": events or []} | ({} if detailed is None else {"detailed": bool(detailed)}))
    return read


def _parse_steps(steps: Any, faults: Faults) -> tuple[StepTemplate, ...]:
    if not isinstance(steps, list) or not steps:
        faults["steps"] = ["A workflow has at least one step."]
        return ()
    names = [Input(step).text("name") or f"${place}" for place, step in enumerate(steps)]
    # A step is found by its name and by its position.
    known = {ARGUMENTS: ARGUMENTS} | {f"${place}": name for place, name in enumerate(names)}
    known |= {name: name for name in names}
    parsed = []
    for place, step in enumerate(steps):
        path = f"steps[{place}]"
        if not isinstance(step, dict):
            faults[path] = ["A step must be an object."]
            continue
        if names[place] in names[:place]:
            faults[f"{path}.name"] = [f"The name '{names[place]}' is taken by another step."]
        type_ = step.get("$type")
        if not isinstance(type_, str):
            faults[f"{path}.$type"] = ["The $type field is required."]
        elif (found := find_kind(KINDS, type_)) is None:
            faults[f"{path}.$type"] = [f"'{type_}' is not a known step type."]
        else:
            parsed.append(_parse_step(step, found, names[place], path, known, faults))
    _check_cycles(parsed, faults)
    return tuple(parsed)


def _parse_step(
    step: dict[str, Any], type_: str, name: str, path: str, known: Mapping[str, str], faults: Faults
) -> StepTemplate:
    given = Input(step)
    kind = KINDS[type_]
    content = given.raw("input")
    if content is None:
        faults[f"{path}.input"] = ["The input field is required."]
    else:
        kind.check(Input(content), f"{path}.input", faults)
    needs = set()
    bound = kind.binds(Input(content))
    for place, reference in references(content, f"{path}.input"):
        target = reference["$ref"]
        if bound is not None and target == bound:
            continue
        source = known.get(target) if isinstance(target, str) else None
        if source is None or source == name:
            faults[place] = [f"The reference '{target}' leads to no other step."]
        elif source != ARGUMENTS:
            needs.add(source)
    priority = given.text("priority", "normal").lower()
    if priority not in ("high", "normal", "low"):
        faults[f"{path}.priority"] = [f"The value '{given.raw('priority')}' is not valid."]
    timeout_text = given.text("timeout", DEFAULT_TIMEOUT)
    timeout = timedelta()
    try:
        timeout = parse_duration(timeout_text)
    except ValueError:
        faults[f"{path}.timeout"] = [f"The value '{timeout_text}' is not a duration like {DEFAULT_TIMEOUT}."]
    at_fault = any(place.startswith(path) for place in faults)
    return StepTemplate(
        type=type_,
        name=name,
        input=content,
        priority=priority,
        timeout=timeout,
        timeout_text=timeout_text,
        retries=given.integer("retries", 0),
        metadata=given.raw("metadata") or {},
        needs=frozenset(needs),
        price=Price(0) if at_fault else kind.price(Input(content), priority),
    )


def _check_cycles(steps: list[StepTemplate], faults: Faults) -> None:
    done: set[str] = set()
    waiting = list(steps)
    while ready := [step for step in waiting if step.needs <= done]:
        done |= {step.name for step in ready}
        waiting = [step for step in waiting if step not in ready]
    if waiting and not faults:
        faults["steps"] = [f"The steps {', '.join(step.name for step in waiting)} wait for each other."]
