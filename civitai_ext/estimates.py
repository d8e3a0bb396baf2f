"""What a workflow would cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from civitai_api.orchestration.models import Workflow

__all__ = ["Estimate"]


@attrs.frozen
class Estimate:
    """The price of a workflow, in Buzz, without anything having run.

    Attributes:
        total: What would be charged in all; None if the service did not say.
        base: The price before factors, tips and fees.
        factors: What the base is multiplied with, by name.
        fixed: What is added, by name.
        tips: The tips to Civitai and to the creators of the models.
        fees: What is paid for resources, by their name.
        currencies: What would be taken from each kind of Buzz (`blue`, `green`, `yellow`).
        affordable: Whether the account can pay; None if the service did not say.
    """

    total: int | None
    base: int | None
    factors: Mapping[str, float]
    fixed: Mapping[str, float]
    tips: Mapping[str, float]
    fees: Mapping[str, float]
    currencies: Mapping[str, int]
    affordable: bool | None

    @classmethod
    def of(cls, workflow: Workflow) -> Estimate:
        """Read it from the service's answer to a what-if submit."""
        answer = workflow.to_dict()
        cost = _object(answer.get("cost"))
        transactions = _object(answer.get("transactions"))
        currencies: dict[str, int] = {}
        for item in transactions.get("list") or ():
            sign = -1 if item.get("type") == "credit" else 1
            kind = str(item.get("accountType"))
            currencies[kind] = currencies.get(kind, 0) + sign * int(item.get("amount") or 0)
        short = transactions.get("insufficientBuzz")
        return cls(
            total=cost.get("total"),
            base=cost.get("base"),
            factors=_object(cost.get("factors")),
            fixed=_object(cost.get("fixed")),
            tips=_object(cost.get("tips")),
            fees=_object(cost.get("fees")),
            currencies=currencies,
            affordable=None if short is None and not transactions else not short,
        )

    def __str__(self) -> str:
        price = "an unknown price" if self.total is None else f"{self.total} Buzz"
        split = ", ".join(f"{amount} {kind}" for kind, amount in self.currencies.items())
        short = "" if self.affordable is not False else ", more than the account holds"
        return f"{price}{f' ({split})' if split else ''}{short}"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
