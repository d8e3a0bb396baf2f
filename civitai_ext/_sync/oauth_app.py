# Derived from civitai_ext/_async/oauth_app.py by scripts/unasync.py: change that file, then run `make fix`.
"""An OAuth client: what a program, or a web application, logs its users in with.

The operations run on our own transport, and not on a library for OAuth: those bring HTTP of their own, with other
retries, errors and logs, and stumble over a scope that comes as a list. The cryptography is a library's.
"""

from __future__ import annotations

import os
import ssl
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

import attrs

from civitai_api.oauth.api.device import poll_device_token, start_device_flow
from civitai_api.oauth.api.discovery import get_discovery, get_keys
from civitai_api.oauth.api.identity import get_user_info
from civitai_api.oauth.api.tokens import create_token, introspect_token, revoke_token
from civitai_api.oauth.models import (
    DeviceRequest,
    DeviceTokenRequest,
    DiscoveryDocument,
    IntrospectRequest,
    JsonWebKeySet,
    RevokeRequest,
    TokenIntrospection,
    TokenRequest,
    TokenResponse,
    TokenTypeHint,
    UserInfo,
)
from civitai_api.runtime import UNSET, Request, Response, Unset
from civitai_ext._backoff import RetryPolicy
from civitai_ext._config import Secret
from civitai_ext._logging import show_logs
from civitai_ext._reading import text
from civitai_ext._sync.http import Http
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import (
    AuthenticationError,
    CivitaiError,
    ConfigurationError,
    InvalidRequest,
    LoginFailed,
    UnexpectedResponse,
)
from civitai_ext.oauth.answers import meant, moment_of, tokens_of
from civitai_ext.oauth.devices import DeviceCode, DevicePolling, device_code_of
from civitai_ext.oauth.id_tokens import claims_in, require_joserfc
from civitai_ext.oauth.scopes import Scope, Scopes
from civitai_ext.oauth.settings import AppSettings, other_redirect_uri
from civitai_ext.oauth.signing_in import Pkce, SignIn, asked_scopes, authorize_url, code_in
from civitai_ext.oauth.tokens import Tokens

__all__ = ["App"]

T = TypeVar("T")


