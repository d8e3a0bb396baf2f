"""Logins in files.

A `FileStore` has a file `NAME.json` for each account. A login is written to `NAME.json.new` first, which then takes the
place of the other. So at any moment one of the two is there as a whole, and `NAME.json` is never a part of one.

Where a process died after it wrote `NAME.json.new` as a whole, that is the login: the token that renews the one before
is used up by then. For that, a login says which content of `NAME.json` it replaces. If `NAME.json` has any other
content, or none, because somebody stored, copied or removed a login meanwhile, then what is left in `NAME.json.new` is
of no account. A part of a file is no JSON, and of no account either. All this can be told by reading, without a lock;
whoever writes holds the lock `.lock` of the folder, and first finishes what is left or clears it away.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from civitai_ext import _locks, _private_files
from civitai_ext.errors import ConfigurationError, TokenStoreError
from civitai_ext.oauth._account_names import account_in, file_name, is_hash
from civitai_ext.oauth.stores import TokenStore

if TYPE_CHECKING:
    from civitai_ext.oauth.tokens import StoredLogin

__all__ = ["FileStore", "default_store", "writing"]

_LOGIN: Final = ".json"
_NEW: Final = ".json.new"
_LOCK: Final = ".lock"
_LOCK_TIMEOUT: Final = 60.0
"""Seconds. Whoever holds the lock of an account may be waiting for an answer."""
_ROOM: Final = 4096
"""Bytes that are tried to be written to a file."""


class FileStore(TokenStore):
    """Keeps logins in files of a folder, one for each account, for all programs of a user.

    Nobody else can read them, and they survive whatever happens while they are written. They are not encrypted:
    `KeyringStore` is for that. Any number of threads and processes may use them at the same time.

    Args:
        folder: The folder; made when the first login is stored. By default the one that the environment variable
            `CIVITAI_LOGINS` names, else `civitai-ext/logins` in the user's folder for settings, which needs the extra
            `oauth`.

    Raises:
        ConfigurationError: No folder is named, and the extra `oauth` is not installed; or there is no home folder.

    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> from civitai_ext.oauth.tokens import StoredLogin, Tokens
    >>> tokens = Tokens(access_token="abc", refresh_token="def", obtained_at=datetime.now(UTC))
    >>> login = StoredLogin(
    ...     tokens=tokens, client_id="my-app", redirect_uri="http://127.0.0.1/callback", auth_url="https://auth.civitai.com",
    ...     site_url="https://civitai.com", orchestration_url="https://orchestration.civitai.com",
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = FileStore(folder)
    ...     store.save("alice", login)
    ...     store.accounts(), store.load("alice") == login
    (['alice'], True)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        try:
            self._folder = (_default_folder() if folder is None else Path(folder)).expanduser().absolute()
        except RuntimeError:  # such as in a container whose user has no entry
            raise ConfigurationError(
                "Where logins are stored is not known: that user has no home folder",
                hint="Name a folder in CIVITAI_LOGINS.",
            ) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r})"

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def load(self, account: str) -> StoredLogin | None:
        """Give the login of an account; None if there is none.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: The file cannot be read, belongs to another user, or holds no login.
        """
        path = self._path(account)
        with _explained(
            path, f"The login of {account!r} cannot be read", "Log in again; if that fails, remove the file first."
        ):
            stored = _private_files.read(path)
            left = _continued(path, stored)
            if left is None and stored is None:
                return None
            from civitai_ext.oauth.tokens import StoredLogin  # loaded here, for it is in vain where nobody is logged in

            try:
                return StoredLogin.from_json(left or stored or b"")
            except ValueError as error:
                raise OSError(errno.EINVAL, f"It holds no login: {error}", str(path)) from None

    def has(self, account: str) -> bool:
        """Tell whether there is a login of an account, be it one that `load` cannot read. It costs next to nothing.

        Raises:
            InvalidRequest: It is no name of an account.
        """
        try:
            return self.load(account) is not None
        except TokenStoreError:
            return os.path.lexists(self._path(account))

    def save(self, account: str, login: StoredLogin) -> None:
        """Store the login of an account in place of the one before, so that one of the two is there at any moment.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: The folder cannot be written to, or has no room; the login before stays.
        """
        import json

        from civitai_ext._disk import sync_folder

        path = self._path(account)
        with writing(self._folder, path, f"The login of {account!r} cannot be stored"):
            notes = {"account": account, "replaces": _digest(_settled(path))}
            try:
                _private_files.write(_new(path), json.dumps(json.loads(login.to_json()) | notes).encode())
                _private_files.replace(path, _new(path))
            except OSError:
                with contextlib.suppress(OSError):
                    _new(path).unlink(missing_ok=True)
                raise
            sync_folder(self._folder)

    def check(self, account: str) -> None:
        """Find out whether a login could be stored, by writing as much and removing it again.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: It could not.
        """
        path = self._path(account)
        with writing(self._folder, path, f"The login of {account!r} could not be stored"):
            _settled(path)
            try:
                _private_files.write(_new(path), b" " * _ROOM)
            finally:
                _new(path).unlink(missing_ok=True)

    def delete(self, account: str) -> None:
        """Remove the login of an account; nothing happens if there is none.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: It cannot be removed.
        """
        path, doing = self._path(account), f"The login of {account!r} cannot be removed"
        with _explained(path, doing, _hint(self._folder)):
            if not _is_there(path) and not _is_there(_new(path)):
                return
        with writing(self._folder, path, doing):
            _new(path).unlink(missing_ok=True)  # first, else it would be the login of whoever had none before
            path.unlink(missing_ok=True)

    def accounts(self) -> list[str]:
        """Give the names of all accounts, in order. Other files in the folder are passed over.

        Raises:
            TokenStoreError: The folder cannot be read.
        """
        with _explained(self._folder, "The accounts cannot be listed", _hint(self._folder)):
            try:
                names = os.listdir(self._folder)  # noqa: PTH208
            except FileNotFoundError:
                return []
            return sorted({account for name in names if (account := self._account_of(name)) and self.has(account)})

    @contextlib.contextmanager
    def lock(self, account: str) -> Iterator[None]:
        """Give what is held while the login of an account is changed: other threads and processes wait for it.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: The folder cannot be written to, or somebody held the lock for a minute.
        """
        path = self._folder / (file_name(account) + _LOCK)
        with _explained(path, f"The login of {account!r} cannot be changed", _hint(self._folder)):
            held = _locked(self._folder, path)
        try:
            yield
        finally:
            _locks.unlock(path, held)

    def _path(self, account: str) -> Path:
        return self._folder / (file_name(account) + _LOGIN)

    def _account_of(self, name: str) -> str | None:
        """Give the account that a file is of; None if it is of none."""
        stem = _split(name)
        if not stem or name.endswith(_LOCK):
            return None
        return self._noted(name, stem) if is_hash(stem) else account_in(stem)

    def _noted(self, name: str, stem: str) -> str | None:
        import json

        try:
            account = json.loads(_private_files.read(self._folder / name) or b"")["account"]
            return account if file_name(account) == stem else None
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return None


