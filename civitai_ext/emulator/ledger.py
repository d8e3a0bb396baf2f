"""Buzz: three balances, what was taken from them and what was given back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from civitai_ext.emulator.identifiers import Identifiers

COLOURS = ("blue", "green", "yellow")
"""The colours in the order in which they are spent when a request does not narrow them."""

_MOST = 11_000
_DROPPED = 1_000
"""How many are dropped of more than the most, so that the last 10,000 are kept at least."""

DEFAULT_BALANCE: Mapping[str, int] = {"blue": 500, "green": 0, "yellow": 10_000}
"""What an account starts with when nobody says otherwise."""


class InsufficientBuzzError(Exception):
    """The allowed colours together do not hold the amount."""


@dataclass
class Room:
    """How much may still be spent of some colours together."""

    left: int
    colours: Collection[str]


@dataclass(frozen=True)
class Transaction:
    """One movement of Buzz: a `debit` takes from the account, a `credit` gives back to it."""

    id: str
    type: Literal["debit", "credit"]
    amount: int
    account: str
    at: datetime
    workflow_id: str

    def as_json(self) -> dict[str, object]:
        """Show the transaction as the Orchestration API shows it."""
        return {"type": self.type, "amount": self.amount, "id": self.id, "accountType": self.account}


class Ledger:
    """The Buzz of one account.

    Attributes:
        balance: Buzz per colour.
        transactions: Every movement, oldest first; of more than 11,000 the first ones are dropped.

    >>> ledger = Ledger({"blue": 10, "yellow": 100}, Identifiers(1))
    >>> ledger.split(25, ("blue", "green", "yellow"))
    [('blue', 10), ('yellow', 15)]

    """

    def __init__(self, balance: Mapping[str, int], identifiers: Identifiers) -> None:
        if not isinstance(balance, Mapping):
            raise ValueError(f"a balance is Buzz per colour, such as {{'blue': 500}}, not {balance!r}")
        unknown = set(balance) - set(COLOURS)
        if unknown:
            raise ValueError(f"unknown Buzz colours {sorted(unknown)}; there are {', '.join(COLOURS)}")
        for colour, amount in balance.items():
            if not (isinstance(amount, int) and amount >= 0):
                raise ValueError(f"{colour} Buzz is a whole number, 0 or more, not {amount!r}")
        self.balance: dict[str, int] = {colour: balance.get(colour, 0) for colour in COLOURS}
        self.transactions: list[Transaction] = []
        self._identifiers = identifiers

    @property
    def total(self) -> int:
        """The Buzz of all colours together."""
        return sum(self.balance.values())

    def split(self, amount: int, colours: Sequence[str], rooms: Sequence[Room] = ()) -> list[tuple[str, int]]:
        """Share an amount out over the colours, in their order, and use the rooms up that it fits in.

        Raises:
            InsufficientBuzzError: The colours do not hold enough, or the rooms do not.

        """
        parts = []
        for colour in colours:
            own = [room for room in rooms if colour in room.colours]
            part = min(amount, self.balance[colour], *(room.left for room in own))
            if part:
                parts.append((colour, part))
                amount -= part
                for room in own:
                    room.left -= part
        if amount:
            raise InsufficientBuzzError
        return parts

    def charge(
        self, amount: int, colours: Sequence[str], *, workflow_id: str, at: datetime, rooms: Sequence[Room] = ()
    ) -> list[Transaction]:
        """Take an amount, split over the colours as needed.

        Raises:
            InsufficientBuzzError: The colours do not hold enough, or the rooms do not; nothing is taken.

        """
        parts = self.split(amount, colours, rooms)
        return [self._move("debit", part, colour, workflow_id, at) for colour, part in parts]

    def refund(
        self, amount: int, charged: Iterable[Transaction], *, workflow_id: str, at: datetime
    ) -> list[Transaction]:
        """Give back up to `amount` of what `charged` took, last colour first."""
        held: dict[str, int] = {}
        for transaction in charged:
            sign = 1 if transaction.type == "debit" else -1
            held[transaction.account] = held.get(transaction.account, 0) + sign * transaction.amount
        given_back = []
        for colour in reversed(held):
            part = min(amount, held[colour])
            if part > 0:
                given_back.append(self._move("credit", part, colour, workflow_id, at))
                amount -= part
        return given_back

    def _move(
        self, type: Literal["debit", "credit"], amount: int, account: str, workflow_id: str, at: datetime
    ) -> Transaction:
        self.balance[account] += amount if type == "credit" else -amount
        transaction = Transaction(self._identifiers.make("tx"), type, amount, account, at, workflow_id)
        self.transactions.append(transaction)
        dropped_from(self.transactions)
        return transaction


def dropped_from(transactions: list[Transaction]) -> list[Transaction]:
    """Take the oldest ones out of very many."""
    if len(transactions) <= _MOST:
        return []
    dropped = transactions[:_DROPPED]
    del transactions[:_DROPPED]
    return dropped
