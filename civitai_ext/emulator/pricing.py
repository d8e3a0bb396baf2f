"""What steps cost. The amounts are invented; that they add up, and follow quantity, size and steps, is what counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MEGAPIXEL = 1024 * 1024
_STEPS = 25
_PER_NETWORK = 1
# Buzz for an image of one megapixel, by engine.
_ENGINES = {"openai": 25, "google": 25, "gemini": 12, "seedream": 12, "grok": 10, "flux1-kontext": 16, "fal": 14}
_DEFAULT_ENGINE = 8
# Steps of high priority cost twice as much.
_PRIORITIES = {"high": 2, "normal": 1, "low": 1}


@dataclass(frozen=True)
class Price:
    """The price of a step: a base that the priority multiplies, and fixed additions."""

    base: int
    priority: int = 1
    fixed: int = 0

    @property
    def total(self) -> int:
        """The whole price in Buzz."""
        return self.base * self.priority + self.fixed


@dataclass(frozen=True)
class Bill:
    """The price of a workflow: that of its steps, plus tips as shares of it."""

    steps: Sequence[Price]
    civitai_tip: float
    creators_tip: float

    @property
    def subtotal(self) -> int:
        """The price without tips."""
        return sum(price.total for price in self.steps)

    @property
    def total(self) -> int:
        """The whole price in Buzz."""
        return (
            self.subtotal + math.ceil(self.subtotal * self.civitai_tip) + math.ceil(self.subtotal * self.creators_tip)
        )

    def as_json(self) -> dict[str, Any]:
        """Show the price as the `cost` of a workflow."""
        base = sum(price.base for price in self.steps)
        fixed = sum(price.fixed for price in self.steps)
        multiplied = sum(price.base * price.priority for price in self.steps)
        shown: dict[str, Any] = {"base": base, "factors": {}, "fixed": {}}
        if multiplied != base:
            shown["factors"]["priority"] = multiplied / base
        if fixed:
            shown["fixed"]["additionalNetworks"] = fixed
        shown["tips"] = {
            "civitai": math.ceil(self.subtotal * self.civitai_tip),
            "creators": math.ceil(self.subtotal * self.creators_tip),
        }
        return shown | {"total": self.total}


def image_price(
    *, width: int, height: int, steps: int, quantity: int, engine: str | None, networks: int, priority: str
) -> Price:
    """Price the making of images.

    >>> image_price(
    ...     width=1024, height=1024, steps=25, quantity=2, engine=None, networks=1, priority="normal"
    ... ).total
    17
    """
    size = max(0.25, width * height / _MEGAPIXEL)
    each = math.ceil(_ENGINES.get(engine or "", _DEFAULT_ENGINE) * size * max(1, steps) / _STEPS)
    return Price(each * quantity, _PRIORITIES.get(priority, 1), networks * _PER_NETWORK)


def flat_price(amount: int, *, priority: str) -> Price:
    """Price a step that costs the same whatever it is given."""
    return Price(amount, _PRIORITIES.get(priority, 1))
