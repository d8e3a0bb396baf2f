"""What files on the disk are, remembered in a file by what is in them, so that it holds wherever they are moved."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from civitai_api.runtime import ApiModel
from civitai_ext._database import Database
from civitai_ext._findings import Finding
from civitai_ext.catalogue import Model, ModelFile, ModelVersion

__all__ = ["MatchStore"]

M = TypeVar("M", bound=ApiModel)

_NAME: Final = "matches-1.sqlite3"
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS models (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS findings (
        sha256 TEXT PRIMARY KEY, status TEXT NOT NULL, checked_at REAL NOT NULL, found_by TEXT NOT NULL,
        thorough INTEGER NOT NULL, model_id INTEGER, version BLOB, file BLOB
    ) WITHOUT ROWID
    """,
)
_SELECT: Final = """
    SELECT status, checked_at, found_by, thorough, body, version, file
    FROM findings LEFT JOIN models ON id = model_id WHERE sha256 = ?
"""


class MatchStore:
    """Remembers findings by the SHA-256 of the content.

    A model is there once, however many files are of it: what is asked for one of them is news for all.

    Args:
        cache: The file to remember them in, True for one in the user's folder for such files, False to remember
            nothing; None is True where the extra `cache` is installed.

    Raises:
        ConfigurationError: True was asked for, and the extra `cache` is not installed.
    """

    def __init__(self, cache: str | os.PathLike[str] | bool | None) -> None:
        self._database = Database.at(cache, _NAME, _TABLES)

    def get(self, sha256: str) -> Finding | None:
        """Give what was found; None if that is nothing, or cannot be read."""
        row = self._database.run(lambda connection: connection.execute(_SELECT, (sha256,)).fetchone())
        if row is None:
            return None
        status, checked_at, found_by, thorough, model_body, version_body, file_body = row
        try:
            model, version = _read(Model, model_body), _read(ModelVersion, version_body)
            if model is not None and version is not None:
                listed = (each for each in model.model_versions if each.id == version.id and status != "deleted")
                version = next(listed, version)
            at = datetime.fromtimestamp(checked_at, UTC)
            return Finding(status, at, model, version, _read(ModelFile, file_body), found_by, bool(thorough))
        except (ValueError, TypeError, OverflowError, OSError, zlib.error):  # somebody else wrote into it
            return None

    def put(self, findings: Mapping[str, Finding]) -> None:
        """Remember findings, in place of what was remembered before."""
        models = {model.id: model for each in findings.values() if (model := each.model) is not None}
        # A model in brief is better than none, and worse than any other.
        whole = [(id, _written(model)) for id, model in models.items() if model.model_versions]
        brief = [(id, _written(model)) for id, model in models.items() if not model.model_versions]
        rows = [
            (
                sha256,
                each.status,
                each.checked_at.timestamp(),
                each.found_by,
                each.thorough,
                None if each.model is None else each.model.id,
                _written(each.version),
                _written(each.file),
            )
            for sha256, each in findings.items()
        ]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT OR REPLACE INTO models VALUES (?, ?)", whole)
                connection.executemany("INSERT OR IGNORE INTO models VALUES (?, ?)", brief)
                connection.executemany("INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

        self._database.run(write)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _written(value: ApiModel | None) -> bytes | None:
    return None if value is None else zlib.compress(json.dumps(value.to_dict()).encode())


def _read(kind: type[M], body: Any) -> M | None:
    return None if body is None else kind.from_dict(json.loads(zlib.decompress(body)))
