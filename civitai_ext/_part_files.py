"""A file that is on its way for longer than a process may live: beside its final place, with notes of what is there.

What was written survives the process at once, but the system only when it was brought to the disk, which takes long. So
there are two notes: what was written, which hold until the system is restarted, and what is on the disk, which hold
for good and are made more rarely.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

from civitai_ext._disk import sync_folder
from civitai_ext._locks import try_lock, unlock
from civitai_ext._ranges import Part
from civitai_ext.errors import AlreadyDownloading, NoSpace

__all__ = ["ResumableFile", "boot_id", "dead_parts"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME: Final = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)
_SAVE: Final = re.compile(r"\.[0-9a-f]{32}\.part")
"""What a small file is called until it is whole, as `_disk.PartFile` has it."""
_SAVE_TAKES: Final = 3600.0  # seconds after which nobody is at one any more, for no lock tells
_LOCK: Final = ".lock"
_LONGEST_NAME: Final = 200  # in bytes, of the 255 that file systems allow, so that there is room for what is added
_LONGEST_NOTES: Final = 16 * 1024 * 1024
_MODE: Final = 0o666  # the umask takes its part away
_SYNCED_EVERY: Final = 10.0  # seconds; a restart of the system costs what came in them
_SYNCED_OFTEN: Final = 1.0  # where it is not known whether there was one, so that the end of a process costs as much


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
        self._recent, self._notes = _notes_of(self.path)
        self._target = target
        self._lock = threading.RLock()
        self._users = 0
        self._closing: list[int] = []
        self._syncing: threading.Thread | None = None
        self._synced_at = monotonic()
        self._failure: OSError | None = None
        target.parent.mkdir(parents=True, exist_ok=True)
        held = try_lock(_lock_path(self.path))
        if held is None:
            raise AlreadyDownloading(f"{target} is being downloaded already", path=str(target))
        self._held: int | None = held
        self._file: int | None = None

    def load(self) -> Part | None:
        """Give what an earlier download left; None if there is nothing that could be used."""
        return left_in(self.path)

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
                _remove_notes(self.path)
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

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Put bytes where they belong.

        Raises:
            NoSpace: The disk is full.
            OSError: They cannot be written, for example because the file was closed meanwhile.
        """
        rest = memoryview(data)
        try:
            with self._using() as file:
                while rest:
                    written = _pwrite(file, rest, at)
                    at += written
                    rest = rest[written:]
        except OSError as error:
            raise self._translated(error) from error

    def read(self, at: int, into: memoryview) -> int:
        """Put bytes of it where they are wanted; give how many, which are fewer only at its end."""
        done = 0
        with self._using() as file:
            while done < len(into) and (count := _pread(file, into[done:], at + done)):
                done += count
        return done

    def note(self, part: Part) -> None:
        """Note what was written, for whoever goes on if this process dies. Now and then it is brought to the disk, too.

        Args:
            part: What is there. All of it was written before.

        Raises:
            NoSpace: The disk is full.
            OSError: It cannot be noted.
        """
        notes, boot = part.to_dict(), boot_id()
        self._raise_failure()
        with self._lock:
            self._opened()  # whoever closed it may have given it away
            if boot is not None:
                self._write(self._recent, notes | {"boot": boot})
            every = _SYNCED_EVERY if boot is not None else _SYNCED_OFTEN
            if monotonic() - self._synced_at >= every and self._syncing is None:
                # In a thread of its own: with a slow disk it takes seconds.
                self._syncing = threading.Thread(target=self._sync_and_note, args=(notes,), name="civitai-sync")
                self._syncing.start()

    def save(self, part: Part) -> None:
        """Bring to the disk what was written, and note it for good. The arguments and errors are those of `note`."""
        notes = part.to_dict()
        self._wait_for_sync()
        self._sync_and_note(notes)
        self._raise_failure()

    def become_target(self) -> None:
        """Give it its name, in place of a file that is there under that name."""
        self._wait_for_sync()
        self._raise_failure()
        self._sync()
        with self._lock:
            self._close_file()
            self.path.replace(self._target)
            _remove_notes(self.path)
        sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove it and its notes."""
        with self._lock:
            _remove_notes(self.path)
            self._close_file()
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others have it. Nothing can be written after that; closing it again does nothing."""
        with self._lock:
            self._close_file()
            if self._held is not None:
                unlock(_lock_path(self.path), self._held)
                self._held = None

    def _sync_and_note(self, notes: dict[str, Any]) -> None:
        try:
            self._sync()
            with self._lock:
                self._opened()
                self._write(self._notes, notes)
        except OSError as error:
            with self._lock, contextlib.suppress(OSError):
                self._opened()
                # The system forgets bytes that it could not write to the disk, and tells it only once.
                self._failure = self._failure or error
                self._recent.unlink(missing_ok=True)
        finally:
            self._synced_at = monotonic()
            self._syncing = None

    def _wait_for_sync(self) -> None:
        if (thread := self._syncing) is not None:
            thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._translated(self._failure) from self._failure

    def _sync(self) -> None:
        with self._using() as file:
            getattr(os, "fdatasync", os.fsync)(file)

    def _write(self, path: Path, notes: dict[str, Any]) -> None:
        new = path.with_name(path.name + ".new")
        try:
            new.write_text(json.dumps(notes), encoding="utf-8")
            new.replace(path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise self._translated(error) from error

    @contextlib.contextmanager
    def _using(self) -> Iterator[int]:
        """Give the open file, which stays open meanwhile. Others can use it at the same time."""
        with self._lock:
            file = self._opened()
            self._users += 1
        try:
            yield file
        finally:
            with self._lock:
                self._users -= 1
                self._close_unused()

    def _opened(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, "The part file is closed", str(self.path))
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._closing.append(self._file)
            self._file = None
        self._close_unused()

    def _close_unused(self) -> None:
        while self._closing and not self._users:
            os.close(self._closing.pop())

    def _translated(self, error: OSError) -> OSError:
        return self._no_space(error.strerror or "the disk is full") if error.errno in _FULL else error

    def _no_space(self, reason: str) -> NoSpace:
        return NoSpace(f"There is no room for {self._target}: {reason}", path=str(self._target))


def left_in(path: Path) -> Part | None:
    """Give what a download left in a part file; None if there is nothing that could be used.

    Args:
        path: The part file.
    """
    part = None
    recent, notes = _notes_of(path)
    said = _read(recent)
    if said is not None and said.get("boot") == boot_id() is not None:
        part = Part.from_dict(said)
    if part is None:
        part = Part.from_dict(_read(notes))
    try:
        if part is None or path.is_symlink() or path.stat().st_size != part.version.size:
            return None
    except OSError:
        return None
    return part


def dead_parts(folder: Path) -> list[Path]:
    """Give the part files in a folder that nobody is downloading any more. Downloading again goes on with them.

    What a process left that was killed between giving a file its name and tidying up is removed.

    Raises:
        OSError: The folder cannot be looked into.
    """
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_LOCK):
            _tidy_up(path.with_name(path.name.removesuffix(_LOCK)))
            continue
        is_part = _NAME.fullmatch(path.name) or (_SAVE.fullmatch(path.name) and _age_of(path) > _SAVE_TAKES)
        if is_part and path.is_file() and not path.is_symlink():
            held = try_lock(_lock_path(path))
            if held is not None:
                unlock(_lock_path(path), held)
                found.append(path)
    return found


