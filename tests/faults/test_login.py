"""Logging in and out in front of a terminal, from the browser to the store, and all that comes in between."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import traceback
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
import httpx
import pytest

from civitai_ext import Civitai, RetryPolicy
from civitai_ext.emulator import Emulator
from civitai_ext.errors import (
    CivitaiError,
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    LoginDenied,
    LoginExpired,
    LoginFailed,
    LoginTimeout,
    TokenStoreError,
)
from civitai_ext.oauth import App, AsyncApp, FileStore, MemoryStore, Scope, StoredLogin, TokenStore, login, logout
from tests.faults import chromium
from tests.faults.server import closed_port

LOOPBACK: Final = "http://127.0.0.1/callback"


@attrs.frozen
class Page:
    status: int
    text: str


def go_to(url: str) -> Page:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return Page(answer.status, answer.read().decode())
    except urllib.error.HTTPError as answer:
        with answer:
            return Page(answer.code, answer.read().decode())


class FakeBrowser:
    """What `webbrowser` opens: somebody in front of it decides, and the browser goes where that leads."""

    def __init__(self, decide: Callable[[str], str]) -> None:
        self.decide = decide
        self.opened: list[str] = []
        self.pages: list[Future[Page]] = []
        self._pool = ThreadPoolExecutor(4)

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        self.pages.append(self._pool.submit(lambda: go_to(self.decide(url))))
        return True

    @property
    def page(self) -> Page:
        return self.pages[-1].result(10)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    monkeypatch.setenv("CIVITAI_LOGINS", str(tmp_path / "logins"))
    with Emulator(models=1, speed=0) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CIVITAI_TOKEN")
        yield emulator


@pytest.fixture
def browser(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBrowser]:
    browser = FakeBrowser(emulator.oauth.approve)
    monkeypatch.setattr(webbrowser, "open", browser.open)
    monkeypatch.setattr(webbrowser, "get", lambda using=None: webbrowser.GenericBrowser("some-browser"))
    yield browser
    browser.close()


@pytest.fixture
def app(emulator: Emulator) -> Iterator[App]:
    with App(emulator.oauth.public.id, LOOPBACK, retry=RetryPolicy.immediate()) as app:
        yield app


def is_good(app: App, stored: StoredLogin) -> bool:
    """Whether tokens still work, which uses the refresh token up."""
    try:
        app.refresh(stored.tokens)
    except LoginExpired:
        return False
    return True


def loaded(store: TokenStore, account: str = "default") -> StoredLogin:
    stored = store.load(account)
    assert stored is not None
    return stored


# ------------------------------------------------------------------------------------------------------------- browser


def test_the_browser_logs_in(emulator: Emulator, browser: FakeBrowser, capfd: pytest.CaptureFixture[str]) -> None:
    done = login(emulator.oauth.public.id)
    said = capfd.readouterr()
    assert (done.account, done.username, done.scopes) == ("default", "emulated", Scope.AI_SERVICES)
    assert browser.page.status == 200
    assert "Welcome, emulated." in browser.page.text
    assert said.out == ""
    assert browser.opened[0] in said.err.splitlines()
    assert said.err.splitlines()[-1] == "Logged in as emulated."
    stored = loaded(FileStore())
    assert (stored.redirect_uri, stored.auth_url, stored.username) == (LOOPBACK, emulator.auth_url, "emulated")
    with Civitai(auth=done) as civitai:
        assert civitai.me().username == "emulated"


def test_what_is_asked_for_is_what_was_said(browser: FakeBrowser, app: App) -> None:
    done = login(app, "BuzzRead, VaultRead", account="alice", store=MemoryStore(), tell=lambda line: None)
    assert (done.account, done.scopes) == ("alice", Scope.USER_READ | Scope.BUZZ_READ | Scope.VAULT_READ)
    asked = parse_qs(urlsplit(browser.opened[0]).query)
    assert asked["scope"] == [str(int(Scope.BUZZ_READ | Scope.VAULT_READ))]
    assert asked["code_challenge_method"] == ["S256"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_any_name_of_this_machine_does(emulator: Emulator, browser: FakeBrowser, host: str) -> None:
    if host == "[::1]" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no ::1")
    with App(emulator.oauth.public.id, f"http://{host}/callback") as app:
        assert login(app, store=MemoryStore(), tell=lambda line: None).username == "emulated"
    assert browser.page.status == 200


def test_a_confidential_client_logs_in(emulator: Emulator, browser: FakeBrowser) -> None:
    client = emulator.oauth.confidential
    with App(client.id, LOOPBACK, client.secret) as app:
        done = login(app, tell=lambda line: None)
        assert done.token()
    assert loaded(FileStore()).confidential


def test_a_denial(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    browser.decide = emulator.oauth.deny
    store = MemoryStore()
    with pytest.raises(LoginDenied, match="denied"):
        login(app, store=store, tell=lambda line: None)
    assert browser.page.status == 400
    assert "The user denied the request" in browser.page.text
    assert store.accounts() == []


def test_nobody_there(browser: FakeBrowser, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: True)
    with pytest.raises(LoginTimeout, match=r"within 0\.01 seconds"):
        login(app, store=MemoryStore(), timeout=0.01, tell=lambda line: None)


def test_what_other_pages_send_changes_nothing(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    def attacked(url: str) -> str:
        callback = emulator.oauth.approve(url)
        state = parse_qs(urlsplit(url).query)["state"][0]
        assert go_to(callback.replace(state, "made-up")).status == 400
        assert go_to(callback.replace("/callback", "/")).status == 404
        port = urlsplit(callback).port
        assert port is not None
        for headers in ({"Host": f"rebound.example:{port}"}, {"Origin": "https://evil.example"}):
            refused = httpx.get(callback, headers=headers)
            assert refused.status_code in (403, 421)
        return callback

    browser.decide = attacked
    assert login(app, store=MemoryStore(), tell=lambda line: None).username == "emulated"
    assert browser.page.status == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda callback: f"{callback}&iss=https://evil.example", "Another accounts service answered"),
        (lambda callback: re.sub(r"code=[^&]*", "code=" + "0" * 40, callback), "code"),
        (lambda callback: re.sub(r"code=[^&]*&", "", callback), "no code"),
        (lambda callback: re.sub(r"code=[^&]*", "error=server_error", callback), "server_error"),
        (lambda callback: f"{callback}&code=another", "more than once"),
    ],
    ids=["another issuer", "another code", "no code", "an error", "two codes"],
)
def test_answers_that_are_not_right_fail_on_both_sides(
    emulator: Emulator, browser: FakeBrowser, app: App, change: Callable[[str], str], message: str
) -> None:
    browser.decide = lambda url: change(emulator.oauth.approve(url))
    with pytest.raises(LoginFailed, match=message) as caught:
        login(app, store=MemoryStore(), tell=lambda line: None)
    assert browser.page.status == 400
    assert "Not logged in" in browser.page.text
    assert caught.value.message.split("'")[0] in browser.page.text


def test_a_callback_works_once(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    callbacks: list[str] = []

    def approve(url: str) -> str:
        callbacks.append(emulator.oauth.approve(url))
        return callbacks[0]

    browser.decide = approve
    login(app, store=MemoryStore(), tell=lambda line: None)
    with pytest.raises(urllib.error.URLError):  # nobody listens any more
        go_to(callbacks[0])

    def replay(url: str) -> str:
        listening = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        assert go_to(f"{listening}?{urlsplit(callbacks[0]).query}").status == 400
        return emulator.oauth.deny(url)

    browser.decide = replay
    with pytest.raises(LoginDenied):
        login(app, store=MemoryStore(), tell=lambda line: None)
    assert browser.page.status == 400


def test_two_at_once(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    store = MemoryStore()
    together = threading.Barrier(2, timeout=10)

    def approve(url: str) -> str:
        together.wait()
        return emulator.oauth.approve(url)

    browser.decide = approve
    with ThreadPoolExecutor(2) as pool:
        logins = [pool.submit(login, app, account=name, store=store, tell=lambda line: None) for name in ("a", "b")]
        assert [each.result(20).account for each in logins] == ["a", "b"]
    assert store.accounts() == ["a", "b"]
    assert [page.result(10).status for page in browser.pages] == [200, 200]
    assert is_good(app, loaded(store, "a"))
    assert is_good(app, loaded(store, "b"))


def test_a_port_that_is_taken(emulator: Emulator, browser: FakeBrowser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(LoginFailed, match="in use"):
        login(App(emulator.oauth.public.id, f"http://127.0.0.1:{other.getsockname()[1]}/callback"))
    assert browser.opened == []


@pytest.mark.parametrize(
    "found",
    [
        lambda: webbrowser.GenericBrowser("/usr/bin/w3m"),
        lambda: webbrowser.Elinks("elinks"),
        None,
    ],
    ids=["w3m", "elinks", "none"],
)
def test_without_a_browser_the_address_is_told(
    emulator: Emulator, browser: FakeBrowser, app: App, found: Callable[[], object] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def get(using: str | None = None) -> object:
        if found is None:
            raise webbrowser.Error("could not locate runnable browser")
        return found()

    def open_none(url: str) -> bool:
        opened.append(url)
        return False

    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "get", get)
    monkeypatch.setattr(webbrowser, "open", open_none)
    told: list[str] = []

    def read(line: str) -> None:
        told.append(line)
        if "method='paste'" in line:
            browser.open(told[1])

    assert login(app, store=MemoryStore(), tell=read).username == "emulated"
    port = urlsplit(parse_qs(urlsplit(told[1]).query)["redirect_uri"][0]).port
    assert f"    ssh -L {port}:127.0.0.1:{port} THIS-MACHINE" in told


def test_a_browser_that_cannot_be_started_is_none(
    browser: FakeBrowser, app: App, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(url: str) -> bool:
        raise OSError("no such program")

    monkeypatch.setattr(webbrowser, "open", broken)
    told: list[str] = []
    with pytest.raises(LoginTimeout):
        login(app, store=MemoryStore(), timeout=0.01, tell=told.append)
    assert any("ssh -L" in line for line in told)
    assert capfd.readouterr() == ("", "")


def test_a_browser_that_runs_until_it_is_closed_keeps_nobody_waiting(
    browser: FakeBrowser, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    def run(url: str) -> bool:
        browser.open(url)
        return closed.wait(30)

    monkeypatch.setattr(webbrowser, "open", run)
    monkeypatch.setattr("civitai_ext.oauth.interactive._BROWSER_SECONDS", 0.1)
    told: list[str] = []
    assert login(app, store=MemoryStore(), tell=told.append).username == "emulated"
    assert not any("ssh" in line for line in told)
    closed.set()


PROGRAM: Final = """
import webbrowser
from civitai_ext.oauth import login

