"""What is known of a file before it is fetched, where it lies, and what came. No I/O."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from civitai_ext._ranges import Version
from civitai_ext.hashing import FileHashes

__all__ = ["CONNECTIONS", "Expected", "Fetched", "Place", "Probe"]

CONNECTIONS: Final = 4
"""Over how many connections a file comes at most, if nothing else is said."""


@attrs.frozen(kw_only=True)
class Expected:
    """What is known of a file before it comes.

    Attributes:
        size: How many bytes it has, if that is known exactly: `sizeKB` of the service is an estimate.
        listed: How many bytes it has about, as the catalogue says; looked at where there is no hash to compare.
        hashes: Its published hashes, by their names in the API.
    """

    size: int | None = None
    listed: int | None = None
    hashes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Fetched:
    """A file that is there as a whole.

    Attributes:
        path: Where it is.
        size: How many bytes it has.
        verified: Whether a published hash was compared, and agreed.
        hashes: Its hashes; None of a file that was there before and left as it was.
        status: What the file system says of it, for the cache of hashes; None where `hashes` is.
    """

    path: Path
    size: int
    verified: bool
    hashes: FileHashes | None = None
    status: os.stat_result | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Place:
    """Where a file lies at the moment, and what its host says of it.

    Attributes:
        url: The address, which may hold a credential.
        headers: What to send with a request for it.
        version: Which version it is; None if the host does not say how long it is.
        ranged: Whether the host gives ranges of it.
        name: What the host calls it; None if it does not say.
        media_type: Its kind; empty if the host does not say.
        etag: The tag of its version as the host spells it; None if it has none.
    """

    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    version: Version | None
    ranged: bool
    name: str | None
    media_type: str
    etag: str | None


@attrs.frozen(kw_only=True)
class Probe:
    """What is known of a file without fetching it.

    Attributes:
        name: What it is called there, which is no safe name for a file here; None if nobody says.
        size: How many bytes it has; None if the host does not say.
        media_type: Its kind; empty if the host does not say.
        etag: The tag of its version; None if it has none.
    """

    name: str | None
    size: int | None
    media_type: str
    etag: str | None
