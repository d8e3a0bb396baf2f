# Derived from tests/_async/test_oauth_app.py by scripts/unasync.py: change that file, then run `make fix`.
"""The OAuth client, against the accounts service of the emulator and against servers that misbehave."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from civitai_ext import RetryPolicy, errors
from civitai_ext.emulator import Emulator
from civitai_ext.oauth import App, Pkce, Scope, SignIn, Tokens
from tests.faults.server import Answer, Cut, FaultServer, Reset, Silence

pytestmark = pytest.mark.anyio

BACK = "http://127.0.0.1/callback"
HERE = "http://127.0.0.1:8127/callback"
SECRET = "the-client-secret-nobody-sees"
VERIFIER = "the-verifier-that-nobody-sees-0123456789-ab"
CODE, STATE, ACCESS, REFRESH = "the-code", "the-state", "the-access-token", "the-refresh"
CALLBACK = f"{BACK}?code={CODE}&state={STATE}"
PAIR = {"access_token": ACCESS, "token_type": "Bearer", "expires_in": 3600, "refresh_token": REFRESH}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A Civitai in real time: what signs ID tokens and what dates answers are two clocks."""
    with Emulator(models=5) as emulator:
        yield emulator


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Callable[..., App]]:
    """Makes clients of it."""
    made: list[App] = []

    def make(client: Any = None, **options: Any) -> App:
        client = client or emulator.oauth.public
        urls = {"auth_url": emulator.auth_url, "site_url": emulator.site_url, "orchestration_url": emulator.site_url}
        made.append(App(client.id, BACK, client.secret, **{**urls, "retry": RetryPolicy.immediate(), **options}))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make: Callable[..., App]) -> App:
    """A client without a secret."""
    return make()


@pytest.fixture
def scripted(server: FaultServer) -> Iterator[App]:
    """A client with a secret, of a server that does what its script says."""
    with App("my-id", BACK, SECRET, retry=RetryPolicy.immediate(), **urls_of(server)) as app:
        yield app


def urls_of(server: FaultServer) -> dict[str, Any]:
    return {"auth_url": server.url, "site_url": server.url, "orchestration_url": server.url}


def form_of(server: FaultServer, place: int = -1) -> dict[str, str]:
    """What was sent."""
    received = server.received[place]
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not {"origin", "authorization", "cookie"} & received.headers.keys()
    return {name: value for name, (value,) in parse_qs(received.body.decode(), strict_parsing=True).items()}


def answer(data: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(data).encode(), headers)


def attempt(app: App, **changed: Any) -> SignIn:
    """An attempt whose secrets are known."""
    sign_in = attrs.evolve(app.sign_in("AIServices"), state=STATE, pkce=Pkce(VERIFIER))
    return attrs.evolve(sign_in, **changed)


def shown(error: BaseException) -> str:
    """All that somebody could see of an error."""
    text = ""
    each: BaseException | None = error
    while each is not None:
        text += f"{each} {each!r} {vars(each)} {''.join(traceback.format_exception(each))}"
        each = each.__cause__ or each.__context__
    return text


# --------------------------------------------------------------------------------------------------- with a browser


@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_somebody_logs_in(emulator: Emulator, make: Callable[..., App], kind: str) -> None:
    app = make(getattr(emulator.oauth, kind))
    assert app.confidential is (kind == "confidential")
    sign_in = app.sign_in(Scope.AI_SERVICES_WRITE, redirect_uri=HERE)
    tokens = app.exchange(emulator.oauth.approve(sign_in.url), sign_in)
    assert tokens.scopes == Scope.AI_SERVICES_WRITE | Scope.USER_READ  # what is always added
    assert tokens.claims is None
    assert tokens.lifetime is not None
    assert tokens.lifetime.total_seconds() == 3600
    assert (app.userinfo(tokens)).username == "emulated"
    assert (app.userinfo(tokens.access_token)).id == 1


