"""The accounts that the emulator knows, and how a request says which one it speaks for."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from civitai_ext.emulator.ledger import Ledger


@dataclass
class Account:
    """A user with a personal API key and Buzz; `tier` is the membership, if there is one."""

    id: int
    username: str
    email: str
    token: str
    tier: str | None
    ledger: Ledger


class Accounts:
    """Finds the account of a credential."""

    def __init__(self, *accounts: Account) -> None:
        self._by_token = {account.token: account for account in accounts}

    def of(self, connection: HTTPConnection, *, query: bool = False) -> Account | None:
        """Return the account a request speaks for, or `None` when it carries no credential that is known.

        Args:
            connection: The request.
            query: Whether `?token=` counts as well. The Site API allows it, the Orchestration API does not.

        """
        token = bearer(connection)
        if token is None and query:
            token = connection.query_params.get("token")
        return self._by_token.get(token) if token else None


def bearer(connection: HTTPConnection) -> str | None:
    """Read the credential of the `Authorization` header.

    The services take the second word, whatever the first one says.
    """
    words = connection.headers.get("authorization", "").split()
    return words[1] if len(words) > 1 else None
