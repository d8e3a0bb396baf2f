"""What a workflow gave, and under which names it is saved. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from civitai_api.orchestration.models import Blob, Workflow
from civitai_api.runtime import ApiModel
from civitai_ext._reading import models_in, text

__all__ = ["Output", "file_stem", "is_error_page", "outputs_of", "suffix_of"]

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpeg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "model/gltf-binary": ".glb",
    "application/zip": ".zip",
}
_BY_KIND = {"image": ".jpeg", "video": ".mp4", "audio": ".mp3", "model3d": ".glb"}


@attrs.frozen
class Output:
    """A blob, and where in the workflow it was made.

    Attributes:
        blob: The blob as the service described it.
        step: The name of its step.
        index: Its place among the blobs of the step, from 0.
    """

    blob: Blob
    step: str
    index: int


def outputs_of(workflow: Workflow) -> list[Output]:
    """Every blob in the outputs of the steps, in order, each once.

    Outputs of step types that are not known yet are looked through too: whatever has an `id` and says whether it is
    `available` is a blob.
    """
    found = []
    for place, step in enumerate(models_in(workflow.steps), start=1):
        output = getattr(step, "output", None) or step.additional_properties.get("output")
        blobs = {text(blob.id): blob for blob in _blobs(output)}
        name = text(step.name) or f"step{place}"
        found += [Output(blob, name, index) for index, blob in enumerate(blobs.values())]
    return found


def _blobs(value: Any) -> Iterator[Blob]:
    if isinstance(value, Blob):
        yield value
    elif isinstance(value, ApiModel):
        for field in attrs.fields(type(value)):
            yield from _blobs(getattr(value, field.name))
    elif isinstance(value, Mapping):
        if isinstance(value.get("id"), str) and "available" in value:
            yield Blob.from_dict(value)
        else:
            for item in value.values():
                yield from _blobs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _blobs(item)


def file_stem(workflow_id: str, output: Output) -> str:
    """The name of the file of an output, without its suffix: made of what no file system minds.

    >>> file_stem("wf_01", Output(Blob(), "hero/../x", 0))
    'wf_01-hero_x-0'
    """
    parts = (workflow_id, output.step, str(output.index))
    return "-".join(re.sub(r"[^A-Za-z0-9-]+", "_", part).strip("_-")[:80] or "x" for part in parts)


def suffix_of(media_type: str, blob: Blob, url: str) -> str:
    """The suffix of a blob's file: by what the host says it is, else by its id or address, else by the kind of blob."""
    if found := _SUFFIXES.get(media_type):
        return found
    for name in (text(blob.id), unquote(url.partition("?")[0])):
        if match := re.search(r"\.[A-Za-z0-9]{2,5}$", name):
            return match[0].lower()
    return _BY_KIND.get(text(blob.type), ".bin")


def is_error_page(media_type: str, start: bytes) -> bool:
    """Whether an answer is a page or an error in place of a file, by its type and its first bytes."""
    head = start.lstrip()[:16].lower()
    return media_type in {"text/html", "application/problem+json"} or head.startswith((b"<!doctype html", b"<html"))
