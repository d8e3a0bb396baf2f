"""The pytest plugin: a Civitai for each test that asks for one.

    def test_search(civitai):
        assert civitai.models.list(limit=3).to_list()

    @pytest.mark.civitai(speed=0, tier="gold")
    def test_my_program(civitai_emulator):
        ...  # the environment points every client, and every program that is started, at the emulator

pytest finds it by itself where this package is installed. Nothing is loaded before a fixture is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from civitai_ext import AsyncCivitai, Civitai
    from civitai_ext.emulator import Emulator

__all__ = ["async_civitai", "civitai", "civitai_emulator"]

_INI = "civitai_emulator"
_TOKEN_VARIABLES = ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY")
_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")
_SPEED = 100.0
"""A picture takes a tenth of a second, and a signed URL still holds for nine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest which settings there are."""
    text = "arguments of the emulator of every test, such as speed=0 or tier=gold; values are JSON or text"
    parser.addini(_INI, text, type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest which marker there is."""
    config.addinivalue_line("markers", "civitai(**arguments): arguments of this test's emulator, such as speed=0")


@pytest.fixture
def civitai_emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator for this test alone, and point the environment at it.

    Its arguments come from the setting `civitai_emulator` and from markers such as `@pytest.mark.civitai(speed=0)`. No
    token of whoever runs the tests and no stored login is seen by the test, or by the programs that it starts.
    """
    emulator = _started(request)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in emulator.environment.items():
                patch.setenv(name, value)
            for name in _TOKEN_VARIABLES:
                patch.setenv(name, emulator.token)
            patch.setenv("CIVITAI_LOGINS", str(tmp_path_factory.mktemp("civitai-logins")))
            for name in _PROXY_VARIABLES:
                # What comes from a proxy would not come from the emulator.
                patch.setenv(name, "127.0.0.1", prepend="," if os.environ.get(name) else None)
            yield emulator
    finally:
        emulator.close()


@pytest.fixture
def civitai(civitai_emulator: Emulator) -> Iterator[Civitai]:
    """Make a client of the emulator's account, which sends again without waiting."""
    from civitai_ext import Civitai, RetryPolicy

    with Civitai(retry=RetryPolicy.immediate()) as civitai:
        yield civitai


@pytest.fixture
def async_civitai(civitai_emulator: Emulator) -> AsyncCivitai:
    """Make an asynchronous client like `civitai`, for `async with async_civitai as civitai:`.

    It is entered by the test, in whatever event loop that has, so that any plugin for asynchronous tests will do.
    """
    from civitai_ext import AsyncCivitai, RetryPolicy

    return AsyncCivitai(retry=RetryPolicy.immediate())


def _started(request: pytest.FixtureRequest) -> Emulator:
    try:
        from civitai_ext.emulator import Emulator

        return Emulator(**_arguments(request)).start()
    except ImportError as error:
        reason = str(error)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = f"the emulator of this test cannot start: {error}"
    pytest.fail(reason, pytrace=False)


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Gather the arguments of a test's emulator; of two markers the nearer one counts."""
    arguments: dict[str, Any] = {"speed": _SPEED} | read_setting(request.config.getini(_INI))
    for marker in reversed(list(request.node.iter_markers("civitai"))):
        if marker.args:
            raise TypeError(f"pytest.mark.civitai takes names and values, such as speed=0, and not {marker.args[0]!r}")
        arguments |= marker.kwargs
    return arguments


def read_setting(lines: Sequence[str]) -> dict[str, Any]:
    """Read the setting.

    >>> read_setting(["speed=0", "tier = gold", 'balance={"yellow": 5}'])
    {'speed': 0, 'tier': 'gold', 'balance': {'yellow': 5}}
    """
    arguments: dict[str, Any] = {}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ValueError(f"{_INI} has the line {line!r}, and not a name and a value such as speed=0")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments
