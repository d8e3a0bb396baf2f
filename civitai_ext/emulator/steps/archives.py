"""Archives of blobs."""

from __future__ import annotations

from collections.abc import Mapping

from civitai_ext.emulator.media.packages import Package
from civitai_ext.emulator.steps.checks import rules
from civitai_ext.emulator.steps.core import Input, Json, Kind, Part, StepFailedError, Workplace, metered

_FORMATS = {"zip": "application/zip", "tar": "application/x-tar"}


def _pack(given: Input, place: Workplace) -> Json:
    members = []
    for entry in map(Input, given.items("entries")):
        blob = place.blobs.get(entry.text("blobId"))
        if blob is None or blob.owner != place.owner or blob.withheld or blob.blocked_reason:
            raise StepFailedError(f"there is no blob {entry.text('blobId')} to pack")
        members.append((entry.text("fileName") or blob.id, blob.source))
    format_ = given.text("format", "zip").lower()
    blob = place.keep(Package(tuple(members), format_), _FORMATS[format_], level="pg")
    return {
        "url": Part(blob, "url"),
        "entryCount": len(members),
        "format": format_,
        "expiresAt": Part(blob, "urlExpiresAt"),
    }


KINDS: Mapping[str, Kind] = {
    "blobArchive": Kind(
        rules("entries[]", one_of={"format": tuple(_FORMATS)}, parts={"entries": rules("blobId")}),
        metered(lambda given: len(given.items("entries")) / 10),
        lambda given: 2,
        _pack,
        prepares=False,
    ),
}
