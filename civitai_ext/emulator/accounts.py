"""The accounts that the emulator knows, and how a request says which one it speaks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from starlette.requests import HTTPConnection

from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.ledger import DEFAULT_BALANCE, Ledger
from civitai_ext.emulator.scopes import ALL, FULL
from civitai_ext.emulator.spending import Purse

TIERS = ("founder", "bronze", "silver", "gold")
"""The memberships."""

_SENDABLE = re.compile(r"[!-~]+")


@dataclass
class Account:
    """A user with a personal API key and Buzz.

    Attributes:
        tier: The membership, if there is one.
        favorites: The ids of the models that the user likes best.
        hidden: The ids of the models that the user does not want to see.

    """

    id: int
    username: str
    email: str
    token: str = field(repr=False)
    tier: str | None
    ledger: Ledger
    favorites: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Subject:
    """Who uses a credential: the owner of an API key by its number, or an OAuth client by its id."""

    type: Literal["apiKey", "oauth"]
    id: int | str


@dataclass(frozen=True)
class Credential:
    """What a token stands for."""

    account: Account
    subject: Subject
    scope: int
    purse: Purse
    expires: datetime | None = None


class Accounts:
    """The accounts, and the credentials by which requests speak for them. Iterating gives the accounts."""

    KEPT = ("_accounts", "_credentials", "_purses", "_keys")

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        self._clock = clock
        self._identifiers = identifiers
        self._accounts: dict[int, Account] = {}
        self._credentials: dict[str, Credential] = {}
        self._purses: dict[tuple[int, Subject], Purse] = {}
        self._keys = 0

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._accounts.values()))

    def add(
        self,
        username: str,
        *,
        token: str | None = None,
        tier: str | None = None,
        balance: Mapping[str, int] = DEFAULT_BALANCE,
    ) -> Account:
        """Add an account with a Buzz ledger of its own.

        Args:
            username: Its name.
            token: Its personal API key; made up when it is not given.
            tier: The membership: `founder`, `bronze`, `silver`, `gold`, or `None`.
            balance: Buzz per colour.

        Raises:
            ValueError: The name or the key is taken or cannot be, or there is no such membership, colour or balance.

        """
        if tier is not None and tier not in TIERS:
            raise ValueError(f"there is no membership {tier!r}; there are {', '.join(TIERS)}")
        if not username:
            raise ValueError("an account has a name")
        if any(account.username == username for account in self):
            raise ValueError(f"there is an account {username!r} already")
        account = Account(
            id=len(self._accounts) + 1,
            username=username,
            email=f"{username}@example.com",
            token=self._identifiers.hexadecimal(32) if token is None else token,
            tier=tier,
            ledger=Ledger(balance, self._identifiers),
        )
        self.add_key(account, token=account.token)
        self._accounts[account.id] = account
        return account

    def add_key(
        self, account: Account, *, token: str | None = None, scope: int = FULL, expires: datetime | None = None
    ) -> str:
        """Add another personal API key to an account and return it.

        Args:
            account: Whose key it is.
            token: The key; made up when it is not given.
            scope: What it allows: a sum of bits, everything by default.
            expires: When it ends, by the emulator's clock.

        Raises:
            ValueError: The key is taken or cannot be sent, or the scope has bits that there are not.

        """
        if not 0 <= scope <= ALL:
            raise ValueError(f"a scope is a sum of bits, 0 to {ALL}, not {scope}")
        token = self._identifiers.hexadecimal(32) if token is None else token
        if not _SENDABLE.fullmatch(token):
            raise ValueError(f"a token is one word of ASCII characters, not {token!r}: no header carries another one")
        if token in self._credentials:
            raise ValueError("there is such a token already")
        self._keys += 1
        self.admit(token, account, Subject("apiKey", self._keys), scope, expires)
        return token

    def admit(self, token: str, account: Account, subject: Subject, scope: int, expires: datetime | None) -> None:
        """Let a token be a credential from now on."""
        self._credentials[token] = Credential(account, subject, scope, self.purse(account, subject), expires)

    def dismiss(self, token: str) -> None:
        """Let a token be none any more."""
        self._credentials.pop(token, None)

    def purse(self, account: Account, subject: Subject) -> Purse:
        """Find the purse that all tokens of one client, or one API key, spend an account's Buzz from."""
        return self._purses.setdefault((account.id, subject), Purse(account.ledger, self._clock))

    def credential(self, token: str) -> Credential | None:
        """Tell what a token stands for; `None` if it is unknown or its time is over."""
        found = self._credentials.get(token)
        if found is None or (found.expires is not None and self._clock.now() >= found.expires):
            return None
        return found

    def credential_of(self, connection: HTTPConnection, *, query: bool = False) -> Credential | None:
        """Return the credential that a request carries, or `None` when it carries none that is good.

        Args:
            connection: The request.
            query: Whether `?token=` counts as well. The Site API allows it, the Orchestration API does not.

        """
        token = bearer(connection)
        if token is None and query:
            token = connection.query_params.get("token")
        return self.credential(token) if token else None

    def of(self, connection: HTTPConnection, *, query: bool = False) -> Account | None:
        """Return the account a request speaks for; see `credential_of`."""
        found = self.credential_of(connection, query=query)
        return None if found is None else found.account


def bearer(connection: HTTPConnection) -> str | None:
    """Read the credential of the `Authorization` header.

    The services take the second word, whatever the first one says.
    """
    words = connection.headers.get("authorization", "").split()
    return words[1] if len(words) > 1 else None
