"""Logging in with Civitai, and staying logged in."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_ext._async.oauth_app import AsyncApp as AsyncApp
    from civitai_ext._sync.oauth_app import App as App
    from civitai_ext.oauth.devices import DeviceCode as DeviceCode
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
    "MemoryStore",
    "Pkce",
    "Scope",
    "SignIn",
    "StoredLogin",
    "TokenStore",
    "Tokens",
]

_WHERE = {
    "App": "_sync.oauth_app",
    "AsyncApp": "_async.oauth_app",
    "DeviceCode": "oauth.devices",
    "MemoryStore": "oauth.stores",
    "Pkce": "oauth.signing_in",
    "Scope": "oauth.scopes",
    "SignIn": "oauth.signing_in",
    "StoredLogin": "oauth.tokens",
    "TokenStore": "oauth.stores",
    "Tokens": "oauth.tokens",
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
