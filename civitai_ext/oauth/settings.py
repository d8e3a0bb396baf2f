"""What an OAuth client is set up with. No I/O."""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from civitai_ext._backoff import RetryPolicy
from civitai_ext._config import Config, Secret, is_loopback, origin_of
from civitai_ext.errors import ConfigurationError

__all__ = ["AppSettings", "other_redirect_uri"]

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
# What a browser runs or opens by itself instead of handing it to a program.
_NO_PROGRAMS: Final = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "mailto", "vbscript"})
_REGISTER: Final = "OAuth clients are registered at https://civitai.com/user/account."


def _client_id(value: str) -> str:
    if not _is_word(value):
        raise ConfigurationError(f"client_id is {value!r}; it takes the id of an OAuth client", hint=_REGISTER)
    if value.startswith("appblk-"):
        raise ConfigurationError(
            f"client_id is {value!r}, which is the id of an app block: nobody can log in with one", hint=_REGISTER
        )
    return value


def _client_secret(value: str | None) -> Secret | None:
    # The value is not quoted: it is nearly the secret.
    if value is not None and not _is_word(value):
        raise ConfigurationError(
            "client_secret is empty, or contains white space, control characters or characters beyond ASCII",
            hint="Copy it again; leave it out for a client that has none.",
        )
    return None if value is None else Secret(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable() and " " not in value


def _redirect_uri(value: str) -> str:
    if not _is_word(value):
        raise ConfigurationError(
            f"redirect_uri is {value!r}; it takes the address that is registered for the client", hint=_REGISTER
        )
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ConfigurationError(f"redirect_uri is {value!r}, which is no address") from None
    if "#" in value:
        raise ConfigurationError(f"redirect_uri is {value!r}; it must not have a fragment")
    if parts.scheme in ("http", "https"):
        if origin_of(value) is None:
            raise ConfigurationError(f"redirect_uri is {value!r}, which is not an address of a host")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ConfigurationError(
                f"redirect_uri is {value!r}: the code would come back unencrypted",
                hint="Use https; http is for programs on the machine of whoever logs in, such as "
                "http://127.0.0.1/callback.",
            )
    elif not _SCHEME.fullmatch(parts.scheme) or parts.scheme in _NO_PROGRAMS or not (parts.netloc or parts.path):
        raise ConfigurationError(
            f"redirect_uri is {value!r}, which leads to no program",
            hint="It looks like https://example.com/callback, http://127.0.0.1/callback or com.example.app:/callback.",
        )
    return value


@attrs.frozen(kw_only=True)
class AppSettings:
    """Everything that an `App` is made with, checked. See there for what it means.

    Raises:
        ConfigurationError: Something of it cannot be used. The message never contains the secret.
    """

    client_id: str = attrs.field(converter=_client_id)
    redirect_uri: str = attrs.field(converter=_redirect_uri)
    client_secret: Secret | None = attrs.field(default=None, converter=_client_secret)
    auth_url: str | None = None
    site_url: str | None = None
    orchestration_url: str | None = None
    app: str | None = None
    timeout: float | None = None
    retry: RetryPolicy | None = None
    verify: bool | str | os.PathLike[str] | ssl.SSLContext = True
    proxy: str | None = attrs.field(default=None, repr=False)  # it may have a password
    transport: Any = None

    def config(self) -> Config:
        """Give the hosts, with the environment for those that are not given.

        Raises:
            ConfigurationError: One of them cannot be used, or secrets would be sent to it unencrypted.
        """
        config = Config.load(
            token=False,
            site_url=self.site_url,
            orchestration_url=self.orchestration_url,
            auth_url=self.auth_url,
            app=self.app,
        )
        if config.auth_url.startswith("http:") and not is_loopback(urlsplit(config.auth_url).hostname or ""):
            raise ConfigurationError(
                f"Codes and tokens would be sent unencrypted to {config.auth_url}",
                hint="Use https; http is for servers on this machine.",
            )
        return config


def other_redirect_uri(value: str, registered: str) -> str:
    """Check the redirect URI of one attempt: the registered one, on another port of this machine.

    Raises:
        ConfigurationError: It is another one, which the service would refuse.

    >>> other_redirect_uri("http://127.0.0.1:8127/callback", "http://127.0.0.1/callback")
    'http://127.0.0.1:8127/callback'
    """
    given, known = urlsplit(_redirect_uri(value)), urlsplit(registered)
    # Which of this machine's names may stand for which is the service's to say.
    same = (given.scheme, given.path, given.query) == (known.scheme, known.path, known.query)
    if value != registered and not (same and is_loopback(given.hostname or "") and is_loopback(known.hostname or "")):
        raise ConfigurationError(
            f"redirect_uri is {value!r}, and the client's own is {registered!r}",
            hint="Only the port may be another, and only on the machine of whoever logs in.",
        )
    return value
