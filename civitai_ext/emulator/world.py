"""Everything that the emulator is, apart from HTTP: the routes work on one `World`."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from civitai_ext.emulator.accounts import Accounts
from civitai_ext.emulator.blobs import Blobs
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.journal import Journal
from civitai_ext.emulator.signing import Signer
from civitai_ext.emulator.workflows import Workflows


@dataclass(frozen=True)
class World:
    """The state of one emulator.

    Attributes:
        origin: Where the emulator is reached, for the URLs that it hands out.

    """

    origin: str
    clock: Clock
    accounts: Accounts
    catalogue: Catalogue
    signer: Signer
    blobs: Blobs
    workflows: Workflows
    journal: Journal

    @staticmethod
    def of(request: Request) -> World:
        """Find the world that a request belongs to."""
        world = request.app.state.world
        assert isinstance(world, World)  # noqa: S101 - tells the type checker
        return world
