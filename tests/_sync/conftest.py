# Derived from tests/_async/conftest.py by scripts/unasync.py: change that file, then run `make fix`.
"""Clients, and what they talk to: the emulator, or a server that does what its script says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from civitai_ext import Civitai
from civitai_ext.emulator import Emulator
from tests._sync.helpers import no_sleep
from tests.faults.server import FaultServer


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
def civitai(emulator: Emulator) -> Iterator[Civitai]:
    """A client of the emulator's account."""
    url = emulator.url
    with Civitai(emulator.token, site_url=url, orchestration_url=url, auth_url=url) as civitai:
        yield civitai


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that does what its script says: all services, and the hosts of content and storage, in one."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def scripted(server: FaultServer) -> Iterator[Civitai]:
    """A client of that server that never sleeps."""
    url = server.url
    with Civitai("secret-token", site_url=url, orchestration_url=url, auth_url=url) as civitai:
        civitai.transport.sleep = no_sleep
        yield civitai
