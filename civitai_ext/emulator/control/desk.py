"""What the control of an emulator reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from civitai_ext.emulator.catalogue import Version
from civitai_ext.emulator.faults import Faults
from civitai_ext.emulator.world import World


@dataclass(frozen=True)
class Desk:
    """One emulator, as it is seen and controlled.

    Attributes:
        world: Its state.
        faults: What goes wrong on purpose.
        oddities: Versions with odd files.
        environment: The variables that point a client at it.
        reset: Brings everything back to how it was at the start.

    """

    world: World
    faults: Faults
    oddities: Mapping[str, Version]
    environment: Mapping[str, str]
    reset: Callable[[], Awaitable[None]]

    @staticmethod
    def of(request: Request) -> Desk:
        """Find the desk that a request belongs to."""
        desk = request.app.state.desk
        assert isinstance(desk, Desk)  # noqa: S101 - tells the type checker
        return desk