def test_the_address_can_be_made_by_hand(app: App, emulator: Emulator) -> None:
    pkce = Pkce.new()
    url = app.authorize_url(["UserRead"], "my-state", pkce)
    assert "nonce" not in url
    assert emulator.oauth.approve(url).startswith(f"{BACK}?code=")
    sign_in = attrs.evolve(app.sign_in(1), state="my-state", pkce=pkce)
    assert sign_in.url == url
    assert (app.exchange(emulator.oauth.approve(url), sign_in)).scopes == Scope.USER_READ


def test_a_web_application_keeps_the_attempt_in_a_session(app: App, emulator: Emulator) -> None:
    sign_in = app.sign_in("MediaRead", id_token=True)
    session = json.loads(json.dumps(sign_in.to_dict()))
    tokens = app.exchange(emulator.oauth.approve(sign_in.url), SignIn.from_dict(session))
    assert tokens.claims is not None
    assert (tokens.claims["sub"], tokens.claims["aud"]) == ("1", app.client_id)


def test_the_issuer_may_be_named(app: App, emulator: Emulator) -> None:
    emulator.oauth.sends_issuer = True
    sign_in = app.sign_in("MediaRead")
    back = emulator.oauth.approve(sign_in.url)
    assert "iss=" in back
    assert app.exchange(back, sign_in)


def test_somebody_says_no(app: App, emulator: Emulator) -> None:
    sign_in = app.sign_in("MediaRead")
    with pytest.raises(errors.LoginDenied):
        app.exchange(emulator.oauth.deny(sign_in.url), sign_in)


def test_a_code_works_once(app: App, emulator: Emulator) -> None:
    sign_in = app.sign_in("MediaRead")
    back = emulator.oauth.approve(sign_in.url)
    app.exchange(back, sign_in)
    with pytest.raises(errors.LoginFailed, match="A code works once") as caught:
        app.exchange(back, sign_in)
    assert caught.value.code == "invalid_grant"
    assert isinstance(caught.value.__cause__, errors.BadRequest)


def test_a_code_does_not_wait(app: App, emulator: Emulator) -> None:
    sign_in = app.sign_in("MediaRead")
    back = emulator.oauth.approve(sign_in.url)
    emulator.clock.advance(301)
    with pytest.raises(errors.LoginFailed, match="within five minutes"):
        app.exchange(back, sign_in)


def test_a_code_belongs_to_its_attempt(app: App, emulator: Emulator) -> None:
    mine, other = app.sign_in("MediaRead"), app.sign_in("MediaRead")
    back = emulator.oauth.approve(mine.url)
    with pytest.raises(errors.LoginFailed, match="another attempt"):
        app.exchange(back, other)
    with pytest.raises(errors.LoginFailed, match="invalid_grant"):  # somebody put their verifier to my state
        app.exchange(back, attrs.evolve(mine, pkce=other.pkce))
    with pytest.raises(errors.LoginFailed, match="another address"):
        app.exchange(back, attrs.evolve(mine, redirect_uri=HERE))
    assert app.exchange(back, mine)  # none of which used it up


def test_an_attempt_belongs_to_its_client(
    app: App, emulator: Emulator, make: Callable[..., App], server: FaultServer
) -> None:
    sign_in = app.sign_in("MediaRead")
    back = emulator.oauth.approve(sign_in.url)
    for other in (make(emulator.oauth.confidential), make(auth_url=server.url)):
        with pytest.raises(errors.InvalidRequest, match="another client") as caught:
            other.exchange(back, sign_in)
        assert sign_in.state not in shown(caught.value)
    assert server.received == []


def test_a_client_that_is_not_known(app: App, emulator: Emulator, make: Callable[..., App]) -> None:
    client = emulator.oauth.confidential
    wrong = make(attrs.make_class("Client", ["id", "secret"])(client.id, SECRET))
    sign_in = wrong.sign_in("MediaRead")
    back = emulator.oauth.approve(sign_in.url)
    with pytest.raises(errors.ConfigurationError, match="refused the OAuth client: invalid_client") as caught:
        wrong.exchange(back, sign_in)
    assert SECRET not in shown(caught.value)
    with pytest.raises(errors.ConfigurationError, match="invalid_client"):
        wrong.revoke("civitai_x")
    with pytest.raises(errors.ConfigurationError, match="invalid_client"):
        wrong.refresh("civitai_x")


