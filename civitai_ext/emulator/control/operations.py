"""What can be asked of a running emulator and done to it over HTTP: what `Emulator` offers in Python."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from civitai_ext._version import __version__
from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.control import views
from civitai_ext.emulator.control.desk import Desk
from civitai_ext.emulator.control.views import Json
from civitai_ext.emulator.faults import ANY, CHAOS, CHAOS_RATE, Kind
from civitai_ext.emulator.jobs import Job
from civitai_ext.emulator.oauth.clients import AUTHORIZATION_CODE, REFRESH_TOKEN, Client
from civitai_ext.emulator.scopes import FULL
from civitai_ext.emulator.workflows import Workflow

_USUAL_LENGTH, _MOST = 100, 10_000
_SETTLE_SECONDS = 10.0

_Numbered = TypeVar("_Numbered", Workflow, Job)


class UnknownError(LookupError):
    """Something that was named is not there; the text says what."""


class Operations:
    """What can be done, as functions of JSON.

    Args:
        desk: The emulator.

    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world

    # Seeing

    def state(self) -> Json:
        """Show what there is, in short."""
        world = self._world
        return {
            "version": __version__,
            "seed": world.catalogue.seed,
            "models": len(world.catalogue.models),
            "environment": dict(self._desk.environment),
            "clock": self.clock(),
            "accounts": sum(1 for _ in world.accounts),
            "requests": world.journal[-1].number if world.journal else 0,
            "workflows": sum(1 for _ in world.workflows),
            "jobs": sum(1 for _ in world.jobs),
            "faults": sum(1 for _ in self._desk.faults),
            "deliveries": len(world.callbacks.deliveries),
            "oddities": {name: version.id for name, version in self._desk.oddities.items()},
        }

    def journal(self, after: int = 0, failures: bool = False, limit: int = _USUAL_LENGTH) -> Json:
        """Show requests, oldest first: the first ones after a number, or the last ones."""
        _check(limit)
        fitting = (
            exchange
            for exchange in list(self._world.journal)
            if exchange.number > after and (exchange.status >= 400 or not failures)
        )
        shown = itertools.islice(fitting, limit) if after else list(fitting)[-limit:]
        return {"items": [views.exchange_json(exchange) for exchange in shown]}

    def ledger(self, account: str | None = None) -> Json:
        """Show the balances and transactions of an account, or of all."""
        accounts = [self._account(account)] if account else list(self._world.accounts)
        return {"items": [views.ledger_json(each) for each in accounts]}

    def workflows(self, before: int | None = None, limit: int = _USUAL_LENGTH) -> Json:
        """Show workflows, newest first."""
        return {
            "items": [views.workflow_json(self._world, each) for each in newest(self._world.workflows, before, limit)]
        }

    def workflow(self, id: str) -> Json:
        """Show one workflow."""
        found = next((workflow for workflow in self._world.workflows if workflow.id == id), None)
        if found is None:
            raise UnknownError(f"there is no workflow {id!r}")
        return views.workflow_json(self._world, found)

    def jobs(self, before: int | None = None, limit: int = _USUAL_LENGTH) -> Json:
        """Show jobs of the Generator API, newest first."""
        shown = newest(self._world.jobs, before, limit)
        return {"items": [views.job_json(self._world, each) for each in shown]}

    def deliveries(self) -> Json:
        """Show the attempts to post events, oldest first."""
        return {"items": [views.delivery_json(each) for each in list(self._world.callbacks.deliveries)]}

    def faults(self) -> Json:
        """Show what goes wrong on purpose."""
        return {
            "items": [views.fault_json(fault) for fault in self._desk.faults],
            "chaos": [views.chaos_json(chaos) for chaos in self._desk.faults.drawn],
        }

    def clock(self) -> Json:
        """Show the clock."""
        return views.clock_json(self._world.clock)

    def accounts(self) -> Json:
        """Show the accounts."""
        return {"items": [views.account_json(account) for account in self._world.accounts]}

    def oauth(self) -> Json:
        """Show the clients and switches of the accounts service."""
        oauth = self._world.oauth
        return {
            "clients": [views.client_json(client) for client in oauth.clients],
            "switches": {name: getattr(oauth, name) for name in oauth.SWITCHES},
            "refreshes": oauth.refreshes,
        }

    # Time

    def advance(self, seconds: float) -> Json:
        """Move the clock."""
        self._world.clock.advance(seconds)
        return self.clock()

    def set_speed(self, speed: float) -> Json:
        """Let time pass faster or slower."""
        self._world.clock.speed = speed
        return self.clock()

    async def reset(self) -> Json:
        """Bring everything back to how it was at the start."""
        await self._desk.reset()
        return self.state()

    def clear_journal(self) -> None:
        """Forget the requests so far."""
        self._world.journal.clear()

    # What goes wrong

    def add_chaos(
        self, seed: int, rate: float = CHAOS_RATE, kinds: Sequence[int | Kind] = CHAOS, route: str = ANY
    ) -> Json:
        """Let things go wrong by chance; see `Faults.chaos`."""
        self._desk.faults.chaos(seed, rate, kinds, route=route)
        return self.faults()

    def remove_fault(self, id: int) -> Json:
        """Let one thing not go wrong any more."""
        try:
            self._desk.faults.remove(id)
        except KeyError:
            raise UnknownError(f"there is no fault {id}") from None
        return self.faults()

    def clear_faults(self) -> Json:
        """Let nothing go wrong any more."""
        self._desk.faults.clear()
        return self.faults()

    async def settle(self, timeout: float = _SETTLE_SECONDS) -> Json:
        """Wait until all events that are due have been posted."""
        try:
            await self._world.callbacks.settled(timeout)
        except TimeoutError:
            raise ValueError(f"not all events were posted within {timeout:g} seconds") from None
        return self.deliveries()

    # Accounts and the accounts service

    def add_key(
        self, username: str, token: str | None = None, scope: int = FULL, expires: datetime | None = None
    ) -> Json:
        """Add an API key to an account."""
        return {
            "token": self._world.accounts.add_key(self._account(username), token=token, scope=scope, expires=expires)
        }

    def register(
        self,
        name: str = "Registered client",
        redirect_uris: Sequence[str] = ("http://127.0.0.1/callback",),
        id: str | None = None,
        confidential: bool = False,
        grants: Collection[str] = (AUTHORIZATION_CODE, REFRESH_TOKEN),
        scope: int = FULL,
        origins: Collection[str] = (),
        owner: str | None = None,
        first_party: bool = False,
        introspects: bool = False,
        testers: Sequence[str] | None = None,
    ) -> Json:
        """Register an OAuth client."""
        client = self._world.oauth.register(
            name,
            redirect_uris=redirect_uris,
            id=id,
            confidential=confidential,
            grants=grants,
            scope=scope,
            origins=origins,
            owner=self._account(owner),
            first_party=first_party,
            introspects=introspects,
            testers=None if testers is None else [self._account(each) for each in testers],
        )
        return views.client_json(client)

    def issue(self, client: str | None = None, account: str | None = None, scope: int = FULL) -> Json:
        """Give a pair of tokens without any of the flows."""
        pair = self._world.oauth.issue(self._client(client), account=self._account(account), scope=scope)
        return {"access_token": pair.access_token, "refresh_token": pair.refresh_token, "expires_in": pair.expires_in}

    def revoke_all(self, account: str | None = None) -> None:
        """End all that an account has granted."""
        self._world.oauth.revoke_all(self._account(account))

    def limit(
        self,
        limits: Sequence[Mapping[str, Any]],
        client: str | None = None,
        token: str | None = None,
        account: str | None = None,
    ) -> None:
        """Limit the Buzz that a client, or a token's holder, may spend."""
        if (client is None) == (token is None):
            raise ValueError("limits are those of a client or of a token: one of both is needed")
        self._world.oauth.limit(token or self._client(client), limits, account=self._account(account))

    def switch(
        self,
        access_seconds: int | None = None,
        rate_limits: bool | None = None,
        sends_issuer: bool | None = None,
        checks_origin_at_token: bool | None = None,
        signs_id_tokens: bool | None = None,
        legacy_redirects: bool | None = None,
        legacy_failure: Literal[0, 502, 504] | None = None,
    ) -> Json:
        """Set switches of the accounts service; a `legacy_failure` of 0 ends it."""
        chosen = {
            "access_seconds": access_seconds,
            "rate_limits": rate_limits,
            "sends_issuer": sends_issuer,
            "checks_origin_at_token": checks_origin_at_token,
            "signs_id_tokens": signs_id_tokens,
            "legacy_redirects": legacy_redirects,
        }
        for name, value in chosen.items():
            if value is not None:
                setattr(self._world.oauth, name, value)
        if legacy_failure is not None:
            self._world.oauth.legacy_failure = legacy_failure or None
        return self.oauth()

    async def approve(self, url: str, account: str | None = None, remember: bool = False) -> Json:
        """Sign in and allow what a client asks for, as a user does in a browser."""
        approve = self._world.oauth.approve
        return {"location": await asyncio.to_thread(approve, url, self._account(account), remember=remember)}

    async def deny(self, url: str, account: str | None = None) -> Json:
        """Sign in and decline what a client asks for."""
        return {"location": await asyncio.to_thread(self._world.oauth.deny, url, self._account(account))}

    async def approve_device(self, user_code: str, account: str | None = None) -> None:
        """Let a device in that shows a code."""
        await asyncio.to_thread(self._world.oauth.approve_device, user_code, self._account(account))

    async def deny_device(self, user_code: str, account: str | None = None) -> None:
        """Turn a device away that shows a code."""
        await asyncio.to_thread(self._world.oauth.deny_device, user_code, self._account(account))

    # The catalogue

    def remove_model(self, id: int) -> None:
        """Delete a model of the catalogue."""
        try:
            self._world.catalogue.remove(id)
        except KeyError:
            raise UnknownError(f"there is no model {id}") from None
        self._world.rendered.clear()

    def _account(self, username: str | None) -> Account:
        accounts = list(self._world.accounts)
        found = next((each for each in accounts if username in (None, each.username)), None)
        if found is None:
            raise UnknownError(f"there is no account {username!r}; there are {', '.join(a.username for a in accounts)}")
        return found

    def _client(self, id: str | None) -> Client:
        found = self._world.oauth.public if id is None else self._world.oauth.client(id)
        if found is None:
            raise UnknownError(f"there is no client {id!r}")
        return found


def _check(limit: int) -> None:
    if not 1 <= limit <= _MOST:
        raise ValueError(f"limit is 1 to {_MOST}, not {limit}")


def newest(numbered: Iterable[_Numbered], before: int | None, limit: int) -> list[_Numbered]:
    """Choose the last of some numbered things, or the last before a number, newest first."""
    _check(limit)
    fitting = [each for each in numbered if before is None or each.number < before]
    return fitting[: -limit - 1 : -1]
