"""Where logins are stored: files, whatever is in their place, and the keyring."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keyring
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked, PasswordDeleteError

from civitai_ext import Civitai, _private_files
from civitai_ext.errors import ConfigurationError, InvalidRequest, TokenStoreError
from civitai_ext.oauth._account_names import account_in, file_name
from civitai_ext.oauth.file_store import FileStore, default_store
from civitai_ext.oauth.keyring_store import KeyringStore
from civitai_ext.oauth.scopes import Scope
from civitai_ext.oauth.stores import MemoryStore, TokenStore
from civitai_ext.oauth.tokens import StoredLogin, Tokens

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
NAMES = [
    "alice",
    "Alice",
    "alice@example.com",
    "Work account",
    "../x",
    "..",
    "CON",
    "con.x",
    "é",
    "e\u0301",
    "東" * 90,
    "x" * 300,
]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")


def login(name: str = "1") -> StoredLogin:
    return StoredLogin(
        tokens=Tokens(
            access_token=f"secret-{name}",
            refresh_token=f"secret-renewal-{name}",
            obtained_at=NOW,
            scopes=Scope.AI_SERVICES,
        ),
        client_id="0f0e0d0c-0b0a-4908-8706-050403020100",
        redirect_uri="http://127.0.0.1:53682/callback",
        auth_url="https://auth.civitai.com",
        site_url="https://civitai.com",
        orchestration_url="https://orchestration.civitai.com",
        username="alice",
    )


def calls(*given: Callable[[], object]) -> tuple[Callable[[], object], ...]:
    return given


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "some" / "logins")


class OurKeyring(KeyringBackend):
    """A keyring in memory that can be locked, and takes as much as that of Windows."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.most = 2560

    def get_password(self, service: str, username: str) -> str | None:
        self._fail()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail()
        if len(password.encode("utf-16-le")) > self.most:
            raise OSError(1783, "The stub received bad data")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._fail()
        if (service, username) not in self.entries:
            raise PasswordDeleteError(username)
        del self.entries[service, username]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class NoChain(chainer.ChainerBackend):
    """What the library takes where several keyrings are asked for, and there is none."""

    priority = -1
    backends = ()


@pytest.fixture
def ring() -> Iterator[OurKeyring]:
    before, ours = keyring.get_keyring(), OurKeyring()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


# ----------------------------------------------------------------------------------------------------------- all stores


@pytest.fixture(params=["memory", "files", "keyring"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, ring: OurKeyring) -> TokenStore:
    makers: dict[str, Callable[[], TokenStore]] = {
        "memory": MemoryStore, "files": lambda: FileStore(tmp_path), "keyring": KeyringStore,
    }  # fmt: skip
    return makers[request.param]()


def test_what_is_stored_is_there_until_it_is_removed(any_store: TokenStore) -> None:
    assert any_store.load("alice") is None
    assert any_store.accounts() == []
    for number, name in enumerate(NAMES):
        any_store.check(name)
        any_store.save(name, login(str(number)))
    assert any_store.accounts() == sorted(NAMES)
    assert [any_store.load(name) for name in NAMES] == [login(str(number)) for number in range(len(NAMES))]
    any_store.save("alice", login("new"))
    assert any_store.load("alice") == login("new")
    for name in NAMES:
        any_store.delete(name)
        any_store.delete(name)
    assert any_store.accounts() == []
    assert any_store.load("alice") is None
    with any_store.lock("alice"), any_store.lock("bob"):
        any_store.save("alice", login())  # the lock is not in the way of whoever has it


def test_nothing_shows_a_token(any_store: TokenStore) -> None:
    any_store.save("alice", login())
    assert "secret" not in repr(any_store) + str(any_store) + repr(any_store.load("alice"))


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "a\x00", "\ud800", "a\u2028b", None, 3, b"alice"])
def test_what_is_no_name_is_refused(store: FileStore, ring: OurKeyring, name: Any) -> None:
    uses: list[Callable[[TokenStore], object]] = [
        lambda it: it.load(name), lambda it: it.save(name, login()), lambda it: it.check(name),
        lambda it: it.delete(name), lambda it: it.lock(name).__enter__(),
    ]  # fmt: skip
    for each in uses:
        for it in (store, KeyringStore()):
            with pytest.raises(InvalidRequest, match="account is"):
                each(it)
    with pytest.raises(InvalidRequest):
        store.has(name)
    assert not store.folder.exists()
    assert ring.entries == {}


