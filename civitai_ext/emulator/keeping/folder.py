"""A folder in which the state of an emulator is kept between runs.

Every file is written beside its place and then moved there, bytes before what refers to them: whenever the process is
killed, there is one whole state. What is JSON is read as JSON; nothing in the folder is ever run.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from civitai_ext.emulator.keeping.graph import Json

_FORMAT = "civitai-ext-emulator"
_VERSION = 1
_ABOUT, _STATE, _CONTENTS, _LOCK = "emulator.json", "state.json", "contents", "lock"
_SETTINGS = {"seed", "models", "token", "tier"}


class FolderError(RuntimeError):
    """The folder cannot be used; the message is one line that says why."""


def settings_of(path: Path) -> dict[str, Any]:
    """Tell with which settings a folder was made; there are none in a new one.

    Raises:
        FolderError: The folder is something else, or was made by a newer version.

    """
    about = path / _ABOUT
    try:
        if path.exists() and not path.is_dir():
            raise FolderError(f"{path} is no folder")
        if not about.exists():
            if path.exists() and any(each.name != _LOCK for each in path.iterdir()):
                raise FolderError(f"{path} holds something else; choose an empty folder, or a new one")
            return {}
        found = json.loads(about.read_bytes())
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise FolderError(f"{path} holds something else; choose an empty folder, or a new one")
        if found["version"] != _VERSION:
            raise FolderError(
                f"{path} was made by another version of the emulator (its format is {found['version']}, "
                f"this one knows {_VERSION}); choose another folder"
            )
        if found["settings"].keys() != _SETTINGS:
            raise ValueError(f"its settings are not {', '.join(sorted(_SETTINGS))}")
    except OSError as error:
        raise FolderError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FolderError(f"{about} is damaged: {error}; choose another folder") from error
    return dict(found["settings"])


class Folder:
    """A folder that this process has to itself.

    Args:
        path: The folder; it is made if it is missing.
        settings: What has to be the same in every run.

    Raises:
        FolderError: It cannot be used, is used already, or was made with other settings.

    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        before = settings_of(path)
        for name, value in before.items():
            if name in settings and settings[name] != value:
                raise FolderError(
                    f"{path} was made with {name} {value!r}, not {settings[name]!r}: "
                    "leave that out, or choose another folder"
                )
        try:
            (path / _CONTENTS).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(path / _LOCK)
            if not before:
                about = {"format": _FORMAT, "version": _VERSION, "settings": dict(settings)}
                self._replace(path / _ABOUT, json.dumps(about, indent=2).encode())
        except OSError as error:
            raise FolderError(f"{path} cannot be written to: {error.strerror or error}") from error

    def read(self) -> Json:
        """Read the last state; None if there is none yet.

        Raises:
            FolderError: It is damaged.

        """
        try:
            return json.loads((self.path / _STATE).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{self.path / _STATE} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise self.damaged(error) from error

    def damaged(self, why: object) -> FolderError:
        """Say that the state cannot be used."""
        return FolderError(f"{self.path / _STATE} is damaged: {why}; delete it to begin anew, or choose another folder")

    def load(self, name: str) -> bytes:
        """Read the bytes that a state refers to.

        Raises:
            ValueError: They are not there, or are others.

        """
        if not (name.isascii() and name.isalnum()):
            raise ValueError(f"{name!r} is no name")
        try:
            content = (self.path / _CONTENTS / name).read_bytes()
        except OSError as error:
            raise ValueError(f"the file {_CONTENTS}/{name} is missing") from error
        if content_name(content) != name:
            raise ValueError(f"the file {_CONTENTS}/{name} has changed")
        return content

    def write(self, state: Json, contents: Mapping[str, bytes]) -> None:
        """Write a state and the bytes that it refers to, and remove the bytes that nothing refers to any more.

        Raises:
            OSError: It cannot be written; the state before is still there.

        """
        kept = self.path / _CONTENTS
        for name, content in contents.items():
            if not (kept / name).exists():
                self._replace(kept / name, content)
        self._replace(self.path / _STATE, json.dumps(state, separators=(",", ":")).encode())
        for each in kept.iterdir():
            if each.name not in contents:
                each.unlink()

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.close()

    def _replace(self, place: Path, content: bytes) -> None:
        beside = place.with_name(f"{place.name}.new")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)


def content_name(content: bytes) -> str:
    """Name bytes by what they are."""
    return hashlib.sha256(content).hexdigest()


def _locked(path: Path) -> IO[bytes]:
    """Open a file that no other process has; the system lets go of it when this one ends, however it ends."""
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise FolderError(f"{path.parent} is used by another emulator") from error
    return file
