"""A client and the emulator that it talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from civitai_ext import AsyncCivitai
from civitai_ext.emulator import Emulator


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that the client is for."""
    return "asyncio"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A Civitai of one's own, where a second lasts a millisecond."""
    with Emulator(models=60, speed=1000) as emulator:
        yield emulator


@pytest.fixture
async def civitai(emulator: Emulator) -> AsyncIterator[AsyncCivitai]:
    """A client of the emulator's account."""
    url = emulator.url
    async with AsyncCivitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url) as civitai:
        yield civitai
