"""How workflows and their outputs show themselves in notebooks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from civitai_api.orchestration.models import Workflow
from civitai_ext._media import START, media_type_of
from civitai_ext._reading import models_in, number, text
from civitai_ext.errors import CivitaiError

__all__ = ["LARGEST_SHOWN", "AsyncNow", "Now", "image_html", "image_type_of", "workflow_html"]

LARGEST_SHOWN = 8 * 1024 * 1024
"""Bytes of an image that are put into a notebook at most."""


class Now:
    """Gets what is shown while it is shown: the synchronous client can fetch then."""

    @staticmethod
    def get(fetch: Callable[[], bytes]) -> bytes | None:
        """Fetch it; None if that fails, since what cannot be shown must not hide the rest."""
        try:
            return fetch()
        except (CivitaiError, OSError):
            return None


class AsyncNow:
    """Gets what is shown while it is shown: the asynchronous client cannot wait then."""

    @staticmethod
    def get(fetch: Callable[[], Any]) -> bytes | None:
        """Give nothing: what was not read before is not shown."""
        return None


def image_type_of(content: bytes) -> str | None:
    """Tell the media type of an image that a browser shows; None for anything else.

    >>> image_type_of(b"RIFF....WEBPVP8 "), image_type_of(b" <svg>"), image_type_of(b"ID3")
    ('image/webp', 'image/svg+xml', None)
    """
    if content.lstrip().startswith((b"<svg", b"<?xml")):
        return "image/svg+xml"
    kind = media_type_of(content[:START])
    return kind if kind.startswith("image/") else None


def image_html(content: bytes, title: str) -> str | None:
    """An image with its bytes inside: its signed URL would be a credential in the notebook, and runs out."""
    kind = image_type_of(content)
    if kind is None or len(content) > LARGEST_SHOWN:
        return None
    data = base64.b64encode(content).decode()
    return f'<img src="data:{kind};base64,{data}" title="{escape(title)}" style="max-width: 256px; margin: 2px">'


def workflow_html(workflow: Workflow, status: str, id: str, notes: Sequence[str], images: Iterable[str]) -> str:
    """A workflow as a table of its steps, with what it gave below.

    Args:
        workflow: As it was last read.
        status: Its status.
        id: Its id.
        notes: What there is to say about its outputs.
        images: Its images, as HTML.
    """
    cost = next((number(cost.total) for cost in models_in([workflow.cost])), None)
    head = f"<b>{escape(id)}</b>: {escape(status)}{f', {cost:g} Buzz' if cost is not None else ''}"
    rows = "".join(
        f"<tr><td>{escape(text(step.name))}</td><td>{escape(text(step.type))}</td><td>{escape(text(step.status))}</td></tr>"
        for step in models_in(workflow.steps)
    )
    listed = "".join(f"<div>{escape(note)}</div>" for note in notes)
    table = f"<table><tr><th>step</th><th>type</th><th>status</th></tr>{rows}</table>" if rows else ""
    return f"<div>{head}</div>{table}{listed}<div>{''.join(images)}</div>"