# -------------------------------------------------------------------------------------------------------- ID tokens


def test_an_id_token_that_does_not_come(app: App, emulator: Emulator) -> None:
    emulator.oauth.signs_id_tokens = False
    sign_in = app.sign_in("MediaRead", id_token=True)
    with pytest.raises(errors.LoginFailed, match="ID token"):
        app.exchange(emulator.oauth.approve(sign_in.url), sign_in)


KEY = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": "a"})


def id_token_of(app: App, now: float, key: ECKey = KEY) -> str:
    said = {"iss": app.config.auth_url, "aud": "my-id", "sub": "7", "nonce": "the-nonce"}
    times = {"iat": int(now), "exp": int(now) + 3600}
    return jwt.encode({"alg": "ES256", "kid": "a"}, said | times, key, algorithms=["ES256"])


@pytest.mark.parametrize("hours", [-30 * 24, -1, 0, 1, 30 * 24])
def test_the_clock_of_this_machine_may_be_wrong(scripted: App, server: FaultServer, hours: int) -> None:
    sign_in = attempt(scripted, nonce="the-nonce")
    there = time.time() + hours * 3600
    server.script(
        answer({"keys": [KEY.as_dict(private=False)]}),
        answer({**PAIR, "id_token": id_token_of(scripted, there)}, date=formatdate(there, usegmt=True)),
    )
    tokens = scripted.exchange(CALLBACK, sign_in)
    assert tokens.claims is not None
    assert tokens.claims["sub"] == "7"
    assert tokens.lifetime is not None
    assert abs(tokens.obtained_at.timestamp() - time.time()) < 60  # by this machine's clock


def test_an_id_token_of_somebody_else_is_no_login(scripted: App, server: FaultServer) -> None:
    other = ECKey.generate_key("P-256", {"kid": "a"})
    for given in (id_token_of(scripted, time.time(), other), "x.y.z", 5):
        server.script(answer({"keys": [KEY.as_dict(private=False)]}), answer({**PAIR, "id_token": given}))
        with pytest.raises(errors.LoginFailed, match="ID token"):
            scripted.exchange(CALLBACK, attempt(scripted, nonce="the-nonce"))


def test_the_code_is_kept_while_the_keys_cannot_be_had(scripted: App, server: FaultServer) -> None:
    server.script(Answer(500))
    with pytest.raises(errors.ServerError):
        scripted.exchange(CALLBACK, attempt(scripted, nonce="the-nonce"))
    assert {received.method for received in server.received} == {"GET"}


