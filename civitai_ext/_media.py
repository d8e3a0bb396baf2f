"""Kinds of media files: what the first bytes say, and which suffix a file of a kind has. No I/O."""

from __future__ import annotations

import mimetypes
import re
from typing import Final

__all__ = ["MEDIA_SUFFIXES", "START", "SUFFIX_BY_KIND", "may_be_medium", "media_type_of", "suffix_for"]

START: Final = 512
"""How many bytes from the beginning of a file are enough to tell what it is."""

# Only what is certain. Ogg and Matroska, for example, hold sound or pictures, which the first bytes do not say.
_MAGIC: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"....ftypM4A ", re.DOTALL), "audio/mp4"),
    (re.compile(rb"....ftypqt  ", re.DOTALL), "video/quicktime"),
    (re.compile(rb"....ftyp(?:isom|iso[2-9]|mp4[12]|avc1|M4V |dash)", re.DOTALL), "video/mp4"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"glTF"), "model/gltf-binary"),
    (re.compile(rb"PK\x03\x04"), "application/zip"),
)

# Of these the suffix is certain, and not what is in them.
_CONTAINERS: Final = (
    (re.compile(rb"\x1aE\xdf\xa3.{0,64}webm", re.DOTALL), ".webm"),
    (re.compile(rb"\x1aE\xdf\xa3.{0,64}matroska", re.DOTALL), ".mkv"),
    (re.compile(rb"OggS"), ".ogg"),
)

_MEDIA: Final = ("image", "video", "audio")

_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpeg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "model/gltf-binary": ".glb",
    "application/zip": ".zip",
    "application/x-tar": ".tar",
}

MEDIA_SUFFIXES: Final = (
    *(suffix for media_type, suffix in _SUFFIXES.items() if media_type.partition("/")[0] in _MEDIA),
    *(".jpg", ".mkv"),
)
"""The suffixes of pictures, videos and sounds."""

SUFFIX_BY_KIND: Final = {"image": ".jpeg", "video": ".mp4", "audio": ".mp3", "model3d": ".glb"}
"""The usual suffixes of what is known by its kind alone."""


def suffix_for(media_type: str, start: bytes = b"") -> str:
    """Give the suffix of a file by its first bytes, else by its declared type; empty if neither is known.

    >>> suffix_for("image/jpeg", b"GIF89a"), suffix_for("audio/ogg"), suffix_for("text/x")
    ('.gif', '.ogg', '')
    """
    container = next((suffix for magic, suffix in _CONTAINERS if magic.match(start)), "")
    return container or _SUFFIXES.get(_sniffed(start) or media_type, "")


def may_be_medium(media_type: str, start: bytes) -> bool:
    """Tell whether a file is a picture, a video or a sound, or at least may be, by its declared type and first bytes.

    >>> may_be_medium("text/plain", b"GIF89a"), may_be_medium("image/png", b"{}"), may_be_medium("text/plain", b"?")
    (True, False, False)
    """
    if sniffed := _sniffed(start):
        return _is_medium(sniffed)
    if start.lstrip()[:1] in (b"{", b"<") and media_type != "image/svg+xml":
        return False
    return _is_medium(media_type) or media_type in ("", "application/octet-stream", "binary/octet-stream")


def _is_medium(media_type: str) -> bool:
    return media_type.partition("/")[0] in _MEDIA


def media_type_of(start: bytes, name: str = "") -> str:
    """Give the kind of a file by its first bytes, else by its name; empty if neither tells.

    >>> media_type_of(b"GIF89a", "cat.png"), media_type_of(b"OggS", "cat.ogg"), media_type_of(b"?")
    ('image/gif', 'audio/ogg', '')
    """
    return _sniffed(start) or mimetypes.guess_type(name)[0] or ""


def _sniffed(start: bytes) -> str:
    return next((media_type for magic, media_type in _MAGIC if magic.match(start)), "")