webbrowser.open = lambda url: True
login({client!r}, tell=lambda line: print(line, flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes in another way there")
def test_ctrl_c(emulator: Emulator) -> None:
    command = [sys.executable, "-c", PROGRAM.format(client=emulator.oauth.public.id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        asked = parse_qs(urlsplit(process.stdout.readline().strip()).query)
        port = urlsplit(asked["redirect_uri"][0]).port
        socket.create_connection(("127.0.0.1", port or 0), timeout=10).close()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=10)
    assert process.returncode != 0
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0), timeout=10)
    assert FileStore().load("default") is None


@pytest.mark.skipif(chromium.PROGRAM is None, reason="there is no Chromium here")
def test_a_real_browser(emulator: Emulator, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with chromium.Chromium(tmp_path / "profile") as real, ThreadPoolExecutor(1) as pool:

        def allow(url: str) -> list[str]:
            real.do("Page.navigate", url=url)
            return [click("button[name=account]"), click("button[name=approved][value=true]")]

        def click(button: str) -> str:
            real.until(f"document.querySelector({button!r})")
            title: str = real.look("document.title")
            real.look(f"document.querySelector({button!r}).click()")
            return title

        def opens(url: str) -> bool:
            clicking.append(pool.submit(allow, url))
            return True

        clicking: list[Future[list[str]]] = []
        monkeypatch.setattr(webbrowser, "get", lambda using=None: webbrowser.GenericBrowser("chromium"))
        monkeypatch.setattr(webbrowser, "open", opens)
        try:
            done = login(app, store=MemoryStore(), timeout=30, tell=lambda line: None)
        finally:
            titles = clicking[0].result(30)
        assert titles == ["Sign in", "Emulated public client wants to use your account"]
        assert done.username == "emulated"
        real.until("document.querySelector('main.good')")
        assert "Welcome, emulated." in real.look("document.body.innerText")


# --------------------------------------------------------------------------------------------------------------- paste


def pasting(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[[str], list[str]]
) -> tuple[list[str], Callable[[str], None]]:
    """Paste lines that are made of the address that is told; gives what is told, and what to tell it to."""
    told: list[str] = []

    def read(line: str) -> None:
        told.append(line)
        if line.startswith("http"):
            monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines(line))))

    return told, read