def default_store() -> FileStore:
    """Give the store that is used where none is named: files in the default folder.

    Raises:
        ConfigurationError: `CIVITAI_LOGINS` is not set, and the extra `oauth` is not installed.
    """
    return FileStore()


def _default_folder() -> Path:
    named = os.environ.get("CIVITAI_LOGINS", "").strip()
    if named:
        return Path(named)
    try:
        from platformdirs import user_config_path
    except ImportError as error:
        raise ConfigurationError(
            "Where logins are stored is not known, for a package is not installed",
            hint="Install it with pip install 'civitai-ext[oauth]', or name a folder in CIVITAI_LOGINS.",
        ) from error
    return user_config_path("civitai-ext", appauthor=False) / "logins"


@contextlib.contextmanager
def _explained(path: Path, doing: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError):
            hint = "It may be waiting for an answer of the accounts service: try again in a moment."
        where = error.filename or str(path)
        raise TokenStoreError(f"{doing}: {where}: {error.strerror or error}", path=where, hint=hint) from error


def _hint(folder: Path) -> str:
    return f"See that {folder} can be written to and has room, and that nothing else is in the way."


@contextlib.contextmanager
def writing(folder: Path, path: Path, doing: str) -> Iterator[None]:
    """Hold what is held while anything is written. It is no account's lock, since whoever saves mostly has that."""
    with _explained(path, doing, _hint(folder)):
        held = _locked(folder, folder / _LOCK)
        try:
            yield
        finally:
            _locks.unlock(folder / _LOCK, held)


def _locked(folder: Path, path: Path) -> int:
    _private_files.make_folder(folder, lambda name: _split(name) is not None)
    return _locks.lock(path, _LOCK_TIMEOUT)


def _new(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_LOGIN) + _NEW)


def _split(name: str) -> str | None:
    """Give the name of a file without the suffix that it has here; None if it has another one."""
    return next((name.removesuffix(suffix) for suffix in (_LOGIN, _NEW, _LOCK) if name.endswith(suffix)), None)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _digest(stored: bytes | None) -> str | None:
    import hashlib

    return None if stored is None else hashlib.sha256(stored).hexdigest()


def _settled(path: Path) -> bytes | None:
    """Finish what somebody left who died, or clear it away; give what is stored then. The lock is held meanwhile."""
    stored = _replaceable(path)
    left = _continued(path, stored)
    if left is None:
        _new(path).unlink(missing_ok=True)
        return stored
    _private_files.replace(path, _new(path))
    return left


def _continued(path: Path, stored: bytes | None) -> bytes | None:
    """Give the login that somebody wrote as a whole to replace what is stored, and then died, or is about to do it."""
    left = _replaceable(_new(path))
    if left is None:
        return None
    import json

    from civitai_ext.oauth.tokens import StoredLogin

    try:
        StoredLogin.from_json(left)
    except ValueError:
        return None
    return left if json.loads(left).get("replaces", "") == _digest(stored) else None


def _replaceable(path: Path) -> bytes | None:
    """Give what is in a file; None if there is none, or something odd, which another file can take the place of."""
    try:
        return _private_files.read(path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