def test_without_the_extra_nothing_is_sent(scripted: App, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(errors.ConfigurationError, match=r"civitai-ext\[oauth\]"):
        scripted.sign_in("MediaRead", id_token=True)
    with pytest.raises(errors.ConfigurationError, match=r"civitai-ext\[oauth\]"):
        scripted.exchange(CALLBACK, attempt(scripted, nonce="the-nonce"))
    assert server.received == []


# ----------------------------------------------------------------------------------------------- what was given


def login(app: App, emulator: Emulator) -> Tokens:
    sign_in = app.sign_in("AIServices")
    return app.exchange(emulator.oauth.approve(sign_in.url), sign_in)


@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_tokens_are_renewed(emulator: Emulator, make: Callable[..., App], kind: str) -> None:
    app = make(getattr(emulator.oauth, kind))
    tokens = login(app, emulator)
    emulator.clock.advance(3700)
    with pytest.raises(errors.AuthenticationError):
        app.userinfo(tokens)
    renewed = app.refresh(tokens)
    assert renewed.refresh_token != tokens.refresh_token
    assert renewed.scopes == tokens.scopes
    assert (app.userinfo(renewed)).id == 1
    assert renewed.refresh_token is not None
    assert app.refresh(renewed.refresh_token)
    assert emulator.oauth.refreshes == 2


def test_a_refresh_token_works_once(app: App, emulator: Emulator) -> None:
    tokens = login(app, emulator)
    app.refresh(tokens)
    with pytest.raises(errors.LoginExpired, match="Log in again") as caught:
        app.refresh(tokens)
    assert (caught.value.code, caught.value.status, caught.value.account) == ("invalid_grant", 400, None)
    assert isinstance(caught.value.__cause__, errors.BadRequest)


def test_tokens_that_cannot_be_renewed(app: App, emulator: Emulator) -> None:
    tokens = attrs.evolve(login(app, emulator), refresh_token=None)
    with pytest.raises(errors.InvalidRequest, match="no refresh token"):
        app.refresh(tokens)


def test_a_token_is_revoked(app: App, emulator: Emulator) -> None:
    tokens = login(app, emulator)
    app.revoke(tokens)
    app.revoke(tokens)
    app.revoke("never-heard-of")
    with pytest.raises(errors.AuthenticationError, match="expired or revoked"):
        app.userinfo(tokens)
    with pytest.raises(errors.LoginExpired):
        app.refresh(tokens)
    only = attrs.evolve(login(app, emulator), refresh_token=None)
    app.revoke(only)
    with pytest.raises(errors.AuthenticationError):
        app.userinfo(only)


def test_a_personal_api_key_is_no_oauth_token(app: App, emulator: Emulator) -> None:
    with pytest.raises(errors.AuthenticationError, match="no personal API keys") as caught:
        app.userinfo(emulator.token)
    assert emulator.token not in shown(caught.value)


def test_a_token_without_the_right_to_read_who_it_is(scripted: App, server: FaultServer) -> None:
    server.script(answer({"error": "insufficient_scope", "error_description": "UserRead is missing"}, 403))
    with pytest.raises(errors.ScopeMissing, match="scope UserRead") as caught:
        scripted.userinfo(ACCESS)
    assert caught.value.missing is Scope.USER_READ


def test_tokens_without_a_user(emulator: Emulator, make: Callable[..., App]) -> None:
    app = make(emulator.oauth.confidential)
    tokens = app.client_credentials(Scope.READ_ONLY)
    assert tokens.scopes is Scope.READ_ONLY
    assert (app.userinfo(tokens)).username == emulator.oauth.confidential.owner.username
    with pytest.raises(errors.LoginFailed, match="invalid_scope") as caught:
        app.client_credentials(Scope.APP_BLOCKS_SUBMIT)
    assert caught.value.code == "invalid_scope"


def test_tokens_without_a_user_are_not_for_everybody(emulator: Emulator, make: Callable[..., App]) -> None:
    with pytest.raises(errors.ConfigurationError, match="client_secret"):
        make().client_credentials("UserRead")
    registered = emulator.oauth.register(confidential=True)
    with pytest.raises(errors.ConfigurationError, match="unauthorized_client"):
        make(registered).client_credentials("UserRead")


def test_asking_about_a_token(emulator: Emulator, make: Callable[..., App]) -> None:
    tokens = login(make(), emulator)
    asking = make(emulator.oauth.register(confidential=True, introspects=True))
    known = asking.introspect(tokens)
    assert (known.active, known.username, known.client_id) == (True, "emulated", emulator.oauth.public.id)
    assert not (asking.introspect("never-heard-of")).active
    with pytest.raises(errors.PermissionDenied):
        make(emulator.oauth.confidential).introspect(tokens)
    with pytest.raises(errors.ConfigurationError, match="client_secret"):
        make().introspect(tokens)


def test_what_the_service_says_about_itself(app: App, emulator: Emulator) -> None:
    assert (app.discovery()).issuer == app.config.auth_url == emulator.auth_url
    (key,) = (app.keys()).keys
    assert (key.kty, key.alg) == ("EC", "ES256")


# ------------------------------------------------------------------------------------------------ on another device


def test_somebody_allows_it_on_another_device(emulator: Emulator, make: Callable[..., App]) -> None:
    app = make(emulator.oauth.device)
    code = app.start_device("AIServices")
    assert code.verification_uri.startswith(emulator.auth_url)
    assert code.user_code in str(code.verification_uri_complete)
    with pytest.raises(errors.LoginTimeout, match="in time") as caught:
        app.wait_for_device(code, timeout=0)
    assert code.device_code not in shown(caught.value)
    emulator.oauth.approve_device(code.user_code)
    tokens = app.wait_for_device(code)
    assert tokens.scopes is Scope.AI_SERVICES
    assert (app.userinfo(tokens)).id == 1
    with pytest.raises(errors.LoginFailed, match="invalid_grant"):
        app.wait_for_device(code)


def test_somebody_says_no_on_another_device(emulator: Emulator, make: Callable[..., App]) -> None:
    app = make(emulator.oauth.device)
    code = app.start_device("AIServices")
    emulator.oauth.deny_device(code.user_code)
    with pytest.raises(errors.LoginDenied):
        app.wait_for_device(code)


def test_a_device_code_expires(emulator: Emulator, make: Callable[..., App]) -> None:
    app = make(emulator.oauth.device)
    code = app.start_device("AIServices")
    emulator.clock.advance(901)
    with pytest.raises(errors.LoginTimeout, match="expired_token"):
        app.wait_for_device(code)


def test_only_some_clients_may_use_another_device(app: App) -> None:
    with pytest.raises(errors.ConfigurationError, match="with a browser only"):
        app.start_device("AIServices")


CODES = {
    "device_code": "the-device-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://auth.example/device",
    "expires_in": 900,
    "interval": 5,
}
PENDING = answer({"error": "authorization_pending"}, 400)


def test_trouble_on_the_way_does_not_end_the_waiting(scripted: App, server: FaultServer) -> None:
    server.script(
        answer(CODES),
        PENDING,
        answer({"error": "rate_limited"}, 429),
        answer({"error": "server_error"}, 400),
        answer({"error": "server_error"}, 500),
        Answer(502, b"<html>no</html>", media_type="text/html"),
        Reset(),
        Cut(),
        PENDING,
        answer({**PAIR, "scope": "114689"}),
    )
    code = scripted.start_device("AIServices")
    assert form_of(server) == {"client_id": "my-id", "scope": "114689"}
    tokens = scripted.wait_for_device(code)
    assert tokens.scopes is Scope.AI_SERVICES
    assert len(server.received) == 10
    assert form_of(server) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "the-device-code",
        "client_id": "my-id",
    }


