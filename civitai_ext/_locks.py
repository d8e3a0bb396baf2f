"""Locks that hold between threads and between processes, and end with the process that has them.

Written here, since the base install needs them for part files and has no library for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from time import monotonic, sleep
from typing import Final

__all__ = ["lock", "try_lock", "unlock"]

_PRIVATE: Final = 0o600
_SHORTEST_PAUSE: Final = 0.001  # seconds
_LONGEST_PAUSE: Final = 0.05

_held: Final[set[int]] = set()


def try_lock(path: Path, mode: int = 0o666) -> int | None:
    """Give the open file whose lock is held now; None if somebody else holds it.

    Args:
        path: The file, made if it is not there. It need not be the file that is to be used.
        mode: The rights it gets then; the umask takes its part away.

    Raises:
        OSError: It cannot be made or opened.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), mode)
        try:
            if not _locked(file):
                os.close(file)
                return None
            # Whoever held it may have removed it in between; then others lock another file of this name.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    _held.add(file)
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def lock(path: Path, timeout: float) -> int:
    """Give the open file whose lock is held now, once nobody else holds it. Nobody else can read the file.

    Args:
        path: The file, made if it is not there.
        timeout: How many seconds to wait at most.

    Raises:
        TimeoutError: Somebody held it all the time; it says who.
        OSError: It cannot be made or opened.
    """
    until, pause = monotonic() + timeout, _SHORTEST_PAUSE
    while (file := try_lock(path, _PRIVATE)) is None:
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, f"{_holder(path)} has held it for {timeout:g} seconds", str(path))
        sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
    with contextlib.suppress(OSError):  # it is for messages, and may be all that the disk has no room for
        if os.fstat(file).st_nlink == 1:  # else somebody may have linked a file of ours here, to be overwritten
            if hasattr(os, "fchmod"):  # whatever the umask made of it
                os.fchmod(file, _PRIVATE)
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode())
    return file


def unlock(path: Path, file: int) -> None:
    """Let others have it, and remove the file."""
    if file not in _held:  # it is the lock of the process that this one was forked from
        return
    _held.remove(file)
    if os.name == "nt":  # a file that is open cannot be removed there
        os.close(file)
    with contextlib.suppress(OSError):  # it is a lock all the same, for whoever comes next
        path.unlink()
    if os.name != "nt":
        os.close(file)


def _locked(file: int) -> bool:
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


def _let_go() -> None:
    """Leave the locks to the process that this one was forked from. They would outlive it while the files are open."""
    for file in _held:
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _holder(path: Path) -> str:
    try:
        process = int(path.read_bytes())
    except (OSError, ValueError):  # on Windows, what is locked cannot be read
        return "another process"
    return "another thread of this process" if process == os.getpid() else f"process {process}"
