"""The kinds of step that the emulator runs: what they take, what they cost, how long they last, what comes out.

A module for each family of kinds; what they share is in `core`, `checks` and `sources`. Words in square brackets in the
input of a step choose how it ends; see `Ending`.
"""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.steps import (
    archives,
    audio,
    comfy,
    image_tools,
    images,
    models,
    reviews,
    texts,
    three_d,
    videos,
)
from civitai_ext.emulator.steps.core import (
    Ending,
    Faults,
    Input,
    Kind,
    Part,
    StepFailedError,
    Workplace,
    blobs_in,
    find_kind,
    wrong_in,
)
from civitai_ext.emulator.steps.repeats import repeating

__all__ = [
    "KINDS",
    "Ending",
    "Faults",
    "Input",
    "Kind",
    "Part",
    "StepFailedError",
    "Workplace",
    "blobs_in",
    "find_kind",
    "wrong_in",
]

_SINGLE: Mapping[str, Kind] = {
    **images.KINDS,
    **image_tools.KINDS,
    **videos.KINDS,
    **audio.KINDS,
    **texts.KINDS,
    **reviews.KINDS,
    **three_d.KINDS,
    **models.KINDS,
    **comfy.KINDS,
    **archives.KINDS,
}

KINDS: Mapping[str, Kind] = {**_SINGLE, "repeat": repeating(_SINGLE)}
"""The kinds, by `$type`."""