def test_how_long_is_waited_between_questions(server: FaultServer) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with App("my-id", BACK, **urls_of(server)) as app:
        app.transport.sleep = sleep
        limited = answer({"error": "rate_limited"}, 429, **{"retry-after": "20"})
        server.script(answer(CODES), PENDING, limited, PENDING, answer(PAIR))
        app.wait_for_device(app.start_device("AIServices"))
    assert pauses == [5, 5, 20, 10]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (answer({"error": "invalid_grant"}, 400), errors.LoginFailed),
        (answer({"error": "access_denied"}, 400), errors.LoginDenied),
        (answer({"error": "expired_token"}, 400), errors.LoginTimeout),
        (answer({"error": "invalid_client"}, 400), errors.ConfigurationError),
        (Answer(200, b"<html>Welcome to the airport</html>", media_type="text/html"), errors.UnexpectedResponse),
        (answer({"access_token": 5}), errors.UnexpectedResponse),
        (Answer(404, b""), errors.NotFound),
    ],
)
def test_what_ends_the_waiting(
    scripted: App, server: FaultServer, refusal: Answer, kind: type[errors.CivitaiError]
) -> None:
    server.script(answer(CODES), refusal)
    code = scripted.start_device("AIServices")
    with pytest.raises(kind) as caught:
        scripted.wait_for_device(code)
    assert len(server.received) == 2
    assert "the-device-code" not in shown(caught.value)


