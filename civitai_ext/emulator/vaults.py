"""Vaults: copies of versions that members keep, so that they outlast the version."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.catalogue import Version
from civitai_ext.emulator.clock import Clock

QUOTAS_KB = {"founder": 8192.0, "bronze": 8192.0, "silver": 16_384.0, "gold": 32_768.0}
"""The room that a membership gives; small, as the files of the catalogue are small."""

_STORING = timedelta(seconds=20)
_GRACE = timedelta(days=30)


class VaultError(Exception):
    """A version cannot be put into the vault; the text says why."""


@dataclass
class VaultItem:
    """A version in a vault."""

    id: int
    vault_id: int
    version: Version
    added_at: datetime

    @property
    def category(self) -> str:
        """What the vault files the version under."""
        return self.version.model.tags[0].name

    @property
    def model_kb(self) -> float:
        """The size of the version's files."""
        return sum(file.size_kb for file in self.version.files)

    @property
    def details_kb(self) -> float:
        """The size of the document about the version."""
        return len(self.version.details) / 1024

    @property
    def images_kb(self) -> float:
        """The size of the archive of images, as estimated from their dimensions."""
        return sum(image.width * image.height for image in self.version.images) / 10 / 1024

    @property
    def size_kb(self) -> float:
        """What the item takes of the quota."""
        return self.model_kb + self.details_kb + self.images_kb


@dataclass
class Vault:
    """The vault of one account."""

    id: int
    owner: int
    updated_at: datetime
    items: dict[int, VaultItem] = field(default_factory=dict)
    """The items by the id of their version."""

    @property
    def used_kb(self) -> float:
        """How much of the quota is taken."""
        return sum(item.size_kb for item in self.items.values())


class Vaults:
    """All vaults."""

    KEPT = ("_vaults", "_last_id")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._vaults: dict[int, Vault] = {}
        self._last_id = 609_999
        self._lock = threading.Lock()

    def of(self, account: Account) -> Vault | None:
        """Find the vault of an account; a member's comes into being when first asked for."""
        with self._lock:
            vault = self._vaults.get(account.id)
            if vault is None and account.tier is not None:
                vault = self._vaults[account.id] = Vault(500 + account.id, account.id, self._clock.now())
            return vault

    def quota_kb(self, account: Account) -> float:
        """Tell how much room an account has: none without membership."""
        return QUOTAS_KB[account.tier] if account.tier else 0.0

    def status(self, item: VaultItem) -> str:
        """Tell where an item stands: it takes a moment until its files are copied."""
        return "Stored" if self._clock.now() >= item.added_at + _STORING else "Pending"

    def allows_downloads(self, account: Account, vault: Vault) -> bool:
        """Tell whether files may be fetched: while there is room, and for some time after the last change."""
        roomy = self.quota_kb(account) > vault.used_kb or self._clock.now() <= vault.updated_at + _GRACE
        return vault.used_kb > 0 and roomy

    def toggle(self, account: Account, version: Version) -> VaultItem | None:
        """Put a version into the vault and return its item, or take it out if it is there.

        Raises:
            VaultError: The account has no membership or no room left, or may not download the version.

        """
        vault = self.of(account)
        if vault is not None and vault.items.pop(version.id, None) is not None:
            vault.updated_at = self._clock.now()
            return None
        if vault is None or account.tier is None:
            raise VaultError("You do not have a membership that includes a vault.")
        now = self._clock.now()
        gated = version.is_gated_for(account.id, now)
        if version.usage_control != "Download" or version.model.mode == "Archived" or gated:
            raise VaultError("You do not have permission to store this version.")
        item = VaultItem(self._last_id + 1, vault.id, version, now)
        if vault.used_kb + item.size_kb > self.quota_kb(account):
            raise VaultError("Your vault does not have enough room for this version.")
        self._last_id = item.id
        vault.items[version.id] = item
        vault.updated_at = item.added_at
        return item
