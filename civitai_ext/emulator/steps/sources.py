"""What the media and models that an input names stand for.

The emulator fetches nothing from elsewhere: a made-up file that follows from the URL replaces one of another host.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.catalogue import ModelFile
from civitai_ext.emulator.drawing import Picture, Source, Stored, measure
from civitai_ext.emulator.media import mp4, wav
from civitai_ext.emulator.steps.core import Input, StepFailedError, Workplace, seed_of

LARGEST_SIDE = 4096
LONGEST = 3600
"""No film or sound is longer, in seconds."""
MOST_FPS = 240

_FOREIGN = "civitai-ext emulator · stands for an image of another host"


def image(text: str, place: Workplace) -> tuple[Source, int, int]:
    """Find the image that a URL, a data URL or bare base64 stands for, with its width and height."""
    blob = place.blobs.find(text)
    if blob is not None and isinstance(blob.source, mp4.Film):
        return blob.source.picture(), blob.source.width, blob.source.height
    if blob is not None and blob.width is not None and blob.height is not None and not blob.id.endswith(".svg"):
        return blob.source, blob.width, blob.height
    if blob is None and _is_foreign(text):
        return Picture(512, 512, seed_of(text), _without_query(text), _FOREIGN, ""), 512, 512
    try:
        content = blob.content if blob else _decoded(text)
        width, height, _ = measure(content)
    except ValueError as error:
        raise StepFailedError("the image can be neither found nor decoded") from error
    return Stored(content), width, height


def video(text: str, place: Workplace) -> mp4.Film:
    """Find the film that a URL or a data URL stands for."""
    blob = place.blobs.find(text)
    if blob is not None and isinstance(blob.source, mp4.Film):
        return blob.source
    if blob is None and _is_foreign(text):
        return mp4.Film(640, 360, seed_of(text), _without_query(text))
    try:
        content = blob.content if blob else _decoded(text)
        facts = mp4.read(content)
    except ValueError as error:
        raise StepFailedError("the video can be neither found nor read") from error
    # What is in the film stays unread; its measures count.
    shown = blob.id if blob else "a video of the caller's"
    width, height = (min(max(side, 2), LARGEST_SIDE) for side in (facts.width, facts.height))
    return mp4.Film(width, height, seed_of(shown), shown, min(facts.seconds, LONGEST), min(facts.fps, MOST_FPS))


def sound(text: str, place: Workplace) -> wav.Sound:
    """Find the sound that a URL or a data URL stands for; a film has one too."""
    blob = place.blobs.find(text)
    if blob is not None and isinstance(blob.source, wav.Sound):
        return blob.source
    if blob is not None and blob.media_type.startswith("video/"):
        film = video(text, place)
        return wav.Sound(film.seed, film.seconds, film.prompt)
    if blob is None and _is_foreign(text):
        return wav.Sound(seed_of(text), 10)
    try:
        content = blob.content if blob else _decoded(text)
        return wav.Sound(seed_of(text), wav.length(content))
    except ValueError as error:
        raise StepFailedError("the sound can be neither found nor read") from error


def shown_in(text: str, place: Workplace) -> tuple[str, Blob | None]:
    """Tell what a medium shows: the prompt it was made from, else its name; and the blob, if it is one of ours."""
    blob = place.blobs.find(text)
    source: Any = blob.source if blob else None
    while hasattr(source, "original"):
        source = source.original
    if isinstance(source, Picture | mp4.Film):
        return source.prompt, blob
    if isinstance(source, wav.Sound) and source.words:
        return source.words, blob
    return (blob.id if blob else _without_query(text) if _is_foreign(text) else "an image"), blob


def model_file(air: str, place: Workplace) -> ModelFile:
    """Find the file of the catalogue that an AIR names."""
    try:
        version = place.catalogue.version_of(air)
    except ValueError as error:
        raise StepFailedError(str(error)) from error
    if version is None:
        raise StepFailedError(f"the catalogue of the emulator has no model {air}")
    return version.primary_file


def first_medium(given: Input, *names: str) -> str:
    """Find the first of some fields that names a medium, be it alone or in a list."""
    for name in names:
        for value in (given.raw(name), *given.items(name)[:1]):
            if isinstance(value, str) and value:
                return value
    return ""


def _is_foreign(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _without_query(text: str) -> str:
    # No query: it may hold a credential.
    return text.partition("?")[0]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
