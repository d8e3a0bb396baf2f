"""A file that is on its way for longer than a process may live: beside its final place, with notes of what is there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Final

from civitai_ext._ranges import Part
from civitai_ext.errors import AlreadyDownloading, NoSpace

__all__ = ["ResumableFile", "dead_parts"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME: Final = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)
_LONGEST_NAME: Final = 200  # in bytes, of the 255 that file systems allow, so that there is room for what is added
_LONGEST_NOTES: Final = 16 * 1024 * 1024
_MODE: Final = 0o666  # the umask takes its part away


class ResumableFile:
    """The bytes of a file that have come, and a file beside it that says which ones, for whoever goes on later.

    Only one at a time can have it open, in this process or any other. A process that dies leaves it behind, unlocked.
    The methods may be called from several threads.

    Args:
        target: What the file will be called.
        source: Where it comes from, so that files from elsewhere are kept apart.

    Raises:
        AlreadyDownloading: Somebody else is at it.
        OSError: The folder cannot be made or written to.
    """

    def __init__(self, target: Path, source: str) -> None:
        id = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = os.fsencode(target.name)[:_LONGEST_NAME].decode("utf-8", "ignore")
        self.path = target.with_name(f".{name}.{id}.part")
        self._notes = self.path.with_name(self.path.name + ".json")
        self._new_notes = self.path.with_name(self.path.name + ".new")
        self._target = target
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        target.parent.mkdir(parents=True, exist_ok=True)
        held = _lock(_lock_path(self.path))
        if held is None:
            raise AlreadyDownloading(f"{target} is being downloaded already", path=str(target))
        self._held: int | None = held
        self._file: int | None = None

    def load(self) -> Part | None:
        """Give what an earlier download left; None if there is nothing that could be used."""
        try:
            with self._notes.open("rb") as file:
                part = Part.from_dict(json.loads(file.read(_LONGEST_NOTES)))
            if part is None or self.path.is_symlink() or self.path.stat().st_size != part.version.size:
                return None
        except (OSError, ValueError, RecursionError):
            return None
        return part

    def begin(self, size: int, *, keep: bool, present: int = 0) -> None:
        """Open the file for writing, and make it as long as it will be.

        Args:
            size: How many bytes it will have.
            keep: Whether what is in it stays.
            present: How many bytes of it are there.

        Raises:
            NoSpace: The disk has no room for the rest.
            OSError: It cannot be opened.
        """
        with self._lock:
            if not keep:
                # First of all the notes go, else they would vouch for bytes that are not there any more.
                self._notes.unlink(missing_ok=True)
                self._close_file()
                self.path.unlink(missing_ok=True)
            free = shutil.disk_usage(self.path.parent).free
            if free < size - present:
                raise self._no_space(f"{size - present} bytes are to come, and {free} are free")
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
                self._file = os.open(self.path, flags, _MODE)
            try:
                os.ftruncate(self._file, size)
            except OSError as error:
                raise self._translated(error) from error

    def write(self, at: int, data: bytes | bytearray) -> None:
        """Put bytes where they belong.

        Raises:
            NoSpace: The disk is full.
            OSError: They cannot be written, for example because the file was closed meanwhile.
        """
        rest = memoryview(data)
        try:
            while rest:
                with self._lock:
                    written = _pwrite(self._opened(), rest, at)
                at += written
                rest = rest[written:]
        except OSError as error:
            raise self._translated(error) from error

    def read(self, at: int, size: int) -> bytes:
        """Give bytes of it, fewer only at its end."""
        found = bytearray()
        while len(found) < size:
            with self._lock:
                block = _pread(self._opened(), size - len(found), at + len(found))
            if not block:
                break
            found += block
        return bytes(found)

    def save(self, notes: str, *, wait: bool) -> bool:
        """Make sure that what was written is on the disk, and only then note it.

        Args:
            notes: What is there, as JSON, taken down before this was called.
            wait: What to do if another thread is at that: wait for it, or leave it and give back False.
        """
        if not self._saving.acquire(blocking=wait):
            return False
        try:
            self._sync()
            with self._lock:
                self._opened()  # whoever closed it may have given it away
                self._new_notes.write_text(notes, encoding="utf-8")
                self._new_notes.replace(self._notes)
        except OSError as error:
            self._new_notes.unlink(missing_ok=True)
            raise self._translated(error) from error
        finally:
            self._saving.release()
        return True

    def become_target(self) -> None:
        """Give it its name, in place of a file that is there under that name."""
        self._sync()
        with self._lock:
            self._close_file()
            self.path.replace(self._target)
            self._new_notes.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)
        _sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove it and its notes."""
        with self._lock:
            self._new_notes.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)
            self._close_file()
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others have it. Nothing can be written after that; closing it again does nothing."""
        with self._lock:
            self._close_file()
            if self._held is not None:
                _unlock(_lock_path(self.path), self._held)
                self._held = None

    def _sync(self) -> None:
        with self._lock:
            file = os.dup(self._opened())  # so that others can write meanwhile
        try:
            getattr(os, "fdatasync", os.fsync)(file)
        finally:
            os.close(file)

    def _opened(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, "The part file is closed", str(self.path))
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _translated(self, error: OSError) -> OSError:
        return self._no_space(error.strerror or "the disk is full") if error.errno in _FULL else error

    def _no_space(self, reason: str) -> NoSpace:
        return NoSpace(f"There is no room for {self._target}: {reason}", path=str(self._target))


def dead_parts(folder: Path) -> list[Path]:
    """Give the part files in a folder that nobody is downloading any more. Downloading again goes on with them."""
    found = []
    for path in sorted(folder.iterdir()):
        if _NAME.fullmatch(path.name) and path.is_file():
            held = _lock(_lock_path(path))
            if held is not None:
                _unlock(_lock_path(path), held)
                found.append(path)
    return found


def _lock_path(part: Path) -> Path:
    return part.with_name(part.name + ".lock")


def _lock(path: Path) -> int | None:
    """Give the open file whose lock is held now; None if somebody else holds it. It ends with the process."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), _MODE)
        try:
            if not _try_lock(file):
                os.close(file)
                return None
            # Whoever held it may have removed it in between; then others lock another file of this name.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _unlock(path: Path, file: int) -> None:
    if os.name == "nt":  # a file that is open cannot be removed there
        os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
    else:
        path.unlink(missing_ok=True)
        os.close(file)


def _try_lock(file: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            getattr(msvcrt, "locking")(file, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _pwrite(file: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, at)
    os.lseek(file, at, os.SEEK_SET)
    return os.write(file, data)


def _pread(file: int, size: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, size, at)
    os.lseek(file, at, os.SEEK_SET)
    return os.read(file, size)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # not every file system can
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
