"""Everything that the emulator is, apart from HTTP: the routes work on one `World`."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from starlette.requests import Request

from civitai_ext.emulator.accounts import Accounts
from civitai_ext.emulator.blobs import Blobs
from civitai_ext.emulator.callbacks import Callbacks
from civitai_ext.emulator.catalogue import Catalogue
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.community import Community
from civitai_ext.emulator.directory import Directory
from civitai_ext.emulator.jobs import Jobs
from civitai_ext.emulator.journal import Journal
from civitai_ext.emulator.limits import Allowance
from civitai_ext.emulator.oauth.service import OAuth
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.signing import Signer
from civitai_ext.emulator.uploads import Uploads
from civitai_ext.emulator.vaults import Vaults
from civitai_ext.emulator.workflows import Workflows


@dataclass(frozen=True)
class World:
    """The state of one emulator.

    Attributes:
        origin: Where the emulator is reached, for the URLs that it hands out.
        quirks: Where the services differ from their documentation.
        deduplicates: Whether a submit that equals an earlier one leads to that.
        minute: What callers use up of the allowances that are renewed every minute.
        hour: The same for every hour.
        day: The same for every day.
        download_quota: How many downloads a day there are, if that is limited.
        rendered: The JSON of items that lists show, by what it depends on; emptied when that changes.

    """

    origin: str
    clock: Clock
    accounts: Accounts
    catalogue: Catalogue
    signer: Signer
    blobs: Blobs
    workflows: Workflows
    jobs: Jobs
    callbacks: Callbacks
    journal: Journal
    community: Community
    directory: Directory
    vaults: Vaults
    uploads: Uploads
    oauth: OAuth
    quirks: frozenset[Quirk]
    deduplicates: bool
    minute: Allowance
    hour: Allowance
    day: Allowance
    download_quota: int | None
    rendered: dict[Hashable, bytes] = field(default_factory=dict)

    @staticmethod
    def of(request: Request) -> World:
        """Find the world that a request belongs to."""
        world = request.app.state.world
        assert isinstance(world, World)  # noqa: S101 - tells the type checker
        return world
