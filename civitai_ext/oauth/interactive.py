"""Logging somebody in who sits in front of the program, and logging them out."""

from __future__ import annotations

import logging
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, get_args
from urllib.parse import urlsplit

import attrs

from civitai_ext._arguments import a_silence
from civitai_ext._config import TOKEN_VARIABLES, is_loopback
from civitai_ext._reading import printable, text
from civitai_ext._sync.oauth_app import App
from civitai_ext.errors import CivitaiError, ConfigurationError, LoginFailed, TokenStoreError
from civitai_ext.oauth.file_store import default_store
from civitai_ext.oauth.logins import Login
from civitai_ext.oauth.loopback import Loopback
from civitai_ext.oauth.scopes import Scope, Scopes
from civitai_ext.oauth.settings import AppSettings
from civitai_ext.oauth.signing_in import SignIn, asked_scopes, code_in
from civitai_ext.oauth.stores import DEFAULT_ACCOUNT, TokenStore
from civitai_ext.oauth.tokens import StoredLogin, Tokens

if TYPE_CHECKING:
    from civitai_ext._async.oauth_app import AsyncApp

__all__ = ["login", "logout"]

logger: Final = logging.getLogger("civitai_ext")

Method = Literal["browser", "paste", "device"]
Tell = Callable[[str], object]

_REDIRECT_URI: Final = "http://127.0.0.1/callback"
_END_BY_HAND: Final = "It may still be valid: end it at https://civitai.com/user/account."
_BROWSER_SECONDS: Final = 2.0
_LONGEST_NAME: Final = 200
# They would take the terminal from the program, and most cannot show the page.
_CONSOLE_BROWSERS: Final = frozenset({"browsh", "elinks", "links", "links2", "lynx", "w3m", "www-browser"})


def login(
    app: App | str,
    scopes: Scopes = Scope.AI_SERVICES,
    *,
    account: str = DEFAULT_ACCOUNT,
    store: TokenStore | None = None,
    method: Method | None = None,
    timeout: float = 300,
    tell: Tell | None = None,
) -> Login:
    """Have somebody allow the program to act for them, and store the login.

    By default it opens the browser and waits for it to come back to this machine. The address is told in any case, so
    that it can be opened by hand. What is stored under the account's name is replaced, and its tokens are revoked.

    It blocks until the login is over: call it with `asyncio.to_thread` where an event loop runs.

    Args:
        app: The OAuth client; or the id of one without a secret, whose redirect URI is http://127.0.0.1/callback.
        scopes: What to ask for: `Scope.AI_SERVICES`, or names. Whoever logs in sees it.
        account: The name to store the login under.
        store: Where; by default in files of a folder of yours, see `FileStore`.
        method: `browser`; `paste`, to open the address in the browser of any machine and paste where it ended; or
            `device`, to type a code into a page, for clients that may.
        timeout: For how many seconds to wait for the browser or for the device. Nothing limits how long a prompt waits.
        tell: Called with each line for whoever logs in; by default they are written to the standard error.

    Raises:
        LoginDenied: Whoever was asked said no.
        LoginTimeout: Nobody allowed it in time.
        LoginFailed: Something else came in between.
        TokenStoreError: The login cannot be stored, which is found out before anybody is asked.
        ConfigurationError: An argument cannot be used, or a login for other hosts would be replaced.
        CivitaiError: The service did not answer, or with another error.

    >>> from civitai_ext.oauth import MemoryStore
    >>> login("my-client", store=MemoryStore(), method="letter")
    Traceback (most recent call last):
        ...
    civitai_ext.errors.ConfigurationError: method is 'letter'. It is one of browser, paste, device, or None.
    """
    if method not in (None, *get_args(Method)):
        raise ConfigurationError(f"method is {method!r}", hint=f"It is one of {', '.join(get_args(Method))}, or None.")
    if isinstance(app, str):
        with App(app, _REDIRECT_URI) as own:
            return login(own, scopes, account=account, store=store, method=method, timeout=timeout, tell=tell)
    if not isinstance(app, App):
        raise ConfigurationError("app is no App", hint="It takes one, or the id of an OAuth client.")
    store = _store(store)
    attempt = _Attempt(app, asked_scopes(scopes), account, store, a_silence(timeout), _show if tell is None else tell)
    attempt.check_store()
    if method == "paste":
        return attempt.by_pasting()
    if method == "device":
        return attempt.by_device()
    return attempt.by_browser()


