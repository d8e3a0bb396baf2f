"""Every method of the OAuth client, as it was recorded: a test and a cassette for each.

What a user does in a browser is not recorded: on replay, the browser comes back with what it always comes back with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from civitai_ext import RetryPolicy
from civitai_ext.oauth import App, Scope, SignIn, Tokens

if TYPE_CHECKING:
    from civitai_ext.emulator import Emulator

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

BACK = "https://app.example/callback"
PUBLIC, CONFIDENTIAL, DEVICE = (
    "e3a1c0de-0000-4000-8000-000000000001",
    "e3a1c0de-0000-4000-8000-000000000002",
    "emulated-cli",
)
ASKING = "e3a1c0de-0000-4000-8000-0000000000ff"


@pytest.fixture
def make(hosts: dict[str, Any], emulator: Emulator | None) -> Iterator[Callable[[str], App]]:
    """Makes clients of what is recorded, with their secrets, which are not."""
    made: list[App] = []
    if emulator is not None:
        emulator.oauth.register(id=ASKING, confidential=True, introspects=True)

    def make(id_: str) -> App:
        client = None if emulator is None else emulator.oauth.client(id_)
        secret = client.secret if client is not None else "replayed" if id_ in (CONFIDENTIAL, ASKING) else None
        made.append(App(id_, BACK, secret, retry=RetryPolicy.immediate(), **hosts))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def approve(emulator: Emulator | None) -> Callable[[SignIn], str]:
    """Lets somebody allow it, and gives where the browser comes back to."""

    def approve(sign_in: SignIn) -> str:
        if emulator is None:
            return f"{BACK}?{urlencode({'code': 'replayed', 'state': sign_in.state})}"
        return emulator.oauth.approve(sign_in.url)

    return approve


@pytest.fixture
def login(make: Callable[[str], App], approve: Callable[[SignIn], str]) -> Callable[[], tuple[App, Tokens]]:
    """Logs somebody in."""

    def login() -> tuple[App, Tokens]:
        app = make(PUBLIC)
        sign_in = app.sign_in(Scope.AI_SERVICES)
        return app, app.exchange(approve(sign_in), sign_in)

    return login


def test_oauth__exchange(login: Callable[[], tuple[App, Tokens]]) -> None:
    _, tokens = login()
    assert tokens.scopes is Scope.AI_SERVICES
    assert tokens.lifetime is not None
    assert tokens.lifetime.total_seconds() == 3600


def test_oauth__refresh(login: Callable[[], tuple[App, Tokens]]) -> None:
    app, tokens = login()
    assert app.refresh(tokens).scopes is Scope.AI_SERVICES


def test_oauth__revoke(login: Callable[[], tuple[App, Tokens]]) -> None:
    app, tokens = login()
    app.revoke(tokens)


def test_oauth__userinfo(login: Callable[[], tuple[App, Tokens]]) -> None:
    app, tokens = login()
    assert app.userinfo(tokens).username == "emulated"


def test_oauth__client_credentials(make: Callable[[str], App]) -> None:
    assert make(CONFIDENTIAL).client_credentials(Scope.READ_ONLY).scopes is Scope.READ_ONLY


def test_oauth__start_device(make: Callable[[str], App]) -> None:
    code = make(DEVICE).start_device(Scope.AI_SERVICES)
    assert (code.verification_uri, code.interval) == (f"{make(DEVICE).config.auth_url}/login/oauth/device", 5)


def test_oauth__wait_for_device(make: Callable[[str], App], emulator: Emulator | None) -> None:
    app = make(DEVICE)
    code = app.start_device(Scope.AI_SERVICES)
    if emulator is not None:
        emulator.oauth.approve_device(code.user_code)
    assert app.wait_for_device(code).scopes is Scope.AI_SERVICES


def test_oauth__introspect(make: Callable[[str], App], login: Callable[[], tuple[App, Tokens]]) -> None:
    _, tokens = login()
    assert make(ASKING).introspect(tokens).username == "emulated"


def test_oauth__discovery(make: Callable[[str], App]) -> None:
    app = make(PUBLIC)
    assert app.discovery().issuer == app.config.auth_url


def test_oauth__keys(make: Callable[[str], App]) -> None:
    (key,) = make(PUBLIC).keys().keys
    assert key.alg == "ES256"
