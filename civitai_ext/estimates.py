"""What a workflow would cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from civitai_ext._reading import number, record, text

if TYPE_CHECKING:
    from civitai_api.orchestration.models import Workflow, WorkflowTemplate

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
        warnings: What may not come out as it was meant: values beyond the documented limits, and values that the
            service took for others.
    """

    total: float | None
    base: float | None
    factors: Mapping[str, float]
    fixed: Mapping[str, float]
    tips: Mapping[str, float]
    fees: Mapping[str, float]
    currencies: Mapping[str, float]
    affordable: bool | None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, workflow: Workflow, *, sent: WorkflowTemplate | None = None, warnings: Iterable[str] = ()) -> Estimate:
        """Read it from the service's answer to a what-if submit.

        Args:
            workflow: The answer.
            sent: What was asked for.
            warnings: What was found before it was asked for.
        """
        answer = workflow.to_dict()
        cost = record(answer.get("cost"))
        transactions = record(answer.get("transactions"))
        items = transactions.get("list")
        currencies: dict[str, float] = {}
        for item in map(record, items if isinstance(items, list) else ()):
            kind, amount = text(item.get("accountType")), number(item.get("amount")) or 0
            if kind:
                currencies[kind] = currencies.get(kind, 0) + (-amount if item.get("type") == "credit" else amount)
        short = transactions.get("insufficientBuzz")
        return cls(
            total=number(cost.get("total")),
            base=number(cost.get("base")),
            factors=_numbers(cost.get("factors")),
            fixed=_numbers(cost.get("fixed")),
            tips=_numbers(cost.get("tips")),
            fees=_numbers(cost.get("fees")),
            currencies=currencies,
            affordable=not short if isinstance(short, bool) or transactions else None,
            warnings=(*warnings, *(_substitutions(sent.to_dict(), answer) if sent is not None else ())),
        )

    def __str__(self) -> str:
        price = "an unknown price" if self.total is None else f"{self.total} Buzz"
        split = ", ".join(f"{amount} {kind}" for kind, amount in self.currencies.items())
        short = "" if self.affordable is not False else ", more than the account holds"
        return f"{price}{f' ({split})' if split else ''}{short}"


def _substitutions(sent: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    """What the service took for something else: numbers, switches and AIRs of the steps' inputs."""
    asked, understood = sent.get("steps"), answer.get("steps")
    if not isinstance(asked, list) or not isinstance(understood, list):
        return
    for place, (wanted, found) in enumerate(zip(asked, understood, strict=False), start=1):
        given = record(record(found).get("input"))
        for name, value in record(record(wanted).get("input")).items():
            plain = isinstance(value, (bool, int, float)) or text(value).casefold().startswith("urn:air:")
            if plain and name in given and _folded(given[name]) != _folded(value):
                yield f"steps[{place}].input: {name} is {value!r}, and the service takes it for {given[name]!r}"


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _numbers(value: Any) -> dict[str, float]:
    return {name: found for name, held in record(value).items() if (found := number(held)) is not None}