class App:
    """An OAuth client that is registered with Civitai.

    It keeps its connections open between calls: use it in a `with` block, or call `close` when done. It can be used
    for any number of logins at the same time.

        with App("your-client-id", "http://127.0.0.1/callback") as app:
            sign_in = app.sign_in("AIServices")
            print("Open", sign_in.url)
            tokens = app.exchange(input("Where did the browser come back to? "), sign_in)

    Args:
        client_id: Its id, from https://civitai.com/user/account.
        redirect_uri: Where the browser comes back to, as it is registered. For programs `http://127.0.0.1/callback`,
            where each attempt may have a port of its own.
        client_secret: Its secret; None for a client that cannot keep one, such as a program on somebody's machine.
        auth_url: Where the accounts service is; else `CIVITAI_AUTH_URL`, else the real one.
        site_url: Where the Site API is that logins are for; else `CIVITAI_SITE_URL`, else the real one.
        orchestration_url: Where the Orchestration API is; else `CIVITAI_ORCHESTRATION_URL`, else the real one.
        app: Your program, as `name` or `name/version`, to be named in the user agent.
        timeout: How many seconds the service may be silent before a request is given up.
        retry: When to send again what failed: `RetryPolicy(attempts=2)`, or `RetryPolicy.off()`. A code or a refresh
            token is never sent again once it may have been used up.
        verify: Which certificates to trust, as for `Civitai`.
        proxy: The URL of a proxy for all requests; else the environment says.
        transport: What sends, instead of the network: a transport of the HTTP library, httpx.

    Attributes:
        settings: All of the above, to make another one with `of`; the hosts as they came out.
        config: The hosts, and how requests name their sender.
        transport: What all calls run on; the operations of `civitai_api.oauth` take it as their first argument.

    Raises:
        ConfigurationError: Something of it cannot be used.
    """

    def __init__(
        self,
        client_id: str,
        redirect_uri: str,
        client_secret: str | None = None,
        *,
        auth_url: str | None = None,
        site_url: str | None = None,
        orchestration_url: str | None = None,
        app: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
        transport: Any = None,
    ) -> None:
        show_logs()
        given = AppSettings(
            client_id=client_id,
            redirect_uri=redirect_uri,
            client_secret=client_secret,
            auth_url=auth_url,
            site_url=site_url,
            orchestration_url=orchestration_url,
            app=app,
            timeout=timeout,
            retry=retry,
            verify=verify,
            proxy=proxy,
            transport=transport,
        )
        self.config = given.config()
        # Whatever the environment says when another one is made of them.
        self.settings = attrs.evolve(
            given,
            auth_url=self.config.auth_url,
            site_url=self.config.site_url,
            orchestration_url=self.config.orchestration_url,
        )
        http = Http(verify=verify, proxy=proxy, transport=transport)
        self.transport = Transport(self.config, http, policy=retry)
        self.transport.timeout = timeout

    @classmethod
    def of(cls, settings: AppSettings) -> Self:
        """Make one with the settings of another one, which may be of the other half: `App.of(async_app.settings)`."""
        return cls(**attrs.asdict(settings, recurse=False))

    @property
    def client_id(self) -> str:
        """The id of the client."""
        return self.settings.client_id

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to, as it is registered."""
        return self.settings.redirect_uri

    @property
    def confidential(self) -> bool:
        """Whether the client has a secret."""
        return self.settings.client_secret is not None

    # ------------------------------------------------------------------------------------------- with a browser

    def authorize_url(self, scopes: Scopes, state: str, pkce: Pkce, *, nonce: str | None = None) -> str:
        """Give the address where the service asks its user whether to allow it. Nothing is sent.

        `sign_in` does the same, and makes and keeps what has to be there again when the browser comes back.

        Args:
            scopes: What to ask for.
            state: What the answer is to repeat.
            pkce: What binds the code to this attempt.
            nonce: What the ID token is to repeat; None for no ID token.

        Raises:
            InvalidRequest: An argument cannot be like that.

        >>> app = App("my-id", "http://127.0.0.1/callback", auth_url="https://auth.example")
        >>> app.authorize_url(Scope.AI_SERVICES, "some-state", Pkce.new()).partition("?")[0]
        'https://auth.example/api/auth/oauth/authorize'
        """
        if not isinstance(pkce, Pkce):
            raise InvalidRequest("pkce is none", hint="Pkce.new() makes one.")
        for name, value in (("state", state), ("nonce", nonce)):
            if not (isinstance(value, str) and value) and (name, value) != ("nonce", None):
                raise InvalidRequest(f"{name} is empty or no text", hint="secrets.token_urlsafe() makes one.")
        return authorize_url(
            auth_url=self.config.auth_url,
            client_id=self.client_id,
            redirect_uri=self.redirect_uri,
            scopes=asked_scopes(scopes),
            state=state,
            pkce=pkce,
            nonce=nonce,
        )

    def sign_in(self, scopes: Scopes, *, id_token: bool = False, redirect_uri: str | None = None) -> SignIn:
        """Begin an attempt to log in: open its `url` in a browser, and give `exchange` what it comes back with.

        Args:
            scopes: What to ask for: `Scope.AI_SERVICES`, or names. The user sees it. `USER_READ` is added to it.
            id_token: Whether to ask for an ID token, which says who logged in, in `claims` of the tokens. Needs the
                extra `oauth`.
            redirect_uri: The redirect URI with the port that this attempt listens on, for a client on the user's
                machine; else the registered one.

        Raises:
            InvalidRequest: The scopes are none.
            ConfigurationError: The redirect URI is another one, or the extra is not installed.
        """
        if id_token:
            require_joserfc()
        back = self.redirect_uri if redirect_uri is None else other_redirect_uri(redirect_uri, self.redirect_uri)
        return SignIn.new(
            client_id=self.client_id,
            auth_url=self.config.auth_url,
            redirect_uri=back,
            scopes=asked_scopes(scopes),
            id_token=id_token,
        )

    def exchange(self, callback_url: str, sign_in: SignIn) -> Tokens:
        """Log in: check the address that the browser came back with, and exchange the code in it for tokens.

        Args:
            callback_url: The whole address.
            sign_in: The attempt that it is the answer to.

        Raises:
            LoginDenied: Whoever was asked said no.
            LoginFailed: It is the answer to something else, the service refused the code, or the ID token is not
                right.
            ConfigurationError: The service does not know the client, or refused its secret.
            InvalidRequest: The attempt belongs to another client or another accounts service.
            UnexpectedResponse: The service's answer cannot be understood.
            ConnectionFailed: The service did not answer. The code may be used up: log in again.
        """
        if not isinstance(callback_url, str) or not isinstance(sign_in, SignIn):
            raise InvalidRequest("exchange takes the address that the browser came back with, and what sign_in gave")
        if (sign_in.client_id, sign_in.auth_url) != (self.client_id, self.config.auth_url):
            raise InvalidRequest("The attempt to log in belongs to another client, or to another accounts service")
        code = code_in(callback_url, sign_in)
        keys = None
        if sign_in.nonce is not None:
            require_joserfc()
            keys = self.keys()  # first, since the code works only once
        request = create_token.request(
            body=TokenRequest(
                grant_type="authorization_code",
                **self._credentials(),
                code=code,
                redirect_uri=sign_in.redirect_uri,
                code_verifier=sign_in.pkce.verifier,
            )
        )
        asked_at = datetime.now(UTC)
        with meant():
            response = self.transport.send(request)
        tokens = self._tokens(request, response, asked_at)
        if keys is None or sign_in.nonce is None:
            return tokens
        id_token = text(self._decode(request, response).id_token)
        if not id_token:
            raise LoginFailed("An ID token was asked for, and none came", hint="Ask for none; userinfo tells the same.")
        claims = claims_in(
            id_token,
            keys,
            client_id=self.client_id,
            issuer=self.config.auth_url,
            nonce=sign_in.nonce,
            now=moment_of(response.headers, time.time()),  # the clock of this machine may be wrong
        )
        return attrs.evolve(tokens, claims=claims)

    # ------------------------------------------------------------------------------------------- without one

    def client_credentials(self, scopes: Scopes) -> Tokens:
        """Log in as the account that owns the client, with its secret alone. Only some clients may do that.

        Args:
            scopes: What to ask for.

        Raises:
            ConfigurationError: The client has no secret, or may not do that.
            LoginFailed: The service refused it, such as for a scope that the client may not have.
        """
        self._require_secret("Logging in without a user")
        request = create_token.request(
            body=TokenRequest(grant_type="client_credentials", **self._credentials(), scope=int(asked_scopes(scopes)))
        )
        asked_at = datetime.now(UTC)
        with meant():
            response = self.transport.send(request)
        return self._tokens(request, response, asked_at)

    def start_device(self, scopes: Scopes) -> DeviceCode:
        """Begin to log in by another device: show what comes, and give it to `wait_for_device`.

        Only some clients may do that; those that users register may not.

        Args:
            scopes: What to ask for.

        Raises:
            ConfigurationError: The client may not do that.
            LoginFailed: The service refused it.
            UnexpectedResponse: The service's answer cannot be understood.
        """
        body = DeviceRequest(client_id=self.client_id, scope=int(asked_scopes(scopes)))
        request = start_device_flow.request(body=body)
        asked_at = datetime.now(UTC)
        with meant():
            response = self.transport.send(request)
        try:
            return device_code_of(self._decode(request, response), self.config, obtained_at=asked_at)
        except ValueError as error:
            problem = str(error)
        raise self._useless(request, response, problem)

    def wait_for_device(self, code: DeviceCode, *, timeout: float | None = None) -> Tokens:
        """Wait until somebody allowed it on another device.

        Args:
            code: What `start_device` gave.
            timeout: For how many seconds to wait at most; None for as long as the code can be used.

        Raises:
            LoginTimeout: Nobody allowed it in time.
            LoginDenied: Whoever was asked said no.
            LoginFailed: The service refused it for another reason.
        """
        polling = DevicePolling(code, timeout, now=time.monotonic(), moment=datetime.now(UTC))
        request = poll_device_token.request(
            body=DeviceTokenRequest(
                grant_type="urn:ietf:params:oauth:grant-type:device_code",
                device_code=code.device_code,
                client_id=self.client_id,
            )
        )
        with meant():
            while True:
                self.transport.sleep(polling.pause(time.monotonic()) * self.transport.policy.scale)
                over, asked_at = polling.is_over(time.monotonic()), datetime.now(UTC)
                try:
                    response = self.transport.send(request, policy=RetryPolicy.off())
                except CivitaiError as error:
                    if not polling.goes_on(error):
                        raise
                else:
                    return self._tokens(request, response, asked_at)
                if over:
                    raise polling.timed_out()

    # ------------------------------------------------------------------------------------------- what was given

    def refresh(self, tokens: Tokens | str) -> Tokens:
        """Get the next tokens. The refresh token works once: store the new ones before anything else.

        Args:
            tokens: The tokens, or their refresh token.

        Raises:
            LoginExpired: The refresh token works no more: log in again.
            ConfigurationError: The service does not know the client, or refused its secret.
            InvalidRequest: There is no refresh token.
            ConnectionFailed: The service did not answer. If `sent`, the refresh token may be used up.
            ApiError: The service cannot do it now.
        """
        known = tokens if isinstance(tokens, Tokens) else None
        if known is not None and known.refresh_token is None:
            raise InvalidRequest("These tokens have no refresh token", hint="Log in again.")
        token = _a_token(tokens if known is None else known.refresh_token)
        request = create_token.request(
            body=TokenRequest(grant_type="refresh_token", **self._credentials(), refresh_token=token)
        )
        asked_at = datetime.now(UTC)
        with meant(logged_in=True):
            response = self.transport.send(request)
        return self._tokens(
            request, response, asked_at, scopes=None if known is None else known.scopes, refresh_token=token
        )

    def revoke(self, token: Tokens | str) -> None:
        """Make a token worthless. With a refresh token its access tokens go too. One that is not known is no error.

        Args:
            token: The token; or tokens, of which the refresh token is taken if there is one.

        Raises:
            ConfigurationError: The service does not know the client, or refused its secret.
            ApiError: The service cannot do it now.
        """
        hint: TokenTypeHint | Unset = UNSET
        if isinstance(token, Tokens):
            hint = "access_token" if token.refresh_token is None else "refresh_token"
            token = token.refresh_token or token.access_token
        request = revoke_token.request(
            body=RevokeRequest(token=_a_token(token), token_type_hint=hint, **self._credentials())
        )
        with meant(logged_in=True):
            self._call(attrs.evolve(request, idempotent=True))

    def userinfo(self, token: Tokens | str) -> UserInfo:
        """Tell whose token it is.

        Args:
            token: An OAuth access token, or the tokens. A personal API key is not accepted: `Civitai.me` takes both.

        Raises:
            AuthenticationError: It is expired, revoked or of another kind.
            ScopeMissing: It may not be asked that.
        """
        token = _a_token(token.access_token if isinstance(token, Tokens) else token)
        try:
            return self._call(
                get_user_info.request(), transport=self.transport.with_options(config=self.config.with_token(token))
            )
        except AuthenticationError as error:
            error.hint = (
                "It may be expired or revoked. Only OAuth access tokens work here, and no personal API keys: "
                "`me()` of a client takes both."
            )
            raise

    def introspect(self, token: Tokens | str) -> TokenIntrospection:
        """Tell what the service knows about a token. Civitai lets only few clients ask; all of them have a secret.

        Args:
            token: The token; of tokens the access token.

        Raises:
            ConfigurationError: The client has no secret, or is refused.
            ApiError: The client may not ask.
        """
        self._require_secret("Asking about a token")
        given = _a_token(token.access_token if isinstance(token, Tokens) else token)
        request = introspect_token.request(body=IntrospectRequest(token=given, **self._credentials()))
        with meant(logged_in=True):
            return self._call(attrs.evolve(request, idempotent=True))

    # ------------------------------------------------------------------------------------------- the service

    def discovery(self) -> DiscoveryDocument:
        """Give what the accounts service says about itself. Nothing here depends on it."""
        return self._call(get_discovery.request())

    def keys(self) -> JsonWebKeySet:
        """Give the public keys that ID tokens are signed with."""
        return self._call(get_keys.request())

    # ------------------------------------------------------------------------------------------- all of them

    def _credentials(self) -> _Credentials:
        secret = self.settings.client_secret
        # In the form, as the service says that it wants it.
        return {"client_id": self.client_id, "client_secret": UNSET if secret is None else secret}

    def _require_secret(self, what: str) -> None:
        if not self.confidential:
            raise ConfigurationError(
                f"{what} needs the client's secret, and this one has none", hint="Pass client_secret."
            )

    def _call(self, request: Request[T], *, transport: Transport | None = None) -> T:
        response = (transport or self.transport).send(request)
        return self._decode(request, response)

    def _decode(self, request: Request[T], response: Response) -> T:
        try:
            return self.transport.decode(request, response)
        except UnexpectedResponse as error:
            unexpected = error
        unexpected.__cause__ = unexpected.__context__ = None  # it has the answer, in which there may be tokens
        if 300 <= unexpected.status < 400:  # nothing follows it: what was sent is for one host only
            unexpected.hint = (
                f"auth_url is {self.config.auth_url}, and leads somewhere else. Set it to the accounts service "
                "itself, https://auth.civitai.com."
            )
        raise unexpected

    def _tokens(
        self,
        request: Request[TokenResponse],
        response: Response,
        asked_at: datetime,
        *,
        scopes: Scope | None = None,
        refresh_token: str | None = None,
    ) -> Tokens:
        try:
            return tokens_of(
                self._decode(request, response), obtained_at=asked_at, scopes=scopes, refresh_token=refresh_token
            )
        except ValueError as error:
            problem = str(error)
        raise self._useless(request, response, problem)  # out here, so that it does not keep the answer

    def _useless(self, request: Request[Any], response: Response, problem: str) -> UnexpectedResponse:
        return UnexpectedResponse(
            problem,
            status=response.status,
            media_type=response.media_type,
            method=request.method,
            url=self.transport.url_of(request),
        )

    def close(self) -> None:
        """Close the connections; the client cannot be used after that. What waits for something ends."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = "confidential" if self.confidential else "public"
        return f"<{type(self).__name__} {self.client_id}, {kind}, {self.config.auth_url}>"


class _Credentials(TypedDict):
    client_id: str
    client_secret: str | Unset


def _a_token(token: Any) -> Secret:
    if not isinstance(token, str) or not token.strip():
        raise InvalidRequest(
            f"It takes a token, or Tokens; this is {'empty' if isinstance(token, str) else type(token).__name__}"
        )
    return Secret(token.strip())
