# Derived from civitai_ext/_async/output.py by scripts/unasync.py: change that file, then run `make fix`.
"""One file that a workflow gave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from civitai_ext._arguments import a_path
from civitai_ext._disk import Disk, Exists, is_folder
from civitai_ext._display import LARGEST_SHOWN, Now, image_html, image_type_of
from civitai_ext._outputs import Found
from civitai_ext._reading import number, text
from civitai_ext._sync.blob_files import read_blob, save_blob
from civitai_ext._sync.transport import Transport

if TYPE_CHECKING:
    from civitai_api.orchestration.models import Blob

__all__ = ["Output"]


class Output:
    """One file that a workflow gave, as an entry of `workflow.outputs`, `.images`, `.videos`, `.audio` or `.models3d`.

    In a notebook an image shows itself.

    Attributes:
        blob: All that the service says about it.
        step: The name of the step that made it.
        index: Its place among what that step gave, from 0.
        stem: The name that `workflow.save` gives it, without its suffix.
    """

    def __init__(self, transport: Transport | None, found: Found, stem: str) -> None:
        self._transport = transport
        self._content: bytes | None = None
        self.blob: Blob = found.blob
        self.step = found.step
        self.index = found.index
        self.stem = stem

    @property
    def id(self) -> str:
        """What the service calls it; can be given to steps and to `civitai.blobs`."""
        return text(self.blob.id)

    @property
    def type(self) -> str:
        """Its kind: `image`, `video`, `audio`, `model3d`, or one that came up later."""
        return text(self.blob.type)

    @property
    def url(self) -> str | None:
        """Its signed URL, which runs out; None while there is none. `read` and `save` renew it."""
        return text(self.blob.url) or None

    @property
    def width(self) -> int | None:
        """In pixels; None if it has none, or the service does not say."""
        return _whole(getattr(self.blob, "width", None))

    @property
    def height(self) -> int | None:
        """In pixels; None if it has none, or the service does not say."""
        return _whole(getattr(self.blob, "height", None))

    @property
    def duration(self) -> float | None:
        """In seconds; None if it has none, or the service does not say."""
        return number(getattr(self.blob, "duration", None))

    @property
    def blocked_reason(self) -> str | None:
        """Why nobody gets it; None if that is not so."""
        return text(self.blob.blocked_reason) or None

    @property
    def unavailable(self) -> str | None:
        """Why it cannot be fetched; None if it can be."""
        if self.blocked_reason is not None:
            return self.blocked_reason
        if self.url is not None:
            return None
        if self.blob.available is False:
            return "it is withheld, or not there any more; mature content needs `allow_mature_content`"
        return "it has no URL"

    def read(self) -> bytes:
        """Give its bytes; they are kept, so that asking again costs nothing.

        Raises:
            BlobUnavailable: It cannot be fetched.
            UnexpectedResponse: The host gave a page, an error or half a file instead.
            ConnectionFailed: The host was not reached.
        """
        if self._content is None:
            self._content = read_blob(self._connected(), self.blob)
        return self._content

    def save(self, to: str | os.PathLike[str], *, exists: Exists = "overwrite") -> Path:
        """Save it, and give the path.

        Args:
            to: The file, or a folder, which is there or ends with a slash.
            exists: What to do if there is such a file already.

        Raises:
            BlobUnavailable: It cannot be fetched.
            UnexpectedResponse: The host gave a page, an error or half a file instead.
            ConnectionFailed: The host was not reached.
            OSError: The file cannot be written.
        """
        to = a_path("to", to)
        stem = self.stem if Disk.run(is_folder, to) else None
        return save_blob(self._connected(), self.blob, Path(to), stem=stem, exists=exists)

    def html(self) -> str | None:
        """Show an image as HTML with its bytes inside; None if it is none, or too large, or cannot be fetched."""
        content = self._shown()
        return None if content is None else image_html(content, f"{self.step} {self.index}")

    def _repr_html_(self) -> str | None:
        content = self._shown()
        return None if content is None or image_type_of(content) in ("image/png", "image/jpeg") else self.html()

    def _repr_png_(self) -> bytes | None:
        return self._shown("image/png")

    def _repr_jpeg_(self) -> bytes | None:
        return self._shown("image/jpeg")

    def _shown(self, kind: str | None = None) -> bytes | None:
        if self.type != "image" or self.unavailable is not None:
            return None
        content = Now.get(self.read) if self._content is None else self._content
        if content is None or len(content) > LARGEST_SHOWN or kind not in (None, image_type_of(content)):
            return None
        return content

    def _connected(self) -> Transport:
        if self._transport is None:
            from civitai_ext.errors import ConfigurationError

            raise ConfigurationError("This output was copied from elsewhere and has no connection", hint=_ATTACH)
        return self._transport

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_transport": None}

    def __repr__(self) -> str:
        size = f" {self.width}x{self.height}" if self.width is not None else ""
        missing = f", {self.unavailable}" if self.unavailable is not None else ""
        return f"<{type(self).__name__} {self.id}: {self.type or 'file'}{size} of step {self.step}{missing}>"


_ATTACH = "Take the workflow up again with `civitai.workflows.get`."


def _whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)
