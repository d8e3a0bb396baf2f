"""Where a receiver keeps events: those to be worked on, those that failed, and the keys of those that are done."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from civitai_ext.errors import ConfigurationError
from civitai_ext.webhooks.events import Event, parse

__all__ = ["Added", "Begun", "Failed", "MemoryStore", "SQLiteStore", "Store", "Waiting"]

T = TypeVar("T")

Added = Literal["new", "known", "full"]
"""What became of an event that was to be kept."""

_DAY: Final = 86400.0


class Waiting(NamedTuple):
    """An event that is still to be worked on: its number, and the workflow that it belongs to."""

    number: int
    workflow_id: str


class Begun(NamedTuple):
    """An event that is being worked on: its body, and how many times it has been begun with this."""

    body: bytes
    attempt: int


class Failed(NamedTuple):
    """An event that was given up: its number, its body, and why."""

    number: int
    body: bytes
    error: str

    @property
    def event(self) -> Event:
        """What the body says."""
        return parse(self.body)


class Store(Protocol):
    """What a `Receiver` needs of the place where it keeps events; write one for a database of your own.

    Attributes:
        durable: Whether events outlive the process. If not, a receiver that is closed works on all of them first.
        shared: Whether other processes may add events, so that a receiver has to look for them.
    """

    durable: bool
    shared: bool

    async def add(self, key: str, workflow_id: str, body: bytes) -> Added:
        """Keep an event, and return when it is safe.

        It gets a number larger than that of every event before it.

        Returns:
            `new`; `known` if there is an event with this key, done or not; `full` if there is no room.
        """
        ...

    async def lead(self) -> bool:
        """Tell whether this receiver may work on the events: of all that share them, one at a time."""
        ...

    async def waiting(self, after: int) -> Sequence[Waiting]:
        """List events that are to be worked on and have a larger number, the smallest first; not necessarily all."""
        ...

    async def begin(self, number: int) -> Begun:
        """Give an event that is to be worked on, and count that, so that it is known after a crash."""
        ...

    async def finish(self, number: int, error: str | None = None) -> None:
        """Note that an event is done, or with `error` that it was given up, and return when that is safe.

        Its key stays known for a time. The body of one that was given up is kept as long.
        """
        ...

    async def failed(self) -> Sequence[Failed]:
        """List the events that were given up, oldest first."""
        ...

    async def revive(self) -> int:
        """Let all events that were given up be worked on again, with new numbers; give how many there are."""
        ...

    async def close(self) -> None:
        """Let go of everything; the next use opens it again."""
        ...


class MemoryStore:
    """Keeps events in memory: for tests, and where it does no harm that a process that ends takes them along.

    Args:
        capacity: How many events may wait; the service is asked to come again while there are more.
        keep: Seconds for which the key of an event that is over stays known, if `most_keys` leaves it room.
        most_keys: How many keys of events that are over are kept.
    """

    durable = False
    shared = False

    def __init__(self, *, capacity: int = 1000, keep: float = _DAY, most_keys: int = 100_000) -> None:
        _check(capacity, keep)
        self._capacity = capacity
        self._keep = keep
        self._most_keys = most_keys
        self._number = 0
        self._keys: set[str] = set()
        self._waiting: dict[int, tuple[str, str, bytes]] = {}
        self._attempts: dict[int, int] = {}
        self._over: OrderedDict[int, tuple[str, float]] = OrderedDict()
        self._failed: dict[int, tuple[str, bytes, str]] = {}

    async def add(self, key: str, workflow_id: str, body: bytes) -> Added:
        """Keep an event."""
        self._forget()
        if key in self._keys:
            return "known"
        if len(self._waiting) >= self._capacity:
            return "full"
        self._keys.add(key)
        self._number += 1
        self._waiting[self._number] = key, workflow_id, body
        return "new"

    async def lead(self) -> bool:
        """Nobody else has these events."""
        return True

    async def waiting(self, after: int) -> Sequence[Waiting]:
        """List events that are to be worked on."""
        newest = itertools.takewhile(lambda number: number > after, reversed(self._waiting))
        return [Waiting(number, self._waiting[number][1]) for number in reversed(list(newest))]

    async def begin(self, number: int) -> Begun:
        """Give an event that is to be worked on, and count that."""
        self._attempts[number] = attempt = self._attempts.get(number, 0) + 1
        return Begun(self._waiting[number][2], attempt)

    async def finish(self, number: int, error: str | None = None) -> None:
        """Note that an event is done or was given up."""
        key, workflow_id, body = self._waiting.pop(number)
        self._attempts.pop(number, None)
        self._over[number] = key, time.time()
        if error is not None:
            self._failed[number] = workflow_id, body, error

    async def failed(self) -> Sequence[Failed]:
        """List the events that were given up."""
        return [Failed(number, body, error) for number, (_, body, error) in self._failed.items()]

    async def revive(self) -> int:
        """Let all events that were given up be worked on again."""
        revived = list(self._failed.items())
        self._failed.clear()
        for number, (workflow_id, body, _) in revived:
            self._number += 1
            self._waiting[self._number] = self._over.pop(number)[0], workflow_id, body
        return len(revived)

    async def close(self) -> None:
        """Nothing is held open."""

    def _forget(self) -> None:
        oldest = time.time() - self._keep
        while self._over:
            number, (key, ended) = next(iter(self._over.items()))
            if ended > oldest and len(self._over) <= self._most_keys:
                return
            del self._over[number]
            self._keys.discard(key)
            self._failed.pop(number, None)


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    workflow_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    body BLOB,
    error TEXT,
    ended REAL
);
CREATE INDEX IF NOT EXISTS events_waiting ON events (number, workflow_id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS events_failed ON events (number) WHERE state = 'failed';
CREATE INDEX IF NOT EXISTS events_over ON events (ended) WHERE ended IS NOT NULL;
"""
_BUSY_SECONDS: Final = 10.0
_PAGE: Final = 1000
_FORGET_EVERY: Final = 60.0