def test_pasting(emulator: Emulator, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", None)
    told, read = pasting(monkeypatch, lambda url: [f"  {emulator.oauth.approve(url)} ", ""])
    assert login(app, method="paste", store=MemoryStore(), tell=read).username == "emulated"
    assert told[-1] == "Logged in as emulated."


def test_pasting_works_for_addresses_on_other_machines(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _, read = pasting(monkeypatch, lambda url: [emulator.oauth.approve(url).removeprefix("https://")])
    with App(emulator.oauth.public.id, "https://app.example/callback") as app:
        assert login(app, method="paste", store=MemoryStore(), tell=read).username == "emulated"


def test_wrong_pastes_are_explained_and_asked_for_again(
    emulator: Emulator, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paste(url: str) -> list[str]:
        callback = emulator.oauth.approve(url)
        code = parse_qs(urlsplit(callback).query)["code"][0]
        return [
            "", url, code, "https://example.com/?x=1", callback.replace("state=", "state=x"),
            f"{LOOPBACK}?state={parse_qs(urlsplit(url).query)['state'][0]}", "http://[::1", "\x1b[31m\x00", callback,
        ]  # fmt: skip

    told, read = pasting(monkeypatch, paste)
    assert login(app, method="paste", store=MemoryStore(), tell=read).username == "emulated"
    explained = [line for line in told if line.endswith("Paste again:")]
    assert len(explained) == 8
    assert explained[0].startswith("That was empty.")
    assert explained[1].startswith("That is the page that asks.")
    assert "another attempt" in explained[4]
    assert "no code" in explained[5]


def test_what_the_service_says_is_not_asked_for_again(
    emulator: Emulator, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, read = pasting(monkeypatch, lambda url: [emulator.oauth.deny(url)])
    with pytest.raises(LoginDenied):
        login(app, method="paste", store=MemoryStore(), tell=read)
    _, read = pasting(monkeypatch, lambda url: [re.sub("code=[^&]*", "code=" + "0" * 40, emulator.oauth.approve(url))])
    with pytest.raises(LoginFailed) as caught:
        login(app, method="paste", store=MemoryStore(), tell=read)
    assert caught.value.code == "invalid_grant"


def test_nowhere_to_paste(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    _, read = pasting(monkeypatch, lambda url: [])
    with pytest.raises(LoginFailed, match="standard input"):
        login(app, method="paste", store=MemoryStore(), tell=read)


# -------------------------------------------------------------------------------------------------------------- device


@pytest.fixture
def device(emulator: Emulator) -> Iterator[App]:
    with App(emulator.oauth.device.id, LOOPBACK, retry=RetryPolicy.immediate()) as app:
        yield app


def at_code(act: Callable[[str], object]) -> tuple[list[str], Callable[[str], None]]:
    """Act on the code when it is shown; gives what is told, and what to tell it to."""
    told: list[str] = []

    def read(line: str) -> None:
        told.append(line)
        if found := re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", line):
            act(found[0])

    return told, read


def test_another_device_logs_in(emulator: Emulator, device: App) -> None:
    emulator.faults.add("POST /api/auth/oauth/device-token", status=429, body={"error": "rate_limited"}, times=2)
    told, read = at_code(emulator.oauth.approve_device)
    assert login(device, method="device", store=MemoryStore(), tell=read).username == "emulated"
    assert f"{emulator.auth_url}/login/oauth/device" in told


def test_another_device_says_no(emulator: Emulator, device: App) -> None:
    _, read = at_code(emulator.oauth.deny_device)
    with pytest.raises(LoginDenied):
        login(device, method="device", store=MemoryStore(), tell=read)


def test_another_device_comes_too_late(emulator: Emulator, device: App) -> None:
    _, read = at_code(lambda code: emulator.clock.advance(1000))
    with pytest.raises(LoginTimeout):
        login(device, method="device", store=MemoryStore(), tell=read)
    with pytest.raises(LoginTimeout):
        login(device, method="device", store=MemoryStore(), timeout=0.05, tell=lambda line: None)


def test_a_client_that_may_not_use_other_devices(app: App) -> None:
    with pytest.raises(ConfigurationError):
        login(app, method="device", store=MemoryStore(), tell=lambda line: None)


# ------------------------------------------------------------------------------------------------------------- storing


def test_logging_in_again_ends_the_login_before(browser: FakeBrowser, app: App) -> None:
    store = MemoryStore()
    login(app, store=store, tell=lambda line: None)
    first = loaded(store)
    login(app, store=store, account="other", tell=lambda line: None)
    login(app, store=store, tell=lambda line: None)
    assert not is_good(app, first)
    assert is_good(app, loaded(store))
    assert is_good(app, loaded(store, "other"))


def test_a_login_of_another_client_is_ended_by_that_client(
    emulator: Emulator, browser: FakeBrowser, app: App, device: App
) -> None:
    store = MemoryStore()
    login(device, store=store, tell=lambda line: None)
    first = loaded(store)
    login(app, store=store, tell=lambda line: None)
    assert not is_good(device, first)


def test_old_tokens_go_to_nobody_but_their_own_service(browser: FakeBrowser, app: App) -> None:
    store = MemoryStore()
    login(app, store=store, tell=lambda line: None)
    first = loaded(store)
    with Emulator(models=1) as elsewhere:
        store.save("default", attrs.evolve(first, auth_url=elsewhere.auth_url))
        login(app, store=store, tell=lambda line: None)
        asked = [each.path for each in elsewhere.journal]
    assert asked == ["/api/auth/oauth/revoke"]
    assert is_good(app, first)


def test_a_login_for_real_is_not_replaced_by_one_for_an_emulator(browser: FakeBrowser, app: App) -> None:
    store = MemoryStore()
    login(app, store=store, tell=lambda line: None)
    real = attrs.evolve(loaded(store), auth_url="https://auth.civitai.com")
    store.save("default", real)
    with pytest.raises(ConfigurationError, match=r"is for https://auth\.civitai\.com, .*another `account`"):
        login(app, store=store, tell=lambda line: None)
    assert len(browser.opened) == 1
    assert loaded(store) == real


class SlowStore(MemoryStore):
    """Somebody else renews what is stored, and has the lock until it is stored."""

    renew: Callable[[], None] | None = None

    @contextmanager
    def lock(self, account: str) -> Iterator[None]:
        with super().lock(account):
            if self.renew is not None:
                self.renew()
            yield


def test_what_was_renewed_while_somebody_logged_in_is_revoked_too(browser: FakeBrowser, app: App) -> None:
    store = SlowStore()
    login(app, store=store, tell=lambda line: None)
    first = loaded(store)
    second = attrs.evolve(first, tokens=app.refresh(first.tokens))
    store.renew = lambda: store.save("default", second)
    login(app, store=store, tell=lambda line: None)
    assert not is_good(app, second)
    assert is_good(app, loaded(store))


def test_a_variable_that_goes_before_the_login_is_named(
    browser: FakeBrowser, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", "abcd")
    lines: list[str] = []
    login(app, store=MemoryStore(), tell=lines.append)
    assert lines[-1] == "Clients without `auth` go on using CIVITAI_API_KEY, which is set."


def test_what_was_stored_and_cannot_be_read_is_replaced(browser: FakeBrowser, app: App) -> None:
    store = FileStore()
    login(app, store=store, tell=lambda line: None)
    (file,) = Path(os.environ["CIVITAI_LOGINS"]).glob("*.json")
    file.write_text("{", encoding="utf-8")
    login(app, store=store, tell=lambda line: None)
    assert is_good(app, loaded(store))


def test_nobody_is_asked_if_the_login_could_not_be_stored(browser: FakeBrowser, app: App, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TokenStoreError) as caught:
        login(app, store=FileStore(tmp_path / "file"), tell=lambda line: None)
    assert str(tmp_path / "file") in str(caught.value)
    assert browser.opened == []


class FullStore(MemoryStore):
    def save(self, account: str, login: StoredLogin) -> None:
        self.refused = login
        raise TokenStoreError("The disk is full")


def test_tokens_that_cannot_be_stored_are_revoked(browser: FakeBrowser, app: App) -> None:
    store = FullStore()
    with pytest.raises(TokenStoreError, match="full"):
        login(app, store=store, tell=lambda line: None)
    assert "The disk is full" in browser.page.text
    assert not is_good(app, store.refused)


def test_a_name_is_shown_without_what_a_terminal_obeys(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    next(iter(emulator.accounts)).username = "\x1b[2J\u202e<b>" + "x" * 5000
    told: list[str] = []
    done = login(app, store=MemoryStore(), tell=told.append)
    assert told[-1].startswith("Logged in as [2J<b>xxx")
    assert len(told[-1]) < 300
    assert done.username is not None
    assert done.username.isprintable()
    assert "Welcome, [2J&lt;b&gt;xxx" in browser.page.text


def test_who_it_is_may_stay_unknown(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    emulator.faults.add("GET /api/auth/oauth/userinfo", status=500)
    told: list[str] = []
    assert login(app, store=MemoryStore(), tell=told.append).username is None
    assert told[-1] == "Logged in."
    assert browser.page.status == 200


class Recording(httpx.BaseTransport):
    """Passes requests on and keeps what was said; changes answers if told so."""

    def __init__(self) -> None:
        self._network = httpx.HTTPTransport()
        self.secrets: set[str] = set()
        self.scope: str | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.read().decode()))
        response = self._network.handle_request(request)
        response.read()
        answer = response.json()
        if self.scope is not None and "scope" in answer:
            answer["scope"] = self.scope
        given = {**form, **answer}
        names = ("code", "code_verifier", "refresh_token", "access_token", "client_secret", "device_code")
        self.secrets |= {given[name] for name in names if name in given}
        return httpx.Response(response.status_code, json=answer)

    def close(self) -> None:
        self._network.close()


def test_less_than_was_asked_for_is_told(emulator: Emulator, browser: FakeBrowser) -> None:
    recording = Recording()
    recording.scope = str(int(Scope.USER_READ | Scope.BUZZ_READ))
    told: list[str] = []
    with App(emulator.oauth.public.id, LOOPBACK, transport=recording) as app:
        done = login(app, store=MemoryStore(), tell=told.append)
    assert done.scopes == Scope.USER_READ | Scope.BUZZ_READ
    assert told[-1] == "Not granted, though asked for: AIServicesRead, AIServicesWrite."


# ------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("ends", ["well", "denied", "wrong code", "unstored", "timeout"])
def test_no_secret_is_shown(
    emulator: Emulator, browser: FakeBrowser, ends: str, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    client, recording, shown = emulator.oauth.confidential, Recording(), []
    assert client.secret is not None
    if ends == "denied":
        browser.decide = emulator.oauth.deny
    elif ends == "wrong code":
        browser.decide = lambda url: re.sub("code=[^&]*", "code=" + "0" * 40, emulator.oauth.approve(url))
    elif ends == "timeout":
        browser.decide = lambda url: emulator.oauth.issuer  # and stays there
    store = FullStore() if ends == "unstored" else MemoryStore()
    with App(client.id, LOOPBACK, client.secret, transport=recording) as app:
        try:
            shown.append(repr(login(app, store=store, timeout=0.01 if ends == "timeout" else 30)))
            shown.append(repr(vars(store)))
        except CivitaiError as error:
            shown += ["".join(traceback.format_exception(error)), repr(error)]
        else:
            assert ends == "well"
            logout(store=store, app=app)
        shown.append(repr(app))
    out, err = capfd.readouterr()
    everything = "\n".join([*shown, out, err, caplog.text, browser.page.text])
    assert client.secret not in everything
    assert len(recording.secrets) >= {"well": 5, "unstored": 5, "wrong code": 3}.get(ends, 0)
    assert not [secret for secret in recording.secrets if secret in everything]
    assert "urn:ietf" not in out + err


def test_processes_of_browsers_get_the_address_and_no_more(
    emulator: Emulator, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("the script is one of a shell")
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen; env >> {tmp_path}/seen\n', encoding="utf-8")
    script.chmod(0o700)
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    monkeypatch.setenv("BROWSER", str(script))
    told: list[str] = []
    with pytest.raises(LoginTimeout):
        login(app, store=MemoryStore(), timeout=0.1, tell=told.append)
    seen = (tmp_path / "seen").read_text(encoding="utf-8")
    assert seen.splitlines()[0] == told[1]
    assert not any("ssh" in line for line in told)
    assert "verifier" not in seen


# --------------------------------------------------------------------------------------------------------- logging out


def test_logging_out(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    login(app, tell=lambda line: None)
    login(app, account="other", tell=lambda line: None)
    stored = loaded(FileStore())
    assert logout()
    assert FileStore().accounts() == ["other"]
    assert not is_good(app, stored)
    with Civitai(str(stored.tokens.access_token)) as civitai, pytest.raises(CivitaiError):
        civitai.me()
    assert not logout()
    assert is_good(app, loaded(FileStore(), "other"))


class Locked(MemoryStore):
    """A store that is used for logging out, and that nobody else may use meanwhile."""

    def load(self, account: str) -> StoredLogin | None:
        assert self.lock(account).locked()  # type: ignore[attr-defined]
        return super().load(account)

    def delete(self, account: str) -> None:
        assert self.lock(account).locked()  # type: ignore[attr-defined]
        super().delete(account)


def test_nobody_renews_a_login_while_it_is_ended(browser: FakeBrowser, app: App) -> None:
    store, locked = MemoryStore(), Locked()
    login(app, store=store, tell=lambda line: None)
    locked.save("default", loaded(store))
    assert logout(store=locked)


def test_logging_out_without_the_service_removes_the_login(browser: FakeBrowser, app: App) -> None:
    store = MemoryStore()
    login(app, store=store, tell=lambda line: None)
    nowhere = f"http://127.0.0.1:{closed_port()}"
    store.save("default", attrs.evolve(loaded(store), auth_url=nowhere))
    with (
        pytest.raises(ConnectionFailed, match=r"removed here.*https://civitai\.com/user/account"),
        App(app.client_id, LOOPBACK, auth_url=nowhere, retry=RetryPolicy.off()) as other,
    ):
        logout(store=store, app=other)
    assert store.accounts() == []


def test_logging_out_with_what_cannot_be_read(browser: FakeBrowser, app: App) -> None:
    login(app, tell=lambda line: None)
    (file,) = Path(os.environ["CIVITAI_LOGINS"]).glob("*.json")
    file.write_text("nonsense", encoding="utf-8")
    with pytest.raises(TokenStoreError, match=r"not revoked.*https://civitai\.com/user/account"):
        logout()
    assert FileStore().accounts() == []
    assert not logout()


def test_logging_out_of_a_client_with_a_secret(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    client, store = emulator.oauth.confidential, MemoryStore()
    with App(client.id, LOOPBACK, client.secret) as confidential:
        login(confidential, store=store, tell=lambda line: None)
        with pytest.raises(ConfigurationError, match=client.id):
            logout(store=store, app=app)
        first = loaded(store)
        assert logout(store=store, app=AsyncApp.of(confidential.settings))
        assert not is_good(confidential, first)
        login(confidential, store=store, tell=lambda line: None)
        second = loaded(store)
        with pytest.raises(ConfigurationError, match=r"secret.*removed here"):
            logout(store=store)
        assert store.accounts() == []
        assert is_good(confidential, second)


# ----------------------------------------------------------------------------------------------------- wrong arguments


def test_wrong_arguments(emulator: Emulator, browser: FakeBrowser, app: App) -> None:
    wrong: list[tuple[type[CivitaiError], Callable[[], object]]] = [
        (ConfigurationError, lambda: login(app, method="letter")),  # type: ignore[arg-type]
        (ConfigurationError, lambda: login(None)),  # type: ignore[arg-type]
        (ConfigurationError, lambda: login(AsyncApp("id", LOOPBACK))),  # type: ignore[arg-type]
        (ConfigurationError, lambda: login("")),
        (ConfigurationError, lambda: login(App("id", "https://app.example/callback"))),
        (ConfigurationError, lambda: login(app, store="logins/")),  # type: ignore[arg-type]
        (ConfigurationError, lambda: logout(store=FileStore)),  # type: ignore[arg-type]
        (InvalidRequest, lambda: login(app, 0)),
        (InvalidRequest, lambda: login(app, "Everything")),
        (InvalidRequest, lambda: login(app, timeout=-1)),
        (InvalidRequest, lambda: login(app, timeout=None)),  # type: ignore[arg-type]
        (InvalidRequest, lambda: login(app, account="")),
    ]
    for kind, call in wrong:
        with pytest.raises(kind):
            call()
    assert browser.opened == []
