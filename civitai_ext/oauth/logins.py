"""A login that stays: its tokens are renewed in time, once for everybody who uses them.

The refresh token of Civitai works once, and the answer to it is the only copy of the next pair. So renewing

- happens in a thread of its own, which no Ctrl-C, canceled task or closed event loop ends half way;
- happens under the lock of the store, after looking into it: another thread or process may have done it;
- begins only when the store can be written to, and the old pair stays there until the new one takes its place.

What fails for reasons that pass logs nobody out. Only `invalid_grant` does; that is noted in the store, so that no
other process asks again.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

import attrs

from civitai_ext._config import Secret
from civitai_ext._signal import Outcome
from civitai_ext.errors import CivitaiError, ConfigurationError, ConnectionFailed, LoginExpired, TokenStoreError
from civitai_ext.oauth.file_store import default_store
from civitai_ext.oauth.stores import DEFAULT_ACCOUNT, MemoryStore, TokenStore
from civitai_ext.oauth.tokens import StoredLogin, Tokens

if TYPE_CHECKING:
    from civitai_ext._async.oauth_app import AsyncApp
    from civitai_ext._config import Config
    from civitai_ext._sync.oauth_app import App
    from civitai_ext.oauth.scopes import Scope

__all__ = ["Login"]

logger: Final = logging.getLogger("civitai_ext")

_EARLY: Final = timedelta(seconds=60)
_SHARE: Final = 10  # of a short life: no more than a tenth of it is given away by renewing early
_PAUSE: Final = 10.0  # seconds until it is tried again, where it failed and the old token still works
_POINTLESS: Final = 60.0  # seconds in which a refused token is taken for refused: a new one was refused just before


class Login:
    """The login of an account: gives an access token that works, as long as the account stays logged in.

    For `Civitai(auth=…)`. It can be shared by any number of clients, threads and event loops.

    Args:
        app: The OAuth client that the login was given to.
        tokens: What the login has just given, to be stored. Without them, what is in the store is used.
        store: Where it is stored; in this object alone by default.
        account: The name it is stored under.
        username: Whose login it is, if that is known.
        scopes: Makes it the login of the client itself, which acts for its owner (grant `client_credentials`): the
            rights to ask for. Nobody has to log in for that, and it is renewed with the client's secret.

    Attributes:
        app: As given.
        store: As given.
        account: As given.

    Raises:
        TokenStoreError: The tokens cannot be stored.
        ConfigurationError: The client cannot renew them like this.
    """

    def __init__(
        self,
        app: App | AsyncApp,
        tokens: Tokens | None = None,
        *,
        store: TokenStore | None = None,
        account: str = DEFAULT_ACCOUNT,
        username: str | None = None,
        scopes: Scope | int | str | None = None,
    ) -> None:
        from civitai_ext.oauth.scopes import Scope

        if scopes is not None and not app.confidential:
            raise ConfigurationError("An OAuth client without a secret cannot act for its owner", hint="Use `login`.")
        self.app = app
        self.store = MemoryStore() if store is None else store
        self.account = account
        self._owner = None if scopes is None else Scope.parse(scopes)
        self._lock = threading.Lock()
        self._known: StoredLogin | None = None
        self._unsaved = False
        self._behind: Secret | None = None  # the token in the store, where the next one could not be stored
        self._renewal: Future[Tokens | CivitaiError] | None = None
        self._process = os.getpid()
        self._again_at = 0.0
        self._pointless_until = 0.0
        self._renewed: Secret | None = None
        self._said = False
        if tokens is not None:
            self.replace(tokens, username)

    @classmethod
    def stored(
        cls,
        account: str = DEFAULT_ACCOUNT,
        *,
        store: TokenStore | None = None,
        app: App | AsyncApp | None = None,
    ) -> Login | None:
        """Give the login that is stored for an account; None if there is none.

        Args:
            account: The name it is stored under.
            store: Where it is stored; in your folder for such files by default.
            app: The OAuth client; needed only if it has a secret.

        Raises:
            TokenStoreError: What is stored cannot be read.
            ConfigurationError: The client has a secret, or is another one than the login was given to.
        """
        store = default_store() if store is None else store
        known = store.load(account)
        if known is None:
            return None
        if app is None:
            if known.confidential:
                raise ConfigurationError(
                    f"The login {account!r} was given to the OAuth client {known.client_id}, which has a secret",
                    hint="Give `app`, an `App` that has it.",
                )
            from civitai_ext._sync.oauth_app import App

            app = App(
                known.client_id,
                known.redirect_uri,
                auth_url=known.auth_url,
                site_url=known.site_url,
                orchestration_url=known.orchestration_url,
            )
        elif app.client_id != known.client_id:
            raise ConfigurationError(
                f"The login {account!r} was given to the OAuth client {known.client_id}, not to {app.client_id}",
                hint="Log in with this client, or give the other one.",
            )
        elif app.config.auth_url != known.auth_url:
            raise ConfigurationError(
                f"The login {account!r} was given by {known.auth_url}, and `app` is for {app.config.auth_url}",
                hint="Give `auth_url` to the `App`, or log in there.",
            )
        login = cls(app, store=store, account=account)
        login._known = known
        return login

    def replace(self, tokens: Tokens, username: str | None = None) -> StoredLogin | None:
        """Store what somebody who logged in was just given, in place of what there was, which is given back.

        That may still be valid: see `App.revoke`.

        Args:
            tokens: The tokens.
            username: Whose they are, if that is known.

        Raises:
            TokenStoreError: The tokens cannot be stored.
        """
        login = self._described(tokens, username)
        with self.store.lock(self.account):  # what somebody else is about to get goes first, and is replaced too
            try:
                before = self.store.load(self.account)
            except TokenStoreError:
                before = None
            self.store.save(self.account, login)
        self._known, self._unsaved = login, False
        return before

    @property
    def username(self) -> str | None:
        """Whose login it is; None if that is not known."""
        known = self._load()
        return None if known is None else known.username

    @property
    def scopes(self) -> Scope | None:
        """What its tokens really may do; None if that is not known."""
        known = self._load()
        return None if known is None else known.tokens.scopes

    @property
    def secrets(self) -> list[str]:
        """The tokens in hand, to be masked in messages."""
        tokens = None if self._known is None else self._known.tokens
        found = (tokens.access_token, tokens.refresh_token) if tokens is not None else ()
        return [secret for secret in found if secret is not None]

    def token(self) -> Secret:
        """Give an access token that works: it is renewed if it has expired, and beside that if it is about to.

        Raises:
            LoginExpired: It cannot be renewed: log in again.
            ApiError, ConnectionFailed: It could not be renewed now; the next call tries it again.
            TokenStoreError: What is stored cannot be read, or the store cannot be written to.
        """
        return self.given(Outcome.of(self.renewal()))

    def check_hosts(self, config: Config) -> None:
        """Make sure that a client sends its tokens where they belong.

        Raises:
            ConfigurationError: The client is for other hosts.
        """
        own = self.app.config
        for name in ("auth_url", "site_url", "orchestration_url"):
            if getattr(own, name) != getattr(config, name):
                raise ConfigurationError(
                    f"The login {self.account!r} is for {getattr(own, name)}, and this client for "
                    f"{getattr(config, name)} ({name})",
                    hint="Give both the same hosts, or log in there.",
                )

    def renewal(self, refused: str | None = None) -> Future[Tokens | CivitaiError]:
        """Give what will be tokens that work, or the reason why there are none; begin to renew them if they have to be.

        Args:
            refused: An access token that a service has refused, and that is not to be given again.
        """
        if self._process != os.getpid():  # a forked child has neither the thread that was at it nor who holds this
            self._process, self._lock, self._renewal = os.getpid(), threading.Lock(), None
        with self._lock:
            if self._renewal is None or self._renewal.done():
                if self._known is not None and not self._is_due(self._known.tokens, refused):
                    return _settled(self._known.tokens)
                self._renewal = self._begin(refused)
            if self._known is None or self._known.tokens.access_token == refused or _is_over(self._known.tokens):
                return self._renewal
            return _settled(self._known.tokens)  # as long as the old ones work, nobody waits for the next

    def _begin(self, refused: str | None) -> Future[Tokens | CivitaiError]:
        future: Future[Tokens | CivitaiError] = Future()
        future.set_running_or_notify_cancel()  # else a task that is canceled would cancel it for all
        try:
            threading.Thread(target=self._renew, args=(future, refused), name="civitai-login").start()
        except RuntimeError:  # while Python ends, there are no new threads
            self._renew(future, refused)
        return future

    def given(self, outcome: Tokens | CivitaiError) -> Secret:
        """Give the token of what `renewal` came to.

        Raises:
            CivitaiError: There is none.
        """
        if isinstance(outcome, Tokens):
            return outcome.access_token
        error = copy.copy(outcome)  # many get the same one, and each adds its traceback
        error.__cause__ = outcome.__cause__
        raise error

    def can_be_renewed(self, refused: str) -> bool:
        """Tell whether another token may help after a service has refused this one.

        If it was new, it is something else that the service does not like, and another one would be refused, too.
        """
        with self._lock:
            if refused == self._renewed:
                self._pointless_until = monotonic() + _POINTLESS
            return monotonic() >= self._pointless_until

    def accepted(self, token: str) -> None:
        """Note that a service has accepted a token."""
        if self._renewed is not None and token == self._renewed:
            with self._lock:
                self._renewed, self._pointless_until = None, 0.0

    def _load(self) -> StoredLogin | None:
        if self._known is None:
            self._known = self.store.load(self.account)
        return self._known

    def _described(self, tokens: Tokens, username: str | None) -> StoredLogin:
        config = self.app.config
        return StoredLogin(
            tokens=tokens,
            client_id=self.app.client_id,
            confidential=self.app.confidential,
            redirect_uri=self.app.redirect_uri,
            auth_url=config.auth_url,
            site_url=config.site_url,
            orchestration_url=config.orchestration_url,
            username=username,
        )

    def _is_due(self, tokens: Tokens, refused: str | None) -> bool:
        """Whether tokens have to be renewed before they are used."""
        if refused is not None:
            return tokens.access_token == refused
        if not _is_over(tokens, early=True):
            return False
        return _is_over(tokens) or monotonic() >= self._again_at

    def _renew(self, future: Future[Tokens | CivitaiError], refused: str | None) -> None:
        outcome: Tokens | CivitaiError
        try:
            outcome = self._under_lock(refused)
        except CivitaiError as error:
            outcome = self._after(error, refused)
        except BaseException as error:  # whatever a store of somebody's own raises must not leave others waiting
            problem = TokenStoreError(f"The login {self.account!r} cannot be used: {type(error).__name__}")
            problem.__cause__ = error
            outcome = self._after(problem, refused)
        if isinstance(outcome, LoginExpired) and not self._said:
            self._said = True
            logger.warning("%s", outcome)
        future.set_result(outcome)

    def _after(self, error: CivitaiError, refused: str | None) -> Tokens | CivitaiError:
        """Go on with the old token after renewing it failed, as long as it works."""
        known = self._known
        if isinstance(error, LoginExpired) or known is None or refused is not None or _is_over(known.tokens):
            if isinstance(error, TokenStoreError) and isinstance(error.__cause__, TimeoutError):
                # Whoever has the lock waits for an answer of the service, and that passes.
                return ConnectionFailed(error.message, sent=False, hint=error.hint)
            return error
        logger.warning("The login %r could not be renewed yet: %s", self.account, error)
        self._again_at = monotonic() + _PAUSE
        return known.tokens

    def _under_lock(self, refused: str | None) -> Tokens:
        with self.store.lock(self.account):
            known = self._newest()
            if known is None and self._owner is None:
                ended = self._known is not None
                self._known = None
                raise LoginExpired(
                    f"The login {self.account!r} was ended: somebody logged out"
                    if ended
                    else f"Nobody is logged in as {self.account!r}",
                    account=self.account,
                )
            if known is not None:
                self._known = known
                if not self._is_due(known.tokens, refused):
                    return known.tokens
            return self._renewed_with(known, refused)

    def _newest(self) -> StoredLogin | None:
        """Give what is stored, unless that is behind what could not be stored, which is stored then."""
        if not self._unsaved or self._known is None:
            return self.store.load(self.account)
        try:
            stored = self.store.load(self.account)
        except TokenStoreError:
            return self._known
        if self._behind != (None if stored is None else stored.tokens.access_token):
            self._unsaved = False  # somebody logged in or out meanwhile
            return stored
        self._save(self._known)
        return self._known

    def _renewed_with(self, known: StoredLogin | None, refused: str | None) -> Tokens:
        try:
            self.store.check(self.account)
            tokens = self._ask(known)
        except LoginExpired as error:
            assert known is not None  # noqa: S101 - tells the type checker
            return self._ended(known, refused, error)
        except CivitaiError as error:
            if isinstance(error, ConnectionFailed):
                error.sent = False  # of the request that needs the token, nothing was sent
            error.add_note(f"The login {self.account!r} could not be renewed now. The next call tries it again.")
            raise
        if tokens.scopes is None and known is not None:
            tokens = attrs.evolve(tokens, scopes=known.tokens.scopes)
        self._again_at, self._said = 0.0, False
        self._renewed = tokens.access_token
        if not self._unsaved:
            self._behind = None if known is None else known.tokens.access_token
        self._save(self._described(tokens, None if known is None else known.username))
        return tokens

    def _ask(self, known: StoredLogin | None) -> Tokens:
        from civitai_ext._sync.oauth_app import App

        with App.of(self.app.settings) as app:
            if self._owner is not None:
                return app.client_credentials(self._owner)
            assert known is not None  # noqa: S101 - tells the type checker
            if known.tokens.refresh_token is None:
                raise LoginExpired(f"The login {self._whose(known)} has ended", account=self.account)
            return app.refresh(known.tokens)

    def _ended(self, known: StoredLogin, refused: str | None, error: LoginExpired) -> Tokens:
        """Go on after a refresh token was refused."""
        now = self.store.load(self.account)
        if now is not None and now.tokens.access_token != known.tokens.access_token:
            # Somebody was faster, whom the store's lock did not keep from it.
            self._known = now
            if not self._is_due(now.tokens, refused):
                return now.tokens
        elif now is not None and now.tokens.refresh_token is not None:
            self._known = attrs.evolve(now, tokens=attrs.evolve(now.tokens, refresh_token=None))
            with suppress(TokenStoreError):  # then the others ask once more each
                self.store.save(self.account, self._known)
        if refused is None and not _is_over(known.tokens):
            self._again_at = monotonic() + _PAUSE
            return known.tokens
        expired = LoginExpired(f"The login {self._whose(known)} has ended", account=self.account, code=error.code)
        expired.__cause__ = error.__cause__ or error
        raise expired

    def _save(self, login: StoredLogin) -> None:
        """Store what is new. Where that fails it is kept here, and stored when tokens are renewed the next time."""
        self._known, self._unsaved = login, True
        try:
            self.store.save(self.account, login)
            self._unsaved = False
        except Exception as error:
            logger.warning(
                "The login %r was renewed and cannot be stored, so it lasts as long as this program: %s",
                self.account,
                error,
            )

    def _whose(self, known: StoredLogin) -> str:
        return f"{self.account!r} of {known.username}" if known.username else repr(self.account)

    def __repr__(self) -> str:
        return f"<Login {self.account!r}>"


def _settled(tokens: Tokens) -> Future[Tokens | CivitaiError]:
    """Give what nobody has to wait for, in the form of what is waited for."""
    future: Future[Tokens | CivitaiError] = Future()
    future.set_result(tokens)
    return future


def _is_over(tokens: Tokens, *, early: bool = False) -> bool:
    """Whether an access token has expired, or is about to."""
    if tokens.expires_at is None or tokens.lifetime is None:
        return False
    margin = min(_EARLY, tokens.lifetime / _SHARE) if early else timedelta(0)
    return datetime.now(UTC) >= tokens.expires_at - margin
