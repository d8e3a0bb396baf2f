"""What downloads are asked with, how far they are, and what came of them.

    done = civitai.download("urn:air:sdxl:lora:civitai:1@2", "models/", layout="comfyui", progress=True)
    print(done.path, done.verified)

`civitai.download_many` gives a list of these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, get_args

import attrs

from civitai_api.runtime import ApiModel
from civitai_ext._redact import public_url
from civitai_ext.errors import CivitaiError

if TYPE_CHECKING:
    from civitai_api.site.models import (
        ModelFileFormat,
        ModelFileFp,
        ModelFileQuantType,
        ModelFileSize,
        ModelFileType,
    )
    from civitai_ext.catalogue import Model, ModelFile, ModelVersion
    from civitai_ext.hashing import FileHashes
    from civitai_ext.layouts import Layout

__all__ = [
    "EXISTS",
    "SIDECARS",
    "Collision",
    "Download",
    "DownloadOptions",
    "DownloadProgress",
    "OnDownload",
    "Phase",
    "Sidecar",
]

Collision = Literal["rename", "skip", "verify", "overwrite", "error"]
"""What to do if there is a file of the name: give the new one a number, leave what is there unseen, leave it if it is
the right one and replace it otherwise, replace it, or raise `FileExistsError`.
"""

EXISTS: Final[tuple[Collision, ...]] = get_args(Collision)

Sidecar = Literal["json", "preview", "readme"]
"""What can be put beside a file: what the service says of its version (`NAME.civitai.info`), a picture of what it makes
(`NAME.preview.jpeg`…) and its description (`NAME.md`, which needs the extra `text`).
"""

SIDECARS: Final[tuple[Sidecar, ...]] = ("json", "preview", "readme")


class DownloadOptions(TypedDict, total=False):
    """What `download` and `download_many` take besides what to download, and where to."""

    format: ModelFileFormat
    """The format that the file has to have, such as `SafeTensor` or `GGUF`."""
    fp: ModelFileFp
    """The precision of its weights, such as `fp16`."""
    size: ModelFileSize
    """`full` or `pruned`."""
    quant: ModelFileQuantType
    """Its quantisation, such as `Q4_K_M`."""
    type: ModelFileType
    """What the file is, such as `VAE`."""
    allow_pickle: bool
    """Whether it may be a pickle, which can run code when it is loaded."""
    allow_unscanned: bool
    """Whether it may be a file that the scans did not find clean, or have not looked at."""
    layout: str | Layout
    """Where it goes below the folder: `comfyui`, `a1111`, `invokeai`, or a pattern such as
    `{type}/{base_model}/{file_name}`.
    """
    exists: Collision
    """What to do if there is a file of the name. By default one that is the same stays; otherwise the new one gets a
    number in a folder, and where `to` names the file it is an error.
    """
    sidecars: Collection[Sidecar]
    """What to put beside it: `json`, `preview`, `readme`."""
    connections: int
    """Over how many connections a file comes at most; 4 if that is not said."""
    cache: str | os.PathLike[str] | bool
    """Where hashes are remembered, as for `hash_file`."""
    timeout: float
    """How many seconds a host may be silent."""


Phase = Literal["asking", "downloading", "verifying", "done", "kept", "failed"]
"""What is being done with a file: looking whether it is here and asking where it lies, fetching it, comparing its
hashes; or how that ended.
"""


@attrs.frozen(kw_only=True)
class DownloadProgress:
    """How far a call is that downloads something.

    Attributes:
        name: The file that this is about.
        phase: What is being done with it.
        file_done: How many of its bytes are there, some perhaps from an earlier call.
        file_size: How many it has; None while that is not known.
        files_done: How many files are over, whatever came of them.
        files: How many there are.
        done: How many bytes are there of all files.
        size: How many they have as far as is known, in part by what the catalogue says; None if nothing is known.
        rate: Bytes per second that come at the moment, of all files.
        eta: Seconds until all is there if it goes on like that; None if that cannot be told.
    """

    name: str
    phase: Phase
    file_done: int
    file_size: int | None
    files_done: int
    files: int
    done: int
    size: int | None
    rate: float
    eta: float | None

    def __str__(self) -> str:
        share = "" if not self.size else f" {min(self.done / self.size, 1):.0%}"
        left = "" if self.eta is None else f", {self.eta:.0f} s left"
        return f"{self.files_done}/{self.files} {self.name}: {self.phase}{share} ({self.rate / 1e6:.1f} MB/s{left})"


OnDownload = Callable[[DownloadProgress], object]
"""Called about ten times a second, and whenever a file begins or ends; by one thread at a time."""


@attrs.frozen(kw_only=True)
class Download:
    """What came of one file, or would come of it.

    Attributes:
        what: What was asked for.
        status: `downloaded`; `kept`, when it was there already; `planned`, by a dry run; or `failed`.
        path: Where it is, or would be; None if that is not known.
        size: How many bytes it has, if that is known.
        verified: Whether a hash that the service published was compared, and agreed.
        hashes: Its hashes, where they were computed.
        model: The model it is of, as far as that was read.
        version: The version it is of.
        file: What the service says about it.
        sidecars: What was put beside it.
        error: Why it failed, or, by a dry run, why it would.
        problems: What went wrong beside it, such as a preview that could not be fetched.
    """

    what: Any = attrs.field(repr=False)
    status: Literal["downloaded", "kept", "planned", "failed"]
    path: Path | None = None
    size: int | None = None
    verified: bool = False
    hashes: FileHashes | None = None
    model: Model | None = attrs.field(default=None, repr=False)
    version: ModelVersion | None = attrs.field(default=None, repr=False)
    file: ModelFile | None = attrs.field(default=None, repr=False)
    sidecars: tuple[Path, ...] = ()
    error: CivitaiError | OSError | None = None
    problems: tuple[CivitaiError | OSError, ...] = ()

    def __str__(self) -> str:
        size = "" if self.size is None else f", {self.size} bytes"
        checked = ", verified" if self.verified else ", not verified" if self.status in ("downloaded", "kept") else ""
        failed = "" if self.error is None else f": {self.error}"
        return f"{self.path or _shown(self.what)}: {self.status}{size}{checked}{failed}"

    @property
    def allowed(self) -> bool:
        """Whether nothing is in the way, or was."""
        return self.error is None


def _shown(what: Any) -> str:
    """What was asked for, in brief, and without a token that is in an address."""
    if isinstance(what, str):
        return public_url(what)
    if isinstance(what, ApiModel):
        id = getattr(what, "id", None)
        return f"{type(what).__name__} {id}" if isinstance(id, (int, str)) else type(what).__name__
    return str(what)
