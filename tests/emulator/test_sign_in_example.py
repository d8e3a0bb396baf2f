"""The example of a web app that people sign in to, as a browser sees it."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn

from civitai_ext.emulator import Emulator
from civitai_ext.oauth import AsyncApp, FileStore

HOUR = 3600


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=3, speed=0) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    path = Path(__file__).parents[2] / "examples" / "sign_in.py"
    spec = importlib.util.spec_from_file_location("sign_in_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def site(example: ModuleType, emulator: Emulator, tmp_path: Path) -> Iterator[Any]:
    """The app, served on a port of this machine."""
    client = emulator.oauth.confidential
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = AsyncApp(
            client.id,
            f"http://127.0.0.1:{listener.getsockname()[1]}/callback",
            client.secret,
            site_url=emulator.site_url,
            orchestration_url=emulator.orchestration_url,
            auth_url=emulator.auth_url,
        )
        site = example.Site(app, FileStore(tmp_path))
        server = uvicorn.Server(uvicorn.Config(site.application(), log_level="error", ws="none", http="h11"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield site
        server.should_exit = True
        thread.join()


@pytest.fixture
def browser(site: Any) -> Iterator[httpx.Client]:
    with new_browser(site) as browser:
        yield browser


def new_browser(site: Any) -> httpx.Client:
    return httpx.Client(base_url=site.app.redirect_uri.removesuffix("/callback"))


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def signed_in(browser: httpx.Client, emulator: Emulator) -> None:
    leads_to = browser.get("/sign-in").headers["location"]
    answer = browser.get(path_of(emulator.oauth.approve(leads_to)))
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text


def test_people_sign_in_stay_signed_in_and_sign_out(browser: httpx.Client, emulator: Emulator, site: Any) -> None:
    assert "Sign in with Civitai" in browser.get("/").text
    signed_in(browser, emulator)
    emulator.oauth.limit(emulator.oauth.confidential, [{"type": "absolute", "limit": 500}])
    page = browser.get("/").text
    assert "Hello, emulated" in page
    assert "absolute: 500 Buzz" in page
    emulator.clock.advance(HOUR)
    assert "Hello, emulated" in browser.get("/").text
    assert emulator.oauth.refreshes == 1
    (account,) = site.store.accounts()
    token = site.store.load(account).tokens.access_token
    cookies = "".join(f"{name}{value}" for name, value in browser.cookies.items())
    assert token not in page + cookies
    assert browser.post("/sign-out").headers["location"] == "/"
    assert site.store.accounts() == []
    assert "Sign in with Civitai" in browser.get("/").text
    answer = httpx.get(f"{emulator.site_url}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_who_says_no_is_not_signed_in(browser: httpx.Client, emulator: Emulator) -> None:
    leads_to = browser.get("/sign-in").headers["location"]
    answer = browser.get(path_of(emulator.oauth.deny(leads_to)))
    assert answer.status_code == 403
    assert "Sign in" in browser.get("/").text


def test_the_answer_to_another_attempt_is_refused(browser: httpx.Client, emulator: Emulator, site: Any) -> None:
    """Somebody is led to the callback with the code of an account that is not theirs."""
    theirs = emulator.oauth.approve(browser.get("/sign-in").headers["location"])
    with new_browser(site) as victim:
        assert victim.get(path_of(theirs)).status_code == 400
        victim.get("/sign-in")
        answer = victim.get(path_of(theirs))
        assert answer.status_code == 400
        (code,) = parse_qs(urlsplit(theirs).query)["code"]
        assert code not in answer.text
        assert victim.get(path_of(theirs)).status_code == 400
        assert "Sign in" in victim.get("/").text
    assert site.store.accounts() == []


def test_nobody_in_particular_is_not_signed_in(browser: httpx.Client, emulator: Emulator, site: Any) -> None:
    emulator.faults.add("GET /api/auth/oauth/userinfo", status=200, body={"username": "somebody"})
    leads_to = browser.get("/sign-in").headers["location"]
    assert browser.get(path_of(emulator.oauth.approve(leads_to))).status_code == 502
    assert site.store.accounts() == []


def test_the_session_of_before_is_worth_nothing_after_signing_in(browser: httpx.Client, emulator: Emulator) -> None:
    leads_to = browser.get("/sign-in").headers["location"]
    before = dict(browser.cookies)
    browser.get(path_of(emulator.oauth.approve(leads_to)))
    assert dict(browser.cookies) != before
    browser.cookies.clear()
    browser.cookies.update(before)
    assert "Sign in with Civitai" in browser.get("/").text


def test_a_login_that_was_ended_elsewhere_leads_to_signing_in_again(browser: httpx.Client, emulator: Emulator) -> None:
    signed_in(browser, emulator)
    emulator.oauth.revoke_all()
    assert "has ended" in browser.get("/").text
    signed_in(browser, emulator)
    assert "Hello, emulated" in browser.get("/").text


def test_tabs_and_whatever_else_leads_there_do_not_disturb_each_other(
    browser: httpx.Client, emulator: Emulator
) -> None:
    first, second = (emulator.oauth.approve(browser.get("/sign-in").headers["location"]) for _ in range(2))
    assert browser.get("/callback?code=x&state=y").status_code == 400
    for each in (first, second):
        assert browser.get(path_of(each)).status_code == 303
        assert browser.get(path_of(each)).status_code == 400  # it works once
    browser.get("/sign-in")  # and nothing comes of it, as of a picture elsewhere that has this address
    assert "Hello, emulated" in browser.get("/").text
    for _ in range(20):
        browser.get("/sign-in")
    assert browser.get(path_of(emulator.oauth.approve(browser.get("/sign-in").headers["location"]))).status_code == 303


@pytest.mark.parametrize(
    ("route", "callback", "home"),
    [
        ("POST /api/auth/oauth/token", 502, 200),
        ("GET /api/auth/oauth/userinfo", 502, 200),
        ("GET /api/v1/me", 303, 502),
    ],
)
def test_where_civitai_fails_visitors_are_told_and_nobody_is_signed_out(
    browser: httpx.Client, emulator: Emulator, route: str, callback: int, home: int
) -> None:
    emulator.oauth.rate_limits = False
    signed_in(browser, emulator)
    leads_to = browser.get("/sign-in").headers["location"]
    emulator.faults.add(route, status=501)
    answers = [browser.get(path) for path in (path_of(emulator.oauth.approve(leads_to)), "/")]
    assert [answer.status_code for answer in answers] == [callback, home]
    assert not any("501" in answer.text for answer in answers)
    emulator.faults.clear()
    assert "Hello, emulated" in browser.get("/").text
