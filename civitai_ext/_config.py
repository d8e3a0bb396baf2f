"""Where the services are, and who is asking: what a client is set up with."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import attrs

from civitai_ext._redact import MASK
from civitai_ext._version import __version__
from civitai_ext.errors import ConfigurationError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from civitai_ext.oauth.scopes import Scope

__all__ = ["TOKEN_VARIABLES", "Config", "Credential", "Secret", "SecretBytes", "is_loopback", "origin_of"]

TOKEN_VARIABLES: Final = ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY")
"""The environment variables that are looked at for a token, the first one that is not empty wins."""

# By the names that operations give their service. Two of them share a host.
_HOSTS: Final = {
    "site": "site_url",
    "orchestration": "orchestration_url",
    "generator": "orchestration_url",
    "oauth": "auth_url",
}

# The download route answers browsers with its login page, and takes any of these for a browser.
_BROWSERS: Final = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
_PRODUCT: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(/[A-Za-z0-9!#$%&'*+.^_`|~-]+)?")


class Secret(str):
    """A text that does not show itself in a `repr`, and so in no list, debugger view or traceback of locals.

    >>> [Secret("abc")], Secret("abc") == "abc"
    ([Secret('***')], True)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"


class SecretBytes(bytes):
    """The same for bytes.

    >>> SecretBytes(b"abc")
    SecretBytes('***')
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SecretBytes({MASK!r})"


class Credential(Protocol):
    """What clients want of a login: tokens that work. `civitai_ext.oauth.Login` is one, and says what these mean."""

    account: str

    @property
    def secrets(self) -> list[str]: ...
    @property
    def scopes(self) -> Scope | None: ...
    def check_hosts(self, config: Config) -> None: ...
    def renewal(self, refused: str | None = None) -> Future[Any]: ...
    def given(self, outcome: Any) -> Secret: ...
    def can_be_renewed(self, refused: str) -> bool: ...
    def accepted(self, token: str) -> None: ...


@attrs.frozen(kw_only=True)
class Config:
    """The hosts, the credential and the user agent of a client. Made by `load`.

    Attributes:
        site_url: Where the Site API is, without a slash at the end.
        orchestration_url: Where the Orchestration and Generator APIs are.
        auth_url: Where OAuth is.
        token: The token to send to these three; None if there is a login in its place, or none.
        token_source: Where the token came from, for messages; None if there is none.
        login: What gives the token, and renews it; None if it is one that stays, or there is none.
        user_agent: How requests name their sender.
    """

    site_url: str
    orchestration_url: str
    auth_url: str
    token: Secret | None = None
    token_source: str | None = None
    login: Credential | None = None
    user_agent: str

    @classmethod
    def load(
        cls,
        *,
        token: str | Literal[False] | None = None,
        site_url: str | None = None,
        orchestration_url: str | None = None,
        auth_url: str | None = None,
        app: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        """Take what is given, the environment for what is not, and defaults for the rest.

        Args:
            token: A personal API key or an OAuth access token. Else `CIVITAI_TOKEN`, `CIVITAI_API_TOKEN` and
                `CIVITAI_API_KEY` are looked at; an empty variable counts as not set. False to be anonymous, whatever
                the environment says.
            site_url: Else `CIVITAI_SITE_URL`, else https://civitai.com.
            orchestration_url: Else `CIVITAI_ORCHESTRATION_URL`, else https://orchestration.civitai.com.
            auth_url: Else `CIVITAI_AUTH_URL`, else https://auth.civitai.com.
            app: The name of the program that uses this package, as `name` or `name/version`, for the user agent.
            environ: Read instead of the process's environment.

        Raises:
            ConfigurationError: A value cannot be used. The message never contains the token.

        >>> config = Config.load(environ={"CIVITAI_API_KEY": "abc"})
        >>> config.token, config.token_source, config.base_url("site")
        (Secret('***'), 'CIVITAI_API_KEY', 'https://civitai.com')
        """
        env = os.environ if environ is None else environ
        return cls(
            site_url=_url("CIVITAI_SITE_URL", site_url, env, "https://civitai.com"),
            orchestration_url=_url(
                "CIVITAI_ORCHESTRATION_URL", orchestration_url, env, "https://orchestration.civitai.com"
            ),
            auth_url=_url("CIVITAI_AUTH_URL", auth_url, env, "https://auth.civitai.com"),
            user_agent=_user_agent(app),
        )._with(*next(_tokens(token, env), (None, None)))

    @property
    def is_anonymous(self) -> bool:
        """Whether there is nothing to say who is asking."""
        return self.token is None and self.login is None

    @property
    def secrets(self) -> list[str]:
        """What is masked wherever an answer repeats it."""
        if self.login is not None:
            return self.login.secrets
        return [] if self.token is None else [self.token]

    def with_login(self, login: Credential) -> Config:
        """Give a copy that takes its tokens from a login.

        Raises:
            ConfigurationError: The login is for other hosts.
        """
        login.check_hosts(self)
        source = f"the login {login.account!r}"
        self._check_encryption(source)
        return attrs.evolve(self, token=None, token_source=source, login=login)

    def with_token(self, token: str | Literal[False]) -> Config:
        """Give a copy with another token, or with none for False.

        Raises:
            ConfigurationError: The token cannot be used. The message never contains it.

        >>> Config.load(token="abc", environ={}).with_token(False).token is None
        True
        """
        return self._with(*next(_tokens(token, {}), (None, None)))

    def _with(self, secret: Secret | None, source: str | None) -> Config:
        if secret is not None:
            self._check_encryption(source)
        return attrs.evolve(self, token=secret, token_source=source, login=None)

    def _check_encryption(self, source: str | None) -> None:
        for url in (self.site_url, self.orchestration_url, self.auth_url):
            if url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
                raise ConfigurationError(
                    f"The token from {source} would be sent unencrypted to {url}",
                    hint="Use https, or no token; http is for servers on this machine.",
                )

    def require_token(self, what: str) -> None:
        """Refuse to go on without a token where nothing is answered without one.

        Raises:
            ConfigurationError: There is none.
        """
        if self.is_anonymous:
            raise ConfigurationError(
                f"{what} needs a token, and this client has none",
                hint=f"Pass `token`, set {TOKEN_VARIABLES[0]}, or log in. API keys are made at https://civitai.com/user/account.",
            )

    def base_url(self, service: str) -> str:
        """Give the URL that the paths of `service` are put after.

        Raises:
            ConfigurationError: There is no such service.
        """
        name = _HOSTS.get(service)
        if name is None:
            raise ConfigurationError(f"There is no service {service!r}; known are {', '.join(_HOSTS)}")
        return str(getattr(self, name))

    def may_receive_token(self, url: str) -> bool:
        """Tell whether `url` is on one of the services' own hosts, by scheme, host and port.

        >>> Config.load(environ={}).may_receive_token("https://civitai.com.example/")
        False
        """
        origin = origin_of(url)
        return origin is not None and origin in {
            origin_of(own) for own in (self.site_url, self.orchestration_url, self.auth_url)
        }

    def may_be_fetched(self, url: str) -> bool:
        """Tell whether a URL that a service gave is one to fetch: encrypted, or on one of the services' own hosts.

        >>> config = Config.load(environ={})
        >>> config.may_be_fetched("https://storage.example/x"), config.may_be_fetched("http://192.168.0.1/admin")
        (True, False)
        """
        origin = origin_of(url)
        return origin is not None and (origin[0] == "https" or self.may_receive_token(url))


def _tokens(given: str | Literal[False] | None, environ: Mapping[str, str]) -> Iterator[tuple[Secret, str]]:
    """Every token that can be found, the one to use first, each with the name of where it was."""
    if given is False:
        return
    if given is not None:
        yield _token(given, "the token argument"), "the token argument"
    for name in TOKEN_VARIABLES:
        if environ.get(name, "").strip():
            yield _token(environ[name], name), name


def _token(text: str, source: str) -> Secret:
    token = text.strip()
    if not token:
        raise ConfigurationError(f"The token from {source} is empty", hint="Give False to be anonymous.")
    if token.lower().startswith("bearer "):
        raise ConfigurationError(f"The token from {source} begins with 'Bearer'", hint="Give the token alone.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"The token from {source} contains white space, control characters or characters beyond ASCII",
            hint="Copy it again, without line breaks.",
        )
    return Secret(token)


def _url(variable: str, given: str | None, environ: Mapping[str, str], default: str) -> str:
    source = variable if given is None else variable.removeprefix("CIVITAI_").lower()
    text = (environ.get(variable, "").strip() or default) if given is None else given.strip()
    # The value is not quoted: what is wrong with it may be a password in it.
    if origin_of(text) is None:
        raise ConfigurationError(
            f"{source} is not an absolute http or https URL of a host", hint="It looks like https://civitai.com."
        )
    parts = urlsplit(text)
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{source} must not have a query or a fragment", hint="Give the host alone.")
    return text.rstrip("/?#")


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Give scheme, host and port of `url`; None if it has none or if libraries might disagree about what they are.

    >>> origin_of("HTTPS://Civitai.com/x"), origin_of("https://civitai.com@evil.example/")
    (('https', 'civitai.com', 443), None)
    """
    if not url.isascii() or not url.isprintable() or any(c in url for c in " \\"):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or port == 0:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _user_agent(app: str | None) -> str:
    own = (
        f"civitai-ext/{__version__} (+https://github.com/civitai-ext/civitai-ext) "
        f"python/{sys.version_info.major}.{sys.version_info.minor}"
    )
    if app is None:
        return own
    if not _PRODUCT.fullmatch(app):
        raise ConfigurationError(f"app is {app!r}, which is neither a name nor name/version", hint="As in my-tool/1.2.")
    if found := next((name for name in _BROWSERS if name in app.lower()), None):
        raise ConfigurationError(
            f"app is {app!r}, which contains {found!r}: Civitai would take the program for a browser and answer "
            "downloads with its login page",
            hint="Use another name.",
        )
    return f"{app} {own}"
