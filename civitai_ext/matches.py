"""What files on the disk are, by the catalogue: what `civitai.identify` gives.

    for match in civitai.identify("models/"):
        print(match)
        if match.update_available:
            print("  newer:", match.update.name, match.update.url)

What was known of a file stays known, whatever becomes of it in the catalogue.
"""

from __future__ import annotations

from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from civitai_ext._reading import printable, text
from civitai_ext.air import Air, AirError
from civitai_ext.catalogue import Model, ModelFile, ModelVersion
from civitai_ext.errors import CivitaiError, InvalidFile
from civitai_ext.hashing import FileHashes

__all__ = ["Match", "MatchProgress", "MatchStatus"]

MatchStatus = Literal["found", "archived", "taken_down", "deleted", "unknown", "failed"]
"""What became of the question what a file is; see `Match`."""

_NAMELESS: Final = "?"


@attrs.frozen(repr=False)
class Match:
    """A file on the disk, and what it is.

    Attributes:
        path: The file; a folder that cannot be looked into, too.
        status: `found` in the catalogue; `archived`, where the model is still shown, but its files are not given any
            more; `taken_down`, where it is shown without images; `deleted`, where it was found before and is not there
            any more, so that version and file are what was last seen; `unknown` to the catalogue; `failed`, where the
            file could not be read, or nobody be asked, and nothing is remembered.
        hashes: Its hashes; None if it could not be read.
        model: The model; None if it is not known. Where lists do not show it, it is there in brief, without versions.
        version: The version; None if it is not known.
        file: The file of the version that it is; None if the catalogue does not tell.
        found_by: The kind of hash that it was found by; None if it was not. `SHA256` and `BLAKE3` say that the file is
            the published one, `AutoV3` that it has the same tensors, and maybe another header.
        checked_at: When the catalogue was asked; None if it was not.
        error: What went wrong. With another status than `failed`, the rest is what is remembered.
    """

    path: Path
    status: MatchStatus
    hashes: FileHashes | None = None
    model: Model | None = None
    version: ModelVersion | None = None
    file: ModelFile | None = None
    found_by: str | None = None
    checked_at: datetime | None = None
    error: OSError | CivitaiError | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is, or was, in the catalogue."""
        return self.version is not None

    @property
    def air(self) -> Air | None:
        """The AIR of the version; None if that is not known, or lacks something that is in an AIR."""
        if self.model is None or self.version is None:
            return None
        try:
            return self.version.air_of(self.model)
        except AirError:
            return None

    @property
    def update(self) -> ModelVersion | None:
        """The newest version of the model that came out after this one; None if this is the newest.

        One for the same base model goes before others: see its `base_model`. None also where lists do not show the
        model, or do not any more.

        >>> versions = [
        ...     {"id": 3, "baseModel": "Pony", "publishedAt": "2026-03-01T00:00:00Z"},
        ...     {"id": 2, "baseModel": "SDXL 1.0", "publishedAt": "2026-02-01T00:00:00Z"},
        ...     {"id": 1, "baseModel": "SDXL 1.0", "publishedAt": "2026-01-01T00:00:00Z"},
        ... ]
        >>> model = Model.from_dict({"id": 9, "modelVersions": versions})
        >>> for version in model.model_versions:
        ...     update = Match(Path("a.safetensors"), "found", model=model, version=version).update
        ...     print(version.id, update and update.id)
        3 None
        2 3
        1 2
        """
        if self.model is None or self.version is None:
            return None
        if self.status == "deleted" and any(version.id == self.version.id for version in self.model.model_versions):
            return None  # the model was not seen since
        here = _time_of(self.version)
        newer = [version for version in self.model.model_versions if (_time_of(version) or -inf) > (here or inf)]
        same = [version for version in newer if version.base_model == self.version.base_model]
        return max(same or newer, key=lambda version: _time_of(version) or -inf, default=None)

    @property
    def update_available(self) -> bool:
        """Whether there is an `update`."""
        return self.update is not None

    def __str__(self) -> str:
        parts = [f"{self.path}: "]
        if self.model is not None and self.version is not None:
            parts.append(f"{_name(self.model.name)}, {_name(self.version.name)} ({self.status.replace('_', ' ')})")
        else:
            parts.append(self.status)
        if (update := self.update) is not None:
            parts.append(f", update: {_name(update.name)}")
        if self.error is not None:  # some say the path themselves
            parts.append(f", {self.error.message if isinstance(self.error, InvalidFile) else self.error}")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"<Match {self}>"


@attrs.frozen
class MatchProgress:
    """How far `identify` is.

    Attributes:
        phase: `hashing`, or `asking` what the files are whose hashes are not known yet.
        files_done: How many files were hashed; while asking, how many have their match.
        files: How many files there are.
        bytes_done: How many bytes were hashed, those of remembered hashes among them.
        bytes: How many bytes there are.
    """

    phase: Literal["hashing", "asking"]
    files_done: int
    files: int
    bytes_done: int
    bytes: int

    def __str__(self) -> str:
        share = f" ({self.bytes_done / self.bytes:.0%})" if self.phase == "hashing" and self.bytes else ""
        return f"{self.phase}: {self.files_done} of {self.files} files{share}"


def _time_of(version: ModelVersion) -> float | None:
    published: Any = version.published_at
    return published.timestamp() if isinstance(published, datetime) and published.tzinfo is not None else None


def _name(name: object) -> str:
    return printable(text(name)) or _NAMELESS
