"""Hashes of files on the disk, remembered in a file until the files change."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from civitai_ext._database import Database

__all__ = ["HashCache"]

_NAME: Final = "hashes-1.sqlite3"
_FIELDS: Final = ("size", "sha256", "crc32", "blake3", "auto_v1", "auto_v3")
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS hashes (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode TEXT NOT NULL,
        sha256 TEXT NOT NULL, crc32 TEXT NOT NULL, blake3 TEXT, auto_v1 TEXT, auto_v3 TEXT
    ) WITHOUT ROWID
"""


class HashCache:
    """Remembers hashes by path, as long as size, time of change and inode of the file stay what they were.

    Args:
        cache: The file to remember them in, True for one in the user's folder for such files, False to remember
            nothing; None is True where the extra `cache` is installed.

    Raises:
        ConfigurationError: True was asked for, and the extra `cache` is not installed.
    """

    def __init__(self, cache: str | os.PathLike[str] | bool | None) -> None:
        self._database = Database.at(cache, _NAME, [_TABLE])

    def get(self, path: Path, status: os.stat_result) -> dict[str, Any] | None:
        """Give what was remembered of a file; None if that is nothing, or was before it changed.

        Args:
            path: The file.
            status: What the file system says about it now.
        """
        asked = (_key(path), status.st_size, status.st_mtime_ns, _inode(status))
        columns = ", ".join(_FIELDS)
        query = f"SELECT {columns} FROM hashes WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"  # noqa: S608
        row = self._database.run(lambda connection: connection.execute(query, asked).fetchone())
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
        self._database.run(lambda connection: connection.execute(insert, values))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


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
