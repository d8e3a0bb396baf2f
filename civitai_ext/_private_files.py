"""Files with secrets in them, which nobody else on the computer may read or change.

Files and folders of other users are refused, as ssh does: whoever owns one can read what is stored there, and can put a
login of theirs in its place. Those of root are not, since root can do so anyway. Windows has other rights: there, the
folders of a user are that user's.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Final, TypeVar

__all__ = ["make_folder", "read", "replace", "write"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")

_FILE: Final = 0o600
_FOLDER: Final = 0o700
_OTHERS: Final = 0o077
_LONGEST: Final = 1024 * 1024
_BUSY: Final = 2.0  # seconds that Windows may be busy with a file for others
_PAUSE: Final = 0.01

_KINDS: Final = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}

_warned: Final[set[Path]] = set()


def read(path: Path) -> bytes | None:
    """Give what is in a file, as far as it is of any sensible length; None if there is none.

    It is logged, once, if others can get at it.

    Raises:
        OSError: It cannot be read, belongs to another user, or is a folder, a symbolic link or something odd.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        _check(path, path.lstat(), stat.S_IFREG)
        _check(path.parent, path.parent.stat(), stat.S_IFDIR)
        file = _patiently(lambda: os.open(path, flags))
    except FileNotFoundError:
        return None
    try:
        _check(path, os.fstat(file), stat.S_IFREG)  # in a folder that others write to it may be another one by now
        return os.read(file, _LONGEST)
    finally:
        os.close(file)


def write(path: Path, data: bytes) -> None:
    """Make a file that nobody else can read from its first byte on, and bring it to the disk.

    Raises:
        OSError: There is such a file, or it cannot be written as a whole.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    file = os.open(path, flags, _FILE)
    try:
        if hasattr(os, "fchmod"):  # an odd umask takes too much away
            os.fchmod(file, _FILE)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def replace(path: Path, by: Path) -> None:
    """Put a file in the place of another one, so that one of the two is there at any moment.

    Raises:
        OSError: That cannot be done.
    """
    _patiently(lambda: by.replace(path))


def make_folder(folder: Path, belongs: Callable[[str], bool]) -> None:
    """Make a folder for such files, and those it is in. One that is there and others can look into is closed to them.

    It is left open if there is anything else in it: it may be a folder such as `/tmp`.

    Args:
        folder: The folder.
        belongs: Tells whether a file of this name is one that the folder is for.

    Raises:
        OSError: It cannot be made, belongs to another user, or is no folder.
    """
    try:
        folder.mkdir(_FOLDER)
    except FileNotFoundError:
        make_folder(folder.parent, belongs)  # those that `mkdir` makes on its way get the rights that the umask leaves
        make_folder(folder, belongs)
        return
    except FileExistsError:
        status = folder.stat()
        _check(folder, status, stat.S_IFDIR)
        closed = not _is_open(status) or status.st_uid != os.geteuid()
        if closed or not all(map(belongs, os.listdir(folder))):  # noqa: PTH208
            return
    folder.chmod(_FOLDER)  # whatever the umask made of it


def _check(path: Path, status: os.stat_result, kind: int) -> None:
    found = stat.S_IFMT(status.st_mode)
    if found != kind:
        code = errno.EISDIR if found == stat.S_IFDIR else errno.ENOTDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise OSError(code, f"It is {_KINDS.get(found, 'something odd')}", str(path))
    if os.name != "nt" and status.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, f"It belongs to another user, with the number {status.st_uid}", str(path))
    if _is_open(status) and path not in _warned:
        _warned.add(path)
        logger.warning("other users can get at %s, where logins are stored: only you should have rights to it", path)


def _is_open(status: os.stat_result) -> bool:
    return os.name != "nt" and status.st_mode & _OTHERS != 0


def _patiently(work: Callable[[], T]) -> T:
    """Do something with a file that Windows refuses as long as others have the file open, be it to scan it."""
    until = monotonic() + _BUSY
    while True:
        try:
            return work()
        except PermissionError:
            if os.name != "nt" or monotonic() > until:
                raise
        sleep(_PAUSE)
