"""The accounts service as a test sees it: its clients, its switches, and users who decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from civitai_ext.emulator.accounts import Account, Accounts, Subject
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.identifiers import Identifiers
from civitai_ext.emulator.oauth.browser import Browser
from civitai_ext.emulator.oauth.clients import AUTHORIZATION_CODE, REFRESH_TOKEN, Client, ready_made
from civitai_ext.emulator.oauth.grants import Grant, Grants, TokenPair
from civitai_ext.emulator.oauth.keys import SigningKey
from civitai_ext.emulator.oauth.sessions import Sessions
from civitai_ext.emulator.scopes import ALL, FULL
from civitai_ext.emulator.spending import BuzzLimit


class OAuth:
    """The accounts service of an emulator.

    Attributes:
        public: A client without a secret, for users on this machine or at `https://app.example/callback`.
        confidential: A client with a `secret`, which may also act for its owner.
        device: A first-party client without a secret, which may also use the device flow.
        access_seconds: How long access tokens live that are made from now on.
        rate_limits: Whether too many requests in a minute are refused.
        sends_issuer: Whether the redirect that ends an authorization carries `iss` (RFC 9207); the service sends none.
        checks_origin_at_token: Whether `/token` refuses origins that are not registered; `/revoke` always does.
        signs_id_tokens: Whether there is a key to sign ID tokens with.
        legacy_redirects: Whether every path at the former address answers 308, as the documentation has it.
        legacy_failure: The status, 502 or 504, with which the former address fails to forward requests.
        refreshes: How many refresh tokens were exchanged.

    """

    SWITCHES = (
        "access_seconds", "rate_limits", "sends_issuer", "checks_origin_at_token", "signs_id_tokens",
        "legacy_redirects", "legacy_failure",
    )  # fmt: skip
    KEPT = ("public", "confidential", "device", "_clients", "refreshes", *SWITCHES)

    def __init__(
        self,
        clock: Clock,
        accounts: Accounts,
        identifiers: Identifiers,
        seed: int,
        origins: Callable[[], tuple[str, str]],
    ) -> None:
        self._accounts = accounts
        self._identifiers = identifiers
        self._origins = origins
        owner = self._account(None)
        ready = ready_made(owner)
        self.public, self.confidential, self.device = ready["public"], ready["confidential"], ready["device"]
        self._clients = {client.id: client for client in ready.values()}
        self.grants = Grants(clock, accounts, identifiers)
        self.sessions = Sessions(clock, identifiers)
        self.key = SigningKey(seed)
        self.access_seconds = 3600
        self.rate_limits = True
        self.sends_issuer = False
        self.checks_origin_at_token = False
        self.signs_id_tokens = True
        self.legacy_redirects = False
        self.legacy_failure: Literal[502, 504] | None = None
        self.refreshes = 0

    @property
    def issuer(self) -> str:
        """The origin of the service, which is its name too."""
        return self._origins()[1]

    # Clients

    @property
    def clients(self) -> list[Client]:
        """All clients that there are."""
        return list(self._clients.values())

    def client(self, id_: str) -> Client | None:
        """Find a client."""
        return self._clients.get(id_)

    def register(
        self,
        name: str = "Registered client",
        *,
        redirect_uris: Sequence[str] = ("http://127.0.0.1/callback",),
        id: str | None = None,
        confidential: bool = False,
        grants: Collection[str] = (AUTHORIZATION_CODE, REFRESH_TOKEN),
        scope: int = FULL,
        origins: Collection[str] = (),
        owner: Account | None = None,
        first_party: bool = False,
        introspects: bool = False,
        testers: Sequence[Account] | None = None,
    ) -> Client:
        """Register another client.

        Args:
            name: What users read.
            redirect_uris: Where users may be sent back to; on this machine any port will do.
            id: Its `client_id`; a UUID is made up when it is not given.
            confidential: Whether it gets a `secret`.
            grants: What it may exchange for tokens.
            scope: The bits that it may ask for.
            origins: The web pages that may call as this client; made of the redirect URIs unless given.
            owner: Who it belongs to; the first account by default.
            first_party: Whether users are never asked to consent.
            introspects: Whether it may ask about the tokens of others.
            testers: The only accounts that may use it.

        Raises:
            ValueError: Something of it cannot be, or the id is taken.

        """
        if id in self._clients:
            raise ValueError(f"there is a client {id!r} already")
        client = Client(
            id=self._identifiers.uuid() if id is None else id,
            name=name,
            owner=self._account(owner),
            secret=self._identifiers.hexadecimal(48) if confidential else None,
            redirect_uris=tuple(redirect_uris),
            grants=tuple(grants),
            scope=scope,
            origins=tuple(origins),
            first_party=first_party,
            introspects=introspects,
            testers=testers,
        )
        self._clients[client.id] = client
        return client

    # Tokens

    def issue(self, client: Client | None = None, *, account: Account | None = None, scope: int = FULL) -> TokenPair:
        """Make a pair of tokens without any of the flows, with exactly this scope.

        Args:
            client: Whom they are for; `public` by default.
            account: For whom they speak; the first account by default.
            scope: What they allow.

        Raises:
            ValueError: The scope has bits that there are not.

        """
        if not 0 <= scope <= ALL:
            raise ValueError(f"a scope is a sum of bits, 0 to {ALL}, not {scope}")
        return self.grants.issue(Grant(client or self.public, self._account(account), scope), self.access_seconds)

    def revoke_all(self, account: Account | None = None) -> None:
        """End all that an account has granted to clients: tokens, codes, consents. The first account by default."""
        self.grants.revoke_all(self._account(account))

    def limit(self, who: Client | str, limits: Sequence[Mapping[str, Any]], *, account: Account | None = None) -> None:
        """Limit the Buzz that a client, or a token's holder, may spend of an account; replaces earlier limits.

        Args:
            who: A client, an API key or an access token. All tokens of one client share the limits of an account.
            limits: Limits as `/api/v1/me` shows them, such as
                `{"type": "sliding", "limit": 1000, "unit": 7, "window": "day"}`. None lifts them.
            account: With a client: whose Buzz; the first account's by default.

        Raises:
            ValueError: A limit cannot be, or the token is unknown.

        """
        checked = tuple(BuzzLimit(dict(limit)) for limit in limits)
        if isinstance(who, Client):
            self._accounts.purse(self._account(account), Subject("oauth", who.id)).limits = checked
            return
        credential = self._accounts.credential(who)
        if credential is None:
            raise ValueError("there is no such token, or its time is over")
        credential.purse.limits = checked

    # Users

    def approve(self, authorize_url: str, account: Account | None = None, *, remember: bool = False) -> str:
        """Sign in and allow what a client asks for, as a user does in a browser.

        Args:
            authorize_url: The address that the client wants the user to open, at this emulator.
            account: Who signs in; the first account by default.
            remember: Whether not to be asked again.

        Returns:
            The address that the browser is sent back to, with `code` and `state`. Nobody has opened it.

        Raises:
            BrowserError: The service shows an error in place of sending the user back.
            ValueError: The address is not this emulator's.

        """
        return self._browser(account).decide(authorize_url, approved=True, remember=remember)

    def deny(self, authorize_url: str, account: Account | None = None) -> str:
        """Sign in and decline what a client asks for; see `approve`."""
        return self._browser(account).decide(authorize_url, approved=False)

    def approve_device(self, user_code: str, account: Account | None = None) -> None:
        """Sign in and let a device in that shows a code.

        Raises:
            BrowserError: No device waits with such a code.

        """
        self._browser(account).decide_device(user_code, approved=True)

    def deny_device(self, user_code: str, account: Account | None = None) -> None:
        """Sign in and turn a device away; see `approve_device`."""
        self._browser(account).decide_device(user_code, approved=False)

    def _browser(self, account: Account | None) -> Browser:
        return Browser(self._origins(), self._account(account))

    def _account(self, account: Account | None) -> Account:
        return next(iter(self._accounts)) if account is None else account
