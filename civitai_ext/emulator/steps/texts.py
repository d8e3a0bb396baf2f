"""Text from text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from civitai_ext.emulator.drawing import FORMATS
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.core import Input, Json, Kind, Part, Workplace, metered, utility
from civitai_ext.emulator.steps.image_tools import placeholder

_ROLES = ("user", "system", "assistant", "tool")
_LIMITS = {"temperature": (0, 2), "topP": (0, 1), "maxTokens": (1, 128_000), "n": (1, 128)}


def _echo(given: Input, place: Workplace) -> Json:
    return {"message": given.text("message")}


def _chat(given: Input, place: Workplace) -> Json:
    asked = " ".join(text for message in given.items("messages")[-1:] for text in _said(message))
    answer = f"The emulator was asked: {asked}" if asked else "The emulator was asked nothing."
    output: Json = {
        "id": f"chatcmpl-{place.job_id}",
        "object": "chat.completion",
        "created": int(place.at.timestamp()),
        "model": given.text("model"),
    }
    if given.object("responseFormat").text("type").startswith("json"):
        output["parsed"] = {"answer": answer}
        answer = json.dumps(output["parsed"])
    words = answer.split()[: given.integer("maxTokens", 128_000)]
    message: Json = {"role": "assistant", "content": " ".join(words)}
    if "image" in given.texts("modalities"):
        picture = placeholder(place, asked, "an image in a chat")
        blob = place.keep(picture, FORMATS["png"], picture.width, picture.height)
        message["images"] = [{"type": "image_url", "image_url": {"url": Part(blob, "url")}}]
    count = given.integer("n", 1)
    asked_tokens = sum(len(text.split()) for message in given.items("messages") for text in _said(message))
    output["choices"] = [{"index": index, "message": message, "finishReason": "stop"} for index in range(count)]
    output["usage"] = {
        "promptTokens": asked_tokens,
        "completionTokens": len(words) * count,
        "totalTokens": asked_tokens + len(words) * count,
    }
    return output


def _said(message: Any) -> Iterator[str]:
    """Find the text of a message, whose content is a string or a list of parts."""
    content = Input(message).raw("content")
    for part in content if isinstance(content, list) else [content]:
        text = part if isinstance(part, str) else Input(part).text("text")
        if text:
            yield text


def _enhance(given: Input, place: Workplace) -> Json:
    output: Json = {
        "issues": [{"description": "The prompt does not say how the scene is lit.", "severity": "low"}],
        "recommendations": ["Name the light, the lens and the mood."],
        "enhancedPrompt": f"{given.text('prompt')}, soft light, detailed",
    }
    if given.text("negativePrompt"):
        output["enhancedNegativePrompt"] = f"{given.text('negativePrompt')}, blurry"
    return output


KINDS: Mapping[str, Kind] = {
    "echo": utility(rules("message"), _echo, buzz=1, seconds=0.5),
    "chatCompletion": Kind(
        rules("model messages[]", within=_LIMITS, parts={"messages": rules("role", one_of={"role": _ROLES})}),
        metered(lambda given: 2 * given.integer("n", 1)),
        lambda given: 4,
        _chat,
        prepares=False,
    ),
    "promptEnhancement": utility(
        rules("ecosystem prompt", within={"temperature": (0, 1)}), _enhance, buzz=2, seconds=3
    ),
}
