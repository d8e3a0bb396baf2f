"""Which login a client uses, if it uses one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from civitai_ext._config import Config
from civitai_ext.errors import ConfigurationError

if TYPE_CHECKING:
    from civitai_ext.oauth.logins import Login

__all__ = ["with_login"]

_LONG: Final = 32


def with_login(config: Config, token: str | Literal[False] | None, auth: Login | str | None) -> Config:
    """Give the configuration of a client with the login that it was given, or that is stored for its hosts.

    Args:
        config: What it has without a login; a token that was found in the environment goes first.
        token: The token that it was given.
        auth: The login that it was given, or the name of a stored one.

    Raises:
        ConfigurationError: Nobody is logged in by that name, the login is for other hosts, or there is a token too.
        TokenStoreError: The login that is stored cannot be read.
    """
    if auth is None:
        return config if token is False or config.token is not None else _with_default(config)
    if token is not None:
        raise ConfigurationError("Both `token` and `auth` say who is asking", hint="Give one of them.")
    from civitai_ext.oauth.logins import Login

    if isinstance(auth, Login):
        return config.with_login(auth)
    if not isinstance(auth, str):
        raise ConfigurationError(
            f"`auth` takes a Login or the name of an account, and this is of the type {type(auth).__name__}"
        )
    login = Login.stored(auth)
    if login is None:
        # A long one is not repeated: it may be an API key.
        name = repr(auth) if len(auth) < _LONG else "that"
        raise ConfigurationError(
            f"Nobody is logged in as {name}",
            hint="Log in with `civitai_ext.oauth.login`; an API key is given as `token`.",
        )
    return config.with_login(login)


def _with_default(config: Config) -> Config:
    """Use the stored login of the default account, if it is one for the hosts of this client."""
    from civitai_ext.oauth.file_store import default_store
    from civitai_ext.oauth.stores import DEFAULT_ACCOUNT

    try:
        store = default_store()
        if not store.has(DEFAULT_ACCOUNT):
            return config
        from civitai_ext.oauth.logins import Login

        login = Login.stored(store=store)
        return config if login is None else config.with_login(login)
    except ConfigurationError as error:
        import logging

        logging.getLogger("civitai_ext").debug("The stored login is not used: %s", error)
        return config