def logout(
    account: str = DEFAULT_ACCOUNT, *, store: TokenStore | None = None, app: App | AsyncApp | None = None
) -> bool:
    """End a login: revoke its tokens and remove it from where it is stored.

    It is removed in any case; if it could not be revoked, the error says so, and where to end it by hand.

    Args:
        account: The name that it is stored under.
        store: Where; by default in files of a folder of yours, see `FileStore`.
        app: The OAuth client that it was made with, which is needed if that has a secret.

    Returns:
        Whether there was a login.

    Raises:
        ConfigurationError: The client has a secret, and was not given; or it is another one: then nothing was done.
        TokenStoreError: What is stored could not be read, and was removed; or it cannot be removed.
        CivitaiError: It could not be revoked.

    >>> from civitai_ext.oauth import MemoryStore
    >>> logout(store=MemoryStore())
    False
    """
    store = _store(store)
    with store.lock(account):  # nobody may get the next pair meanwhile, which would not be revoked
        try:
            stored = store.load(account)
        except TokenStoreError as error:
            store.delete(account)
            error.message = f"{error.message.rstrip('.')}. The login was removed, and is not revoked"
            error.hint = _END_BY_HAND
            raise
        if stored is None:
            return False
        if app is not None and not _is_of(app, stored):
            raise ConfigurationError(
                f"The login {account!r} was given to the OAuth client {stored.client_id} by {stored.auth_url}, and "
                f"`app` is {app.client_id} at {app.config.auth_url}"
            )
        try:
            _revoke(stored, app)
        except CivitaiError as error:
            error.hint = f"The login was removed here. {_END_BY_HAND}"
            raise
        finally:
            store.delete(account)
    return True


def _store(store: TokenStore | None) -> TokenStore:
    if store is None:
        return default_store()
    if not isinstance(store, TokenStore):
        raise ConfigurationError("store is no TokenStore", hint="It takes one, such as FileStore(), or None.")
    return store


