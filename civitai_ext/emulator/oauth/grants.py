"""What has been granted: codes, tokens, device codes and consents, with the moments at which they end."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from civitai_ext.emulator.accounts import Account, Accounts, Subject
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.oauth.clients import Client

CODE_LIFETIME = timedelta(minutes=5)
REFRESH_LIFETIME = timedelta(days=30)
DEVICE_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class Code:
    """What an authorization code stands for."""

    client: Client
    account: Account
    scope: int
    redirect_uri: str
    challenge: str | None
    nonce: str | None
    auth_time: datetime
    expires: datetime


@dataclass
class DeviceCode:
    """A device that waits for its user; `user_code` is what the user types."""

    client: Client
    scope: int
    user_code: str
    expires: datetime
    state: Literal["pending", "denied"] | Account = "pending"


@dataclass
class Grant:
    """What a user has granted to a client, from the first pair of tokens through all that followed from it."""

    client: Client
    account: Account
    scope: int
    access_tokens: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TokenPair:
    """An access token and the refresh token that came with it."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scope: int


@dataclass(frozen=True)
class Token:
    """What an access token or a refresh token stands for."""

    grant: Grant
    expires: datetime


_T = TypeVar("_T", Code, DeviceCode, Token)


class Grants:
    """Everything that is granted, and how it ends. Safe from any thread."""

    KEPT = ("_codes", "_devices", "_refresh", "_access", "_consents")

    def __init__(self, clock: Clock, accounts: Accounts, identifiers: Identifiers) -> None:
        self._clock = clock
        self._accounts = accounts
        self._identifiers = identifiers
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, DeviceCode] = {}
        self._refresh: dict[str, Token] = {}
        self._access: dict[str, Token] = {}
        self._consents: dict[tuple[int, str], int] = {}
        self._lock = threading.Lock()

    # Consent

    def consents_to(self, account: Account, client: Client, scope: int) -> bool:
        """Tell whether a user need not be asked again."""
        return not scope & ~self._consents.get((account.id, client.id), 0)

    def remember(self, account: Account, client: Client, scope: int) -> None:
        """Keep that a user has consented."""
        with self._lock:
            key = (account.id, client.id)
            self._consents[key] = self._consents.get(key, 0) | scope

    # Codes

    def make_code(
        self,
        client: Client,
        account: Account,
        scope: int,
        redirect_uri: str,
        challenge: str | None,
        nonce: str | None,
        auth_time: datetime,
        lifetime: timedelta = CODE_LIFETIME,
    ) -> str:
        """Make an authorization code."""
        value = self._identifiers.hexadecimal(40)
        expires = self._clock.now() + lifetime
        self._codes[value] = Code(client, account, scope, redirect_uri, challenge, nonce, auth_time, expires)
        self._pop_old(self._codes)
        return value

    def code(self, value: str, client: Client) -> Code | None:
        """Find a code of a client that is still good."""
        code = self._codes.get(value)
        return code if code is not None and code.client is client and self._clock.now() < code.expires else None

    def use_code(self, value: str) -> None:
        """Use a code up."""
        self._codes.pop(value, None)

    # Tokens

    def issue(self, grant: Grant, access_seconds: int) -> TokenPair:
        """Make a pair of tokens."""
        now = self._clock.now()
        access, refresh = (f"civitai_{self._identifiers.hexadecimal(36)}" for _ in range(2))
        with self._lock:
            self._refresh[refresh] = Token(grant, now + REFRESH_LIFETIME)
            expires = now + timedelta(seconds=access_seconds)
            self._access[access] = Token(grant, expires)
            grant.access_tokens.append(access)
            self._accounts.admit(access, grant.account, Subject("oauth", grant.client.id), grant.scope, expires)
            self._pop_old(self._refresh)
            for old, token in self._pop_old(self._access):
                token.grant.access_tokens.remove(old)
                self._accounts.dismiss(old)
        return TokenPair(access, refresh, access_seconds, grant.scope)

    def use_refresh(self, token: str, client: Client) -> Grant | None:
        """Use a refresh token of a client up and find what it stands for, if it is still good."""
        with self._lock:
            found = self._refresh.get(token)
            if found is None or found.grant.client is not client or self._clock.now() >= found.expires:
                return None
            del self._refresh[token]
            return found.grant

    def revoke(self, token: str, client: Client) -> None:
        """End a token of a client; with a refresh token, its access tokens end too."""
        with self._lock:
            refresh = self._refresh.get(token)
            if refresh is not None and refresh.grant.client is client:
                del self._refresh[token]
                self._end_access(refresh.grant)
            elif (access := self._access.get(token)) is not None and access.grant.client is client:
                self._accounts.dismiss(token)

    def revoke_all(self, account: Account) -> None:
        """End all that an account has granted, consents too."""
        with self._lock:
            for access in self._access.values():
                if access.grant.account is account:
                    self._end_access(access.grant)
            self._refresh = {key: each for key, each in self._refresh.items() if each.grant.account is not account}
            self._codes = {key: code for key, code in self._codes.items() if code.account is not account}
            self._consents = {key: scope for key, scope in self._consents.items() if key[0] != account.id}

    def _end_access(self, grant: Grant) -> None:
        for token in grant.access_tokens:
            self._accounts.dismiss(token)

    # Devices

    def make_device(self, client: Client, scope: int) -> tuple[str, DeviceCode]:
        """Make the secret code of a device, and what goes with it."""
        value = self._identifiers.hexadecimal(64)
        device = DeviceCode(client, scope, self._identifiers.user_code(), self._clock.now() + DEVICE_LIFETIME)
        self._devices[value] = device
        self._pop_old(self._devices, after=DEVICE_LIFETIME)  # until then they are told that it is too late
        return value, device

    def device(self, value: str, client: Client) -> DeviceCode | None:
        """Find a device of a client."""
        device = self._devices.get(value)
        return device if device is not None and device.client is client else None

    def waiting_device(self, user_code: str) -> DeviceCode | None:
        """Find the device that waits for a user, by what the user types: small letters and no hyphen will do."""
        wanted = _plain(user_code)
        found = (device for device in list(self._devices.values()) if _plain(device.user_code) == wanted)
        return next((device for device in found if device.state == "pending" and not self.is_over(device)), None)

    def is_over(self, device: DeviceCode) -> bool:
        """Tell whether the codes of a device are too old."""
        return self._clock.now() >= device.expires

    def use_device(self, value: str) -> None:
        """Use the code of a device up."""
        self._devices.pop(value, None)

    def _pop_old(self, kept: dict[str, _T], *, after: timedelta = timedelta()) -> list[tuple[str, _T]]:
        """Take out what has ended, oldest first, up to the first one that has not."""
        end = self._clock.now() - after
        old = list(itertools.takewhile(lambda item: item[1].expires <= end, kept.items()))
        for key, _ in old:
            del kept[key]
        return old


def _plain(user_code: str) -> str:
    return "".join(letter for letter in user_code.upper() if letter.isalnum())
