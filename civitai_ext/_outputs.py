"""What a workflow gave, and under which names it is saved. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import attrs

from civitai_api.orchestration.models import Blob, Workflow, WorkflowStep
from civitai_api.runtime import ApiModel
from civitai_ext._file_names import safe_name, same_name
from civitai_ext._media import SUFFIX_BY_KIND, media_type_of, suffix_for
from civitai_ext._reading import models_in, text
from civitai_ext.errors import InvalidRequest

__all__ = [
    "DEFAULT_PATTERN",
    "Found",
    "blob_stem",
    "file_stems",
    "is_error_page",
    "output_of",
    "outputs_of",
    "suffix_of",
    "texts_of",
]

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")
_LONGEST_PART = 80
_ERROR_PAGE = re.compile(
    rb"""\s*(?:<!doctype\ html|<html|\{\s*"(?:error|errors|message|title|detail|status|traceId)"\s*:)""",
    re.IGNORECASE | re.VERBOSE,
)


_TEXTS: Mapping[str, str] = {
    "audioCaptioning": "results.*.text",
    "chatCompletion": "choices.*.message.content",
    "echo": "message",
    "mediaCaptioning": "caption",
    "promptEnhancement": "enhancedPrompt",
    "transcription": "text",
}
"""Where the texts are that steps give, by step type."""


@attrs.frozen
class Found:
    """A blob, and where in the workflow it was made.

    Attributes:
        blob: The blob as the service described it.
        step: The name of its step.
        index: Its place among the blobs of the step, from 0.
    """

    blob: Blob
    step: str
    index: int


def outputs_of(workflow: Workflow) -> list[Found]:
    """Every blob in the outputs of the steps, in order, each once.

    Outputs of step types that are not known yet are looked through too: whatever has an `id` and says whether it is
    `available` is a blob.
    """
    found = []
    for place, step in enumerate(models_in(workflow.steps), start=1):
        blobs = {text(blob.id) or text(blob.url): blob for blob in _blobs(output_of(step))}
        name = text(step.name) or f"step{place}"
        found += [Found(blob, name, index) for index, blob in enumerate(blobs.values())]
    return found


def output_of(step: WorkflowStep) -> Any:
    """What a step gave: a model, or for a step type that is not known JSON; None if there is nothing yet."""
    return getattr(step, "output", None) or step.additional_properties.get("output")


def texts_of(workflow: Workflow) -> list[str]:
    """Every text that steps gave, in order: answers of a chat, captions, transcriptions."""
    found: list[str] = []
    for step in models_in(workflow.steps):
        output = output_of(step)
        values = [output.to_dict() if isinstance(output, ApiModel) else output]
        for name in _TEXTS.get(text(step.type), "text").split("."):
            values = [held for value in values for held in _held(value, name)]
        found += filter(None, map(text, values))
    return found


def _held(value: Any, name: str) -> list[Any]:
    if name == "*":
        return list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [value[name]] if isinstance(value, Mapping) and name in value else []


def _blobs(value: Any) -> Iterator[Blob]:
    if isinstance(value, Blob):
        yield value
    elif isinstance(value, ApiModel):
        # Some are blobs by their fields, and not by their class.
        if (blob := _blob_of(value.to_dict())) is not None:
            yield blob
        else:
            for field in attrs.fields(type(value)):
                yield from _blobs(getattr(value, field.name))
    elif isinstance(value, Mapping):
        if (blob := _blob_of(value)) is not None:
            yield blob
        else:
            for item in value.values():
                yield from _blobs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _blobs(item)


def _blob_of(fields: Mapping[str, Any]) -> Blob | None:
    """Read as a blob what is one, whatever it is called: a result of a transcoding, an epoch, an archive."""
    if text(fields.get("id")) and "available" in fields:
        return Blob.from_dict({"type": _kind_of(fields["id"]), **fields})
    if text(fields.get("blobName")) and text(fields.get("blobUrl")):
        name = fields["blobName"]
        return Blob.from_dict({"type": _kind_of(name), "id": name, "url": fields["blobUrl"], "available": True})
    if "entryCount" in fields and text(fields.get("url")):
        return Blob.from_dict({"type": "archive", "available": True, **fields})
    return None


def _kind_of(name: str) -> str:
    """The kind of a blob that does not say it, by the suffix of its name."""
    kind = media_type_of(b"", name).partition("/")[0]
    return {"model": "model3d"}.get(kind, kind) or "file"


DEFAULT_PATTERN = "{workflow}-{step}-{index}"

_TOKENS = ("workflow", "step", "index", "number", "blob", "type", "date")


def file_stems(pattern: str, workflow: Workflow, found: Sequence[Found]) -> list[str]:
    """The paths of the files of outputs, below a folder and without their suffixes, each another one.

    Args:
        pattern: Text with tokens in braces; slashes in it make folders, and nothing leads out of the folder. Each part
            of it is made a name that files have on every system.
        workflow: The workflow.
        found: Its outputs.

    Raises:
        InvalidRequest: The pattern has a token that there is not, is no pattern, or leads out of the folder.

    >>> hero = Found(Blob(), "../hero", 0)
    >>> file_stems("{workflow}-{step}-{index}", Workflow(id="wf_01"), [hero])
    ['wf_01-_hero-0']
    >>> file_stems("{type}/{number:03}", Workflow(id="wf_01"), [hero, hero])
    ['x/001', 'x/002']
    """
    made = workflow.created_at if isinstance(workflow.created_at, datetime) else None
    stems: list[str] = []
    taken: set[str] = set()
    for number, each in enumerate(found, start=1):
        values: dict[str, Any] = {
            "workflow": _part(text(workflow.id)),
            "step": _part(each.step),
            "index": each.index,
            "number": number,
            "blob": _part(text(each.blob.id)),
            "type": _part(text(each.blob.type)),
            "date": f"{made:%Y-%m-%d}" if made else "undated",
        }
        try:
            stem = pattern.format_map(values).strip()
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            known = ", ".join(f"{{{name}}}" for name in _TOKENS)
            raise InvalidRequest(
                f"pattern is {pattern!r}, in which {error} cannot be filled in", hint=f"There are {known}."
            ) from None
        parts = stem.split("/")
        if not stem or stem.endswith(("/", ".")) or stem.startswith("/") or ".." in map(str.strip, parts):
            raise InvalidRequest(f"pattern is {pattern!r}, which gives {stem!r}: no name of a file below the folder")
        stem = "/".join(safe_name(part) for part in parts if part.strip() not in ("", "."))
        tries = (stem, *(f"{stem}-{more}" for more in range(2, len(found) + 2)))
        stems.append(next(name for name in tries if same_name(name) not in taken))
        taken.add(same_name(stems[-1]))
    return stems


def blob_stem(blob: Blob) -> str:
    """The name of the file of a blob that is saved by itself, without its suffix: made of its id.

    >>> blob_stem(Blob(id="../C3YQ.jpeg")), blob_stem(Blob(id="con.png")), blob_stem(Blob())
    ('_C3YQ', 'con_', 'blob')
    """
    return safe_name(_SUFFIX.sub("", text(blob.id))[:_LONGEST_PART], fallback="blob")


def _part(value: str) -> str:
    """What a token stands for: a part of a name, and short enough that what comes after it stays."""
    return safe_name(value[:_LONGEST_PART], fallback="x")


def suffix_of(media_type: str, blob: Blob, url: str, start: bytes = b"") -> str:
    """The suffix of a blob's file: by its first bytes, else by what the host says it is, by its id or address, or by
    the kind of blob.
    """
    if found := suffix_for(media_type, start):
        return found
    for name in (text(blob.id), unquote(url.partition("?")[0])):
        if match := _SUFFIX.search(name):
            return match[0].lower()
    return SUFFIX_BY_KIND.get(text(blob.type), ".bin")


def is_error_page(media_type: str, start: bytes) -> bool:
    """Whether an answer is a page or an error in place of a file, by its type and its first bytes.

    >>> is_error_page("image/png", b"<!DOCTYPE html>"), is_error_page("", b'{"error": 1}'), is_error_page("", b"{}")
    (True, True, False)
    """
    return media_type in {"text/html", "application/problem+json"} or _ERROR_PAGE.match(start) is not None
