"""The running emulator: one world behind one HTTP server, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from civitai_ext.emulator.accounts import Account, Accounts
from civitai_ext.emulator.app import make_app
from civitai_ext.emulator.blobs import Blobs
from civitai_ext.emulator.callbacks import Callbacks, Delivery
from civitai_ext.emulator.catalogue import Catalogue, Creator, Version
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.community import Community
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.front import Front
from civitai_ext.emulator.directory import Directory
from civitai_ext.emulator.faults import Faults
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.jobs import Jobs
from civitai_ext.emulator.journal import Journal
from civitai_ext.emulator.keeping.folder import Folder, FolderError
from civitai_ext.emulator.keeping.saving import Saver
from civitai_ext.emulator.keeping.state import State
from civitai_ext.emulator.ledger import DEFAULT_BALANCE, Ledger
from civitai_ext.emulator.limits import Allowance
from civitai_ext.emulator.oauth.service import OAuth
from civitai_ext.emulator.oddities import LARGE, add_oddities
from civitai_ext.emulator.quirks import Quirk, choose_quirks
from civitai_ext.emulator.signing import Signer
from civitai_ext.emulator.uploads import CHUNK, Uploads
from civitai_ext.emulator.vaults import Vaults
from civitai_ext.emulator.workflows import Workflows
from civitai_ext.emulator.world import World

_JOURNAL_LENGTH = 10_000
_START_SECONDS = 10
_STOP_SECONDS = 5
_GRACE_SECONDS = 1.0
_LAST_SECONDS = 0.2
"""How long an answer may take to notice that its connection is gone."""

T = TypeVar("T")


class EmulatorError(RuntimeError):
    """The emulator cannot start; the message is one line that says why."""


class Emulator:
    """A local server that stands in for Civitai: catalogue, downloads, generation, blobs, accounts.

    Use it as a context manager, synchronous or asynchronous, or call `start` and `close`. Everything it answers follows
    from the seed and from what it was asked before; every answer says `Server: civitai-ext-emulator`. What it pins is
    this project's reading of the services, not the services themselves.

    Words in a step's input choose how the step ends: `[fail]`, `[retry]`, `[block]`, `[expire]`, `[mature]`.

    Args:
        port: The port to listen on; 0 takes a free one.
        host: The address to listen on.
        auth_port: The port of the accounts service; the one after `port` by default, or a free one if that is 0.
        seed: Chooses the catalogue and all identifiers.
        speed: How fast time passes. At 1, an image takes some seconds; at 0, time stands still until `clock.advance`.
        models: The size of the catalogue.
        balance: Buzz per colour of the account (`blue`, `green`, `yellow`).
        token: The API key of the account.
        tier: The membership of the account: `founder`, `bronze`, `silver`, `gold`, or `None`.
        chunk_size: The length of the parts of uploads; make it small, and a small file has several.
        start: The moment that its clock begins at; now by default.
        large_file: The length in bytes of the file of `oddities["large"]`, which takes no memory.
        download_quota: How many downloads an account, or an address without one, may begin in 24 hours.
        data: A folder that keeps what was made between runs; nothing is kept by default.
        deduplicate: Whether workflows with the steps and arguments of an earlier one lead to that and cost nothing, as
            they usually do at the service.
        quirks: Whether it has the services' quirks, or the names of those that it has; see `docs/emulator.md`.

    >>> import json, urllib.request
    >>> with Emulator(models=3) as emulator:
    ...     with urllib.request.urlopen(f"{emulator.site_url}/api/v1/models?limit=2") as answer:
    ...         len(json.load(answer)["items"]), answer.headers["Server"]
    (2, 'civitai-ext-emulator')

    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        auth_port: int | None = None,
        seed: int = 1,
        speed: float = 1.0,
        models: int = 200,
        balance: Mapping[str, int] = DEFAULT_BALANCE,
        token: str = "test-token",  # noqa: S107 - a stand-in for a token
        tier: str | None = "bronze",
        chunk_size: int = CHUNK,
        start: datetime | None = None,
        large_file: int = LARGE,
        download_quota: int | None = None,
        data: str | os.PathLike[str] | None = None,
        deduplicate: bool = False,
        quirks: bool | Iterable[str] = True,
    ) -> None:
        whole = {
            "port": port,
            "auth_port": auth_port,
            "models": models,
            "chunk_size": chunk_size,
            "large_file": large_file,
            "download_quota": download_quota,
        }
        for name, value in whole.items():
            if value is not None and not (isinstance(value, int) and value >= 0):
                raise ValueError(f"{name} is a whole number, 0 or more, not {value!r}")
        if not isinstance(seed, int):
            raise ValueError(f"seed is a whole number, not {seed!r}")
        self._quirks = choose_quirks(quirks)
        self._deduplicates = deduplicate
        self._port = port
        self._auth_port = auth_port
        self._host = host
        self._seed = seed
        self._data = None if data is None else Path(data)
        self._settings = {"seed": seed, "models": models, "token": token, "tier": tier}
        identifiers = Identifiers(seed)
        self._identifiers = identifiers
        self.clock = Clock(speed=speed, start=start)
        """The time of the emulator; `advance` moves it."""
        self.accounts = Accounts(self.clock, identifiers)
        """Who has an account; `add` makes further ones, `add_key` further API keys."""
        self.accounts.add("emulated", token=token, tier=tier, balance=balance)
        self.oauth = OAuth(self.clock, self.accounts, identifiers, seed, self._origins)
        """The accounts service: its clients and switches, and users who `approve` and `deny`."""
        self._catalogue = Catalogue(seed, models, Creator(self._account.id, self._account.username))
        self._oddities = add_oddities(self._catalogue, large=large_file)
        self._download_quota = download_quota
        self.journal: Journal = deque(maxlen=_JOURNAL_LENGTH)
        """The requests that came in, oldest first, with the statuses they were answered with."""
        self.callbacks = Callbacks(self.clock)
        """The posting of events: `settle` waits for it, and more goes wrong with it on demand."""
        self._uploads = Uploads(identifiers, chunk_size)
        self.faults = Faults()
        """What goes wrong on purpose: nothing, until something is added."""
        self._saver: Saver | None = None
        self._server: _Server | None = None
        self._reset: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []

    @property
    def _account(self) -> Account:
        return next(iter(self.accounts))

    @property
    def quirks(self) -> frozenset[Quirk]:
        """The quirks of the services that it has, by name."""
        return self._quirks

    @property
    def account(self) -> Account:
        """The account that the token is of."""
        return self._account

    @property
    def ledger(self) -> Ledger:
        """The Buzz of the account: `balance` and `transactions`."""
        return self._account.ledger

    @property
    def catalogue(self) -> Catalogue:
        """What there is to find; its `remove` deletes a model."""
        return self._catalogue

    @property
    def token(self) -> str:
        """The API key of the account."""
        return self._account.token

    @property
    def oddities(self) -> Mapping[str, Version]:
        """Versions with odd files, by what is odd about them; no list has them, and no seed changes them."""
        return self._oddities

    @property
    def deliveries(self) -> list[Delivery]:
        """The attempts to post events to callbacks, oldest first."""
        return list(self.callbacks.deliveries)

    @property
    def url(self) -> str:
        """Where the emulator listens for all but the accounts service.

        Raises:
            EmulatorError: It has not started.

        """
        return self._origins()[0]

    @property
    def site_url(self) -> str:
        """The origin of the Site API."""
        return self.url

    @property
    def orchestration_url(self) -> str:
        """The origin of the Orchestration API."""
        return self.url

    @property
    def auth_url(self) -> str:
        """The origin of the accounts service, which has a port of its own."""
        return self._origins()[1]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a client here."""
        return {
            "CIVITAI_SITE_URL": self.site_url,
            "CIVITAI_ORCHESTRATION_URL": self.orchestration_url,
            "CIVITAI_AUTH_URL": self.auth_url,
            "CIVITAI_TOKEN": self.token,
        }

    def start(self) -> Self:
        """Listen and answer, in a thread of its own.

        Raises:
            EmulatorError: The address cannot be listened on, or `data` cannot be used.

        """
        if self._thread is not None:
            raise EmulatorError("the emulator runs already")
        auth_port = self._auth_port
        if auth_port is None:
            auth_port = self._port + 1 if self._port else 0
        site = _listen(self._host, self._port)
        try:
            self._sockets = [site, _listen(self._host, auth_port, ", where the accounts service is to be (auth_port)")]
        except EmulatorError:
            site.close()
            raise
        world = self._world(self.url)
        state = State(world, self._identifiers)
        self._reset = _resetting(world, self.faults, state.remember())
        if self._data is not None:
            try:
                saver = Saver(Folder(self._data, self._settings), state, self.clock)
                saver.load()
            except FolderError as error:
                self.close()
                raise EmulatorError(str(error)) from error
            self._saver = saver
        desk = Desk(world, self.faults, self._oddities, self.environment, self._reset)
        services = make_app(world, self.faults, self._transport_of, auth_port=_port(self._sockets[1]))
        front = Front(services, desk, _port(self._sockets[0]))
        self._server = _Server(front, world)
        self._thread = threading.Thread(
            target=self._server.run, args=(self._sockets,), name="civitai-ext-emulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS):
            self.close()
            raise EmulatorError(f"the emulator did not start within {_START_SECONDS} seconds")
        if self._saver is not None:
            # While events are under way, something changes without anybody asking.
            self._saver.start(self._server.run_within, lambda: front.changes if self.callbacks.is_idle else object())
        return self

    def close(self) -> None:
        """Stop answering; requests that wait are answered at once. Closing twice does nothing."""
        if self._saver is not None:
            self._saver.stop()
        self.clock.stop()
        if self._server is not None:
            self._server.stop()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        for listening in self._sockets:
            listening.close()
        if self._saver is not None:
            self._saver.finish()
        self._server = self._thread = self._reset = self._saver = None
        self._sockets = []

    def reset(self) -> None:
        """Bring everything back to how it was when it started, on its clock too; from any thread but its own.

        What was got from it before, such as accounts and clients, is no longer a part of it.

        Raises:
            EmulatorError: It is not running.

        """
        if self._server is None or self._reset is None:
            raise EmulatorError("the emulator is not running: there is nothing to reset")
        self._server.finish_within(self._reset)

    def _world(self, origin: str) -> World:
        signer = Signer(self._seed)
        blobs = Blobs(origin, self.clock, self._identifiers, signer)
        return World(
            origin=origin,
            clock=self.clock,
            accounts=self.accounts,
            oauth=self.oauth,
            quirks=self._quirks,
            deduplicates=self._deduplicates,
            catalogue=self._catalogue,
            signer=signer,
            blobs=blobs,
            workflows=Workflows(self.clock, blobs, self._identifiers, self._catalogue),
            jobs=Jobs(self.clock, blobs, self._identifiers, self._catalogue),
            callbacks=self.callbacks,
            journal=self.journal,
            community=Community(self._catalogue),
            directory=Directory(self._catalogue),
            vaults=Vaults(self.clock),
            uploads=self._uploads,
            minute=Allowance(self.clock, seconds=60),
            hour=Allowance(self.clock, seconds=3600),
            day=Allowance(self.clock, seconds=86_400),
            download_quota=self._download_quota,
        )

    def _transport_of(self, scope: Scope) -> asyncio.Transport | None:
        """Find what carries the connection that a request came in by, unless it has gone."""
        for connection in list(self._server.server_state.connections) if self._server else ():
            # The port of a caller may lead to both of ours.
            ends = (scope["client"], scope["server"])
            if isinstance(connection, H11Protocol) and (connection.client, connection.server) == ends:
                return connection.transport
        return None

    def _origins(self) -> tuple[str, str]:
        """Tell where the site and the accounts service are."""
        if not self._sockets:
            raise EmulatorError("the emulator is not running: use it in a with statement, or call start()")
        site, auth = self._sockets
        return _origin(site), _origin(auth)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _resetting(world: World, faults: Faults, go_back: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Make what brings everything back to how it is now; `go_back` does so for what was made."""

    async def reset() -> None:
        await world.callbacks.reset()
        faults.clear()
        world.journal.clear()
        for allowance in (world.minute, world.hour, world.day):
            allowance.clear()
        go_back()
        world.rendered.clear()
        world.clock.restart()

    return reset


