"""Logins in the keyring of the system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from civitai_ext.errors import ConfigurationError, TokenStoreError
from civitai_ext.oauth._account_names import file_name
from civitai_ext.oauth.file_store import FileStore, writing
from civitai_ext.oauth.stores import TokenStore

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from civitai_ext.oauth.tokens import StoredLogin

__all__ = ["KeyringStore"]

_LIST: Final = "accounts"
_USUAL: Final = 1000
"""Characters that are tried to be stored. Logins have fewer; Windows takes 1280."""


class KeyringStore(TokenStore):
    """Keeps logins in the system's keyring, where they are encrypted. Needs the extra `keyring`.

    It uses the keyring that the library `keyring` finds or is set up for: of macOS, Windows, GNOME, KDE and others.
    So that one process at a time renews a login, there are locks in the default folder of `FileStore`.

    Args:
        service: What the entries are filed under.

    Raises:
        ConfigurationError: The extra `keyring` is not installed.

    For example, `KeyringStore().accounts()` gives the names of all accounts whose logins it has.
    """

    def __init__(self, service: str = "civitai-ext") -> None:
        try:
            import keyring
        except ImportError as error:
            raise ConfigurationError(
                "The keyring needs a package that is not installed",
                hint="Install it with pip install 'civitai-ext[keyring]'.",
            ) from error
        self._keyring = keyring
        self._service = service
        self._list = f"{service} (accounts)"  # services of their own, in which no account can be in the way
        self._probe = f"{service} (check)"
        self._files = FileStore()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service!r})"

    def load(self, account: str) -> StoredLogin | None:
        """Give the login of an account; None if there is none.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: There is no keyring, it is locked, or what it has is no login.
        """
        entry, doing = file_name(account), f"The login of {account!r} cannot be read"
        with self._explained(doing) as keyring:
            stored = keyring.get_password(self._service, entry)
        if stored is None:
            return None
        from civitai_ext.oauth.tokens import StoredLogin

        try:
            return StoredLogin.from_json(stored)
        except ValueError as error:
            raise TokenStoreError(f"{doing}: what the keyring has is no login: {error}", hint="Log in again.") from None

    def save(self, account: str, login: StoredLogin) -> None:
        """Store the login of an account in place of the one before.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: There is no keyring, it is locked, or it does not take as much.
        """
        entry = file_name(account)
        with self._writing(f"The login of {account!r} cannot be stored") as keyring:
            names = self._names(keyring)
            if account not in names:
                self._list_as(keyring, [*names, account])
            keyring.set_password(self._service, entry, login.to_json())

    def check(self, account: str) -> None:
        """Find out whether a login could be stored, by storing as much under another name and removing it again.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: It could not.
        """
        entry = file_name(account)
        with self._writing(f"The login of {account!r} could not be stored") as keyring:
            stored = keyring.get_password(self._service, entry)
            keyring.set_password(self._probe, entry, "x" * max(len(stored or ""), _USUAL))
            keyring.delete_password(self._probe, entry)

    def delete(self, account: str) -> None:
        """Remove the login of an account; nothing happens if there is none.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: There is no keyring, or it is locked.
        """
        entry = file_name(account)
        with self._writing(f"The login of {account!r} cannot be removed") as keyring:
            if keyring.get_password(self._service, entry) is not None:
                keyring.delete_password(self._service, entry)
            names = self._names(keyring)
            if account in names:
                self._list_as(keyring, [name for name in names if name != account])

    def accounts(self) -> list[str]:
        """Give the names of all accounts, in order.

        Raises:
            TokenStoreError: There is no keyring, or it is locked.
        """
        with self._explained("The accounts cannot be listed") as keyring:
            names = self._names(keyring)
            return sorted(name for name in names if keyring.get_password(self._service, file_name(name)) is not None)

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Give what is held while the login of an account is changed: other threads and processes wait for it.

        Raises:
            InvalidRequest: It is no name of an account.
            TokenStoreError: The folder of the locks cannot be written to, or somebody held the lock for a minute.
        """
        return self._files.lock(account)

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[KeyringBackend]:
        # One at a time, whatever the account: all share the list, and on Windows one entry is moved for another.
        folder = self._files.folder
        with writing(folder, folder, doing), self._explained(doing) as keyring:
            yield keyring

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[KeyringBackend]:
        try:
            keyring = self._keyring.get_keyring()
            if _forgets(keyring):
                raise LookupError("there is no keyring that keeps anything")
            yield keyring
        except Exception as error:  # backends raise whatever their systems do
            reason = str(error) or type(error).__name__
            raise TokenStoreError(
                f"{doing}: {reason}", hint="See that the keyring is unlocked, or use FileStore."
            ) from error

    def _names(self, keyring: KeyringBackend) -> list[str]:
        import json

        try:
            listed = json.loads(keyring.get_password(self._list, _LIST) or "[]")
        except ValueError:  # somebody else wrote it
            return []
        return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []

    def _list_as(self, keyring: KeyringBackend, names: list[str]) -> None:
        import json

        keyring.set_password(self._list, _LIST, json.dumps(names))


def _forgets(keyring: KeyringBackend) -> bool:
    """Tell whether it is one of those that stand for none, some of which pass over what is to be stored."""
    from keyring.backends import chainer, fail, null

    if isinstance(keyring, chainer.ChainerBackend):
        return not keyring.backends
    return isinstance(keyring, (fail.Keyring, null.Keyring))
