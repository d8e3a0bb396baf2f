# Derived from tests/_async/helpers.py by scripts/unasync.py: change that file, then run `make fix`.
"""What several test modules call."""

from __future__ import annotations

__all__ = ["no_sleep"]


def no_sleep(seconds: float) -> None:
    """Wait for nothing."""
