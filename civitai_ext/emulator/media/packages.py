"""Files that hold other files, and files of weights."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

from civitai_ext.emulator import files
from civitai_ext.emulator.drawing import Source, rendered


@dataclass(frozen=True)
class Package:
    """An archive.

    Attributes:
        members: The files in it, by name.
        format: `zip` or `tar`.

    """

    members: tuple[tuple[str, Source], ...]
    format: str = "zip"

    def render(self) -> bytes:
        """Pack the files."""
        contents = [(name, rendered(source)) for name, source in self.members]
        if self.format == "zip":
            return files.packed(contents)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as made:
            for name, content in contents:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                made.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


@dataclass(frozen=True)
class Weights:
    """A safetensors file.

    Attributes:
        key: Chooses the numbers.
        size: About how many bytes of them there are.
        name: The title in the file.

    """

    key: str
    size: int
    name: str

    def render(self) -> bytes:
        """Write the file."""
        return files.safetensors(self.key, self.size, self.name)
