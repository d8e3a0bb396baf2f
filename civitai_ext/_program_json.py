"""JSON in which programs say how a picture was made. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from civitai_ext._reading import number, record, text

__all__ = ["read_json"]

# What the API calls otherwise than a program; other names stay.
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "Civitai": {},
    "Draw Things": {"c": "prompt", "uc": "negativePrompt", "scale": "cfgScale", "size": "Size", "model": "Model"},
    "Fooocus": {
        "negative_prompt": "negativePrompt",
        "guidance_scale": "cfgScale",
        "clip_skip": "clipSkip",
        "base_model": "Model",
        "base_model_hash": "Model hash",
        "vae": "VAE",
    },
    "InvokeAI": {
        "positive_prompt": "prompt",
        "negative_prompt": "negativePrompt",
        "cfg_scale": "cfgScale",
        "clip_skip": "clipSkip",
    },
    "NovelAI": {"uc": "negativePrompt", "scale": "cfgScale"},
    "SwarmUI": {"negativeprompt": "negativePrompt", "cfgscale": "cfgScale", "model": "Model"},
}
_SIDES: Final = re.compile(r"\(([0-9]{1,6}), ([0-9]{1,6})\)")


def read_json(said: Mapping[str, Any], keyword: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read how a picture was made, by the keys that the API has; nothing if no program is known that writes so.

    Args:
        said: The JSON object.
        keyword: What the text that it is from is called.
        texts: All texts of the picture.

    >>> read_json({"uc": "blurry", "steps": 28}, "Comment", {"Software": "NovelAI", "Description": "a cat"})
    {'prompt': 'a cat', 'negativePrompt': 'blurry', 'steps': 28}
    """
    program = _program(said, keyword, texts)
    if not program:
        return {}
    said = record(said["sui_image_params"]) if program == "SwarmUI" else said
    found = {_NAMES[program].get(name, name): value for name, value in said.items()}
    if program == "NovelAI" and (description := texts.get("Description")):
        found = {"prompt": description} | found
    if program == "Fooocus" and (match := _SIDES.fullmatch(text(said.get("resolution")))):
        found["Size"] = f"{match[1]}x{match[2]}"
    if program == "Civitai":
        listed = found.pop("resources", None)
        used = [record(each) for each in listed] if isinstance(listed, list) else []
        resources = [
            {"modelVersionId": each["modelVersionId"], **_weight(each.get("strength"))}
            for each in used
            if "modelVersionId" in each
        ]
        return found | ({"civitaiResources": resources} if resources else {})
    if program == "InvokeAI" and (model := _model(said.get("model"))):
        found["Model"] = model
    resources = [{"type": "lora", "name": name, **_weight(weight)} for name, weight in _networks(said, program) if name]
    if model := text(found.get("Model")):
        resources.append({"type": "model", "name": model})
    return found | ({"resources": resources} if resources else {})


def _program(said: Mapping[str, Any], keyword: str, texts: Mapping[str, str]) -> str:
    """Tell which program wrote something; an empty text if that is not certain."""
    if keyword == "extraMetadata":
        return "Civitai"
    if keyword == "invokeai_metadata":
        return "InvokeAI"
    if keyword == "Comment":
        return "NovelAI" if texts.get("Software") == "NovelAI" else ""
    if keyword not in ("parameters", "UserComment"):
        return ""
    if record(said.get("sui_image_params")):
        return "SwarmUI"
    if "base_model" in said and "guidance_scale" in said:
        return "Fooocus"
    return "Draw Things" if {"c", "sampler", "steps"} <= said.keys() else ""


def _networks(said: Mapping[str, Any], program: str) -> Iterator[tuple[str, Any]]:
    """Give the names of LoRAs with their weights."""
    listed = said.get("lora" if program == "Draw Things" else "loras")
    weights = said.get("loraweights")
    for place, each in enumerate(listed if isinstance(listed, list) else []):
        if program == "SwarmUI":
            same = isinstance(weights, list) and len(weights) == len(listed or ())
            yield text(each), weights[place] if same and weights else None
        elif program == "Fooocus":
            yield (text(each[0]), each[1]) if isinstance(each, list) and len(each) > 1 else ("", None)
        else:
            lora = record(each)
            yield _model(lora.get("model") or lora.get("lora")), lora.get("weight")


def _model(value: Any) -> str:
    """The name of a model, which is a text or an object."""
    said = record(value)
    return text(value) or text(said.get("name")) or text(said.get("model_name"))


def _weight(value: Any) -> dict[str, Any]:
    """A weight, also one that is a text; nothing if it is none."""
    return {} if number(value) is None and not text(value) else {"weight": value}
