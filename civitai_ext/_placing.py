"""Where a download goes on the disk, and what is done about a file that is there already."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from civitai_ext._disk import is_folder
from civitai_ext._file_names import numbered, safe_name, same_name
from civitai_ext._verifying import ROUNDED, is_another_size
from civitai_ext.errors import InvalidFile, InvalidRequest

if TYPE_CHECKING:
    from civitai_ext.catalogue import ModelFile
    from civitai_ext.downloads import Collision
    from civitai_ext.hashing import FileHashes

__all__ = ["Names", "Placement", "place", "target_in"]


class Names:
    """The paths that the downloads of one call have taken, so that no two of them meet. For use by several threads."""

    def __init__(self) -> None:
        self._taken: set[tuple[Path, str]] = set()
        self._locks: dict[tuple[Path, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def alone(self, path: Path) -> threading.Lock:
        """Give the lock of those that want a path: one may still give back what the next is looking for."""
        with self._lock:
            return self._locks.setdefault(_key(path), threading.Lock())

    def take(self, path: Path) -> bool:
        """Take a path; False if another download has it, perhaps in other upper and lower case."""
        key = _key(path)
        with self._lock:
            if key in self._taken:
                return False
            self._taken.add(key)
        return True

    def give_back(self, path: Path) -> None:
        """Leave a path to others."""
        with self._lock:
            self._taken.discard(_key(path))


def _key(path: Path) -> tuple[Path, str]:
    return path.parent, same_name(path.name)


def target_in(
    to: str | os.PathLike[str], name: str, *, below: Path | None = None, folder: bool = False
) -> tuple[Path, bool]:
    """Give the path that a file is to have, and whether the caller named the file itself.

    Args:
        to: The folder or file that was given: a folder if it is there as one, ends with a slash or has no suffix.
        name: What the file is called; any name.
        below: The path below the folder that a layout gives.
        folder: Whether it has to be a folder.

    Raises:
        InvalidRequest: It is neither for sure: it ends like a file of another kind.

    >>> path, is_named = target_in("models", "a.safetensors")
    >>> path.as_posix(), is_named, target_in("my.safetensors", "a.safetensors")[1]
    ('models/a.safetensors', False, True)
    """
    safe = safe_name(name)
    path = Path(to)
    if folder or below is not None or is_folder(to) or not path.suffix:
        return path / (safe if below is None else below), False
    if path.suffix.casefold() != Path(safe).suffix.casefold():
        raise InvalidRequest(
            f"to is {os.fspath(to)!r}, which ends in {path.suffix!r}, and the file is called {safe!r}",
            hint="End the name of a folder with a slash, and give a file the suffix that it has.",
        )
    return path, True


@attrs.frozen
class Placement:
    """Where a download goes.

    Attributes:
        path: The path.
        is_there: Whether the file is there already, and stays.
        replaces: Whether a file of the name may be replaced.
        verified: Whether what is there was found to be the file, by a hash.
        hashes: The hashes of what is there, if they were computed.
    """

    path: Path
    is_there: bool = False
    replaces: bool = False
    verified: bool = False
    hashes: FileHashes | None = None


def place(
    target: Path, file: ModelFile | None, *, exists: Collision | None, is_named: bool, names: Names, cache: Any
) -> Placement:
    """Decide where a download goes. Looks at what is there, and hashes it where that matters.

    Args:
        target: The path that it is to have.
        file: What is known of the file.
        exists: What to do if there is a file of the name. By default one that is the same stays; otherwise the new one
            gets a number, or, where the caller named the file itself, it is an error.
        is_named: Whether the caller named the file itself.
        names: What the other downloads of the call have taken.
        cache: As for `hash_file`.

    Raises:
        FileExistsError: There is a file of the name, and there must not be.
        OSError: What is there cannot be read.
    """
    with names.alone(target):
        return _place(target, file, exists, is_named, names, cache)


def _place(
    target: Path, file: ModelFile | None, exists: Collision | None, is_named: bool, names: Names, cache: Any
) -> Placement:
    for name in numbered(target.name):
        path = target.with_name(name)
        if not names.take(path):
            if is_named:
                raise FileExistsError(errno.EEXIST, "Another download of this call has the name", str(path))
            continue
        if not os.path.lexists(path) or (exists == "overwrite" and not path.is_dir()):
            return Placement(path, replaces=exists in ("overwrite", "verify"))
        if exists == "skip" and path.is_file():
            return Placement(path, is_there=True)
        if exists != "error" and path.is_file():
            same, hashes = _is_same(path, file, cache)
            if same:
                return Placement(path, is_there=True, verified=hashes is not None, hashes=hashes)
            if exists == "verify":
                return Placement(path, replaces=True)
        if exists == "error" or (is_named and exists is None):
            raise FileExistsError(
                errno.EEXIST, "There is another file already; `exists` says what to do then", str(path)
            )
        if exists in ("skip", "verify", "overwrite"):
            raise FileExistsError(errno.EEXIST, "There is something that is no file", str(path))
        names.give_back(path)  # it may be what another download is looking for
    raise AssertionError  # there are always more numbers


def _is_same(path: Path, file: ModelFile | None, cache: Any) -> tuple[bool, FileHashes | None]:
    """Tell whether a file is the one of the catalogue, with its hashes if that is known by them."""
    from civitai_ext.hashing import hash_file

    size = None if file is None else file.size_bytes
    found = path.stat().st_size
    if file is None or is_another_size(found, size):
        return False, None
    try:
        hashes = hash_file(path, cache=cache)
    except InvalidFile:
        return False, None
    same = hashes.matches(file)
    if same is None:  # there is no hash to compare
        return size is not None and abs(found - size) <= ROUNDED, None
    return same, hashes if same else None
