"""What is known of the content of files, and what an answer of the catalogue makes of that. No I/O.

An answer never takes away what is known: a version that is deleted, or whose files are not shown any more, stays as it
was last seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from civitai_api.runtime import ApiModel
from civitai_api.site.models import ModelVersionHashMatch
from civitai_ext._reading import number, text
from civitai_ext.catalogue import Model, ModelFile, ModelVersion
from civitai_ext.errors import CivitaiError
from civitai_ext.hashing import FileHashes
from civitai_ext.matches import Match, MatchStatus

__all__ = ["SHA256", "Finding", "Ids", "an_id", "found", "ids_of", "missed", "other_hash"]

SHA256: Final = "SHA256"

_MODES: Final[dict[str, MatchStatus]] = {"Archived": "archived", "TakenDown": "taken_down"}
_TOO_LARGE: Final = 2**31


@attrs.frozen
class Finding:
    """What is known of a content.

    Attributes:
        status: As of a `Match`, but never `failed`.
        checked_at: When the catalogue was asked.
        model: The model.
        version: The version.
        file: The file of the version.
        found_by: The kind of hash that it was found by.
        thorough: Whether it was asked for by other hashes than the SHA-256 too, as far as that was needed.
    """

    status: MatchStatus
    checked_at: datetime
    model: Model | None = None
    version: ModelVersion | None = None
    file: ModelFile | None = None
    found_by: str = SHA256
    thorough: bool = False

    @property
    def model_id(self) -> int | None:
        """The id of the model; None if it is not known."""
        return None if self.model is None else an_id(self.model.id)

    def is_fresh(
        self, now: datetime, max_age: timedelta | None, max_unknown_age: timedelta | None, *, thorough: bool
    ) -> bool:
        """Tell whether it need not be asked for again.

        Args:
            now: The time.
            max_age: How long what is known holds; None for good.
            max_unknown_age: How long it holds that something is unknown.
            thorough: Whether other hashes than the SHA-256 are asked for too.
        """
        if self.status == "unknown":
            if thorough and not self.thorough:
                return False
            limit = max_unknown_age
        elif self.found_by != SHA256 and not thorough:
            return True  # what would be asked for now is not what it was found by
        else:
            limit = max_age
        return limit is None or timedelta(0) <= now - self.checked_at < limit

    def match(self, path: Path, hashes: FileHashes, error: CivitaiError | None = None) -> Match:
        """Give it as the match of a file."""
        return Match(
            path=path,
            status=self.status,
            hashes=hashes,
            model=self.model,
            version=self.version,
            file=self.file,
            found_by=self.found_by if self.version is not None else None,
            checked_at=self.checked_at,
            error=error,
        )


@attrs.frozen
class Ids:
    """Which version a hash belongs to.

    Attributes:
        model_id: The model.
        version_id: The version.
        kind: The kind of the hash.
        hash: The hash.
    """

    model_id: int
    version_id: int
    kind: str
    hash: str


def other_hash(hashes: FileHashes) -> tuple[str, str] | None:
    """Give the kind and the value of the hash to ask for where the SHA-256 is unknown; None if there is none.

    The AutoV3 stays the same when what is written in the header of a safetensors file is changed.
    """
    if hashes.auto_v3 is not None:
        return "AutoV3", hashes.auto_v3
    return None if hashes.blake3 is None else ("BLAKE3", hashes.blake3)


def ids_of(match: ModelVersionHashMatch | None, kind: str, hash: str) -> Ids | None:
    """Read an answer; None if it names nothing that could be asked for."""
    if match is None:
        return None
    model_id, version_id = an_id(match.model_id), an_id(match.model_version_id)
    return None if model_id is None or version_id is None else Ids(model_id, version_id, kind, hash)


def found(
    old: Finding | None,
    ids: Ids,
    model: Model | None,
    version: ModelVersion | None,
    now: datetime,
    *,
    thorough: bool,
) -> Finding:
    """Give what is known once a content was found.

    Args:
        old: What was known before.
        ids: Where it was found.
        model: The model as the list of models shows it; None if it does not.
        version: The version; None if nothing shows it.
        now: The time.
        thorough: As of a finding.
    """
    if version is not None and version.id != ids.version_id:
        version = None
    if old is not None and (old.version is None or old.version.id != ids.version_id):
        old = None
    if model is None:
        brief: Any = version.model if version is not None else None
        model = Model.from_dict({**(brief.to_dict() if isinstance(brief, ApiModel) else {}), "id": ids.model_id})
    status = _MODES.get(text(model.mode), "found")
    if not model.model_versions and old is not None and old.model is not None:
        model = old.model
    if version is None:
        version = old.version if old is not None else None
    if version is None:
        version = ModelVersion.from_dict({"id": ids.version_id, "modelId": ids.model_id})
    file = next((file for file in version.files if file.matches(ids.hash)), None)
    if file is None and old is not None:
        file = old.file
    return Finding(status, now, model, version, file, ids.kind, thorough)


def missed(old: Finding | None, now: datetime, *, thorough: bool) -> Finding:
    """Give what is known once a content was not found.

    Args:
        old: What was known before.
        now: The time.
        thorough: As of a finding.
    """
    if old is None or old.version is None:
        return Finding("unknown", now, thorough=thorough)
    return attrs.evolve(old, status="deleted", checked_at=now, thorough=thorough)


def an_id(value: Any) -> int | None:
    """Read an id; None if it is none that could be asked for."""
    found = number(value)
    return int(found) if found is not None and 0 < found < _TOO_LARGE else None
