"""Work on the disk: files that appear only once they are whole, and not in the way of other tasks."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, ParamSpec, TypeVar

__all__ = ["AsyncDisk", "Disk", "Exists", "PartFile", "is_folder", "is_free", "sync_folder"]

P = ParamSpec("P")
T = TypeVar("T")


Exists = Literal["error", "skip", "overwrite"]
"""What to do if there is a file of the name already: raise `FileExistsError`, leave it and give its path, or put the
new one in its place.
"""


class Disk:
    """Works on the disk where it is called."""

    @staticmethod
    def run(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it and give the result.

        >>> Disk.run(max, 1, 2)
        2
        """
        return work(*args, **kwargs)


class AsyncDisk:
    """Works on the disk in a thread, so that the other tasks of the event loop go on meanwhile."""

    @staticmethod
    async def run(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it and give the result. What has begun when the task is canceled is waited for: it cannot be stopped."""
        import asyncio  # loaded here, so that the synchronous client does not pay for it

        task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # taken note of, else the event loop logs it
            raise


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path names a folder: one that is there, or that ends with a slash."""
    return os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir()


def is_free(path: Path, exists: Exists) -> bool:
    """Tell whether a file may be written; False if the one that is there is to stay.

    Raises:
        FileExistsError: There is one, and `exists` is `error`.
    """
    if exists == "overwrite" or not path.exists():
        return True
    if exists == "skip":
        return False
    raise FileExistsError(errno.EEXIST, "There is such a file already; `exists` says what to do then", str(path))


def sync_folder(folder: Path) -> None:
    """Bring to the disk how the files in a folder are called, where the file system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


class PartFile:
    """A file on its way: beside its final place, under a name of its own until it is whole.

    Args:
        folder: Where it will be.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".{uuid.uuid4().hex}.part"
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Put something at its end. The first time makes the file, and its folder if that is not there.

        Raises:
            OSError: The folder or the file cannot be made, or the disk is full.
        """
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._file.write(data)

    def check(self, test: Callable[[Path], bool]) -> bool:
        """Tell whether what was written passes a test; nothing written does not."""
        if self._file is None:
            return False
        self._file.flush()
        return test(self._path)

    def become(self, path: Path) -> None:
        """Give it its name, in place of a file that is there under that name."""
        assert self._file is not None, "nothing was written"  # noqa: S101
        self._file.close()
        self._path.replace(path)

    def discard(self) -> None:
        """Remove it, unless it has its name."""
        try:
            if self._file is not None:
                self._file.close()
        finally:
            self._path.unlink(missing_ok=True)
