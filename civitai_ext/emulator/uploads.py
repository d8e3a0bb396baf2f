"""Uploads to the site's storage: whole files, and files in parts that are joined in the end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from civitai_ext.emulator.identifiers import Identifiers

BUCKET = "emulated-uploads"
BACKEND = "emulated"
CHUNK = 26_214_400
"""The length that the service gives to every part but the last."""


class UploadStateError(Exception):
    """The upload is not open."""


class UploadPartsError(Exception):
    """The parts do not make up the file; the text says why."""


@dataclass(frozen=True)
class StoredObject:
    """A file in the storage, by whom it was put there, and its type as announced."""

    key: str
    owner: int
    content: bytes
    media_type: str

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]


@dataclass
class Upload:
    """An upload in parts, and what has come of it so far."""

    id: str
    key: str
    owner: int
    size: int
    media_type: str
    part_count: int
    state: Literal["open", "complete", "aborted"] = "open"
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)


class Uploads:
    """The storage that callers write to.

    Attributes:
        chunk: The length of every part but the last.

    """

    KEPT = ("_uploads", "objects")

    def __init__(self, identifiers: Identifiers, chunk: int = CHUNK) -> None:
        if chunk < 1:
            raise ValueError("chunk_size must be 1 or more")
        self.chunk = chunk
        self._identifiers = identifiers
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self.objects: dict[str, StoredObject] = {}
        """What was uploaded, by its key."""

    def new_key(self) -> str:
        """Make the key of a file to come."""
        return self._identifiers.uuid()

    def put(self, key: str, owner: int, content: bytes, media_type: str) -> str:
        """Store a whole file; return its entity tag."""
        self.objects[key] = StoredObject(key, owner, content, media_type)
        return entity_tag(content)

    def begin(self, owner: int, size: int, media_type: str, filename: str) -> Upload:
        """Begin an upload in parts."""
        key = f"{owner}/{self._identifiers.uuid()}{PurePosixPath(filename).suffix}"
        upload = Upload(self._identifiers.make("upload"), key, owner, size, media_type, -(-size // self.chunk))
        self._uploads[upload.id] = upload
        return upload

    def find(self, id: str, key: str) -> Upload | None:
        """Find an upload by both of its identifiers."""
        upload = self._uploads.get(id)
        return upload if upload and upload.key == key else None

    def put_part(self, upload: Upload, number: int, content: bytes) -> str:
        """Store a part, in the place of one that is there already; return its entity tag.

        Raises:
            UploadStateError: The upload has ended.

        """
        with self._lock:
            if upload.state != "open":
                raise UploadStateError
            upload.parts[number] = content
        return entity_tag(content)

    def complete(self, upload: Upload, parts: Sequence[tuple[int, str]]) -> StoredObject:
        """Join the parts, named by number and entity tag.

        Raises:
            UploadStateError: The upload has ended.
            UploadPartsError: Parts are missing, changed or of the wrong length.

        """
        with self._lock:
            if upload.state != "open":
                raise UploadStateError
            if [number for number, _ in parts] != list(range(1, upload.part_count + 1)):
                raise UploadPartsError(f"expected the parts 1 to {upload.part_count}, in this order")
            for number, tag in parts:
                if number not in upload.parts:
                    raise UploadPartsError(f"part {number} was never uploaded")
                if entity_tag(upload.parts[number]).strip('"') != tag.strip('"'):
                    raise UploadPartsError(f"part {number} has another ETag")
                if number < upload.part_count and len(upload.parts[number]) != self.chunk:
                    raise UploadPartsError(f"part {number} is not {self.chunk} bytes long")
            content = b"".join(upload.parts[number] for number, _ in parts)
            if len(content) != upload.size:
                raise UploadPartsError(f"{upload.size} bytes were announced and {len(content)} came")
            upload.state = "complete"
            upload.parts.clear()
        stored = StoredObject(upload.key, upload.owner, content, upload.media_type)
        self.objects[upload.key] = stored
        return stored

    def abort(self, upload: Upload) -> None:
        """Give an upload up; without effect on one that has ended."""
        with self._lock:
            if upload.state == "open":
                upload.state = "aborted"
                upload.parts.clear()


def entity_tag(content: bytes) -> str:
    """Compute the entity tag of a file, with its quotation marks.

    >>> entity_tag(b"")
    '"d41d8cd98f00b204e9800998ecf8427e"'
    """
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
