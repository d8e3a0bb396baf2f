"""What several test modules call."""

from __future__ import annotations

__all__ = ["no_sleep"]


async def no_sleep(seconds: float) -> None:
    """Wait for nothing."""
