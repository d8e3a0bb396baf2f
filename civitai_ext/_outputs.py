"""What a workflow gave, and under which names it is saved. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from civitai_api.orchestration.models import Blob, Workflow
from civitai_api.runtime import ApiModel
from civitai_ext._media import suffix_for
from civitai_ext._reading import models_in, text

__all__ = ["Output", "blob_stem", "file_stem", "is_error_page", "outputs_of", "suffix_of"]

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # no names for files on Windows
_ERROR_PAGE = re.compile(
    rb"""\s*(?:<!doctype\ html|<html|\{\s*"(?:error|errors|message|title|detail|status|traceId)"\s*:)""",
    re.IGNORECASE | re.VERBOSE,
)
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
    return "-".join(map(_plain, (workflow_id, output.step, str(output.index))))


def blob_stem(blob: Blob) -> str:
    """The name of the file of a blob that is saved by itself, without its suffix: made of its id.

    >>> blob_stem(Blob(id="../../C3YQ.jpeg")), blob_stem(Blob(id="con.png")), blob_stem(Blob())
    ('C3YQ', 'con_', 'blob')
    """
    stem = _plain(_SUFFIX.sub("", text(blob.id)) or "blob")
    return f"{stem}_" if _RESERVED.fullmatch(stem) else stem


def _plain(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", part).strip("_-")[:80] or "x"


def suffix_of(media_type: str, blob: Blob, url: str, start: bytes = b"") -> str:
    """The suffix of a blob's file: by its first bytes, else by what the host says it is, by its id or address, or by
    the kind of blob.
    """
    if found := suffix_for(media_type, start):
        return found
    for name in (text(blob.id), unquote(url.partition("?")[0])):
        if match := _SUFFIX.search(name):
            return match[0].lower()
    return _BY_KIND.get(text(blob.type), ".bin")


def is_error_page(media_type: str, start: bytes) -> bool:
    """Whether an answer is a page or an error in place of a file, by its type and its first bytes.

    >>> is_error_page("image/png", b"<!DOCTYPE html>"), is_error_page("", b'{"error": 1}'), is_error_page("", b"{}")
    (True, True, False)
    """
    return media_type in {"text/html", "application/problem+json"} or _ERROR_PAGE.match(start) is not None
