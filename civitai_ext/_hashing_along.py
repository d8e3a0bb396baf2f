"""The hashes of a file that is on its way, computed from its beginning while the rest comes."""

from __future__ import annotations

import errno
import threading
from typing import Final

from civitai_ext._part_files import ResumableFile
from civitai_ext.hashing import FileHashes, Hasher

__all__ = ["HashingAlong"]

_LEAST: Final = 2 * 1024 * 1024  # bytes for which it pays to wake up


class HashingAlong:
    """Reads a file as far as it has come without a gap, in a thread of its own, and computes its hashes.

    What is hashed is what was written, not what came: so whatever an earlier process left is hashed in the same way.

    Args:
        file: The file, open until `stop` or `finish` was called.
        name: How the file will be called.
    """

    def __init__(self, file: ResumableFile, name: str) -> None:
        self._file = file
        self._hasher = Hasher(name)
        self._changed = threading.Condition()
        self._front = 0
        self._at = 0
        self._size: int | None = None
        self._stopped = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="civitai-hash-along", daemon=True)
        self._thread.start()

    def reach(self, front: int) -> None:
        """Tell that so many bytes from the beginning are there.

        Raises:
            InvalidFile: They show that the file is not what its name says.
            OSError: They cannot be read.
        """
        if self._failure is not None:
            raise self._failure
        self._front = front
        if front - self._at >= _LEAST:
            with self._changed:
                self._changed.notify()

    def finish(self, size: int) -> FileHashes:
        """Wait until all of the file is hashed; give the hashes.

        Args:
            size: How many bytes it has, all of which are there.

        Raises:
            InvalidFile: It is not what its name says, or not all of it.
            OSError: It cannot be read.
        """
        with self._changed:
            self._front = self._size = size
            self._changed.notify()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._hasher.digests()

    def stop(self) -> None:
        """Give it up; of no effect once it is over."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (front := self._wait()) is not None:
                while self._at < front and not self._stopped:
                    room = self._hasher.room()
                    count = self._file.read(self._at, room[: front - self._at])
                    if not count:
                        raise OSError(errno.EIO, "The part file became shorter", str(self._file.path))
                    self._hasher.advance(count)
                    self._at += count
        except Exception as error:
            self._failure = error

    def _wait(self) -> int | None:
        """Wait until there is enough to hash; give how far. None if there is nothing more to do."""
        with self._changed:
            while not self._stopped:
                if self._size is not None:
                    return self._size if self._at < self._size else None
                if self._front - self._at >= _LEAST:
                    return self._front
                self._changed.wait()
        return None
