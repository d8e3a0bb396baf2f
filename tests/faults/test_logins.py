"""Logins that many use at once, and that cannot be renewed for a while, or ever."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import httpx
import pytest

from civitai_api.orchestration.models import EchoInput
from civitai_ext import AsyncCivitai, Civitai, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from civitai_ext.oauth import App, FileStore, Login, MemoryStore, Scope, StoredLogin, Tokens, TokenStore
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

HOUR = 3600


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=3, speed=0) as emulator:
        yield emulator


@pytest.fixture
def app(emulator: Emulator) -> App:
    return App(emulator.oauth.public.id, "http://127.0.0.1/callback", **hosts(emulator))


@pytest.fixture
def tokens(emulator: Emulator, app: App) -> Tokens:
    sign_in = app.sign_in(Scope.AI_SERVICES)
    with app:
        return app.exchange(emulator.oauth.approve(sign_in.url), sign_in)


def hosts(emulator: Emulator) -> dict[str, Any]:
    return {
        "site_url": emulator.site_url,
        "orchestration_url": emulator.orchestration_url,
        "auth_url": emulator.auth_url,
    }


def about_to_expire(tokens: Tokens, seconds: float = 5) -> Tokens:
    """The same tokens, as they are at the end of their time."""
    now = datetime.now(UTC)
    return attrs.evolve(tokens, obtained_at=now - timedelta(hours=1), expires_at=now + timedelta(seconds=seconds))


def renew_beside(login: Login) -> None:
    """Use a token that still works, and wait for what was begun beside that."""
    assert login.token() == "civitai_old_access"
    finish_renewals()


def finish_renewals() -> None:
    for thread in threading.enumerate():
        if thread.name == "civitai-login":
            thread.join()


def statuses(emulator: Emulator, path: str) -> list[int]:
    return [exchange.status for exchange in emulator.journal if exchange.path == path]


def refreshes(emulator: Emulator) -> list[int]:
    return statuses(emulator, "/api/auth/oauth/token")[1:]  # the first one was for the code


# ---------------------------------------------------------------------------------------------------- all at one time


def test_everybody_at_once_renews_once_at_every_expiry(
    emulator: Emulator, app: App, tokens: Tokens, tmp_path: Path
) -> None:
    """64 threads, two event loops with 20 tasks each, and four processes with 4 threads each; nobody is logged out."""
    store = FileStore(tmp_path)
    Login(app, about_to_expire(tokens, -1), store=store, account="race")
    command = [sys.executable, "-m", "tests.faults.login_worker", str(tmp_path), "race", "4"]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
                )
            )
            for _ in range(4)
        ]
        login = Login.stored("race", store=store, app=app)
        assert login is not None
        civitai = stack.enter_context(Civitai(auth=login, **hosts(emulator)))
        pool = stack.enter_context(ThreadPoolExecutor(66))
        assert [said(worker) for worker in workers] == ["ready"] * 4

        def loop() -> list[str]:
            async def calls() -> list[str]:
                async with AsyncCivitai(auth=login, **hosts(emulator)) as client:
                    users = await asyncio.gather(*(client.me() for _ in range(20)))
                    return [str(user.username) for user in users]

            return asyncio.run(calls())

        for number in range(1, 5):
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            loops = [pool.submit(loop) for _ in range(2)]
            names = [str(user.username) for user in pool.map(lambda _: civitai.me(), range(64))]
            names += [name for found in loops for name in found.result()]
            names += [name for worker in workers for name in json.loads(said(worker))]
            assert set(names) == {"emulated"}, set(names)
            assert len(names) == 64 + 40 + 16
            assert emulator.oauth.refreshes == number
            if number == 1:  # that was in time: nobody noticed anything
                assert set(statuses(emulator, "/api/v1/me")) == {200}
            emulator.clock.advance(HOUR)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
    assert refreshes(emulator) == [200] * 4


def said(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def test_a_canceled_task_and_a_closed_loop_lose_no_tokens(emulator: Emulator, app: App, tokens: Tokens) -> None:
    """The answer to a refresh is the only copy of the next tokens, whoever waits for it or does not."""
    store = MemoryStore()
    login = Login(app, about_to_expire(tokens, -1), store=store)
    emulator.faults.add("POST /api/auth/oauth/token", delay=0.3, times=1)

    async def cancel() -> None:
        async with AsyncCivitai(auth=login, **hosts(emulator)) as civitai:
            task = asyncio.create_task(civitai.me())
            while not login.renewal().running():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())
    assert login.token() != tokens.access_token
    with Civitai(auth=login, **hosts(emulator)) as civitai:
        assert civitai.me().username == "emulated"
    assert emulator.oauth.refreshes == 1
    stored = store.load("default")
    assert stored is not None
    assert stored.tokens.access_token == login.token()


# ----------------------------------------------------------------------------------------------------- what goes wrong


OLD = Tokens(
    access_token="civitai_old_access",
    refresh_token="civitai_old_refresh",
    obtained_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 1, 1, tzinfo=UTC),
    scopes=Scope.AI_SERVICES,
)
NEW = {
    "access_token": "civitai_new_access",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "civitai_new_refresh",
    "scope": ["114689"],
}
SECRETS = ("civitai_old_access", "civitai_old_refresh", "civitai_new_access", "civitai_new_refresh")
RENEWED = Answer(200, json.dumps(NEW).encode())
ME = Answer(200, b'{"id": 1, "username": "somebody"}')
REFUSED = Answer(401, b'{"error": "Unauthorized"}')
ENDED = Answer(400, b'{"error": "invalid_grant", "error_description": "civitai_old_refresh is not valid"}')
PASSING: dict[str, tuple[Action, type[Exception]]] = {
    "server error": (Answer(500, b'{"error": "server_error"}'), errors.ServerError),
    "gateway": (Answer(502, b"<!doctype html><title>Bad gateway</title>", media_type="text/html"), errors.ServerError),
    "not now": (Answer(503, b'{"error": "server_error"}'), errors.ServiceOverloaded),
    "too many": (Answer(429, b'{"error": "rate_limited"}'), errors.RateLimited),
    "reset": (Reset(), errors.ConnectionFailed),
    "cut": (Cut(b'{"access_token": "civitai_new_access", "ref'), errors.UnexpectedResponse),
    "page": (
        Answer(200, b"<!doctype html><title>Just a moment</title>", media_type="text/html"),
        errors.UnexpectedResponse,
    ),
    "nothing": (Answer(200, b""), errors.UnexpectedResponse),
    "nonsense": (Answer(200, b'{"access_token": 5, "token_type": []}'), errors.UnexpectedResponse),
    "elsewhere": (Answer(308, b"", {"location": "https://evil.example/token"}), errors.CivitaiError),
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def urls(server: FaultServer) -> dict[str, Any]:
    return {"site_url": server.url, "orchestration_url": server.url, "auth_url": server.url}


def login_at(server: FaultServer, tokens: Tokens, store: TokenStore | None = None) -> Login:
    app = App("client", "http://127.0.0.1/callback", retry=RetryPolicy.immediate(), **urls(server))
    return Login(app, tokens, store=MemoryStore() if store is None else store)


def asked(server: FaultServer) -> list[str]:
    return ["token" if request.target.endswith("/token") else "me" for request in server.received]


def me(login: Login, server: FaultServer) -> str:
    with Civitai(auth=login, retry=RetryPolicy.off(), **urls(server)) as civitai:
        return str(civitai.me().username)


@pytest.mark.parametrize("name", PASSING)
def test_a_failure_that_passes_logs_nobody_out(server: FaultServer, name: str) -> None:
    failure, kind = PASSING[name]
    login = login_at(server, OLD)
    before = login.store.load("default")
    server.script(failure)
    with pytest.raises(kind) as caught:
        me(login, server)
    assert not isinstance(caught.value, errors.AuthenticationError)
    assert any("tries it again" in note for note in caught.value.__notes__)
    if isinstance(caught.value, errors.ConnectionFailed):
        assert not caught.value.sent  # of what was to be done with the token, nothing was
    assert login.store.load("default") == before
    assert set(asked(server)) == {"token"}
    server.script(RENEWED, ME)
    assert me(login, server) == "somebody"
    assert b"civitai_old_refresh" in server.received[-2].body
    assert server.received[-1].headers["authorization"] == "Bearer civitai_new_access"


@pytest.mark.parametrize("name", PASSING)
def test_a_token_that_still_works_is_used_meanwhile(server: FaultServer, name: str) -> None:
    login = login_at(server, about_to_expire(OLD))
    server.script(PASSING[name][0], ME)
    renew_beside(login)
    assert me(login, server) == "somebody"
    tried = len(server.received)
    assert me(login, server) == "somebody"
    assert len(server.received) == tried + 1  # a moment later it is not tried again
    assert server.received[-1].headers["authorization"] == "Bearer civitai_old_access"


def test_nobody_waits_while_a_token_still_works(server: FaultServer) -> None:
    gate, store = Event(), Odd()
    login = login_at(server, about_to_expire(OLD), store)

    def wait() -> None:
        gate.wait(10)

    store.doing["check"] = wait
    server.script(ME)
    for _ in range(3):
        assert me(login, server) == "somebody"
    assert asked(server) == ["me", "me", "me"]
    server.script(RENEWED, ME)
    gate.set()
    finish_renewals()
    assert me(login, server) == "somebody"
    assert asked(server)[3:] == ["token", "me"]
    assert server.received[-1].headers["authorization"] == "Bearer civitai_new_access"


def test_a_token_that_lives_for_seconds_is_used(server: FaultServer) -> None:
    now = datetime.now(UTC)
    login = login_at(server, attrs.evolve(OLD, obtained_at=now, expires_at=now + timedelta(seconds=30)))
    server.script(ME)
    assert me(login, server) == "somebody"
    assert asked(server) == ["me"]


def test_a_token_that_was_refused_is_not_used_meanwhile(server: FaultServer) -> None:
    login = login_at(server, attrs.evolve(OLD, expires_at=None))
    server.script(REFUSED, Answer(500, b'{"error": "server_error"}'))
    with pytest.raises(errors.ServerError):
        me(login, server)
    assert asked(server) == ["me", "token"]


def test_the_last_token_of_a_login_that_has_ended_is_used_to_its_end(server: FaultServer) -> None:
    login = login_at(server, about_to_expire(OLD))
    server.script(ENDED, ME)
    renew_beside(login)
    for _ in range(3):
        assert me(login, server) == "somebody"
    assert asked(server) == ["token", "me", "me", "me"]


def test_all_wait_for_the_same_renewal(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, store = Event(), Odd()
    login = login_at(server, OLD, store)

    def wait() -> None:
        gate.wait(10)

    store.doing["check"] = wait
    server.script(RENEWED)
    first = login.renewal()
    assert login.renewal() is first
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a child of a fork, which has no thread that is at it
    child = login.renewal()
    assert child is not first
    gate.set()
    for future in (first, child):
        assert login.given(future.result(10)) == "civitai_new_access"
    assert set(asked(server)) == {"token"}


def test_what_a_token_lacks_is_what_the_login_was_not_given(server: FaultServer) -> None:
    login = login_at(server, attrs.evolve(OLD, expires_at=None, scopes=Scope.USER_READ))
    server.script(Answer(403, b'{"error": "insufficient_scope", "scope": "3"}'))
    with pytest.raises(errors.ScopeMissing) as caught:
        me(login, server)
    assert (caught.value.missing, caught.value.granted) == (Scope.USER_WRITE, Scope.USER_READ)


@pytest.mark.parametrize("renewed", [True, False])
def test_no_token_goes_to_other_hosts(server: FaultServer, renewed: bool) -> None:
    login = login_at(server, attrs.evolve(OLD, expires_at=None)) if renewed else None
    with Civitai(None if renewed else "the-key", auth=login, **urls(server)) as civitai:
        for url, own in [
            (f"{server.url}/x", True),
            (f"{server.url}.evil.example/x", False),
            ("https://evil.example/x", False),
            (server.url.replace("http:", "https:"), False),
            (server.url.replace("127.0.0.1", "localhost"), False),
            (server.url.replace("//", "//127.0.0.1@"), False),
            ("http://127.0.0.1:1/x", False),
        ]:
            sent = civitai.transport.as_caller(url, dict)
            assert ("authorization" in sent) is own, url
        assert "authorization" not in civitai.transport.as_caller(f"{server.url}/x", dict, authenticated=False)


def test_tokens_of_a_login_are_not_sent_unencrypted(server: FaultServer) -> None:
    at = urls(server) | {"site_url": "http://192.168.0.1"}
    login = Login(App("client", "http://127.0.0.1/callback", **at), OLD)
    with pytest.raises(errors.ConfigurationError, match="unencrypted"):
        Civitai(auth=login, **at)


class Renewing(httpx.BaseTransport):
    """While it sends, somebody else renews the login; the answer repeats the token that was sent."""

    login: Login

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.login.renewal(refused="civitai_old_access").result(10)
        return httpx.Response(400, json={"error": f"{request.headers['authorization']} is no good"})


def test_the_token_that_was_sent_is_masked_though_there_is_a_new_one(server: FaultServer) -> None:
    sending = Renewing()
    sending.login = login_at(server, attrs.evolve(OLD, expires_at=None))
    server.script(RENEWED)
    with (
        Civitai(auth=sending.login, transport=sending, **urls(server)) as civitai,
        pytest.raises(errors.BadRequest, match=r"Bearer \*\*\* is no good"),
    ):
        civitai.me()
    assert sending.login.token() == "civitai_new_access"
    assert set(sending.login.secrets) == {"civitai_new_access", "civitai_new_refresh"}


@pytest.mark.parametrize("name", ["site_url", "orchestration_url", "auth_url"])
def test_a_login_is_for_the_hosts_that_it_was_given_to(server: FaultServer, name: str) -> None:
    login = login_at(server, OLD)
    with pytest.raises(errors.ConfigurationError, match=rf"https://other\.example \({name}\)"):
        Civitai(auth=login, **{**urls(server), name: "https://other.example"})


@pytest.mark.parametrize(
    ("client_id", "auth_url", "message"),
    [("other", None, "not to other"), ("client", "https://other.example", r"is for https://other\.example")],
)
def test_a_stored_login_is_for_one_client(
    server: FaultServer, client_id: str, auth_url: str | None, message: str
) -> None:
    store = login_at(server, OLD).store
    app = App(client_id, "http://127.0.0.1/callback", **{**urls(server), "auth_url": auth_url or server.url})
    with pytest.raises(errors.ConfigurationError, match=message):
        Login.stored(store=store, app=app)


def test_a_stored_login_of_a_client_with_a_secret_needs_the_client(server: FaultServer) -> None:
    app, store = App("client", "http://127.0.0.1/callback", "hush", **urls(server)), MemoryStore()
    Login(app, OLD, store=store)
    with pytest.raises(errors.ConfigurationError, match="has a secret"):
        Login.stored(store=store)
    assert Login.stored(store=store, app=app) is not None


def test_a_login_that_has_ended_is_told_once_and_asked_for_once(
    server: FaultServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    store = FileStore(tmp_path)
    login = login_at(server, OLD, store)
    server.script(ENDED)
    with caplog.at_level(logging.WARNING, logger="civitai_ext"):
        for _ in range(3):
            with pytest.raises(errors.LoginExpired, match=r"has ended\. Log in again") as caught:
                me(login, server)
    assert caught.value.account == "default"
    assert isinstance(caught.value, errors.AuthenticationError)
    assert len([record for record in caplog.records if "has ended" in record.getMessage()]) == 1
    other = Login.stored(store=FileStore(tmp_path), app=login.app)
    assert other is not None
    with pytest.raises(errors.LoginExpired):
        other.token()
    assert asked(server) == ["token"]
    login_at(server, attrs.evolve(OLD, access_token="another", expires_at=None), store)
    server.script(ME)
    assert me(login, server) == "somebody"
    assert server.received[-1].headers["authorization"] == "Bearer another"


def test_a_new_token_that_is_refused_is_not_renewed_again(server: FaultServer) -> None:
    login = login_at(server, attrs.evolve(OLD, expires_at=None))
    server.script(REFUSED, RENEWED, REFUSED)
    for _ in range(5):
        with pytest.raises(errors.AuthenticationError, match="login 'default' was sent and refused"):
            me(login, server)
    assert asked(server) == ["me", "token", "me", "me", "me", "me", "me"]


def test_who_was_faster_is_noticed(server: FaultServer) -> None:
    store = MemoryStore()
    login = login_at(server, OLD, store)
    login_at(server, attrs.evolve(OLD, access_token="from another process", expires_at=None), store)
    server.script(ME)
    assert me(login, server) == "somebody"
    assert asked(server) == ["me"]
    store.delete("default")
    server.script(REFUSED)
    with pytest.raises(errors.LoginExpired, match="somebody logged out"):
        me(login, server)
    assert asked(server) == ["me", "me"]


class Odd(MemoryStore):
    """A store that does not do everything."""

    def __init__(self, **doing: Callable[[], None]) -> None:
        super().__init__()
        self.doing = doing

    def check(self, account: str) -> None:
        self.doing.get("check", lambda: None)()

    def save(self, account: str, login: StoredLogin) -> None:
        self.doing.get("save", lambda: None)()
        super().save(account, login)

    def load(self, account: str) -> StoredLogin | None:
        self.doing.get("load", lambda: None)()
        return super().load(account)


def full() -> None:
    raise errors.TokenStoreError("the disk is full")


def broken() -> None:
    raise ZeroDivisionError


def test_no_token_is_used_up_that_could_not_be_replaced(server: FaultServer) -> None:
    login = login_at(server, OLD, Odd(check=full))
    with pytest.raises(errors.TokenStoreError, match="disk is full"):
        me(login, server)
    assert not server.received
    login = login_at(server, about_to_expire(OLD), Odd(check=full))
    server.script(ME)
    assert me(login, server) == "somebody"
    assert asked(server) == ["me"]


def test_what_cannot_be_stored_is_kept_and_stored_later(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    store = Odd()
    login = login_at(server, OLD, store)
    store.doing["save"] = full
    server.script(RENEWED, ME)
    assert me(login, server) == "somebody"
    assert "cannot be stored" in caplog.text
    assert store.load("default").tokens == OLD  # type: ignore[union-attr]
    del store.doing["save"]
    server.script(REFUSED, Answer(500, b'{"error": "server_error"}'))
    with pytest.raises(errors.ServerError):
        me(login, server)
    assert store.load("default").tokens.access_token == "civitai_new_access"  # type: ignore[union-attr]
    server.script(REFUSED, Answer(200, json.dumps(NEW | {"access_token": "civitai_third"}).encode()), ME)
    assert me(login, server) == "somebody"
    assert b"civitai_new_refresh" in server.received[-2].body
    assert store.load("default").tokens.access_token == "civitai_third"  # type: ignore[union-attr]


@pytest.mark.parametrize("meanwhile", ["out", "in"])
def test_what_could_not_be_stored_undoes_nothing_that_came_after(server: FaultServer, meanwhile: str) -> None:
    """Somebody logged out, or in again, before there was room to store it."""
    store = Odd()
    login = login_at(server, OLD, store)
    store.doing["save"] = full
    server.script(RENEWED, ME)
    assert me(login, server) == "somebody"
    del store.doing["save"]
    store.delete("default")
    if meanwhile == "in":
        login_at(server, attrs.evolve(OLD, access_token="another", expires_at=None), store)
        server.script(REFUSED, ME)
        assert me(login, server) == "somebody"
        assert server.received[-1].headers["authorization"] == "Bearer another"
        assert store.load("default").tokens.access_token == "another"  # type: ignore[union-attr]
    else:
        server.script(REFUSED)
        with pytest.raises(errors.LoginExpired, match="somebody logged out"):
            me(login, server)
        assert store.load("default") is None


@pytest.mark.parametrize("problem", ["a lock", "a file"])
def test_a_store_that_cannot_be_used_ends_no_token_early(server: FaultServer, tmp_path: Path, problem: str) -> None:
    login = login_at(server, about_to_expire(OLD), FileStore(tmp_path))
    path = tmp_path / ("default.lock" if problem == "a lock" else "default.json")
    path.unlink(missing_ok=True)
    path.mkdir()
    server.script(ME)
    assert me(login, server) == "somebody"
    assert asked(server) == ["me"]


class BusyStore(MemoryStore):
    def lock(self, account: str) -> AbstractContextManager[object]:
        raise errors.TokenStoreError("process 5 has held the lock for 60 seconds") from TimeoutError()


def test_that_somebody_else_waits_for_the_service_is_no_reason_to_give_up(server: FaultServer) -> None:
    """As where no connection can be made: work that is waited for goes on."""
    store = MemoryStore()
    login_at(server, OLD, store)
    busy = BusyStore()
    busy.save("default", store.load("default"))  # type: ignore[arg-type]
    login = Login.stored(store=busy, app=login_at(server, OLD).app)
    assert login is not None
    with pytest.raises(errors.ConnectionFailed, match="process 5") as caught:
        me(login, server)
    assert not caught.value.sent
    assert not server.received


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_was_forked_while_tokens_were_renewed_waits_for_nobody(server: FaultServer) -> None:
    """Its parent's thread is not there to release what it held."""
    login = login_at(server, OLD)
    server.script(RENEWED)
    with login.store.lock("default"):
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(20)
                os._exit(0 if login.token() == "civitai_new_access" else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_store_that_breaks_lets_nobody_wait_for_ever(server: FaultServer) -> None:
    store = Odd()
    login = login_at(server, OLD, store)
    store.doing["load"] = broken
    with pytest.raises(errors.TokenStoreError, match="ZeroDivisionError") as caught:
        me(login, server)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_somebody_faster_without_a_lock_is_believed(server: FaultServer) -> None:
    """A store of somebody's own whose lock does not reach other machines."""
    store = Odd()
    login = login_at(server, OLD, store)
    known = store.load("default")
    assert known is not None
    faster = attrs.evolve(known, tokens=attrs.evolve(OLD, access_token="faster", expires_at=None))
    looks = iter(range(9))
    store.doing["load"] = lambda: MemoryStore.save(store, "default", faster) if next(looks) == 1 else None
    server.script(ENDED, ME)
    assert me(login, server) == "somebody"
    assert server.received[-1].headers["authorization"] == "Bearer faster"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off(server: FaultServer, hours: int) -> None:
    """Fast, it renews a token that would still work; slow, the service says that it is over."""
    off = timedelta(hours=hours)
    now = datetime.now(UTC)
    obtained = now + (off if hours < 0 else timedelta(0))
    tokens = attrs.evolve(OLD, obtained_at=obtained, expires_at=obtained + timedelta(hours=1))
    login = login_at(server, tokens)
    server.script(*([RENEWED, ME] if hours < 0 else [REFUSED, RENEWED, ME]))
    assert me(login, server) == "somebody"
    assert login.token() == "civitai_new_access"


def test_nothing_secret_is_shown(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(OLD)]
    for action in [*(failure for failure, _ in PASSING.values()), ENDED, REFUSED]:
        login = login_at(server, OLD)
        shown.append(repr([login, vars(login)]))
        server.script(action)
        with pytest.raises(errors.CivitaiError) as caught:
            me(login, server)
        shown.append("".join(traceback.format_exception(caught.value)))
        shown.append(repr(vars(caught.value)))
    server.script(RENEWED, Answer(403, b'{"error": "no civitai_new_access here"}'))
    with pytest.raises(errors.PermissionDenied) as caught:
        me(login_at(server, OLD), server)
    text = "\n".join([*shown, str(caught.value), repr(vars(caught.value)), caplog.text])
    for secret in SECRETS:
        assert secret not in text, text[text.find(secret) - 200 :][:400]


# ------------------------------------------------------------------------------------------------------- in the client


def test_work_is_submitted_once_though_its_first_token_was_refused(
    emulator: Emulator, app: App, tokens: Tokens
) -> None:
    login = Login(app, tokens)
    emulator.clock.advance(HOUR)
    with Civitai(auth=login, **hosts(emulator)) as civitai:
        workflow = civitai.workflows.submit(EchoInput(message="hello"))
        assert civitai.workflows.get(workflow.id).id == workflow.id
        assert len(list(civitai.workflows.list())) == 1
    assert statuses(emulator, "/v2/consumer/workflows") == [401, 202, 200]  # the last one lists them


def test_a_download_that_leads_to_the_login_page_is_tried_with_a_new_token(
    emulator: Emulator, app: App, tokens: Tokens, tmp_path: Path
) -> None:
    login = Login(app, tokens)
    emulator.clock.advance(HOUR)
    with Civitai(auth=login, **hosts(emulator)) as civitai:
        version = emulator.oddities["needs_login"]
        found = civitai.download(version.id, tmp_path)
    assert found.path is not None
    assert found.path.stat().st_size
    assert emulator.oauth.refreshes == 1


def test_which_credential_a_client_uses(
    emulator: Emulator, app: App, tokens: Tokens, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CIVITAI_LOGINS", str(tmp_path))
    for name in ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    at = hosts(emulator)
    with pytest.raises(errors.ConfigurationError, match="Nobody is logged in as 'alice'"):
        Civitai(auth="alice", **at)
    Login(app, tokens, store=FileStore(), account="alice")
    assert "anonymous" in repr(Civitai(**at))
    with Civitai(auth="alice", **at) as civitai:
        assert civitai.me().scopes == Scope.AI_SERVICES
        assert "login 'alice'" in repr(civitai)
        with pytest.raises(errors.AuthenticationError):
            civitai.with_options(token=False).me()
    Login(app, tokens, store=FileStore())
    assert "login 'default'" in repr(Civitai(**at))
    assert "anonymous" in repr(Civitai(False, **at))
    assert "anonymous" in repr(Civitai(site_url=emulator.site_url))  # the login is not for all of these hosts
    with pytest.raises(errors.ConfigurationError, match="is for"):
        Civitai(auth="alice", site_url=emulator.site_url)
    with pytest.raises(errors.ConfigurationError, match="Both"):
        Civitai("abcd", auth="alice", **at)
    for odd in (True, 5, app, tokens):
        with pytest.raises(errors.ConfigurationError, match="`auth` takes a Login or the name"):
            Civitai(auth=odd, **at)  # type: ignore[arg-type]
    key = "0123456789abcdef" * 2
    with pytest.raises(errors.ConfigurationError, match="an API key is given as `token`") as caught:
        Civitai(auth=key, **at)
    assert key not in "".join(traceback.format_exception(caught.value))
    monkeypatch.setenv("CIVITAI_API_KEY", emulator.token)
    assert "token from CIVITAI_API_KEY" in repr(Civitai(**at))
    with Civitai(**at) as civitai:
        assert civitai.with_options(auth="alice").me().scopes == Scope.AI_SERVICES
    monkeypatch.delenv("CIVITAI_API_KEY")
    next(tmp_path.glob("default*.json")).write_text("{")
    with pytest.raises(errors.TokenStoreError, match="default"):
        Civitai(**at)
    assert "anonymous" in repr(Civitai(False, **at))


def test_an_app_acts_for_its_owner(emulator: Emulator) -> None:
    client = emulator.oauth.confidential
    app = App(client.id, "https://app.example/callback", client.secret, **hosts(emulator))
    login = Login(app, scopes=Scope.AI_SERVICES)
    with Civitai(auth=login, **hosts(emulator)) as civitai:
        assert civitai.me().scopes == Scope.AI_SERVICES
        emulator.clock.advance(40 * 24 * HOUR)
        assert civitai.me().username == "emulated"
    with pytest.raises(errors.ConfigurationError, match="without a secret"):
        Login(App("public", "http://127.0.0.1/callback"), scopes=Scope.AI_SERVICES)


def test_rights_that_an_answer_leaves_out_stay(server: FaultServer) -> None:
    app = App("client", "http://127.0.0.1/callback", "hush", **urls(server))
    login = Login(app, scopes=Scope.AI_SERVICES)
    server.script(Answer(200, json.dumps(NEW | {"scope": ["3"]}).encode()), ME)
    me(login, server)
    short = {name: value for name, value in NEW.items() if name != "scope"}
    server.script(REFUSED, Answer(200, json.dumps(short | {"access_token": "civitai_third"}).encode()), ME)
    me(login, server)
    assert login.scopes == Scope.USER_READ | Scope.USER_WRITE


def test_the_vault_and_permissions_work_with_a_login(emulator: Emulator, app: App, tokens: Tokens) -> None:
    with Civitai(auth=Login(app, tokens), **hosts(emulator)) as civitai:
        version = next(iter(civitai.models.list(limit=1))).latest
        assert version is not None
        assert version.id is not None
        civitai.vault.add(version.id)
        assert [item.model_version_id for item in civitai.vault.list()] == [version.id]
        assert civitai.permissions.check([version.id]) == {version.id: version.supports_generation}
