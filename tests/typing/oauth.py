"""OAuth as its users write it. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from civitai_api.oauth.models import DiscoveryDocument, JsonWebKeySet, TokenIntrospection, UserInfo
from civitai_ext import RetryPolicy, errors
from civitai_ext.oauth import App, AsyncApp, DeviceCode, Pkce, Scope, SignIn, Tokens
from civitai_ext.oauth.settings import AppSettings


def logging_in(callback_url: str) -> None:
    with App("my-id", "http://127.0.0.1/callback", retry=RetryPolicy.off(), timeout=5, app="my-tool/1.0") as app:
        assert_type(app, App)
        assert_type(app.client_id, str)
        assert_type(app.confidential, bool)
        sign_in = app.sign_in(Scope.AI_SERVICES | Scope.MODELS_READ, id_token=True)
        assert_type(sign_in, SignIn)
        assert_type(sign_in.url, str)
        assert_type(SignIn.from_dict(sign_in.to_dict()), SignIn)
        app.sign_in("AIServices", redirect_uri="http://127.0.0.1:8127/callback")
        app.sign_in(114689)
        app.sign_in(["BuzzRead", Scope.VAULT_READ, 1])
        assert_type(app.authorize_url("UserRead", "state", Pkce.new(), nonce="x"), str)
        try:
            tokens = app.exchange(callback_url, sign_in)
        except errors.LoginDenied as error:
            assert_type(error.code, str | None)
            return
        assert_type(tokens, Tokens)
        assert_type(tokens.scopes, Scope | None)
        assert_type(tokens.expires_at, datetime | None)
        assert_type(tokens.lifetime, timedelta | None)
        assert_type(tokens.claims, Mapping[str, Any] | None)
        assert_type(app.refresh(tokens), Tokens)
        assert_type(app.refresh("a-refresh-token"), Tokens)
        assert_type(app.userinfo(tokens), UserInfo)
        app.revoke(tokens)
        app.revoke(tokens.access_token)


def without_a_browser(app: App) -> None:
    assert_type(app.client_credentials(Scope.READ_ONLY), Tokens)
    code = app.start_device("AIServices")
    assert_type(code, DeviceCode)
    assert_type(code.verification_uri_complete, str | None)
    assert_type(app.wait_for_device(code, timeout=60), Tokens)
    assert_type(app.discovery(), DiscoveryDocument)
    assert_type(app.keys(), JsonWebKeySet)
    assert_type(app.introspect("a-token"), TokenIntrospection)
    assert_type(app.settings, AppSettings)


def what_is_missing(error: errors.ScopeMissing) -> None:
    assert_type(error.missing, Scope)
    assert_type(error.granted, Scope | None)
    assert_type(error.missing.names, list[str])


async def logging_in_asynchronously(callback_url: str) -> None:
    async with AsyncApp("my-id", "https://app.example/callback", "secret") as app:
        sign_in = app.sign_in("UserRead")
        assert_type(app.authorize_url("UserRead", "state", Pkce.new()), str)
        tokens = await app.exchange(callback_url, sign_in)
        assert_type(tokens, Tokens)
        assert_type(await app.refresh(tokens), Tokens)
        assert_type(await app.userinfo(tokens), UserInfo)
        assert_type(await app.wait_for_device(await app.start_device(1)), Tokens)
        assert_type(await app.keys(), JsonWebKeySet)
        assert_type(App.of(app.settings), App)


def mistakes(app: App, sign_in: SignIn) -> None:
    app.exchange(sign_in, "https://app.example/callback?code=x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.sign_in(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.authorize_url("UserRead", "state", "verifier")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