def test_closing_ends_the_waiting(server: FaultServer) -> None:
    app = App("my-id", BACK, **urls_of(server))
    server.script(answer(CODES), PENDING)
    code = app.start_device("AIServices")
    app.close()
    with pytest.raises(errors.ConfigurationError, match="closed"):
        app.wait_for_device(code)
    with pytest.raises(errors.ConfigurationError, match="closed"):
        app.refresh(REFRESH)


@pytest.mark.parametrize("codes", [{}, {**CODES, "device_code": 5}, {**CODES, "verification_uri": "javascript:x"}, []])
def test_codes_that_are_none(scripted: App, server: FaultServer, codes: Any) -> None:
    server.script(answer(codes))
    with pytest.raises(errors.UnexpectedResponse) as caught:
        scripted.start_device("AIServices")
    assert "the-device-code" not in shown(caught.value)


# ----------------------------------------------------------------------------------------------- what is sent where


def test_what_is_sent(scripted: App, server: FaultServer) -> None:
    server.script(answer(PAIR))
    client = {"client_id": "my-id", "client_secret": SECRET}
    tokens = scripted.exchange(CALLBACK, attempt(scripted))
    assert form_of(server) == {
        "grant_type": "authorization_code",
        **client,
        "code": CODE,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    scripted.refresh(tokens)
    assert form_of(server) == {"grant_type": "refresh_token", **client, "refresh_token": REFRESH}
    scripted.client_credentials("UserRead")
    assert form_of(server) == {"grant_type": "client_credentials", **client, "scope": "1"}
    scripted.revoke(tokens)
    assert form_of(server) == {**client, "token": REFRESH, "token_type_hint": "refresh_token"}
    scripted.revoke(attrs.evolve(tokens, refresh_token=None))
    assert form_of(server) == {**client, "token": ACCESS, "token_type_hint": "access_token"}
    scripted.revoke(" the-access-token\n")
    assert form_of(server) == {**client, "token": ACCESS}
    assert {received.target for received in server.received} == {
        "/api/auth/oauth/token",
        "/api/auth/oauth/revoke",
    }
    scripted.userinfo(tokens)
    assert server.received[-1].headers["authorization"] == "Bearer the-access-token"


Call = Callable[[App], object]
TOKENS = Tokens(access_token=ACCESS, refresh_token=REFRESH, obtained_at=datetime.now(UTC))
LOGINS: dict[str, Call] = {
    "exchange": lambda app: app.exchange(CALLBACK, attempt(app)),
    "client_credentials": lambda app: app.client_credentials("UserRead"),
    "start_device": lambda app: app.start_device("UserRead"),
}
OTHERS: dict[str, Call] = {
    "refresh": lambda app: app.refresh(TOKENS),
    "revoke": lambda app: app.revoke(TOKENS),
    "introspect": lambda app: app.introspect(TOKENS),
    "userinfo": lambda app: app.userinfo(TOKENS),
}
CALLS = {**LOGINS, **OTHERS}
NOBODY_SEES = (SECRET, VERIFIER, CODE, STATE, REFRESH, ACCESS)


@pytest.mark.parametrize("name", CALLS)
def test_no_redirect_is_followed(scripted: App, server: FaultServer, name: str) -> None:
    with FaultServer() as elsewhere:
        server.script(Answer(308, b"", {"location": f"{elsewhere.url}/api/auth/oauth/token?code={CODE}"}))
        with pytest.raises(errors.UnexpectedResponse, match="Set it to the accounts service") as caught:
            CALLS[name](scripted)
        assert elsewhere.received == []
    assert len(server.received) == 1
    assert not [secret for secret in NOBODY_SEES if secret in shown(caught.value)]


def test_the_former_address_is_no_accounts_service(emulator: Emulator, make: Callable[..., App]) -> None:
    tokens = login(make(), emulator)
    emulator.oauth.legacy_redirects = True
    with pytest.raises(errors.UnexpectedResponse, match="Set it to the accounts service"):
        make(auth_url=emulator.site_url).refresh(tokens)
    assert (make().refresh(tokens)).scopes is Scope.AI_SERVICES


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_no_error_repeats_a_secret(scripted: App, server: FaultServer, name: str, status: int) -> None:
    said = " ".join(NOBODY_SEES)
    server.script(answer({"error": "invalid_grant", "error_description": said, said: [said]}, status))
    with pytest.raises(errors.CivitaiError) as caught:
        CALLS[name](scripted)
    sent = server.received[-1].body.decode() + str(server.received[-1].headers)
    assert not [secret for secret in NOBODY_SEES if secret in sent and secret in shown(caught.value)]


def test_no_log_has_a_secret(scripted: App, server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.script(answer({**PAIR, **CODES, "device_code": REFRESH}))
    for call in CALLS.values():
        call(scripted)
    assert f"POST {scripted.config.auth_url}/api/auth/oauth/token: 200" in caplog.text
    ours = "".join(record.getMessage() for record in caplog.records if record.name != "asyncio")
    assert not [secret for secret in NOBODY_SEES if secret in ours]


@pytest.mark.parametrize("name", ["exchange", "refresh", "client_credentials", "start_device"])
@pytest.mark.parametrize("trouble", [Answer(500), Answer(502), Reset(), Cut(), Answer(503)])
def test_what_works_once_is_not_sent_again(scripted: App, server: FaultServer, name: str, trouble: Any) -> None:
    server.script(trouble, answer({**PAIR, **CODES}))
    kinds = (errors.ServerError, errors.ConnectionFailed, errors.UnexpectedResponse)
    with pytest.raises(kinds) as caught:
        CALLS[name](scripted)
    assert not isinstance(caught.value, (errors.LoginFailed, errors.LoginExpired))
    assert len(server.received) == 1


@pytest.mark.parametrize("name", CALLS)
def test_what_was_not_taken_is_sent_again(scripted: App, server: FaultServer, name: str) -> None:
    refusal = answer({"error": "rate_limited"}, 429, **{"retry-after": "3"})
    server.script(refusal, refusal, answer({**PAIR, **CODES}))
    CALLS[name](scripted)
    assert len(server.received) == 3


@pytest.mark.parametrize("name", ["revoke", "introspect", "userinfo"])
def test_what_can_be_said_twice_is_sent_again(scripted: App, server: FaultServer, name: str) -> None:
    server.script(Answer(502), Reset(), answer({}))
    CALLS[name](scripted)
    assert len(server.received) == 3


@pytest.mark.parametrize("name", CALLS)
def test_too_many_requests_are_told_as_such(scripted: App, server: FaultServer, name: str) -> None:
    server.script(answer({"error": "rate_limited"}, 429, **{"retry-after": "3000"}))
    with pytest.raises(errors.RateLimited) as caught:
        CALLS[name](scripted)
    assert caught.value.retry_after == 3000


@pytest.mark.parametrize("name", ["exchange", "refresh", "client_credentials"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"x" * 1000,
        b'{"access_token": 5}',
        b'{"access_token": "a b", "id_token": "secret-token"}',
        b'["secret-token"]',
    ],
)
def test_answers_without_tokens(scripted: App, server: FaultServer, name: str, body: bytes) -> None:
    server.script(Answer(200, body))
    with pytest.raises(errors.UnexpectedResponse) as caught:
        CALLS[name](scripted)
    assert "/api/auth/oauth/token" in caught.value.url
    assert "secret-token" not in shown(caught.value)
    assert len(server.received) == 1


def test_what_a_renewal_leaves_out_stays(scripted: App, server: FaultServer) -> None:
    server.script(answer({"access_token": "next"}))
    known = attrs.evolve(TOKENS, scopes=Scope.BUZZ_READ)
    renewed = scripted.refresh(known)
    assert (renewed.access_token, renewed.refresh_token, renewed.scopes) == ("next", REFRESH, Scope.BUZZ_READ)
    assert (scripted.refresh(REFRESH)).scopes is None


# ------------------------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda app: app.exchange(None, attempt(app)), "the browser came back"),
        (lambda app: app.exchange(CALLBACK, {}), "sign_in gave"),
        (lambda app: app.refresh(""), "empty"),
        (lambda app: app.refresh(None), "NoneType"),
        (lambda app: app.refresh(5), "int"),
        (lambda app: app.revoke(b"the-access"), "bytes"),
        (lambda app: app.revoke(" "), "empty"),
        (lambda app: app.userinfo(None), "NoneType"),
        (lambda app: app.userinfo("a b"), "white space"),
        (lambda app: app.userinfo("Bearer abc"), "Bearer"),
        (lambda app: app.introspect(5), "int"),
        (lambda app: app.client_credentials(0), "No scope"),
        (lambda app: app.client_credentials("nothing"), "no scope 'nothing'"),
        (lambda app: app.start_device(None), "scopes"),
        (lambda app: app.wait_for_device("ABCD-EFGH"), "start_device"),
    ],
)
def test_wrong_arguments(scripted: App, server: FaultServer, call: Call, message: str) -> None:
    with pytest.raises((errors.InvalidRequest, errors.ConfigurationError), match=message) as caught:
        call(scripted)
    assert server.received == []
    assert "the-" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda app: app.sign_in(0), "No scope"),
        (lambda app: app.sign_in("nothing"), "no scope"),
        (lambda app: app.sign_in(None), "scopes"),
        (lambda app: app.sign_in(1, redirect_uri="http://127.0.0.1:5/other"), "Only the port"),
        (lambda app: app.sign_in(1, redirect_uri="https://evil.example/callback"), "Only the port"),
        (lambda app: app.sign_in(1, redirect_uri=""), "redirect_uri"),
        (lambda app: app.authorize_url(1, "", Pkce.new()), "state"),
        (lambda app: app.authorize_url(1, None, Pkce.new()), "state"),
        (lambda app: app.authorize_url(1, "x", Pkce.new(), nonce=""), "nonce"),
        (lambda app: app.authorize_url(1, "x", VERIFIER), "Pkce.new"),
    ],
)
def test_wrong_arguments_of_what_sends_nothing(call: Callable[[App], object], message: str) -> None:
    with pytest.raises((errors.InvalidRequest, errors.ConfigurationError), match=message) as caught:
        call(App("my-id", BACK))
    assert VERIFIER not in str(caught.value)


