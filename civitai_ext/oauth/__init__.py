"""Logging in with Civitai, staying logged in, and letting programs act for whoever is.

    from civitai_ext import Civitai
    from civitai_ext.oauth import Scope, login

    login("your-client-id", Scope.AI_SERVICES)   # once: opens the browser, and stores the login
    with Civitai() as civitai:                   # from then on
        print(civitai.me().username)

`App` (and `AsyncApp`) is the OAuth client itself, for web apps and everything else that `login` does not do. Names are
imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_ext._async.oauth_app import AsyncApp as AsyncApp
    from civitai_ext._sync.oauth_app import App as App
    from civitai_ext.oauth.devices import DeviceCode as DeviceCode
    from civitai_ext.oauth.file_store import FileStore as FileStore
    from civitai_ext.oauth.interactive import login as login
    from civitai_ext.oauth.interactive import logout as logout
    from civitai_ext.oauth.keyring_store import KeyringStore as KeyringStore
    from civitai_ext.oauth.logins import Login as Login
    from civitai_ext.oauth.scopes import Scope as Scope
    from civitai_ext.oauth.signing_in import Pkce as Pkce
    from civitai_ext.oauth.signing_in import SignIn as SignIn
    from civitai_ext.oauth.stores import MemoryStore as MemoryStore
    from civitai_ext.oauth.stores import TokenStore as TokenStore
    from civitai_ext.oauth.tokens import StoredLogin as StoredLogin
    from civitai_ext.oauth.tokens import Tokens as Tokens

__all__ = [
    "App",
    "AsyncApp",
    "DeviceCode",
    "FileStore",
    "KeyringStore",
    "Login",
    "MemoryStore",
    "Pkce",
    "Scope",
    "SignIn",
    "StoredLogin",
    "TokenStore",
    "Tokens",
    "login",
    "logout",
]

_WHERE = {
    "App": "_sync.oauth_app",
    "AsyncApp": "_async.oauth_app",
    "DeviceCode": "oauth.devices",
    "FileStore": "oauth.file_store",
    "KeyringStore": "oauth.keyring_store",
    "Login": "oauth.logins",
    "MemoryStore": "oauth.stores",
    "Pkce": "oauth.signing_in",
    "Scope": "oauth.scopes",
    "SignIn": "oauth.signing_in",
    "StoredLogin": "oauth.tokens",
    "TokenStore": "oauth.stores",
    "Tokens": "oauth.tokens",
    "login": "oauth.interactive",
    "logout": "oauth.interactive",
}

if not TYPE_CHECKING:  # a type checker that saw this would take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"civitai_ext.{_WHERE[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
