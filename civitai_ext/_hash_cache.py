"""Hashes of files on the disk, remembered in a file until the files change.

It is used by threads and processes at the same time, and never in the way: what cannot be remembered is computed again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from civitai_ext._cache import file_for
from civitai_ext.errors import ConfigurationError

__all__ = ["HashCache"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")

_NAME: Final = "hashes-1.sqlite3"
_FIELDS: Final = ("size", "sha256", "crc32", "blake3", "auto_v1", "auto_v3")
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS hashes (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode TEXT NOT NULL,
        sha256 TEXT NOT NULL, crc32 TEXT NOT NULL, blake3 TEXT, auto_v1 TEXT, auto_v3 TEXT
    ) WITHOUT ROWID
"""
_BUSY: Final = 10.0


class HashCache:
    """Remembers hashes by path, as long as size, time of change and inode of the file stay what they were.

    Args:
        path: The file to remember them in; made if it is not there. None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def at(cls, cache: str | os.PathLike[str] | bool | None) -> HashCache:
        """Make the one that a caller asked for.

        Raises:
            ConfigurationError: True was asked for, and the extra `cache` is not installed.
        """
        if cache is None:
            try:
                return cls(file_for(True, _NAME))
            except ConfigurationError:
                return cls(None)
        return cls(None if cache is False else file_for(cache, _NAME))

    def get(self, path: Path, status: os.stat_result) -> dict[str, Any] | None:
        """Give what was remembered of a file; None if that is nothing, or was before it changed.

        Args:
            path: The file.
            status: What the file system says about it now.
        """
        asked = (_key(path), status.st_size, status.st_mtime_ns, _inode(status))
        columns = ", ".join(_FIELDS)
        query = f"SELECT {columns} FROM hashes WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"  # noqa: S608
        row = self._try(lambda connection: connection.execute(query, asked).fetchone())
        return None if row is None else dict(zip(_FIELDS, row, strict=True))

    def put(self, path: Path, status: os.stat_result, hashes: Mapping[str, Any]) -> None:
        """Remember the hashes of a file, in place of what was remembered before.

        Args:
            path: The file.
            status: What the file system said about it when it was read.
            hashes: What to give back.
        """
        if _may_change_unseen(status):
            return
        values = {name: hashes[name] for name in _FIELDS}
        values |= {"path": _key(path), "mtime_ns": status.st_mtime_ns, "inode": _inode(status)}
        columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        insert = f"INSERT OR REPLACE INTO hashes ({columns}) VALUES ({places})"  # noqa: S608  # the names are ours
        self._try(lambda connection: connection.execute(insert, values))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        if self._path is None:
            return None
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path)
                return work(self._connection)
            except (sqlite3.DatabaseError, OSError) as error:
                self._close()
                # What is more special than this is about the moment: it is busy, cannot be written, the disk is full.
                if type(error) is sqlite3.DatabaseError:
                    _set_aside(self._path, error)
                else:
                    logger.debug("hashes are not remembered in %s: %s", self._path, error)
                return None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(path: Path, error: Exception) -> None:
    # Not deleted: somebody may have named a file of another kind by mistake.
    aside = path.with_name(f"{path.name}.broken")
    logger.warning("hashes cannot be remembered in %s (%s): it is now %s, and a new one is made", path, error, aside)
    try:
        path.replace(aside)
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
    except OSError as failure:
        logger.debug("%s stays where it is: %s", path, failure)


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100  # pathlib leaves `..` in it


def _inode(status: os.stat_result) -> str:
    return str(status.st_ino)  # some are too large for SQLite


def _may_change_unseen(status: os.stat_result) -> bool:
    """Tell whether a change at this moment could leave the time of change as it is, since clocks of files tick slowly.

    Most tick every few milliseconds, some every second or two; those show whole seconds.
    """
    tick = 2_000_000_000 if status.st_mtime_ns % 1_000_000_000 == 0 else 50_000_000
    return 0 <= time.time_ns() - status.st_mtime_ns < tick
