"""Secrets stay out of what crash reports take along: errors, their attributes, and the variables of every function."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from civitai_ext import Civitai, RetryPolicy, errors
from civitai_ext.oauth import App, Login, Scope, Tokens
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

OLD = Tokens(
    access_token="civitai_old_access",
    refresh_token="civitai_old_refresh",
    obtained_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 1, 1, tzinfo=UTC),
)
NEW = {"access_token": "civitai_new_access", "refresh_token": "civitai_new_refresh", "expires_in": 3600}
SECRETS = ("civitai_old", "civitai_new", "the-client-secret", "the-api-key", "the-code")
ANSWERS: dict[str, Action] = {
    "error": Answer(400, b'{"error": "invalid_grant", "error_description": "It was used before"}'),
    "reset": Reset(),
    "cut": Cut(json.dumps(NEW).encode()),
    "no token": Answer(200, json.dumps(NEW | {"refresh_token": "civitai_new_refresh\r\nx: y"}).encode()),
    "no json": Answer(200, b'"civitai_new_access'),
    "elsewhere": Answer(308, b"", {"location": "https://evil.example/?refresh_token=civitai_old_refresh"}),
}


def exchange(app: App) -> None:
    sign_in = app.sign_in(Scope.USER_READ)
    app.exchange(f"http://127.0.0.1/callback?code=the-code&state={sign_in.state}", sign_in)


def login(app: App) -> None:
    public = App.of(attrs.evolve(app.settings, client_secret=None))
    with public, Civitai(auth=Login(public, OLD), retry=RetryPolicy.off(), **hosts(app)) as civitai:
        civitai.me()


def key(app: App) -> None:
    with Civitai("the-api-key", retry=RetryPolicy.off(), **hosts(app)) as civitai:
        civitai.me()


def hosts(app: App) -> dict[str, Any]:
    return dict.fromkeys(("site_url", "orchestration_url", "auth_url"), app.config.auth_url)


CALLS: dict[str, Callable[[App], object]] = {
    "exchange": exchange,
    "refresh": lambda app: app.refresh(OLD),
    "revoke": lambda app: app.revoke(OLD),
    "client_credentials": lambda app: app.client_credentials(Scope.USER_READ),
    "userinfo": lambda app: app.userinfo("civitai_old_access"),
    "login": login,
    "key": key,
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def kept(error: BaseException) -> Iterator[tuple[str, str]]:
    """Everything that can be got at from an error, but for the functions of the tests."""
    for each in chain(error):
        yield "text", "\n".join([str(each), repr(each), *getattr(each, "__notes__", ())])
        yield "attributes", repr(vars(each))
        if isinstance(each, errors.CivitaiError):
            yield "pickle", repr(pickle.dumps(each))
        elif isinstance(each, OSError):
            assert each.__traceback__ is None  # of functions that have the whole request at hand
        step = each.__traceback__
        while step is not None:
            code = step.tb_frame.f_code
            if Path(code.co_filename).parent != Path(__file__).parent:
                for name, value in step.tb_frame.f_locals.items():
                    # What somebody pasted, or a web framework passed on, they keep themselves.
                    if (code.co_name, name) != ("exchange", "callback_url"):
                        yield f"{code.co_qualname}: {name}", repr(value)
            step = step.tb_next


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (name, answer)
        for name in CALLS
        for answer in ANSWERS
        if answer != "no json" or name not in ("userinfo", "key")  # what these ask for is no secret
    ],
)
def test_no_error_keeps_a_secret(name: str, answer: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultServer() as server:
        server.script(ANSWERS[answer])
        at: dict[str, Any] = {"site_url": server.url, "orchestration_url": server.url, "auth_url": server.url}
        with App("client", "http://127.0.0.1/callback", "the-client-secret", retry=RetryPolicy.off(), **at) as app:
            try:
                CALLS[name](app)
            except errors.CivitaiError as error:
                found = [*kept(error), ("log", caplog.text)]
            else:
                found = [("log", caplog.text)]
    for where, text in found:
        for secret in SECRETS:
            assert secret not in text, f"{where}: {text[max(0, text.find(secret) - 100) :][:200]}"
