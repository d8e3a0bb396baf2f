"""Files that something is remembered in (SQLite).

They are used by threads and processes at the same time, and never in the way: what cannot be remembered is found out
again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from civitai_ext._cache import file_for
from civitai_ext.errors import ConfigurationError

__all__ = ["Database"]

T = TypeVar("T")

logger: Final = logging.getLogger("civitai_ext")

_BUSY: Final = 10.0


class Database:
    """Does work on a file, and does without where that fails.

    Args:
        path: The file; made if it is not there. None remembers nothing.
        tables: What makes the tables, where they are not there.
    """

    def __init__(self, path: Path | None, tables: Sequence[str]) -> None:
        self._path = path
        self._tables = tables
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def at(cls, cache: str | os.PathLike[str] | bool | None, name: str, tables: Sequence[str]) -> Self:
        """Make the one that a caller asked for.

        Args:
            cache: The file, True for the one of this name in the user's folder for such files, False for none. None is
                True where the extra `cache` is installed.
            name: What it is called in that folder.
            tables: What makes the tables.

        Raises:
            ConfigurationError: True was asked for, and the extra `cache` is not installed.
        """
        if cache is None:
            try:
                return cls(file_for(True, name), tables)
            except ConfigurationError:
                return cls(None, tables)
        return cls(None if cache is False else file_for(cache, name), tables)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the file and give the result; None where that cannot be done."""
        if self._path is None:
            return None
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path, self._tables)
                return work(self._connection)
            except (sqlite3.DatabaseError, OSError) as error:
                self._close()
                # What is more special than this is about the moment: it is busy, cannot be written, the disk is full.
                if type(error) is sqlite3.DatabaseError:
                    _set_aside(self._path, error)
                else:
                    logger.debug("nothing is remembered in %s: %s", self._path, error)
                return None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path, tables: Sequence[str]) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        for table in tables:
            connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(path: Path, error: Exception) -> None:
    # Not deleted: somebody may have named a file of another kind by mistake.
    aside = path.with_name(f"{path.name}.broken")
    logger.warning("nothing can be remembered in %s (%s): it is now %s, and a new one is made", path, error, aside)
    try:
        path.replace(aside)
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
    except OSError as failure:
        logger.debug("%s stays where it is: %s", path, failure)
