"""Fixtures for the tests of webhooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_ext.webhooks import MemoryStore, SQLiteStore, Store


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that the receiver is for."""
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind."""
    return MemoryStore(capacity=100_000) if request.param == "memory" else SQLiteStore(tmp_path / "events.db")