class SQLiteStore:
    """Keeps events in a SQLite file: what was answered with 2xx is there after a crash, of the machine too.

    Several processes may share the file, on one machine and not on a network drive: all of them take events in, and the
    first works on them, until it ends or dies and another takes over. A lock on a second file, `….lead`, says who.

    Args:
        path: The file; it is made if it is not there.
        capacity: How many events may wait; the service is asked to come again while there are more.
        keep: Seconds for which the key of an event that is over stays known, and the body of one that was given up is
            kept.
    """

    durable = True
    shared = True

    def __init__(self, path: str | os.PathLike[str], *, capacity: int = 100_000, keep: float = 7 * _DAY) -> None:
        _check(capacity, keep)
        self._path = Path(path)
        self._capacity = capacity
        self._keep = keep
        self._forgotten = 0.0
        self._count: int | None = None  # how many events wait, once this transaction has counted them
        self._thread: ThreadPoolExecutor | None = None
        self._events: sqlite3.Connection | None = None
        self._lock: sqlite3.Connection | None = None
        self._calls: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def add(self, key: str, workflow_id: str, body: bytes) -> Added:
        """Keep an event, and return when it is on the disk."""

        def add(events: sqlite3.Connection) -> Added:
            if events.execute("SELECT 1 FROM events WHERE key = ?", [key]).fetchone():
                return "known"
            if self._count is None:
                query = "SELECT count(*) FROM events WHERE state = 'waiting'"
                self._count = int(events.execute(query).fetchone()[0])
            if self._count >= self._capacity:
                return "full"
            self._count += 1
            events.execute("INSERT INTO events (key, workflow_id, body) VALUES (?, ?, ?)", [key, workflow_id, body])
            return "new"

        return await self._call(add)

    async def lead(self) -> bool:
        """Tell whether this store has the lock, or gets it now. The lock ends with the process, however that ends."""
        return await self._call(lambda _: self._get_lock())

    async def waiting(self, after: int) -> Sequence[Waiting]:
        """List a thousand events that are to be worked on."""
        query = "SELECT number, workflow_id FROM events WHERE state = 'waiting' AND number > ? ORDER BY number LIMIT ?"
        rows = await self._call(lambda events: events.execute(query, [after, _PAGE]).fetchall())
        return [Waiting(*row) for row in rows]

    async def begin(self, number: int) -> Begun:
        """Give an event that is to be worked on, and count that."""

        def begin(events: sqlite3.Connection) -> Begun:
            events.execute("UPDATE events SET attempts = attempts + 1 WHERE number = ?", [number])
            return Begun(*events.execute("SELECT body, attempts FROM events WHERE number = ?", [number]).fetchone())

        return await self._call(begin)

    async def finish(self, number: int, error: str | None = None) -> None:
        """Note that an event is done or was given up."""
        if error is None:
            statement = "UPDATE events SET state = 'done', body = NULL, error = ?, ended = ? WHERE number = ?"
        else:
            statement = "UPDATE events SET state = 'failed', error = ?, ended = ? WHERE number = ?"
        await self._call(lambda events: events.execute(statement, [error, time.time(), number]))

    async def failed(self) -> Sequence[Failed]:
        """List the events that were given up."""
        query = "SELECT number, body, error FROM events WHERE state = 'failed' ORDER BY number"
        rows = await self._call(lambda events: events.execute(query).fetchall())
        return [Failed(*row) for row in rows]

    async def revive(self) -> int:
        """Let all events that were given up be worked on again."""

        def revive(events: sqlite3.Connection) -> int:
            numbers = events.execute("SELECT number FROM events WHERE state = 'failed' ORDER BY number").fetchall()
            for (number,) in numbers:
                events.execute(
                    "UPDATE events SET state = 'waiting', attempts = 0, error = NULL, ended = NULL, "
                    "number = (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'events') WHERE number = ?",
                    [number],
                )
                events.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'events'")
            return len(numbers)

        return await self._call(revive)

    async def close(self) -> None:
        """Finish writing, and let go of the files and of the lock."""
        while self._committing is not None:
            await asyncio.wait([self._committing])
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
            thread.shutdown()

    async def _call(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Let the thread of the file do something, in one transaction with all else that is asked for meanwhile."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.append((call, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        return await future

    async def _commit(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "civitai-ext-events")
        try:
            while self._calls:
                calls, self._calls = self._calls, []
                work = [call for call, _ in calls]
                results: Sequence[Any]
                try:
                    results = await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
                except Exception as error:
                    results = [error] * len(calls)
                for (_, future), result in zip(calls, results, strict=True):
                    if future.done():
                        continue  # whoever asked has gone
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._committing = None

    def _transact(self, calls: Sequence[Callable[[sqlite3.Connection], Any]]) -> Sequence[Any]:
        """Do all in one transaction, so that they wait for the disk once. Runs in the thread."""
        events = self._events or self._connect()
        events.execute("BEGIN IMMEDIATE")
        self._count = None
        try:
            if time.time() - self._forgotten > min(_FORGET_EVERY, self._keep):
                self._forgotten = time.time()
                events.execute("DELETE FROM events WHERE ended <= ?", [self._forgotten - self._keep])
            results = [call(events) for call in calls]
            events.execute("COMMIT")
        except BaseException:
            if events.in_transaction:
                events.execute("ROLLBACK")
            raise
        return results

    def _connect(self) -> sqlite3.Connection:
        events = _open(self._path, _BUSY_SECONDS)
        try:
            events.execute("PRAGMA journal_mode = WAL")
            events.execute("PRAGMA synchronous = FULL")
            events.executescript(_SCHEMA)
        except BaseException:
            events.close()
            raise
        self._events = events
        return events

    def _get_lock(self) -> bool:
        self._lock = lock = self._lock or _open(self._path.with_name(f"{self._path.name}.lead"), 0)
        if not lock.in_transaction:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                return False
        return True

    def _disconnect(self) -> None:
        for connection in (self._events, self._lock):
            if connection is not None:
                connection.close()
        self._events = self._lock = None


def _open(path: Path, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)  # transactions begin where we say so


def _check(capacity: int, keep: float) -> None:
    if capacity < 1:
        raise ConfigurationError(f"capacity is {capacity!r}, and at least one event has to wait")
    if keep < 0:
        raise ConfigurationError(f"keep is {keep!r}, which is less than 0 seconds")
