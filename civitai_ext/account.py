"""Whose token it is, what the token may do, and what may be spent with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from civitai_api.runtime import extension
from civitai_api.site import models as site
from civitai_ext._reading import models_in, number, text

if TYPE_CHECKING:
    from civitai_ext.oauth.scopes import Scope

__all__ = ["AbsoluteBudget", "Budget", "CurrentUser", "RolloverBudget", "SlidingBudget"]

_SECONDS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
}


@attrs.frozen(kw_only=True)
class Budget:
    """A limit of what may be spent with a token: one of a kind that is not known, if it is no subclass.

    How much of it is left is not told. A budget that is used up looks like an empty account, and asking again does not
    help.

    Attributes:
        kind: How it is counted, in the service's word.
        limit: The most Buzz that may be spent; None if that could not be read.
        currencies: The colours of Buzz it holds for; None for all.
    """

    kind: str
    limit: float | None
    currencies: frozenset[str] | None = None

    def covers(self, currency: str) -> bool:
        """Tell whether spending a colour of Buzz counts.

        >>> Budget(kind="absolute", limit=5, currencies=frozenset({"yellow"})).covers("blue")
        False
        """
        return self.currencies is None or currency in self.currencies


@attrs.frozen(kw_only=True)
class AbsoluteBudget(Budget):
    """An amount in all, which is not renewed."""


@attrs.frozen(kw_only=True)
class SlidingBudget(Budget):
    """An amount within the last so many hours or days.

    Attributes:
        unit: How many of them; None if that could not be read.
        window: What is counted: `second`, `minute`, `hour`, `day`, `week`, `month`.
    """

    unit: float | None
    window: str

    @property
    def period(self) -> timedelta | None:
        """How long that is, a month taken as 30 days; None if it is not known.

        >>> SlidingBudget(kind="sliding", limit=1000, unit=7, window="day").period
        datetime.timedelta(days=7)
        """
        seconds = _SECONDS.get(self.window)
        if seconds is None or self.unit is None:
            return None
        try:
            return timedelta(seconds=seconds * self.unit)
        except OverflowError:
            return None


@attrs.frozen(kw_only=True)
class RolloverBudget(Budget):
    """An amount that is renewed at certain times.

    Attributes:
        cron: When, as a cron expression.
    """

    cron: str


@extension
class CurrentUser(site.CurrentUser):
    """The user that a token belongs to, and what the token is.

    >>> user = CurrentUser.from_dict(
    ...     {"id": 1, "tokenScope": 114689, "buzzLimit": [{"type": "rollover", "limit": 500, "cron": "0 0 * * 1"}]}
    ... )
    >>> user.scopes.names
    ['UserRead', 'AIServicesRead', 'AIServicesWrite', 'BuzzRead']
    >>> user.budgets
    [RolloverBudget(kind='rollover', limit=500, currencies=None, cron='0 0 * * 1')]
    """

    __slots__ = ()

    @property
    def scopes(self) -> Scope | None:
        """What the token may do; None if the service did not say."""
        from civitai_ext.oauth.scopes import Scope

        try:
            return Scope.parse(self.token_scope)
        except (ValueError, RecursionError):
            return None

    @property
    def budgets(self) -> list[Budget]:
        """What may be spent with the token; none if there is no limit."""
        return [_budget(limit) for limit in models_in(self.buzz_limit)]


def _budget(limit: site.BuzzLimit) -> Budget:
    kind, amount = text(limit.type), number(limit.limit)
    listed = limit.currencies
    currencies = frozenset(filter(None, map(text, listed))) if isinstance(listed, list) else None
    if kind == "absolute":
        return AbsoluteBudget(kind=kind, limit=amount, currencies=currencies)
    if kind == "sliding":
        unit = number(limit.unit)
        return SlidingBudget(kind=kind, limit=amount, currencies=currencies, unit=unit, window=text(limit.window))
    if kind == "rollover":
        return RolloverBudget(kind=kind, limit=amount, currencies=currencies, cron=text(limit.cron))
    return Budget(kind=kind, limit=amount, currencies=currencies)