# ---------------------------------------------------------------------------------------------------------------- names

PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(str.strip)


@given(PRINTABLE)
@example("CON")
@example("com1.x")
@example("...")
@example("%2e")
@example("x" * 200)
@example("~" + "a" * 64)
def test_a_file_name_is_safe_everywhere_and_tells_the_account(account: str) -> None:
    name = file_name(account)
    assert name == name.lower() == unicodedata.normalize("NFD", name)
    assert name.isascii()
    assert not set(name) & set('<>:"/\\|?* $')
    assert not name.startswith(".")
    assert name.partition(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt9", ""}
    assert len(f"{name}.json.new") < 255
    assert account_in(name) == (None if name.startswith("~") else account)


@given(PRINTABLE, PRINTABLE)
@example("a", "A")
@example("é", "e\u0301")
@example("x" * 300, "x" * 301)
def test_no_two_accounts_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


@given(st.text())
@example("%41")
@example("%6")
@example("%ff")
def test_any_name_of_a_file_is_of_one_account_or_none(name: str) -> None:
    account = account_in(name)
    assert account is None or file_name(account) == name


def test_foreign_files_are_no_accounts(store: FileStore) -> None:
    store.save("bob", login())
    foreign = ["README.md", "Carol.json", "%6.json", "~" + "0" * 64 + ".json", ".json", "dave.json.bak", "erin.lock"]
    for name in foreign:
        (store.folder / name).write_text('{"account": "carol"}')
    (store.folder / "frank.json.new").write_text("{")
    assert store.accounts() == ["bob"]
    store.delete("bob")
    assert store.accounts() == []
    assert sorted(path.name for path in store.folder.iterdir()) == sorted([*foreign, "frank.json.new"])


# --------------------------------------------------------------------------------------------------------------- rights


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
@pytest.mark.parametrize("umask", [0, 0o777, 0o022])
def test_nobody_else_can_read_it_at_any_moment(store: FileStore, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    store.folder.parent.mkdir()
    seen, opened, write = [], [], os.write
    original = os.open

    def watched_open(*args: Any, **kwargs: Any) -> int:
        file = original(*args, **kwargs)
        opened.append(os.fstat(file).st_mode & 0o077)
        return file

    def watched_write(file: int, data: bytes) -> int:
        seen.append(os.fstat(file).st_mode & 0o777)
        return write(file, data)

    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(os, "write", watched_write)
    before = os.umask(umask)
    try:
        store.save("alice", login())
    finally:
        os.umask(before)
    monkeypatch.undo()
    assert seen
    assert set(seen) == {0o600}
    assert set(opened) == {0}
    assert rights(store.folder) == 0o700
    assert rights(store.folder / "alice.json") == 0o600


@posix
def test_the_folders_that_are_made_on_the_way_are_closed_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileStore(tmp_path / "config" / "civitai" / "logins").check("alice")
    finally:
        os.umask(before)
    assert [rights(path) for path in sorted(tmp_path.rglob("*"))] == [0o700] * 3


@posix
def test_nothing_of_others_is_overwritten(store: FileStore) -> None:
    """In a folder that others can write to, they can put links to files of the user."""
    store.save("alice", login())
    precious = store.folder.parent / "precious"
    precious.write_text("precious")
    precious.chmod(0o644)
    (store.folder / "alice.lock").symlink_to(precious)
    with pytest.raises(TokenStoreError, match=r"alice\.lock"), store.lock("alice"):
        pass
    (store.folder / "alice.lock").unlink()
    (store.folder / "alice.lock").hardlink_to(precious)
    with store.lock("alice"):
        pass
    assert precious.read_text() == "precious"
    assert rights(precious) == 0o644
    with pytest.raises(FileExistsError):
        _private_files.write(precious, b"")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_is_exchanged_at_the_last_moment_is_refused(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("alice", login())
    foreign = store.folder / "foreign"
    foreign.write_text(login("foreign").to_json())
    os.chown(foreign, 12345, -1)
    original = os.open

    def late(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("alice.json") and foreign.exists():
            foreign.replace(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(TokenStoreError, match="belongs to another user"):
        store.load("alice")


def test_a_lock_is_let_go_of_whatever_happens(store: FileStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.lock("alice"):
        raise KeyboardInterrupt
    assert not list(store.folder.iterdir())


@posix
def test_rights_are_put_right_and_that_is_said_once(store: FileStore, caplog: pytest.LogCaptureFixture) -> None:
    store.save("alice", login())
    (store.folder / "alice.json").chmod(0o644)
    store.folder.chmod(0o755)
    with caplog.at_level(logging.WARNING, "civitai_ext"):
        for _ in range(3):
            assert store.load("alice") == login()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "alice.json" in told[0]
    assert "secret" not in "".join(told)
    store.save("alice", login())
    assert rights(store.folder) == 0o700
    assert rights(store.folder / "alice.json") == 0o600


@posix
def test_a_folder_for_other_things_stays_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").touch()
    FileStore(tmp_path).save("alice", login())
    assert rights(tmp_path) == 0o755
    assert rights(tmp_path / "alice.json") == 0o600


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_refused(store: FileStore) -> None:
    store.save("alice", login())
    for path in (store.folder / "alice.json", store.folder):
        os.chown(path, 12345, -1)
        for each in calls(
            lambda: store.load("alice"), lambda: store.save("alice", login()), lambda: store.check("alice")
        ):
            with pytest.raises(TokenStoreError, match="belongs to another user, with the number 12345") as caught:
                each()
            assert caught.value.path == str(path)
        os.chown(path, 0, -1)
    assert store.load("alice") == login()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_to_is_found_out(store: FileStore) -> None:
    store.save("alice", login())
    store.folder.chmod(0o500)
    with pytest.raises(TokenStoreError, match="Permission denied"):
        store.check("alice")
    store.folder.chmod(0o700)


# ------------------------------------------------------------------------------------------------- what is in its place


def put_json(**changes: Any) -> Callable[[Path], object]:
    return put_file(json.dumps(STORED | changes).encode())


def put_file(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


STORED = json.loads(login().to_json())
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (put_file(b""), "not JSON"),
    "cut": (put_file(login().to_json().encode()[:-1]), "not JSON"),
    "zeros": (put_file(bytes(500)), "not JSON"),
    "no text": (put_file(b"\xff\xfe\x00"), "not JSON"),
    "deep": (put_file(b"[" * 100_000), "not JSON"),
    "a list": (put_file(b"[]"), "no tokens"),
    "other": (put_file(b'{"secret": "secret-2"}'), "no tokens"),
    "later": (put_json(version=2), "version is 2"),
    "odd version": (put_json(version="secret-3"), "version is nothing that is known"),
    "no client": (put_json(client_id=3), "client_id"),
    "no moment": (put_json(tokens=STORED["tokens"] | {"obtained_at": "secret-4"}), "no moment"),
    "huge": (put_file(b" " * 5_000_000 + login().to_json().encode()), "not JSON"),
    "link": (lambda path: path.symlink_to(path.with_name("bob.json")), "symbolic link"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "symbolic link"),
    "pipe": (lambda path: os.mkfifo(path), "something odd"),
    "folder": (lambda path: path.mkdir(), "a folder"),
}  # fmt: skip


@posix
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_login_is_named_and_can_be_replaced(store: FileStore, what: str) -> None:
    put, reason = BROKEN[what]
    store.save("bob", login("bob"))
    put(store.folder / "alice.json")
    with pytest.raises(TokenStoreError, match=reason) as caught:
        store.load("alice")
    assert caught.value.path == str(store.folder / "alice.json")
    assert caught.value.path in str(caught.value)
    assert "Log in again; if that fails, remove the file first." in str(caught.value)
    assert "secret" not in str(caught.value)
    assert store.has("alice")
    assert store.accounts() == ["alice", "bob"]
    if what == "folder":
        for each in calls(
            lambda: store.check("alice"), lambda: store.save("alice", login()), lambda: store.delete("alice")
        ):
            with pytest.raises(TokenStoreError, match=r"alice\.json: I"):
                each()
        return
    store.check("alice")
    store.save("alice", login())
    assert store.load("alice") == login()
    put_back = store.folder / "alice.json"
    put_back.unlink()
    put(put_back)
    store.delete("alice")
    assert store.accounts() == ["bob"]
    assert store.load("bob") == login("bob")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "logins").touch()
    store = FileStore(tmp_path / "logins")
    for each in calls(
        lambda: store.load("alice"), lambda: store.save("alice", login()), lambda: store.check("alice"),
        lambda: store.delete("alice"), store.accounts, lambda: store.lock("alice").__enter__(),
    ):  # fmt: skip
        with pytest.raises(TokenStoreError) as caught:
            each()
        assert str(store.folder) in str(caught.value)
    assert not store.has("alice")


# ----------------------------------------------------------------------------------------------- what a process left


def left(store: FileStore, before: StoredLogin | None, after: StoredLogin) -> bytes:
    """What a process writes that is about to replace a login."""
    if before is None:
        store.delete("alice")
    else:
        store.save("alice", before)
    path = store.folder / "alice.json"
    stored = path.read_bytes() if before else None
    store.save("alice", after)
    written = path.read_bytes()
    path.unlink()
    if stored is not None:
        path.write_bytes(stored)
    return written


@pytest.mark.parametrize("before", [None, login("old")])
def test_a_whole_login_counts_and_a_part_does_not(store: FileStore, before: StoredLogin | None) -> None:
    written = left(store, before, login("new"))
    new = store.folder / "alice.json.new"
    for length in range(len(written)):
        new.write_bytes(written[:length])
        assert store.load("alice") == before
    assert store.has("alice") == (before is not None)
    new.write_bytes(written)
    for _ in range(2):  # reading changes nothing
        assert store.load("alice") == login("new")
        assert store.accounts() == ["alice"]
        assert new.read_bytes() == written
    store.check("alice")
    assert store.load("alice") == login("new")
    assert not new.exists()
    new.write_bytes(written)  # it has been stored meanwhile
    assert store.load("alice") == login("new")
    store.delete("alice")
    assert list(store.folder.iterdir()) == []


def test_what_was_to_replace_another_login_does_not_count(store: FileStore) -> None:
    written = left(store, login("old"), login("new"))
    store.save("alice", login("newer"))
    new = store.folder / "alice.json.new"
    new.write_bytes(written)
    assert store.load("alice") == login("newer")
    (store.folder / "alice.json").unlink()  # somebody wants to be logged out
    assert store.load("alice") is None
    new.write_text(login("of an unknown program").to_json())
    assert store.load("alice") is None
    assert not store.has("alice")
    store.delete("alice")
    assert not new.exists()


@posix
def test_it_is_on_the_disk_before_it_takes_the_place_of_another(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("alice", login())
    done: list[str] = []

    def told(name: str) -> Callable[..., object]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> object:
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            done.append(f"{name} of the folder" if is_folder else name)
            return original(*args, **kwargs)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, told(name))
    store.save("alice", login("new"))
    assert done == ["fsync", "replace", "fsync of the folder"]


@posix
def test_something_odd_does_not_count(store: FileStore) -> None:
    store.save("alice", login())
    new = store.folder / "alice.json.new"
    new.symlink_to("alice.json")
    assert store.load("alice") == login()
    store.save("alice", login("new"))
    assert not new.is_symlink()
    assert store.load("alice") == login("new")


# -------------------------------------------------------------------------------------------------- the default folder


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIVITAI_LOGINS", str(tmp_path / "here"))
    assert default_store().folder == tmp_path / "here"
    monkeypatch.setenv("CIVITAI_LOGINS", "~/there")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert FileStore().folder == FileStore("~/there").folder == tmp_path / "there"
    monkeypatch.delenv("CIVITAI_LOGINS")
    assert FileStore().folder.parts[-2:] == ("civitai-ext", "logins")
    monkeypatch.setenv("CIVITAI_LOGINS", " ")
    assert FileStore().folder.parts[-2:] == ("civitai-ext", "logins")
    monkeypatch.setenv("CIVITAI_LOGINS", "~nobody-is-called-so/logins")
    with pytest.raises(ConfigurationError, match="no home folder"):
        default_store()
    assert "login" not in repr(Civitai())
    monkeypatch.delenv("CIVITAI_LOGINS")
    monkeypatch.chdir(tmp_path)
    assert FileStore("relative").folder == tmp_path / "relative"
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(ConfigurationError, match=r"civitai-ext\[oauth\].*CIVITAI_LOGINS"):
        default_store()
    assert FileStore(tmp_path).load("alice") is None


def test_looking_for_a_login_loads_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
from civitai_ext.oauth import FileStore, KeyringStore
assert not FileStore({str(tmp_path / "no")!r}).has("alice")
print(*({{"json", "hashlib", "platformdirs", "keyring", "civitai_ext.oauth.tokens", "httpx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


# ---------------------------------------------------------------------------------------------------------- the keyring


@pytest.mark.usefixtures("ring")
def test_services_are_apart() -> None:
    KeyringStore("one").save("alice", login())
    assert KeyringStore("other").load("alice") is None
    assert KeyringStore("other").accounts() == []
    assert KeyringStore("one").load("alice") == login()


def test_no_entry_is_left_and_a_login_fits_on_windows(ring: OurKeyring) -> None:
    store = KeyringStore()
    store.check("alice")
    assert ring.entries == {}
    store.save("alice", login("0123456789abcdef0123456789abcdef"))
    store.check("alice")
    assert len(ring.entries) == 2
    assert max(len(each.encode("utf-16-le")) for each in ring.entries.values()) < 2000


def test_a_keyring_that_is_locked_or_full_is_named(ring: OurKeyring) -> None:
    store = KeyringStore()
    store.save("alice", login())
    kept = dict(ring.entries)
    ring.most = 10
    for each in calls(lambda: store.save("alice", login("new")), lambda: store.check("alice")):
        with pytest.raises(TokenStoreError, match=r"The stub received bad data.*use FileStore"):
            each()
    ring.error = KeyringLocked("the collection is locked")
    for call in calls(
        lambda: store.load("alice"), lambda: store.save("alice", login("new")), lambda: store.check("alice"),
        lambda: store.delete("alice"), store.accounts,
    ):  # fmt: skip
        with pytest.raises(TokenStoreError, match="the collection is locked"):
            call()
    assert ring.entries == kept


@pytest.mark.usefixtures("ring")
@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, NoChain])
def test_a_keyring_that_keeps_nothing_is_refused(backend: type[KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    for each in calls(lambda: KeyringStore().load("alice"), lambda: KeyringStore().save("alice", login())):
        with pytest.raises(TokenStoreError, match=r"no keyring.*use FileStore"):
            each()


def test_what_somebody_else_wrote_into_the_keyring(ring: OurKeyring) -> None:
    store = KeyringStore()
    store.save("alice", login())
    ring.entries["civitai-ext", "alice"] = "secret-5"
    with pytest.raises(TokenStoreError, match="not JSON") as caught:
        store.load("alice")
    assert "secret" not in str(caught.value)
    for listed in ("{", "3", '[1, null, "bob"]', ""):
        ring.entries["civitai-ext (accounts)", "accounts"] = listed
        assert store.accounts() == []
    store.save("alice", login())
    assert store.accounts() == ["alice"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"civitai-ext\[keyring\]"):
        KeyringStore()