# -------------------------------------------------------------------------------------------------------- settings


def test_one_is_made_of_the_settings_of_another(
    scripted: App, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_AUTH_URL", "https://elsewhere.example")
    with App.of(scripted.settings) as twin:
        assert twin.settings == scripted.settings
        assert twin.config == scripted.config
        server.script(answer(PAIR))
        twin.refresh(REFRESH)
    assert form_of(server)["client_secret"] == SECRET
    assert App("my-id", BACK).config.auth_url == "https://elsewhere.example"


def test_the_settings_are_used(server: FaultServer) -> None:
    server.script(Silence())
    with App("my-id", BACK, auth_url=server.url, app="my-tool/1.2", timeout=0.05) as app:
        with pytest.raises(errors.RequestTimeout):
            app.refresh(REFRESH)
    assert server.received[-1].headers["user-agent"].startswith("my-tool/1.2 ")


def test_it_shows_no_secret() -> None:
    app = App("my-id", BACK, SECRET, auth_url="https://auth.example", proxy="http://me:pass-word@proxy.example")
    assert repr(app) == f"<{App.__name__} my-id, confidential, https://auth.example>"
    assert not [secret for secret in (SECRET, "pass-word") if secret in repr(app) + repr(vars(app))]


def test_a_token_of_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", ACCESS)
    assert App("my-id", BACK).config.token is None
