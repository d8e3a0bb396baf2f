"""How much of an account's Buzz one credential may spend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.ledger import COLOURS, Ledger, Room, Transaction, dropped_from

_WINDOWS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
_FIELDS = {"absolute": set[str](), "sliding": {"unit", "window"}, "rollover": {"cron"}}


@dataclass(frozen=True)
class BuzzLimit:
    """A limit: so much in all (`absolute`), within a window (`sliding`), or since a moment of a plan (`rollover`)."""

    shown: Mapping[str, Any]

    def __post_init__(self) -> None:
        kind = self.shown.get("type")
        if kind not in _FIELDS:
            raise ValueError(f"a limit of Buzz has a type: {', '.join(_FIELDS)}, not {kind!r}")
        fields = {"type", "limit"} | _FIELDS[kind]
        if missing := sorted(fields - set(self.shown)):
            raise ValueError(f"a limit of the type {kind} needs {' and '.join(missing)}")
        if unknown := sorted(set(self.shown) - fields - {"currencies"}):
            raise ValueError(f"a limit of the type {kind} has no {' and no '.join(unknown)}")
        if not isinstance(self.shown["limit"], int) or self.shown["limit"] < 0:
            raise ValueError(f"limit is a number of Buzz, 0 or more, not {self.shown['limit']!r}")
        if not set(self._colours) <= set(COLOURS):
            raise ValueError(f"currencies are some of {', '.join(COLOURS)}, not {self.shown['currencies']!r}")
        if kind == "sliding":
            unit, window = self.shown["unit"], self.shown["window"]
            if not isinstance(unit, int) or unit < 1 or window not in _WINDOWS:
                raise ValueError(f"a window is a number of {', '.join(_WINDOWS)}, not {unit!r} {window!r}")
        if kind == "rollover":
            from cronsim import CronSimError

            try:
                _last_moment(self.shown["cron"], datetime(2026, 1, 1, tzinfo=UTC))
            except (CronSimError, StopIteration) as error:
                raise ValueError(f"{self.shown['cron']!r} is no cron expression: {error}") from error

    @property
    def _colours(self) -> Sequence[str]:
        return self.shown.get("currencies") or COLOURS

    def room(self, spent: Iterable[Transaction], now: datetime, before: Mapping[str, int]) -> Room:
        """Tell how much may be spent now; what was given back was never spent.

        Args:
            spent: What was spent of late, and given back.
            now: The present moment.
            before: What was spent before that, by colour.

        """
        since = self._since(now)
        begun: dict[str, datetime] = {}
        used = sum(before.get(colour, 0) for colour in self._colours) if since is None else 0
        for transaction in spent:
            first = begun.setdefault(transaction.workflow_id, transaction.at)
            if transaction.account in self._colours and (since is None or first > since):
                used += _signed(transaction)
        return Room(max(0, self.shown["limit"] - used), self._colours)

    def _since(self, now: datetime) -> datetime | None:
        """Tell after which moment spending counts; None when all of it does."""
        shown = self.shown
        if shown["type"] == "absolute":
            return None
        if shown["type"] == "rollover":
            return _last_moment(shown["cron"], now) - timedelta.resolution
        length: timedelta = shown["unit"] * _WINDOWS[shown["window"]]
        return now - length


def _last_moment(cron: str, now: datetime) -> datetime:
    """Tell when a plan's last moment was.

    >>> _last_moment("0 0 * * *", datetime(2026, 8, 1)), _last_moment("0 0 1 * *", datetime(2026, 8, 13, 5))
    (datetime.datetime(2026, 8, 1, 0, 0), datetime.datetime(2026, 8, 1, 0, 0))
    """
    from cronsim import CronSim

    # It looks before the second that it is given, and this very second may be one of the plan's.
    return next(CronSim(cron, now.replace(microsecond=0) + timedelta(seconds=1), reverse=True))


def _signed(transaction: Transaction) -> int:
    return transaction.amount if transaction.type == "debit" else -transaction.amount


class Purse:
    """The Buzz of an account in the hands of one credential, with the limits of that credential."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._moved: list[Transaction] = []
        self._moved_before: dict[str, int] = {}
        self.limits: tuple[BuzzLimit, ...] = ()

    def split(self, amount: int, colours: Sequence[str]) -> list[tuple[str, int]]:
        """Share an amount out over the colours, in their order.

        Raises:
            InsufficientBuzzError: The colours do not hold enough, or a limit does not leave it; both look the same.

        """
        return self._ledger.split(amount, colours, self._rooms())

    def charge(self, amount: int, colours: Sequence[str], *, workflow_id: str, at: datetime) -> list[Transaction]:
        """Take an amount, split over the colours as needed.

        Raises:
            InsufficientBuzzError: As for `split`; nothing is taken.

        """
        charged = self._ledger.charge(amount, colours, workflow_id=workflow_id, at=at, rooms=self._rooms())
        self._note(charged)
        return charged

    def refund(
        self, amount: int, charged: Iterable[Transaction], *, workflow_id: str, at: datetime
    ) -> list[Transaction]:
        """Give back up to `amount` of what `charged` took, last colour first."""
        given_back = self._ledger.refund(amount, charged, workflow_id=workflow_id, at=at)
        self._note(given_back)
        return given_back

    def _note(self, moved: Iterable[Transaction]) -> None:
        """Note transactions for the limits; of more than are kept, only the sum."""
        self._moved += moved
        for oldest in dropped_from(self._moved):
            before = self._moved_before.get(oldest.account, 0)
            self._moved_before[oldest.account] = before + _signed(oldest)

    def _rooms(self) -> list[Room]:
        now = self._clock.now()
        return [limit.room(self._moved, now, self._moved_before) for limit in self.limits]
