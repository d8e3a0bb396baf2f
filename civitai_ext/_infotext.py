"""The text in which the web UI of AUTOMATIC1111 and its kin say how a picture was made. No I/O.

Prompts come first, which can have several lines each, and details in the last line:

    a cat, <lora:detail:0.8>
    Negative prompt: blurry
    Steps: 30, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 832x1216, Model: x, Lora hashes: "detail: 0123456789ab"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from civitai_ext._reading import text

__all__ = ["parse_infotext"]

_NEGATIVE: Final = "Negative prompt:"
_DETAILS: Final = re.compile(r"^Steps: *\d+ *(?:,|$)", re.MULTILINE)
_NETWORK: Final = re.compile(r"<(lora|hypernet):([^<>:\n]{1,300})((?::[^<>:\n]{1,60}){0,6})>")
_WEIGHT: Final = re.compile(r":(?:te=)?([+-]?[0-9]{0,6}\.?[0-9]{0,20})(?=:|$)")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")

_END: Final = re.compile(r"[,\n]")

_LONGEST_DETAILS: Final = 64 * 1024
_LONGEST_NAME: Final = 100
_MOST_DETAILS: Final = 1000

# What the API calls otherwise than the text.
_WHOLE: Final = {"Steps": "steps", "Seed": "seed", "Clip skip": "clipSkip"}
_NAMES: Final = {**_WHOLE, "CFG scale": "cfgScale", "Sampler": "sampler"}
_HASHES: Final = {"Lora hashes": "lora", "TI hashes": "embed"}

_JSON: Final = json.JSONDecoder(strict=False)


def parse_infotext(value: str, *, certain: bool) -> dict[str, Any]:
    r"""Read how a picture was made, by the keys that the API has; nothing if the text is about something else.

    Args:
        value: The text.
        certain: Whether it is known to be such a text, so that one without details is a prompt.

    >>> parse_infotext("a cat\nNegative prompt: dogs\nSteps: 8, CFG scale: 1.5, Note: \"a, b\"", certain=False)
    {'prompt': 'a cat', 'negativePrompt': 'dogs', 'steps': 8, 'cfgScale': 1.5, 'Note': 'a, b'}
    >>> parse_infotext("holidays 2026", certain=False)
    {}
    """
    prompts, details = _divided(value.replace("\r\n", "\n"), certain)
    if not details and not certain:
        return {}
    prompt, negative = _prompts(prompts)
    own: dict[str, Any] = {"prompt": prompt} if prompt else {}
    if negative:
        own["negativePrompt"] = negative
    said: dict[str, Any] = {}
    hashes: dict[str, Any] = {}
    for name, each in details.items():
        if name == "Civitai resources" and isinstance(each, list):
            own["civitaiResources"] = each
        elif name == "Civitai metadata" and isinstance(each, dict):
            own |= {"extra": each} if each else {}
        elif name == "Hashes" and isinstance(each, dict):
            hashes |= each
        elif name in _HASHES and isinstance(each, str):
            hashes |= {f"{_HASHES[name]}:{resource}": hash for resource, hash in _named(each)}
        else:
            said[_NAMES.get(name, name)] = _converted(name, each)
    for name, kind in {"Model hash": "model", "VAE hash": "vae"}.items():
        if hash := text(said.get(name)):
            hashes.setdefault(kind, hash)
    if hashes:
        own["hashes"] = hashes
    if resources := _resources(prompt, hashes, text(said.get("Model"))):
        own["resources"] = resources
    return own | said | own  # in this order, and what a text calls like a key of ours does not take its place


def _number(value: str) -> int | float | None:
    """Read a number, whole if it is written so; None if it is none.

    >>> _number("7"), _number("6.5"), _number("1e999"), _number("seven")
    (7, 6.5, None, None)
    """
    if not _NUMBER.fullmatch(value):
        return None
    found = float(value) if any(sign in value for sign in ".eE") else int(value)
    return found if math.isfinite(found) else None


def _divided(value: str, certain: bool) -> tuple[str, dict[str, Any]]:
    """Divide a text into the prompts and the details, which are what comes last."""
    start = max((match.start() for match in _DETAILS.finditer(value)), default=-1)
    if start >= 0 and f"\n{_NEGATIVE}" not in value[start:]:
        return value[:start], _details(value[start:])
    start = value.rstrip().rfind("\n") + 1
    details = _details(value[start:]) if certain and not value[start:].startswith(_NEGATIVE) else {}
    # With fewer, the web UI takes the last line for a part of the prompt that has a colon.
    return (value[:start], details) if len(details) >= 3 else (value, {})


def _prompts(value: str) -> tuple[str, str]:
    if value.startswith(_NEGATIVE):
        return "", value[len(_NEGATIVE) :].strip()
    prompt, _, negative = value.partition(f"\n{_NEGATIVE}")
    return prompt.strip(), negative.strip()


def _details(value: str) -> dict[str, Any]:
    """Read `name: value, name: value`, where a value can be JSON."""
    value = value[:_LONGEST_DETAILS].strip()
    found: dict[str, Any] = {}
    at, name = 0, ""
    while len(found) < _MOST_DETAILS and at < len(value):
        colon = value.find(":", at)
        cut = max(at - 1, value.rfind(",", at, colon), value.rfind("\n", at, colon)) if colon >= 0 else len(value)
        following = value[cut + 1 : colon].strip() if colon >= 0 else ""
        if not 0 < len(following) <= _LONGEST_NAME:
            cut = len(value)
        if isinstance(found.get(name), str) and (more := value[at:cut].strip(", \n")):
            found[name] += f", {more}"  # the value has a comma, and no quotes
        if cut == len(value):
            break
        name = following
        found[name], at = _value(value, colon + 1)
    return found


def _value(value: str, at: int) -> tuple[Any, int]:
    """Read the value that begins somewhere; give it, and where the next name can begin."""
    while value[at : at + 1] == " ":
        at += 1
    if value[at : at + 1] in ('"', "{", "["):
        try:
            found, end = _JSON.raw_decode(value, at)
        except (ValueError, RecursionError):
            pass
        else:
            if end == len(value) or _END.match(value, end):
                return found, end + 1
    match = _END.search(value, at)
    end = match.start() if match else len(value)
    return value[at:end].strip(), end + 1


def _converted(name: str, value: Any) -> Any:
    if name == "CFG scale" or name in _WHOLE:
        found = _number(text(value))
        return value if found is None else found
    return value


def _named(value: str) -> Iterator[tuple[str, str]]:
    """Read `name: hash, name: hash`."""
    for part in value.split(","):
        name, _, hash = part.rpartition(":")
        if name.strip() and hash.strip():
            yield name.strip(), hash.strip()


def _resources(prompt: str, hashes: Mapping[str, Any], model: str) -> list[dict[str, Any]]:
    """Give what the prompt, the hashes and the details say that the picture was made with."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for kind, name, rest in _NETWORK.findall(prompt):
        resource = found.setdefault((kind, name), {"type": kind, "name": name})
        match = _WEIGHT.match(rest)
        if match and (weight := _number(match[1])) is not None:
            resource.setdefault("weight", weight)
    for name, hash in hashes.items():
        kind, _, each = name.partition(":")
        if kind in _HASHES.values() and each:
            found.setdefault((kind, each), {"type": kind, "name": each})["hash"] = hash
    if model:
        hash = hashes.get("model")
        found["model", model] = {"type": "model", "name": model} | ({"hash": hash} if hash else {})
    return list(found.values())
