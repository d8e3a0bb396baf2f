"""What came of saving what a workflow gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

__all__ = ["SavedFiles", "Skipped"]


@attrs.frozen
class Skipped:
    """A file that was not saved.

    Attributes:
        output: What it would have been.
        reason: Why not.
    """

    output: Any
    reason: str

    def __str__(self) -> str:
        return f"blob {self.output.id} of step {self.output.step} is not saved: {self.reason}"


class SavedFiles(list[Path]):
    """The paths of the files that were saved, in the order of the outputs.

    Attributes:
        skipped: What was not saved, and why.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: list[Skipped] = []
