"""Cassettes: replayed by default, recorded from the emulator by `python -m scripts.cassettes`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_recording.network import blocking_context

from civitai_ext import AsyncCivitai, Civitai
from scripts.cassettes import CASSETTES
from tests.recorded.cassettes import (
    CREDENTIAL,
    MATCH_ON,
    TOKEN,
    Serializer,
    kept_request,
    kept_response,
    same_credential,
)

if TYPE_CHECKING:
    from civitai_ext.emulator import Emulator

_FOLDER = Path(os.environ.get("CIVITAI_CASSETTES") or CASSETTES)

_START = datetime(2026, 8, 1, 12, tzinfo=UTC)
_VARIABLES = (
    "CIVITAI_TOKEN",
    "CIVITAI_API_TOKEN",
    "CIVITAI_API_KEY",
    "CIVITAI_SITE_URL",
    "CIVITAI_ORCHESTRATION_URL",
    "CIVITAI_AUTH_URL",
)


def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
    """Teach vcrpy how our cassettes are written and compared."""
    vcr.register_serializer("yaml", Serializer)
    vcr.register_matcher(CREDENTIAL, same_credential)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that the client is for."""
    return "asyncio"


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """The folder of the cassettes of a module."""
    return str(_FOLDER / request.path.stem)


@pytest.fixture
def emulator(record_mode: str) -> Iterator[Emulator | None]:
    """What is recorded, the same in every run; None on replay."""
    if record_mode == "none":
        yield None
        return
    # Here, because whoever only replays need not have it installed.
    from civitai_ext.emulator import Emulator

    with Emulator(models=12, speed=0, token=TOKEN, start=_START) as emulator, blocking_context([r"127\.0\.0\.1$"]):
        yield emulator


@pytest.fixture
def advance(emulator: Emulator | None) -> Callable[[float], None]:
    """Moves the time of what is recorded by some seconds. On replay nothing has to move."""
    return (lambda seconds: None) if emulator is None else emulator.clock.advance


@pytest.fixture
def vcr_config(emulator: Emulator | None) -> dict[str, Any]:
    """The settings of vcrpy."""
    hosts = {"origin": None} if emulator is None else {"origin": emulator.url, "auth": emulator.auth_url}
    return {
        "match_on": MATCH_ON,
        "decode_compressed_response": True,  # else nobody could read them
        "before_record_request": partial(kept_request, **hosts),
        "before_record_response": partial(kept_response, **hosts),
    }


@pytest.fixture(autouse=True)
def nothing_is_left_out(vcr: Any, emulator: Emulator | None) -> Iterator[None]:
    """Fail a replay in which a recorded request was not made."""
    yield
    if vcr is not None and emulator is None:
        left = [request for place, request in enumerate(vcr.requests) if not vcr.play_counts[place]]
        assert not left, "recorded, and not asked for again"


@pytest.fixture
def hosts(emulator: Emulator | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that point a client at what is recorded; on replay none, so that it asks the real hosts."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if emulator is None:
        return {}
    return {"site_url": emulator.url, "orchestration_url": emulator.url, "auth_url": emulator.auth_url}


@pytest.fixture
def civitai(hosts: dict[str, Any]) -> Iterator[Civitai]:
    """A client with the token of an account."""
    with Civitai(TOKEN, **hosts) as civitai:
        yield civitai


@pytest.fixture
async def async_civitai(hosts: dict[str, Any]) -> AsyncIterator[AsyncCivitai]:
    """The same, asynchronous."""
    async with AsyncCivitai(TOKEN, **hosts) as civitai:
        yield civitai