@attrs.frozen
class _Attempt:
    app: App
    scopes: Scope
    account: str
    store: TokenStore
    timeout: float
    tell: Tell

    def by_browser(self) -> Login:
        with Loopback(self.app.redirect_uri) as loopback:
            sign_in = self.app.sign_in(self.scopes, redirect_uri=loopback.redirect_uri)
            loopback.expect(sign_in.state)
            self.tell("To log in to Civitai, allow it on the page that the browser opens, or open this address:")
            self.tell(sign_in.url)
            if not _open(sign_in.url):
                self.tell("No browser could be opened here. If yours is on another machine, let it reach this one with")
                self.tell(f"    ssh -L {loopback.port}:{urlsplit(loopback.redirect_uri).netloc} THIS-MACHINE")
                self.tell("or stop, and log in with method='paste'.")
            done = self._keep(self.app.exchange(loopback.wait(self.timeout), sign_in))
            who = f"Welcome, {done.username}. " if done.username else ""
            loopback.succeed(f"{who}You can close this window and go back to the program.")
            return done

    def by_pasting(self) -> Login:
        sign_in = self.app.sign_in(self.scopes)
        self.tell("To log in to Civitai, open this address in a browser, on any machine:")
        self.tell(sign_in.url)
        self.tell("When you have allowed it, the browser goes to an address that it may not be able to show.")
        self.tell(f"It begins with {sign_in.redirect_uri}: copy the whole of it and paste it here:")
        while True:
            try:
                pasted = _with_scheme(input().strip(), sign_in)
            except EOFError:
                raise LoginFailed(
                    "Nothing can be pasted: the standard input is at its end", hint="Run it in a terminal."
                ) from None
            problem = _wrong_with(pasted, sign_in)
            if problem is None:
                return self._keep(self.app.exchange(pasted, sign_in))
            self.tell(f"{problem} Paste again:")

    def by_device(self) -> Login:
        code = self.app.start_device(self.scopes)
        self.tell("To log in to Civitai, open this address in a browser, on any machine:")
        self.tell(code.verification_uri)
        self.tell(f"and enter the code {code.user_code}")
        return self._keep(self.app.wait_for_device(code, timeout=self.timeout))

    def _keep(self, tokens: Tokens) -> Login:
        """Store what was given, in place of what there was."""
        username = self._username(tokens)
        done = Login(self.app, store=self.store, account=self.account)
        try:
            before = done.replace(tokens, username)
        except Exception:
            with _as_far_as_it_goes():
                self.app.revoke(tokens)  # nobody will ever use them
            raise
        if before is not None:
            with _as_far_as_it_goes():
                _revoke(before, self.app if _is_of(self.app, before) else None)
        self.tell(f"Logged in as {username}." if username else "Logged in.")
        missing = Scope(0) if tokens.scopes is None else self.scopes & ~tokens.scopes
        if missing:
            self.tell(f"Not granted, though asked for: {', '.join(missing.names)}.")
        variable = next((name for name in TOKEN_VARIABLES if os.environ.get(name, "").strip()), None)
        if variable is not None:
            self.tell(f"Clients without `auth` go on using {variable}, which is set.")
        return done

    def check_store(self) -> None:
        """Find out whether the login can be stored, and replaces nothing that is worth more."""
        self.store.check(self.account)
        try:
            before = self.store.load(self.account)
        except TokenStoreError:
            return  # it is replaced, whatever it is
        here = self.app.config.auth_url
        if before is not None and before.auth_url != here and not is_loopback(urlsplit(before.auth_url).hostname or ""):
            raise ConfigurationError(
                f"The login {self.account!r} is for {before.auth_url}, and would be replaced by one for {here}",
                hint="Give another `account`, or log out first.",
            )

    def _username(self, tokens: Tokens) -> str | None:
        if tokens.scopes is not None and Scope.USER_READ not in tokens.scopes:
            return None
        try:
            return printable(text(self.app.userinfo(tokens).username))[:_LONGEST_NAME] or None
        except CivitaiError as error:
            logger.debug("who logged in is not known: %s", error)
            return None


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _open(url: str) -> bool:
    """Open the browser of this machine; False if there certainly is none.

    The address becomes an argument of the browser's process, which others on this machine may see. What is in it does
    not suffice to log in: that takes the verifier, which stays here.
    """
    opened: list[bool] = []

    def work() -> None:
        try:
            console = getattr(webbrowser.get(), "basename", "") in _CONSOLE_BROWSERS
        except webbrowser.Error:
            console = False
        try:
            opened.append(not console and webbrowser.open(url))
        except Exception as error:  # of whatever is registered as a browser
            logger.debug("no browser was opened: %s", type(error).__name__)
            opened.append(False)

    thread = threading.Thread(target=work, name="civitai-browser", daemon=True)
    thread.start()
    thread.join(_BROWSER_SECONDS)  # some are not done before the browser is closed
    return opened != [False]


def _with_scheme(pasted: str, sign_in: SignIn) -> str:
    """Put back what browsers leave out of what they show."""
    scheme, separator, rest = sign_in.redirect_uri.partition("://")
    return f"{scheme}{separator}{pasted}" if separator and pasted.startswith(rest) else pasted


def _wrong_with(pasted: str, sign_in: SignIn) -> str | None:
    """Say why a text is not the address that the browser went to; None if it is, whatever the service says there."""
    if not pasted:
        return "That was empty."
    if pasted.startswith(f"{sign_in.auth_url}/"):
        return "That is the page that asks. Allow it there first, and copy the address that the browser goes to."
    try:
        code_in(pasted, sign_in)
    except LoginFailed as error:
        return None if error.code is not None else f"{error.message}."
    return None


def _is_of(app: App | AsyncApp, stored: StoredLogin) -> bool:
    return (app.client_id, app.config.auth_url) == (stored.client_id, stored.auth_url)


@contextmanager
def _as_far_as_it_goes() -> Iterator[None]:
    try:
        yield
    except CivitaiError as error:
        logger.debug("tokens that nobody needs any more could not be revoked: %s", error)


def _revoke(stored: StoredLogin, app: App | AsyncApp | None) -> None:
    if app is None and stored.confidential:
        raise ConfigurationError("The login cannot be revoked without `app`, since its OAuth client has a secret")
    known = AppSettings(client_id=stored.client_id, redirect_uri=stored.redirect_uri, auth_url=stored.auth_url)
    with App.of(known if app is None else app.settings) as own:
        own.revoke(stored.tokens)