def _port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def _origin(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what means all addresses is no address to call
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int, purpose: str = "") -> socket.socket:
    """Open a socket to listen on; `purpose` is what an error says about it.

    Raises:
        EmulatorError: The address cannot be listened on.

    """
    try:
        return _bound(host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EmulatorError(f"cannot listen on {host}:{port}{purpose}: {reason}") from error


def _bound(host: str, port: int) -> socket.socket:
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    family, *_, address = socket.getaddrinfo(host, None, type=kind, proto=protocol)[0]
    # With the protocol left at 0, asyncio would not switch Nagle's algorithm off: 40 ms for every answer.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address[0], port))
        listening.listen(128)
    except (OSError, OverflowError):
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """A server that says when it is ready, and posts nothing once it is not."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,  # ours may be wrong on purpose
            )
        )
        self._world = world
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self.ready = threading.Event()

    def stop(self) -> None:
        """Let it end, from another thread; it waits for nothing but for answers that are on their way."""
        self.should_exit = True
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)

    def run_within(self, work: Callable[[], T]) -> T:
        """Run something in the server's thread, where nothing else changes meanwhile, and wait for it."""

        async def run() -> T:
            return work()

        return self.finish_within(run)

    def finish_within(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Let something come to its end in the server's thread, and wait for it."""
        assert self._loop is not None  # noqa: S101 - tells the type checker
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self._world.callbacks.resume(self._world.workflows)
        self.ready.set()

    async def main_loop(self) -> None:
        # The inherited one, and its shutdown, sleep for a tenth of a second: twenty times as long as all else takes.
        assert self._stopping is not None  # noqa: S101 - tells the type checker
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._world.callbacks.close()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait_for_answers(_GRACE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._wait_for_answers(_LAST_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()

    async def _wait_for_answers(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (self.server_state.connections or self.server_state.tasks) and time.monotonic() < ends:
            await asyncio.sleep(0.002)
