"""What is uploaded: opened, measured, and read piece by piece. It works on the disk: see `_disk` for tasks."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from civitai_ext.errors import InvalidRequest

__all__ = ["Source", "Uploadable"]

Uploadable = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""What can be uploaded: the path of a file, its content, or a file that is open for reading bytes."""


class Source:
    """A file that is to be uploaded. One that is open already is read from where it stands, and left open.

    Args:
        given: A path, bytes, or an open file.

    Attributes:
        name: Its name without folders; empty if it has none.
        size: How many bytes it has.

    Raises:
        InvalidRequest: It is nothing that can be uploaded, or is empty.
        OSError: The file cannot be read.
    """

    def __init__(self, given: Uploadable) -> None:
        self._own: BinaryIO | None = None
        self._file = self._opened(given)
        try:
            self._start = self._file.tell()
            self.size = self._file.seek(0, os.SEEK_END) - self._start
            if self.size <= 0:
                raise InvalidRequest("There is nothing to upload: the file has no bytes")
            self.rewind()
        except BaseException:
            self.close()
            raise
        name = given if isinstance(given, (str, os.PathLike)) else getattr(given, "name", "")
        self.name = Path(name).name if isinstance(name, (str, os.PathLike)) else ""

    def _opened(self, given: Any) -> BinaryIO:
        if isinstance(given, str) and given.startswith(("http://", "https://", "data:")):
            raise InvalidRequest(
                "A URL was given where a file is uploaded", hint="Steps take URLs as they are; else fetch it first."
            )
        if isinstance(given, (str, os.PathLike)):
            self._own = Path(given).open("rb")  # noqa: SIM115  # `close` closes it
            return self._own
        if isinstance(given, (bytes, bytearray, memoryview)):
            return io.BytesIO(given)
        if isinstance(given, io.TextIOBase):
            raise _text()  # before its position changes: it is the caller's
        if not callable(getattr(given, "read", None)):
            raise InvalidRequest(
                f"{type(given).__name__} is nothing that can be uploaded", hint="Give a path, bytes, or an open file."
            )
        if given.seekable():
            return given  # type: ignore[no-any-return]
        return io.BytesIO(_bytes(given.read()))

    def read(self, size: int) -> bytes:
        """Give the next `size` bytes.

        Raises:
            InvalidRequest: There are fewer, or they are no bytes.
        """
        data = bytearray()
        while len(data) < size:
            piece = _bytes(self._file.read(size - len(data)))
            if not piece:
                raise InvalidRequest(f"The file ends {size - len(data)} bytes too early: it changed while it was sent")
            data += piece
        return bytes(data)

    def rewind(self) -> None:
        """Go back to where it began."""
        self._file.seek(self._start)

    def close(self) -> None:
        """Close it, unless it was open before."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _bytes(data: Any) -> bytes:
    if not isinstance(data, bytes):
        raise _text()
    return data


def _text() -> InvalidRequest:
    return InvalidRequest("The file is open as text", hint="Open it with mode 'rb'.")
