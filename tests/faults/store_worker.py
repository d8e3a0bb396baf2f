"""Store logins in processes that die while they do so: `python -m tests.faults.store_worker TASK FOLDER`.

It forks, which is quick here and nowhere else: no other thread runs, and little is loaded. The disk is not waited for,
since it is processes that end and not the system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from civitai_ext.errors import TokenStoreError
from civitai_ext.oauth.file_store import FileStore
from civitai_ext.oauth.tokens import StoredLogin, Tokens

ACCOUNT = "alice"
CALLS = ("open", "read", "write", "fsync", "replace", "unlink", "mkdir", "chmod", "fchmod", "stat", "fstat")
DIED = 99
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def login(number: int) -> StoredLogin:
    """A login that is not taken for another one, and long where the others are short."""
    tokens = Tokens(access_token=f"a{number}" * (1 + number % 2), refresh_token=str(number), obtained_at=NOW)
    return StoredLogin(
        tokens=tokens, client_id="c", redirect_uri="r", auth_url="a", site_url="s", orchestration_url="o"
    )


def number(store: FileStore) -> int:
    """Which login is stored; 0 for none."""
    found = store.load(ACCOUNT)
    assert found is None or found == login(int(found.tokens.refresh_token or ""))
    return 0 if found is None else int(found.tokens.refresh_token or "")


def in_child(work: Callable[[], object]) -> bool:
    """Do something in a process of its own; tell whether it lived to see the end of it."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, DIED), code
    return code == 0


def at_call(which: int, happens: Callable[[], object]) -> None:
    """Let something happen in place of a call of the system, counted from 1."""
    count = 0

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == which:
                happens()
            return original(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, counted(name))


def at_byte(which: int) -> None:
    """Let the process die when so many bytes were written, of however many at once."""
    original, left = os.write, which

    def write(file: int, data: Any) -> int:
        nonlocal left
        done = original(file, data[:left])
        left -= done
        if left == 0:
            os._exit(DIED)
        return done

    setattr(os, "write", write)  # noqa: B010


@contextlib.contextmanager
def fresh(folder: Path, *, before: int) -> Iterator[FileStore]:
    """A store with a login, of which 2 was written as a whole by somebody who then died."""
    shutil.rmtree(folder, ignore_errors=True)
    store = FileStore(folder)
    for each in range(1, before + 1):
        if each == 2:
            assert not in_child(lambda: store_half(store))
        else:
            store.save(ACCOUNT, login(each))
    assert number(store) == before
    yield store
    # Whatever happened, everything goes on, and nothing is left.
    store.save(ACCOUNT, login(9))
    assert number(store) == 9
    assert [path.name for path in folder.iterdir()] == [f"{ACCOUNT}.json"]


def store_half(store: FileStore) -> None:
    """Store the second login as far as it is written as a whole."""
    setattr(os, "replace", lambda *_: os._exit(DIED))  # noqa: B010
    store.save(ACCOUNT, login(2))


def die_everywhere(folder: Path, arrange: Callable[[int], object], before: int) -> int:
    """Store a login on top of another one, and die at one place after the other."""

    def save(place: int) -> None:
        arrange(place)
        FileStore(folder).save(ACCOUNT, login(before + 1))

    place, after, ended = 0, before, False
    while not ended:
        place += 1
        with fresh(folder, before=before) as store:
            ended = in_child(partial(save, place))
            assert number(store) in (after, before + 1), place
            after = number(store)  # once the new one was there, it is there later, too
    assert after == before + 1
    return place


def fail() -> None:
    """What a full disk says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refusal(work: Callable[[], object]) -> str | None:
    """Give the words with which a store says no; None if it does not."""
    try:
        work()
    except TokenStoreError as error:
        return str(error)
    return None


def fail_everywhere(folder: Path, before: int) -> int:
    """Store a login on top of another one, while one call of the system after the other fails."""
    originals = {name: getattr(os, name) for name in CALLS}
    failed: set[int] = set()
    for place in range(1, 41):
        with fresh(folder, before=before) as store:
            at_call(place, fail)
            refused = refusal(lambda: store.save(ACCOUNT, login(before + 1)))
            for name, original in originals.items():
                setattr(os, name, original)
            if refused is not None:
                assert "No space left on device" in refused
                failed.add(place)
            assert number(store) == (before + 1 if refused is None else before), place
    assert len(failed) > 5
    return len(failed)


def kill_often(folder: Path, kills: int) -> int:
    """Kill a process that stores one login after the other, and let others go on where it ended."""
    rng = random.Random(1)  # noqa: S311
    store = FileStore(folder)
    store.save(ACCOUNT, login(1))
    last = 1
    for _ in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            for each in range(last + 1, last + 10_000):
                store.save(ACCOUNT, login(each))
                os.write(writer, b".")
            os._exit(0)
        os.close(writer)
        told = last + len(os.read(reader, 1))  # however busy the machine is, it gets to store something
        time.sleep(rng.uniform(0, 0.002))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while data := os.read(reader, 65536):
            told += len(data)
        os.close(reader)
        last = number(store)
        assert told <= last <= told + 1
    assert last > kills
    return kills


def share(folder: Path) -> int:
    """Store and read the same login in many threads, while other processes do so, too."""

    def work() -> None:
        store = FileStore(folder)
        for each in range(1, 11):
            store.save(ACCOUNT, login(each))
            assert 0 < number(store) < 11
            assert store.accounts() == [ACCOUNT]

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    return 8


def count(folder: Path) -> int:
    """Add to a number that is in a file, in many threads, while other processes do so, too."""
    store, file = FileStore(folder), folder.with_name("number")

    def work() -> None:
        for _ in range(10):
            with store.lock(ACCOUNT):
                file.write_text(str(int(file.read_text()) + 1))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    return 80


def hold(folder: Path) -> int:
    """Hold the lock until the process is killed."""
    with FileStore(folder).lock(ACCOUNT):
        print("held", flush=True)
        sys.stdin.read()
    return 0


def no_room(folder: Path) -> int:
    """Try to store where no file can be longer than so many bytes."""
    import resource

    store = FileStore(folder)
    store.save(ACCOUNT, login(1))
    length = (folder / f"{ACCOUNT}.json").stat().st_size
    for most in (0, 1, length - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        for each in (lambda: store.check(ACCOUNT), lambda: store.save(ACCOUNT, login(3))):
            assert "File too large" in (refusal(each) or ""), most
            assert number(store) == 1
            assert len(list(folder.iterdir())) == 1
    return length


TASKS: dict[str, Callable[[Path], int]] = {
    "bytes": lambda folder: die_everywhere(folder, at_byte, 1),
    "calls": lambda folder: min(
        die_everywhere(folder, lambda place: at_call(place, lambda: os._exit(DIED)), before) for before in (0, 1, 2)
    ),
    "failures": lambda folder: min(fail_everywhere(folder, before) for before in (0, 1, 2)),
    "kills": lambda folder: kill_often(folder, 60),
    "share": share,
    "count": count,
    "hold": hold,
    "no_room": no_room,
}


def main(task: str, folder: str) -> None:
    """Do a task, and print how many places, processes or bytes it was about."""
    setattr(os, "fsync", lambda _: None)  # noqa: B010
    print(TASKS[task](Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
