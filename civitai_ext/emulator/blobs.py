"""Blobs: the media that go into and come out of workflows, and the signed URLs through which they are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from civitai_ext.emulator.answers import orchestration_time
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.drawing import Source, rendered
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.signing import SignatureError, Signer

URL_LIFETIME = timedelta(hours=24)
"""How long the signed URL of a blob holds."""
RETENTION = timedelta(days=30)
"""How long a blob is kept; a refresh starts it anew."""

CONTENT_PATH = "/v2/consumer/blobs/content/"
ARCHIVE_PATH = "/v2/consumer/blobs/archive/"
_ARCHIVES = frozenset({"application/zip", "application/x-tar"})
_MATURE = frozenset({"r", "x", "xxx"})
_SUFFIXES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/svg+xml": "svg",
    "video/mp4": "mp4",
    "audio/wav": "wav",
    "model/gltf-binary": "glb",
    "application/zip": "zip",
    "application/x-tar": "tar",
    "application/json": "json",
    "text/plain": "txt",
}
_TYPES = {"image": "image", "video": "video", "audio": "audio", "model": "model3d"}
_OTHER_TYPE = "file"


@dataclass
class Blob:
    """A stored medium.

    Attributes:
        type: `image`, `video`, `audio`, `model3d`, or `file` for what is no medium.
        source: What renders to the bytes.
        level: `pg` to `xxx`.
        blocked_reason: Why nobody gets to see it.
        withheld: Whether it waits for its workflow to allow mature content.
    """

    id: str
    type: str
    media_type: str
    source: Source
    owner: int
    url_expires_at: datetime
    kept_until: datetime
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    level: str = "pg"
    job_id: str | None = None
    blocked_reason: str | None = None
    withheld: bool = False

    @property
    def mature(self) -> bool:
        """Whether the content is beyond PG-13."""
        return self.level in _MATURE

    @property
    def content(self) -> bytes:
        """The bytes."""
        return rendered(self.source)


class Blobs:
    """Keeps blobs, and signs and reads their URLs."""

    KEPT = ("_blobs",)

    def __init__(self, origin: str, clock: Clock, identifiers: Identifiers, signer: Signer) -> None:
        self._origin = origin
        self._clock = clock
        self._identifiers = identifiers
        self._signer = signer
        self._blobs: dict[str, Blob] = {}

    def add(
        self,
        source: Source,
        *,
        media_type: str,
        owner: int,
        at: datetime,
        width: int | None = None,
        height: int | None = None,
        duration: float | None = None,
        level: str = "pg",
        job_id: str | None = None,
        blocked_reason: str | None = None,
    ) -> Blob:
        """Keep a new blob."""
        blob = Blob(
            id=f"{self._identifiers.make('blob').removeprefix('blob_')}.{_SUFFIXES.get(media_type, 'bin')}",
            type=_TYPES.get(media_type.partition("/")[0], _OTHER_TYPE),
            media_type=media_type,
            source=source,
            owner=owner,
            url_expires_at=at + URL_LIFETIME,
            kept_until=at + RETENTION,
            width=width,
            height=height,
            duration=duration,
            level=level,
            job_id=job_id,
            blocked_reason=blocked_reason,
        )
        self._keep(blob)
        return blob

    def get(self, id_: str) -> Blob | None:
        """Find a blob that is still kept."""
        blob = self._blobs.get(id_)
        return blob if blob and blob.kept_until > self._clock.now() else None

    def refresh(self, blob: Blob) -> None:
        """Give a blob a new URL and another thirty days."""
        now = self._clock.now()
        blob.url_expires_at = now + URL_LIFETIME
        blob.kept_until = now + RETENTION
        self._keep(blob)

    def _keep(self, blob: Blob) -> None:
        """Keep a blob after all others, and none any longer than it is to be kept."""
        self._blobs.pop(blob.id, None)
        self._blobs[blob.id] = blob
        now = self._clock.now()
        while (oldest := next(iter(self._blobs.values()))).kept_until <= now and oldest is not blob:
            del self._blobs[oldest.id]

    def url(self, blob: Blob, *, filename: str | None = None) -> str:
        """Sign the URL of a blob; an expired one is replaced."""
        if blob.url_expires_at <= self._clock.now():
            blob.url_expires_at = self._clock.now() + URL_LIFETIME
        content = {"blob": blob.id} | ({"filename": filename} if filename else {})
        path = ARCHIVE_PATH if blob.media_type in _ARCHIVES else CONTENT_PATH
        return f"{self._origin}{path}{self._signer.sign(content, expires=blob.url_expires_at)}"

    def find(self, url: str) -> Blob | None:
        """Find the blob that a URL of ours leads to, whether or not the URL has expired."""
        path = url.removeprefix(self._origin).partition("?")[0]
        if path.startswith(CONTENT_PATH):
            try:
                return self.get(str(self._signer.read(path.removeprefix(CONTENT_PATH), now=None).get("blob")))
            except SignatureError:
                return None
        return self.get(path.removeprefix("/v2/consumer/blobs/"))

    def as_json(self, blob: Blob, *, hide_mature: bool = False) -> dict[str, Any]:
        """Show a blob, with a URL unless it is blocked, withheld, lost or hidden."""
        shown: dict[str, Any] = {"type": blob.type, "id": blob.id}
        hidden = blob.blocked_reason or blob.withheld or (hide_mature and blob.mature)
        kept = self.get(blob.id) is not None
        shown["available"] = kept and not blob.blocked_reason and not blob.withheld
        if kept and not hidden:
            shown["url"] = self.url(blob)
            shown["urlExpiresAt"] = orchestration_time(blob.url_expires_at)
        if blob.job_id is not None:
            shown["jobId"] = blob.job_id
        shown["nsfwLevel"] = blob.level
        if blob.blocked_reason:
            shown["blockedReason"] = blob.blocked_reason
        if blob.width is not None:
            shown |= {"width": blob.width, "height": blob.height}
        if blob.duration is not None:
            shown["duration"] = blob.duration
        if blob.type == "model3d":
            shown["format"] = blob.id.rpartition(".")[2]
        return shown
