"""Fixtures for the tests of the emulator: raw HTTP, no SDK."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from civitai_ext.emulator import Emulator

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is encrypted here, and loading certificates takes longer than most tests."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator in which time stands still until a test moves it."""
    with Emulator(speed=0, models=40, balance={"blue": 20, "green": 0, "yellow": 1000}) as running:
        yield running


@pytest.fixture
def anonymous(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client without a credential."""
    with httpx.Client(base_url=emulator.url, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client with the token of the account."""
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(base_url=emulator.url, headers=headers, timeout=20, verify=NO_CERTIFICATES) as client:
        yield client


@pytest.fixture(scope="module")
def library() -> Iterator[Emulator]:
    """An emulator with the usual catalogue, for tests that only read."""
    with Emulator(speed=0) as running:
        yield running


@pytest.fixture(scope="module")
def reader(library: Emulator) -> Iterator[httpx.Client]:
    """An anonymous client of `library`."""
    with httpx.Client(base_url=library.url, verify=NO_CERTIFICATES) as client:
        yield client
