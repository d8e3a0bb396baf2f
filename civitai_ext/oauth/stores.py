"""Where logins are stored between runs of a program: what all stores have in common."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from civitai_ext.oauth.tokens import StoredLogin

__all__ = ["DEFAULT_ACCOUNT", "MemoryStore", "TokenStore"]

DEFAULT_ACCOUNT: Final = "default"
"""The name of the account that a login is stored under where none is given."""


class TokenStore(ABC):
    """Keeps logins by the name of an account: the base of all stores, and of your own.

    A store of your own needs `load`, `save` and `delete`. If several processes use it, it needs a `lock` too: a login
    is renewed with a token that works once, so only one of them may do it.

    The methods are called from any thread.
    """

    @abstractmethod
    def load(self, account: str) -> StoredLogin | None:
        """Give the login of an account; None if there is none.

        Raises:
            TokenStoreError: What is stored cannot be read.
        """

    @abstractmethod
    def save(self, account: str, login: StoredLogin) -> None:
        """Store the login of an account in place of the one before, so that one of the two is there at any moment.

        Raises:
            TokenStoreError: It cannot be stored; the one before stays.
        """

    @abstractmethod
    def delete(self, account: str) -> None:
        """Remove the login of an account; nothing happens if there is none.

        Raises:
            TokenStoreError: It cannot be removed.
        """

    def accounts(self) -> list[str]:
        """Give the names of all accounts, in order.

        Raises:
            NotImplementedError: The store cannot tell.
        """
        raise NotImplementedError(f"{type(self).__name__} does not know which accounts it has")

    def check(self, account: str) -> None:  # noqa: B027 - what can always be written need not do anything
        """Find out whether a login could be stored, without storing one. It is asked before a token is used up.

        Raises:
            TokenStoreError: It could not.
        """

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Give what is held while the login of an account is changed: others wait until it is free.

        By default the threads of this process wait for each other, and other processes do not.
        """
        locks: dict[tuple[int, str], threading.Lock] = vars(self).setdefault("_locks", {})  # whatever `__init__` did
        # A child of `os.fork` has copies of those that are held, and nobody who would release them.
        return locks.setdefault((os.getpid(), account), threading.Lock())


class MemoryStore(TokenStore):
    """Keeps logins as long as the program runs, for this process alone.

    A child that is forked has a copy, and whichever of the two renews a login ends that of the other.

    >>> MemoryStore().load("alice") is None
    True
    """

    def __init__(self) -> None:
        self._logins: dict[str, StoredLogin] = {}

    def load(self, account: str) -> StoredLogin | None:
        """Give the login of an account; None if there is none."""
        return self._logins.get(account)

    def save(self, account: str, login: StoredLogin) -> None:
        """Keep the login of an account in place of the one before."""
        self._logins[account] = login

    def delete(self, account: str) -> None:
        """Forget the login of an account."""
        self._logins.pop(account, None)

    def accounts(self) -> list[str]:
        """Give the names of all accounts, in order."""
        return sorted(self._logins)
