"""Downloads that were cut short, and what they left on the disk.

    for each in unfinished_downloads("models/"):
        print(each.path.parent / each.name, each.done, each.size)

Downloading the same again goes on with what is left; nothing has to be done about it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import attrs

from civitai_ext._part_files import dead_parts, left_in, name_in, remove_part

__all__ = ["Unfinished", "unfinished_downloads"]


@attrs.frozen
class Unfinished:
    """A download that was cut short, and that nobody is at.

    Attributes:
        path: The part file, which is hidden.
        name: What the file would be called; empty for a small one, such as a picture, of which nothing can be used.
        done: How many bytes of it are there; 0 if none of them can be used.
        size: How many it has; None if that is not known any more.
        changed_at: When the last of it came.
    """

    path: Path
    name: str
    done: int
    size: int | None
    changed_at: datetime

    def discard(self) -> None:
        """Remove what is left; of no effect if that was done.

        Raises:
            AlreadyDownloading: Somebody goes on with it by now.
            OSError: It cannot be removed.
        """
        remove_part(self.path)


def unfinished_downloads(folder: str | os.PathLike[str]) -> list[Unfinished]:
    """Find the downloads that were cut short in a folder and those below it.

    Folders that cannot be looked into are left out.

    Args:
        folder: The folder.

    Raises:
        OSError: The folder itself cannot be looked into.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     unfinished_downloads(folder)
    []
    """
    found = [_look_at(path) for path in dead_parts(Path(folder))]
    for place, folders, _ in os.walk(folder):
        for name in sorted(folders):
            try:
                found += [_look_at(path) for path in dead_parts(Path(place, name))]
            except OSError:
                continue
    return [each for each in found if each is not None]


def _look_at(path: Path) -> Unfinished | None:
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:  # somebody finished it meanwhile
        return None
    part = left_in(path)
    return Unfinished(
        path=path,
        name=name_in(path),
        done=0 if part is None else part.present,
        size=None if part is None else part.version.size,
        changed_at=datetime.fromtimestamp(changed, UTC),
    )