def _tidy_up(path: Path) -> None:
    """Remove what belongs to a part file that is not there any more, unless somebody begins it anew."""
    if _NAME.fullmatch(path.name) and not os.path.lexists(path):
        with contextlib.suppress(OSError):
            held = try_lock(_lock_path(path))
            if held is not None:
                if not os.path.lexists(path):
                    _remove_notes(path)
                unlock(_lock_path(path), held)


def _age_of(path: Path) -> float:
    try:
        return time() - path.stat().st_mtime
    except OSError:  # it has its name by now
        return 0.0


def remove_part(path: Path) -> None:
    """Remove a part file with its notes; of no effect if it is gone.

    Raises:
        AlreadyDownloading: Somebody goes on with it.
        OSError: It cannot be removed.
    """
    held = try_lock(_lock_path(path))
    if held is None:
        raise AlreadyDownloading(f"{path} is being downloaded to", path=str(path))
    try:
        _remove_notes(path)
        path.unlink(missing_ok=True)
    finally:
        unlock(_lock_path(path), held)


def name_in(path: Path) -> str:
    """Give what the file of a part file will be called; its beginning if that is long, and nothing if it is not known.

    >>> name_in(Path("models/.a.safetensors.0123abcd.part"))
    'a.safetensors'
    """
    return path.name[1:].rsplit(".", 2)[0] if _NAME.fullmatch(path.name) else ""


def _notes_of(path: Path) -> tuple[Path, Path]:
    """Give where it is noted what was written, and what is on the disk."""
    return path.with_name(path.name + ".recent.json"), path.with_name(path.name + ".json")


def _remove_notes(path: Path) -> None:
    for notes in _notes_of(path):
        notes.with_name(notes.name + ".new").unlink(missing_ok=True)
        notes.unlink(missing_ok=True)


def _lock_path(part: Path) -> Path:
    return part.with_name(part.name + _LOCK)


_seeking: Final = threading.Lock()


def _pwrite(file: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, at)
    with _seeking:
        os.lseek(file, at, os.SEEK_SET)
        return os.write(file, data)


def _pread(file: int, into: memoryview, at: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file, [into], at)
    with _seeking:
        os.lseek(file, at, os.SEEK_SET)
        data = os.read(file, len(into))
    into[: len(data)] = data
    return len(data)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            notes = json.loads(file.read(_LONGEST_NOTES))
    except (OSError, ValueError, RecursionError):
        return None
    return notes if isinstance(notes, dict) else None


@functools.cache
def boot_id() -> str | None:
    """Give what tells the time since the system was started from all other such times; None if it does not say."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip() or None  # noqa: S603
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
