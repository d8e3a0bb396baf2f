"""The accounts service: every flow and every refusal, at both addresses."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from civitai_ext.emulator import BrowserError, Emulator, EmulatorError
from civitai_ext.emulator.oauth.clients import Client
from civitai_ext.emulator.scopes import ALL

AUTHORIZE, TOKEN, REVOKE, USERINFO, INTROSPECT, DEVICE, DEVICE_TOKEN = (
    f"/api/auth/oauth/{name}"
    for name in ("authorize", "token", "revoke", "userinfo", "introspect", "device", "device-token")
)
ME = "/api/v1/me"
WORKFLOWS = "/v2/consumer/workflows"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
VERIFIER = "the-verifier-of-these-tests-is-long-enough-._~"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
REDIRECT = "http://127.0.0.1:53682/callback"
AI_SERVICES = 114689


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[httpx.Client]:
    """A client of the accounts service, which keeps cookies as a browser does and follows nothing."""
    with httpx.Client(base_url=emulator.auth_url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        yield client


@pytest.fixture
def site(anonymous: httpx.Client) -> httpx.Client:
    """A client of everything else."""
    return anonymous


def asking(emulator: Emulator, client: Client | None = None, **changes: str | None) -> dict[str, str]:
    """Give the parameters of a request for a code; `None` leaves one out."""
    fields = {
        "client_id": (client or emulator.oauth.public).id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": str(AI_SERVICES),
        "state": "the state & more",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def address(emulator: Emulator, client: Client | None = None, **changes: str | None) -> str:
    return f"{emulator.auth_url}{AUTHORIZE}?{urlencode(asking(emulator, client, **changes))}"


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def code_form(emulator: Emulator, client: Client | None = None, **changes: str | None) -> dict[str, str]:
    """Let the user approve and give the form that exchanges the code."""
    client = client or emulator.oauth.public
    asked = {name: changes.pop(name) for name in ("scope", "nonce") if name in changes}
    code = query(emulator.oauth.approve(address(emulator, client, **asked)))["code"]
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": client.id,
        "client_secret": client.secret,
        "code_verifier": VERIFIER,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def refresh_form(client: Client, token: str, **more: str) -> dict[str, str]:
    secret = {"client_secret": client.secret} if client.secret else {}
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": client.id, **secret, **more}


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refused(answer: httpx.Response, status: int, error: str) -> bool:
    """Tell whether an answer is a certain refusal, as OAuth words it and for nobody to keep."""
    content = answer.json()
    shape = set(content) <= {"error", "error_description"} and answer.headers["cache-control"] == "no-store"
    return shape and (answer.status_code, content["error"]) == (status, error)


def sign_in(hub: httpx.Client, account: int = 1, return_url: str = "/x") -> httpx.Response:
    return hub.post("/login", data={"account": str(account), "returnUrl": return_url})


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {html.unescape(name): html.unescape(value) for name, value in found}


# Authorizing


def test_a_user_signs_in_consents_and_is_sent_back(emulator: Emulator, hub: httpx.Client) -> None:
    asked = asking(emulator)
    to_login = hub.get(AUTHORIZE, params=asked)
    assert to_login.status_code == 303
    assert to_login.headers["location"].startswith("/login?returnUrl=")

    login = hub.get(to_login.headers["location"])
    assert login.headers["content-type"].startswith("text/html")
    assert "emulated" in login.text
    back = hub.post("/login", data={**hidden_fields(login.text), "account": "1"})
    assert back.status_code == 303

    consent = hub.get(back.headers["location"])
    assert consent.status_code == 200
    assert "<script" not in consent.text
    for words in ("See what you have generated", "which spends Buzz", "Emulated public client", "Allow", "Deny"):
        assert words in consent.text
    assert "Delete your models" not in consent.text

    done = hub.post(AUTHORIZE, data={**hidden_fields(consent.text), "approved": "true"})
    assert done.status_code == 303
    location = done.headers["location"]
    assert location.partition("?")[0] == REDIRECT
    assert set(query(location)) == {"code", "state"}
    assert query(location)["state"] == asked["state"]


def test_what_is_shown_is_escaped(emulator: Emulator, hub: httpx.Client) -> None:
    evil = emulator.oauth.register("<script>alert(1)</script>")
    sign_in(hub)
    page = hub.get(AUTHORIZE, params=asking(emulator, evil, state='"><script>x</script>')).text
    assert "<script" not in page
    assert hidden_fields(page)["state"] == '"><script>x</script>'
    emulator.accounts.add("<script>evil</script>")
    assert "<script" not in hub.get("/login", params={"returnUrl": '"><script>'}).text
    assert "<script" not in hub.get("/login/oauth/device", params={"code": "<script>"}).text


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example/", "/\\evil.example", "evil", ""])
def test_signing_in_leads_to_no_other_host(hub: httpx.Client, url: str) -> None:
    answer = sign_in(hub, return_url=url)
    assert answer.status_code == 200
    assert "location" not in answer.headers


def test_signing_in_needs_an_account(hub: httpx.Client) -> None:
    assert "Choose an account" in sign_in(hub, 99).text
    assert not hub.cookies


def test_a_user_who_denies_is_sent_back_with_an_error(emulator: Emulator) -> None:
    found = query(emulator.oauth.deny(address(emulator)))
    assert found.pop("error_description")
    assert found == {"error": "access_denied", "state": "the state & more"}


def test_consent_is_remembered_on_request_and_for_what_was_asked(emulator: Emulator, hub: httpx.Client) -> None:
    emulator.oauth.rate_limits = False
    sign_in(hub)
    emulator.oauth.approve(address(emulator))
    assert hub.get(AUTHORIZE, params=asking(emulator)).status_code == 200, "consent was not to be remembered"
    emulator.oauth.approve(address(emulator), remember=True)
    assert hub.get(AUTHORIZE, params=asking(emulator)).status_code == 303
    assert hub.get(AUTHORIZE, params=asking(emulator, scope="1")).status_code == 303
    assert hub.get(AUTHORIZE, params=asking(emulator, scope=str(AI_SERVICES + 4))).status_code == 200
    emulator.oauth.approve(address(emulator, scope="4"), remember=True)
    assert hub.get(AUTHORIZE, params=asking(emulator, scope=str(AI_SERVICES + 4))).status_code == 303
    emulator.oauth.revoke_all()
    assert hub.get(AUTHORIZE, params=asking(emulator)).status_code == 200


def test_a_first_party_client_asks_nobody(emulator: Emulator, hub: httpx.Client) -> None:
    sign_in(hub)
    answer = hub.get(AUTHORIZE, params=asking(emulator, emulator.oauth.device))
    assert (answer.status_code, "code" in query(answer.headers["location"])) == (303, True)


def test_the_redirect_names_the_issuer_only_on_demand(emulator: Emulator) -> None:
    assert "iss" not in query(emulator.oauth.approve(address(emulator)))
    emulator.oauth.sends_issuer = True
    assert query(emulator.oauth.approve(address(emulator)))["iss"] == emulator.auth_url
    assert query(emulator.oauth.deny(address(emulator)))["iss"] == emulator.auth_url


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_id": "nobody"}, 400, "invalid_client"),
        ({"client_id": "appblk-1"}, 400, "invalid_client"),
        ({"redirect_uri": None}, 400, "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, 400, "invalid_request"),
        ({"response_type": None}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "invalid_request"),
        ({"state": None}, 400, "invalid_request"),
        ({"scope": None}, 400, "invalid_request"),
        ({"scope": "openid profile"}, 400, "invalid_scope"),
        ({"scope": "-1"}, 400, "invalid_scope"),
        ({"scope": "٣"}, 400, "invalid_scope"),
        ({"scope": "9" * 5000}, 400, "invalid_scope"),
        ({"scope": str(ALL + 1)}, 400, "invalid_scope"),
        ({"scope": str(1 << 25)}, 400, "invalid_scope"),  # beyond what the client may ask for
        ({"code_challenge": None, "code_challenge_method": None}, 400, "invalid_request"),
        ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"code_challenge_method": None}, 400, "invalid_request"),
        ({"code_challenge": "short"}, 400, "invalid_request"),
    ],
)
def test_bad_requests_for_a_code(
    emulator: Emulator, hub: httpx.Client, changes: dict[str, str | None], status: int, error: str
) -> None:
    sign_in(hub)
    answer = hub.get(AUTHORIZE, params=asking(emulator, None, **changes))
    assert refused(answer, status, error)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("uri", "fits"),
    [
        ("http://127.0.0.1/callback", True),
        ("http://127.0.0.1:1/callback", True),
        ("http://localhost:65535/callback", True),
        ("http://[::1]:8000/callback", True),
        ("https://app.example/callback", True),
        ("https://app.example:443/callback", False),
        ("https://app.example/callback?next=1", False),
        ("https://127.0.0.1:8000/callback", False),
        ("http://127.0.0.1:8000/callback/", False),
        ("http://127.0.0.1:8000/callback?next=1", False),
        ("http://127.0.0.1:8000/callback#", False),
        ("http://127.0.0.1:8000/call\nback", False),
        (" http://127.0.0.1:8000/callback", False),
        ("http://127.0.0.1:99999/callback", False),
        ("http://127.0.0.2:8000/callback", False),
        ("http://somebody@127.0.0.1:8000/callback", False),
        ("http://127.0.0.1.evil.example:8000/callback", False),
        ("javascript:alert(1)", False),
    ],
)
def test_users_are_sent_back_to_registered_addresses_only(
    emulator: Emulator, hub: httpx.Client, uri: str, fits: bool
) -> None:
    sign_in(hub)
    answer = hub.get(AUTHORIZE, params=asking(emulator, redirect_uri=uri))
    assert answer.status_code == 200 if fits else refused(answer, 400, "invalid_request")


def test_a_client_is_disabled_or_open_to_its_testers_only(emulator: Emulator, hub: httpx.Client) -> None:
    tester = emulator.accounts.add("tester")
    client = emulator.oauth.register(testers=[tester])
    sign_in(hub)
    assert refused(hub.get(AUTHORIZE, params=asking(emulator, client)), 403, "access_denied")
    assert "code" in query(emulator.oauth.approve(address(emulator, client), tester))
    client.testers, client.enabled = None, False
    assert refused(hub.get(AUTHORIZE, params=asking(emulator, client)), 403, "access_denied")


def test_a_client_without_the_grant_gets_no_code(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.register(grants=["client_credentials"], confidential=True)
    assert refused(hub.get(AUTHORIZE, params=asking(emulator, client)), 400, "invalid_request")


def test_ten_authorizations_a_minute_for_every_user(emulator: Emulator, hub: httpx.Client) -> None:
    sign_in(hub)
    statuses = [hub.get(AUTHORIZE, params=asking(emulator)).status_code for _ in range(10)]
    assert statuses == [200] * 10
    assert refused(hub.get(AUTHORIZE, params=asking(emulator)), 429, "rate_limited")
    with pytest.raises(BrowserError, match="rate_limits = False") as caught:
        emulator.oauth.approve(address(emulator))
    assert caught.value.status == 429
    other = emulator.accounts.add("other")
    assert "code" in query(emulator.oauth.approve(address(emulator), other))
    emulator.clock.advance(60)
    assert hub.get(AUTHORIZE, params=asking(emulator)).status_code == 200


# Codes


def test_a_code_is_exchanged_for_a_pair_of_tokens(emulator: Emulator, hub: httpx.Client) -> None:
    answer = hub.post(TOKEN, data=code_form(emulator))
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    content = answer.json()
    for name in ("access_token", "refresh_token"):
        assert re.fullmatch("civitai_[0-9a-f]{36}", content.pop(name))
    assert content == {"token_type": "Bearer", "expires_in": 3600, "scope": [str(AI_SERVICES)]}


def test_reading_the_profile_is_always_granted(emulator: Emulator, hub: httpx.Client) -> None:
    assert hub.post(TOKEN, data=code_form(emulator, scope="16384")).json()["scope"] == ["16385"]


def test_a_code_works_once_within_five_minutes(emulator: Emulator, hub: httpx.Client) -> None:
    form, late = code_form(emulator), code_form(emulator)
    assert hub.post(TOKEN, data=form).status_code == 200
    assert refused(hub.post(TOKEN, data=form), 400, "invalid_grant")
    emulator.clock.advance(299)
    in_time = code_form(emulator)
    emulator.clock.advance(1)
    assert refused(hub.post(TOKEN, data=late), 400, "invalid_grant")
    assert hub.post(TOKEN, data=in_time).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": DEVICE_GRANT}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"code": None}, "invalid_request"),
        ({"code": "0" * 40}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:1/callback"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "too-short"}, "invalid_request"),
        ({"code_verifier": "ü" * 43}, "invalid_request"),
        ({"code_verifier": VERIFIER + "x"}, "invalid_grant"),
    ],
)
def test_bad_exchanges_of_a_code(
    emulator: Emulator, hub: httpx.Client, changes: dict[str, str | None], error: str
) -> None:
    form = code_form(emulator)
    changed = {name: value for name, value in {**form, **changes}.items() if value is not None}
    assert refused(hub.post(TOKEN, data=changed), 400, error)
    assert hub.post(TOKEN, data=form).status_code == 200, "the right request still works"


def test_the_secret_of_a_public_client_is_ignored(emulator: Emulator, hub: httpx.Client) -> None:
    assert hub.post(TOKEN, data=code_form(emulator, client_secret="whatever")).status_code == 200


def test_a_confidential_client_proves_itself(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.confidential
    assert re.fullmatch("[0-9a-f]{48}", client.secret or "")
    assert not {str(client.secret), emulator.token} & set(re.findall(r"[\w-]+", repr(client)))
    form = code_form(emulator, client)
    for secret in ({}, {"client_secret": "wrong"}):
        anonymous = {name: value for name, value in form.items() if name != "client_secret"}
        assert refused(hub.post(TOKEN, data=anonymous | secret), 400, "invalid_client")
    assert hub.post(TOKEN, data=form).status_code == 200


def test_a_confidential_client_may_use_basic_credentials(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.confidential
    form = code_form(emulator, client, client_id=None, client_secret=None)
    for header in ("Basic " + base64.b64encode(f"{client.id}:wrong".encode()).decode(), "Basic ä", "Basic"):
        answer = hub.post(TOKEN, data=form, headers=[(b"Authorization", header.encode("latin-1"))])
        assert refused(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert hub.post(TOKEN, data=form, auth=(client.id, client.secret or "")).status_code == 200


def test_a_confidential_client_may_do_without_a_challenge(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.confidential
    url = address(emulator, client, code_challenge=None, code_challenge_method=None)
    form = code_form(emulator, client) | {"code": query(emulator.oauth.approve(url))["code"]}
    assert refused(hub.post(TOKEN, data=form), 400, "invalid_grant"), "a verifier for no challenge"
    del form["code_verifier"]
    assert hub.post(TOKEN, data=form).status_code == 200


def test_codes_belong_to_their_client(emulator: Emulator, hub: httpx.Client) -> None:
    form = code_form(emulator)
    other = emulator.oauth.register()
    assert refused(hub.post(TOKEN, data=form | {"client_id": other.id}), 400, "invalid_grant")


def test_json_is_tolerated_at_token_and_kept_out_of_the_journal(emulator: Emulator, hub: httpx.Client) -> None:
    form = code_form(emulator)
    answer = hub.post(TOKEN, json=form)
    assert answer.status_code == 200
    hub.post(TOKEN, json=refresh_form(emulator.oauth.public, answer.json()["refresh_token"]))
    assert refused(hub.post(TOKEN, content=b"{", headers={"Content-Type": "application/json"}), 400, "invalid_request")
    assert refused(hub.post(TOKEN, json=[1]), 400, "invalid_request")
    assert refused(hub.post(TOKEN, content=urlencode(form)), 400, "invalid_request"), "no content type"
    journal = repr(emulator.journal)
    for secret in (form["code"], VERIFIER, answer.json()["refresh_token"], answer.json()["access_token"]):
        assert secret not in journal


def test_twenty_token_requests_a_minute_for_every_address(emulator: Emulator, hub: httpx.Client) -> None:
    statuses = [hub.post(TOKEN, data={}).status_code for _ in range(20)]
    assert statuses == [400] * 20
    assert refused(hub.post(TOKEN, data={}), 429, "rate_limited")
    emulator.oauth.rate_limits = False
    assert hub.post(TOKEN, data={}).status_code == 400


def test_origins_are_checked_at_token_on_demand(emulator: Emulator, hub: httpx.Client) -> None:
    form, evil = code_form(emulator), {"Origin": "https://evil.example"}
    emulator.oauth.checks_origin_at_token = True
    assert refused(hub.post(TOKEN, data=form, headers=evil), 403, "origin_not_allowed")
    emulator.oauth.checks_origin_at_token = False
    assert hub.post(TOKEN, data=form, headers=evil).status_code == 200


# ID tokens


def test_an_id_token_comes_with_a_nonce_and_can_be_checked(emulator: Emulator, hub: httpx.Client) -> None:
    content = hub.post(TOKEN, data=code_form(emulator, nonce="once")).json()
    keys = hub.get("/.well-known/jwks.json")
    assert keys.headers["cache-control"] == "max-age=300"
    assert "d" not in keys.json()["keys"][0]
    assert hub.get("/api/auth/jwks").json() == keys.json()
    token = jwt.decode(content["id_token"], KeySet.import_key_set(keys.json()), algorithms=["ES256"])
    now = int(emulator.clock.now().timestamp())
    assert token.header["kid"] == keys.json()["keys"][0]["kid"]
    assert token.claims == {
        "iss": emulator.auth_url,
        "sub": "1",
        "aud": emulator.oauth.public.id,
        "iat": now,
        "exp": now + 3600,
        "nonce": "once",
        "auth_time": now,
    }
    assert "id_token" not in hub.post(TOKEN, data=refresh_form(emulator.oauth.public, content["refresh_token"])).json()


def test_without_a_key_nothing_is_signed(emulator: Emulator, hub: httpx.Client) -> None:
    emulator.oauth.signs_id_tokens = False
    assert "id_token" not in hub.post(TOKEN, data=code_form(emulator, nonce="once")).json()
    found = hub.get("/.well-known/openid-configuration").json()
    assert not {"jwks_uri", "id_token_signing_alg_values_supported"} & set(found)
    assert hub.get("/.well-known/jwks.json").json() == {"keys": []}


def test_the_same_seed_gives_the_same_key_clients_and_tokens() -> None:
    def run(seed: int) -> tuple[Any, ...]:
        with Emulator(speed=0, models=1, seed=seed) as emulator:
            oauth = emulator.oauth
            constant = (oauth.public.id, oauth.confidential.id, oauth.confidential.secret, oauth.device.id)
            keys = httpx.get(f"{emulator.auth_url}/.well-known/jwks.json").json()
            return constant, keys, oauth.issue().access_token

    first, second, other = run(1), run(1), run(2)
    assert first == second
    assert first[0] == other[0]
    assert first[1] != other[1]
    assert first[2] != other[2]


def test_discovery(emulator: Emulator, hub: httpx.Client) -> None:
    answer = hub.get("/.well-known/openid-configuration")
    assert answer.headers["cache-control"] == "max-age=86400"
    found = answer.json()
    assert found["issuer"] == emulator.auth_url
    for name in ("authorization", "token", "userinfo", "revocation", "device_authorization"):
        assert found[f"{name}_endpoint"].startswith(f"{emulator.auth_url}/api/auth/oauth/")
    assert "device-token" not in answer.text
    assert sum(map(int, found["scopes_supported"])) == ALL == 134217727
    assert found["token_endpoint_auth_methods_supported"] == ["client_secret_post", "none"]
    assert found["id_token_signing_alg_values_supported"] == ["ES256"]


def test_access_tokens_can_be_made_short_lived(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    emulator.oauth.access_seconds = 5
    content = hub.post(TOKEN, data=code_form(emulator)).json()
    assert content["expires_in"] == 5
    emulator.clock.advance(5)
    assert site.get(ME, headers=bearing(content["access_token"])).status_code == 401


# Refreshing


def test_refreshing_rotates_and_leaves_old_access_tokens_alone(
    emulator: Emulator, hub: httpx.Client, site: httpx.Client
) -> None:
    public = emulator.oauth.public
    old = hub.post(TOKEN, data=code_form(emulator)).json()
    assert emulator.oauth.refreshes == 0
    new = hub.post(TOKEN, data=refresh_form(public, old["refresh_token"], scope="1")).json()
    assert new["scope"] == [str(AI_SERVICES)], "a refresh narrows nothing"
    assert new["refresh_token"] != old["refresh_token"]
    assert refused(hub.post(TOKEN, data=refresh_form(public, old["refresh_token"])), 400, "invalid_grant")
    assert emulator.oauth.refreshes == 1
    for token in (old["access_token"], new["access_token"]):
        assert site.get(ME, headers=bearing(token)).status_code == 200
    assert hub.post(TOKEN, data=refresh_form(public, new["refresh_token"])).status_code == 200
    assert emulator.oauth.refreshes == 2


def test_a_refresh_token_holds_thirty_days_and_is_no_credential(
    emulator: Emulator, hub: httpx.Client, site: httpx.Client
) -> None:
    first, second = emulator.oauth.issue(), emulator.oauth.issue()
    assert site.get(ME, headers=bearing(first.refresh_token)).status_code == 401
    emulator.clock.advance(timedelta(days=30).total_seconds() - 1)
    assert hub.post(TOKEN, data=refresh_form(emulator.oauth.public, first.refresh_token)).status_code == 200
    emulator.clock.advance(1)
    late = hub.post(TOKEN, data=refresh_form(emulator.oauth.public, second.refresh_token))
    assert refused(late, 400, "invalid_grant")


def test_refresh_tokens_belong_to_their_client(emulator: Emulator, hub: httpx.Client) -> None:
    pair = emulator.oauth.issue(emulator.oauth.confidential)
    assert refused(hub.post(TOKEN, data=refresh_form(emulator.oauth.public, pair.refresh_token)), 400, "invalid_grant")
    confidential = refresh_form(emulator.oauth.confidential, pair.refresh_token)
    without = {name: value for name, value in confidential.items() if name != "client_secret"}
    assert refused(hub.post(TOKEN, data=without), 400, "invalid_client")
    emulator.oauth.confidential.enabled = False
    assert refused(hub.post(TOKEN, data=confidential), 400, "invalid_client")
    emulator.oauth.confidential.enabled = True
    assert hub.post(TOKEN, data=confidential).status_code == 200
    assert repr(pair).count("civitai_") == 0


# Client credentials


def test_a_client_acts_for_its_owner(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    owner = emulator.accounts.add("owner")
    client = emulator.oauth.register(confidential=True, grants=["client_credentials"], scope=5, owner=owner)
    form = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": str(client.secret)}
    content = hub.post(TOKEN, data=form).json()
    assert (content["scope"], "refresh_token" in content) == (["5"], True)
    assert site.get(ME, headers=bearing(content["access_token"])).json()["username"] == "owner"
    assert hub.post(TOKEN, data=form | {"scope": "4"}).json()["scope"] == ["5"]
    assert refused(hub.post(TOKEN, data=form | {"scope": "8"}), 400, "invalid_scope")
    assert refused(hub.post(TOKEN, data=refresh_form(client, content["refresh_token"])), 400, "unauthorized_client")


def test_self_registered_clients_have_no_other_grants(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.register(confidential=True)
    form = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": str(client.secret)}
    assert refused(hub.post(TOKEN, data=form), 400, "unauthorized_client")
    assert refused(hub.post(DEVICE, data={"client_id": client.id, "scope": "1"}), 400, "unauthorized_client")
    public = emulator.oauth.register(grants=["client_credentials"])  # anybody could say to be this one
    form = {"grant_type": "client_credentials", "client_id": public.id}
    assert refused(hub.post(TOKEN, data=form), 400, "unauthorized_client")


# Revoking


def test_revoking_a_refresh_token_ends_its_access_tokens(
    emulator: Emulator, hub: httpx.Client, site: httpx.Client
) -> None:
    pair = emulator.oauth.issue()
    form = {"token": pair.refresh_token, "client_id": emulator.oauth.public.id}
    answer = hub.post(REVOKE, data=form)
    assert (answer.status_code, answer.json()) == (200, {})
    assert site.get(ME, headers=bearing(pair.access_token)).status_code == 401
    assert refused(hub.post(TOKEN, data=refresh_form(emulator.oauth.public, pair.refresh_token)), 400, "invalid_grant")
    assert hub.post(REVOKE, data=form).json() == {}


def test_revoking_an_access_token_ends_nothing_else(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    pair = emulator.oauth.issue()
    form = {"token": pair.access_token, "token_type_hint": "refresh_token", "client_id": emulator.oauth.public.id}
    assert hub.post(REVOKE, data=form).json() == {}
    assert site.get(ME, headers=bearing(pair.access_token)).status_code == 401
    assert hub.post(TOKEN, data=refresh_form(emulator.oauth.public, pair.refresh_token)).status_code == 200


def test_a_client_revokes_its_own_tokens_only(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    pair = emulator.oauth.issue(emulator.oauth.device)
    for token in (pair.access_token, pair.refresh_token, "unknown", emulator.token):
        answer = hub.post(REVOKE, data={"token": token, "client_id": emulator.oauth.public.id})
        assert (answer.status_code, answer.json()) == (200, {})
    assert site.get(ME, headers=bearing(pair.access_token)).status_code == 200
    assert site.get(ME, headers=bearing(emulator.token)).status_code == 200


def test_bad_revocations(emulator: Emulator, hub: httpx.Client) -> None:
    public = {"client_id": emulator.oauth.public.id}
    assert refused(hub.post(REVOKE, data=public), 400, "invalid_request")
    assert refused(hub.post(REVOKE, json={"token": "t", **public}), 400, "invalid_request"), "forms only"
    assert refused(hub.post(REVOKE, data={"token": "t", "client_id": "nobody"}), 400, "invalid_client")
    for origin, status in [
        ("https://evil.example", 403),
        ("https://app.example", 200),
        (emulator.auth_url, 200),
    ]:
        answer = hub.post(REVOKE, data={"token": "t", **public}, headers={"Origin": origin})
        assert answer.status_code == status
    answer = hub.post(REVOKE, data={"token": "t", **public}, headers={"Origin": "null"})
    assert refused(answer, 403, "origin_not_allowed")
    client = emulator.oauth.confidential
    confidential = {"client_id": client.id, "client_secret": str(client.secret)}
    answer = hub.post(REVOKE, data={"token": "t", **confidential}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200


def test_twenty_revocations_a_minute(emulator: Emulator, hub: httpx.Client) -> None:
    form = {"token": "t", "client_id": emulator.oauth.public.id}
    assert [hub.post(REVOKE, data=form).status_code for _ in range(20)] == [200] * 20
    assert refused(hub.post(REVOKE, data=form), 429, "rate_limited")


def test_a_user_revokes_everything(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    other = emulator.accounts.add("other")
    pair, code, kept = emulator.oauth.issue(), code_form(emulator), emulator.oauth.issue(account=other)
    emulator.oauth.revoke_all()
    assert site.get(ME, headers=bearing(pair.access_token)).status_code == 401
    assert refused(hub.post(TOKEN, data=code), 400, "invalid_grant")
    assert refused(hub.post(TOKEN, data=refresh_form(emulator.oauth.public, pair.refresh_token)), 400, "invalid_grant")
    assert site.get(ME, headers=bearing(kept.access_token)).status_code == 200
    assert site.get(ME, headers=bearing(emulator.token)).status_code == 200


# Userinfo and introspection


def test_userinfo(emulator: Emulator, hub: httpx.Client) -> None:
    silver = emulator.accounts.add("silver", tier="silver")
    answer = hub.get(USERINFO, headers=bearing(emulator.oauth.issue(account=silver).access_token))
    assert answer.json() == {
        "sub": "2",
        "id": 2,
        "username": "silver",
        "preferred_username": "silver",
        "name": "silver",
        "picture": None,
        "image": None,
        "roles": [],
        "isModerator": False,
        "tier": "silver",
        "email": "silver@example.com",
        "email_verified": True,
    }
    nobody = emulator.accounts.add("nobody")
    plain = hub.get(USERINFO, headers=bearing(emulator.oauth.issue(account=nobody).access_token)).json()
    assert "tier" not in plain


def test_userinfo_refuses_what_is_no_access_token(emulator: Emulator, hub: httpx.Client) -> None:
    pair = emulator.oauth.issue()
    emulator.clock.advance(3600)
    for token in (None, "unknown", emulator.token, pair.refresh_token, pair.access_token):
        answer = hub.get(USERINFO, headers=bearing(token) if token else {})
        assert refused(answer, 401, "invalid_token")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    lacking = emulator.oauth.issue(scope=4).access_token
    assert refused(hub.get(USERINFO, headers=bearing(lacking)), 403, "insufficient_scope")


def test_introspection_is_for_listed_clients(emulator: Emulator, hub: httpx.Client) -> None:
    client = emulator.oauth.register(confidential=True, introspects=True)
    pair = emulator.oauth.issue(scope=AI_SERVICES)
    asks = {"client_id": client.id, "client_secret": str(client.secret)}
    assert hub.post(INTROSPECT, data={**asks, "token": pair.access_token}).json() == {
        "active": True,
        "sub": "1",
        "username": "emulated",
        "scope": str(AI_SERVICES),
        "client_id": emulator.oauth.public.id,
        "exp": int(emulator.clock.now().timestamp()) + 3600,
        "token_type": "Bearer",
    }
    for token in ("unknown", emulator.token):
        assert hub.post(INTROSPECT, data={**asks, "token": token}).json() == {"active": False}
    emulator.clock.advance(3600)
    assert hub.post(INTROSPECT, data={**asks, "token": pair.access_token}).json() == {"active": False}
    unlisted = emulator.oauth.confidential
    form = {"client_id": unlisted.id, "client_secret": str(unlisted.secret), "token": "t"}
    assert refused(hub.post(INTROSPECT, data=form), 403, "access_denied")
    assert refused(hub.post(INTROSPECT, data=form | {"client_secret": "wrong"}), 400, "invalid_client")
    assert refused(hub.post(INTROSPECT, data=asks), 400, "invalid_request")


# Devices


def start_device(emulator: Emulator, hub: httpx.Client) -> tuple[dict[str, Any], dict[str, str]]:
    """Start the device flow; give what the device was told, and the form that it polls with."""
    client = emulator.oauth.device
    told = hub.post(DEVICE, data={"client_id": client.id, "scope": str(AI_SERVICES)})
    assert told.status_code == 200
    poll = {"grant_type": DEVICE_GRANT, "device_code": told.json()["device_code"], "client_id": client.id}
    return told.json(), poll


def test_a_device_waits_for_its_user(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    told, poll = start_device(emulator, hub)
    assert re.fullmatch("[0-9a-f]{64}", told["device_code"])
    assert re.fullmatch("[A-Z]{4}-[A-Z]{4}", told["user_code"])
    page = f"{emulator.auth_url}/login/oauth/device"
    assert (told["verification_uri"], told["verification_uri_complete"]) == (page, f"{page}?code={told['user_code']}")
    assert (told["expires_in"], told["interval"]) == (900, 5)
    assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "authorization_pending")

    to_login = hub.get(told["verification_uri_complete"])
    assert to_login.status_code == 303
    back = hub.post("/login", data={"account": "1", "returnUrl": query(to_login.headers["location"])["returnUrl"]})
    shown = hub.get(back.headers["location"])
    assert told["user_code"] in shown.text
    assert "which spends Buzz" in shown.text
    assert "<script" not in shown.text
    hub.post("/login/oauth/device", data={**hidden_fields(shown.text), "approved": "true"})

    content = hub.post(DEVICE_TOKEN, data=poll).json()
    assert (content["scope"], content["expires_in"]) == (str(AI_SERVICES), 3600)
    assert site.get(ME, headers=bearing(content["access_token"])).json()["subject"]["id"] == emulator.oauth.device.id
    assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "invalid_grant")
    assert hub.post(TOKEN, data=refresh_form(emulator.oauth.device, content["refresh_token"])).status_code == 200


def test_a_user_types_the_code(emulator: Emulator, hub: httpx.Client) -> None:
    told, _ = start_device(emulator, hub)
    sign_in(hub)
    assert "Enter the code" in hub.get("/login/oauth/device").text
    typed = told["user_code"].replace("-", "").lower()
    assert told["user_code"] in hub.get("/login/oauth/device", params={"code": typed}).text
    wrong = hub.get("/login/oauth/device", params={"code": "XXXX-0000"})
    assert (wrong.status_code, "No device waits" in wrong.text) == (404, True)


def test_users_without_a_browser_decide_about_devices(emulator: Emulator, hub: httpx.Client) -> None:
    other = emulator.accounts.add("other")
    told, poll = start_device(emulator, hub)
    emulator.oauth.approve_device(told["user_code"], other)
    token = hub.post(DEVICE_TOKEN, data=poll).json()["access_token"]
    assert hub.get(USERINFO, headers=bearing(token)).json()["username"] == "other"
    told, poll = start_device(emulator, hub)
    emulator.oauth.deny_device(told["user_code"])
    assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "access_denied")
    with pytest.raises(BrowserError, match="No device waits"):
        emulator.oauth.approve_device(told["user_code"])


def test_the_codes_of_a_device_hold_a_quarter_of_an_hour(emulator: Emulator, hub: httpx.Client) -> None:
    told, poll = start_device(emulator, hub)
    emulator.clock.advance(899)
    assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "authorization_pending")
    emulator.clock.advance(1)
    assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "expired_token")
    with pytest.raises(BrowserError):
        emulator.oauth.approve_device(told["user_code"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "generate"}, "invalid_scope"),
        ({"scope": str(ALL + 1)}, "invalid_scope"),
    ],
)
def test_bad_starts_of_a_device(
    emulator: Emulator, hub: httpx.Client, changes: dict[str, str | None], error: str
) -> None:
    form = {"client_id": emulator.oauth.device.id, "scope": "1", **changes}
    assert refused(hub.post(DEVICE, data={name: value for name, value in form.items() if value}), 400, error)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"device_code": None}, "invalid_request"),
        ({"device_code": "0" * 64}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_grant"),
    ],
)
def test_bad_polls(emulator: Emulator, hub: httpx.Client, changes: dict[str, str | None], error: str) -> None:
    told, poll = start_device(emulator, hub)
    form = {name: value for name, value in {**poll, **changes}.items() if value}
    assert refused(hub.post(DEVICE_TOKEN, data=form), 400, error)
    emulator.oauth.approve_device(told["user_code"])
    other = {**poll, "client_id": emulator.oauth.public.id}
    assert refused(hub.post(DEVICE_TOKEN, data=other), 400, "invalid_grant")


def test_devices_read_forms_only(emulator: Emulator, hub: httpx.Client) -> None:
    form = {"client_id": emulator.oauth.device.id, "scope": 1}
    assert refused(hub.post(DEVICE, json=form), 400, "invalid_request")


def test_a_disabled_client_starts_no_device(emulator: Emulator, hub: httpx.Client) -> None:
    emulator.oauth.device.enabled = False
    form = {"client_id": emulator.oauth.device.id, "scope": "1"}
    assert refused(hub.post(DEVICE, data=form), 400, "invalid_client")


def test_twenty_devices_and_twenty_polls_a_minute(emulator: Emulator, hub: httpx.Client) -> None:
    polls = [start_device(emulator, hub)[1] for _ in range(20)]
    form = {"client_id": emulator.oauth.device.id, "scope": "1"}
    assert refused(hub.post(DEVICE, data=form), 429, "rate_limited")
    for poll in polls:
        assert refused(hub.post(DEVICE_TOKEN, data=poll), 400, "authorization_pending")
    assert refused(hub.post(DEVICE_TOKEN, data=polls[0]), 429, "rate_limited")
    emulator.clock.advance(60)
    assert refused(hub.post(DEVICE_TOKEN, data=polls[0]), 400, "authorization_pending")


# Two hosts, and the former address


def test_the_two_hosts_serve_their_own_only(emulator: Emulator, hub: httpx.Client, site: httpx.Client) -> None:
    assert emulator.auth_url != emulator.site_url == emulator.orchestration_url
    assert hub.get("/api/v1/enums").status_code == 404
    assert hub.get(WORKFLOWS, headers=bearing(emulator.token)).status_code == 404
    assert site.get("/.well-known/openid-configuration").status_code == 404
    assert site.get("/login/oauth/device").status_code == 404
    assert hub.get(TOKEN).status_code == 405


def test_the_former_address_sends_browsers_on_and_forwards_the_rest(
    emulator: Emulator, hub: httpx.Client, site: httpx.Client
) -> None:
    asked = asking(emulator)
    answer = site.get(AUTHORIZE, params=asked)
    assert answer.status_code == 308
    moved = answer.headers["location"]
    assert moved.startswith(f"{emulator.auth_url}{AUTHORIZE}?")
    assert query(moved) == asked
    former = emulator.oauth.approve(f"{emulator.site_url}{AUTHORIZE}?{urlencode(asked)}")
    content = site.post(TOKEN, data=code_form(emulator) | {"code": query(former)["code"]}).json()
    assert site.get(USERINFO, headers=bearing(content["access_token"])).json()["sub"] == "1"
    assert (
        site.post(DEVICE, data={"client_id": emulator.oauth.device.id, "scope": "1"})
        .json()["verification_uri"]
        .startswith(emulator.auth_url)
    )
    form = {"token": content["refresh_token"], "client_id": emulator.oauth.public.id}
    assert site.post(REVOKE, data=form).json() == {}
    assert refused(hub.get(USERINFO, headers=bearing(content["access_token"])), 401, "invalid_token")
    assert site.get("/api/auth/oauth/nothing").status_code == 404


@pytest.mark.parametrize("status", [502, 504])
def test_forwarding_fails_on_demand(emulator: Emulator, hub: httpx.Client, site: httpx.Client, status: Any) -> None:
    emulator.oauth.legacy_failure = status
    assert refused(site.post(TOKEN, data={}), status, "server_error")
    assert refused(hub.post(TOKEN, data={}), 400, "invalid_request")
    assert site.get(AUTHORIZE).status_code == 308


def test_the_former_address_may_redirect_everything(emulator: Emulator, site: httpx.Client) -> None:
    emulator.oauth.legacy_redirects = True
    answer = site.get(USERINFO, headers=bearing(emulator.oauth.issue().access_token))
    assert (answer.status_code, answer.headers["location"]) == (308, emulator.auth_url + USERINFO)
    # To another origin: a client that follows loses its credential.
    followed = site.get(USERINFO, headers=bearing(emulator.oauth.issue().access_token), follow_redirects=True)
    assert refused(followed, 401, "invalid_token")


def test_a_user_opens_only_addresses_of_the_emulator(emulator: Emulator) -> None:
    for url in (f"https://auth.civitai.com{AUTHORIZE}", f"{emulator.auth_url}/login", "nothing"):
        with pytest.raises(ValueError, match="no authorize address"):
            emulator.oauth.approve(url)


def test_a_user_is_shown_what_was_wrong(emulator: Emulator) -> None:
    with pytest.raises(BrowserError, match=r"answered 400: .*invalid_scope") as caught:
        emulator.oauth.approve(address(emulator, scope="words"))
    assert caught.value.status == 400


def test_the_port_of_the_accounts_service_follows_or_is_given() -> None:
    for _ in range(50):  # until two neighbours are free
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with suppress(EmulatorError), Emulator(port, models=1) as emulator:
            assert (emulator.site_url, emulator.auth_url) == (
                f"http://127.0.0.1:{port}",
                f"http://127.0.0.1:{port + 1}",
            )
            break
    else:
        pytest.fail("no two ports are free")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmulatorError, match=rf"cannot listen on 127\.0\.0\.1:{port}, where the accounts service"):
            Emulator(models=1, auth_port=port).start()


# Faults


def test_faults_are_worded_as_the_service_words_errors(emulator: Emulator, hub: httpx.Client) -> None:
    for status, error in [(503, "server_error"), (500, "server_error"), (429, "rate_limited"), (401, "invalid_client")]:
        emulator.faults.clear()
        emulator.faults.add(f"POST {TOKEN}", status=status, retry_after="1")
        assert refused(hub.post(TOKEN, data={}), status, error)
    emulator.faults.add(f"GET {USERINFO}", status=401)
    assert refused(hub.get(USERINFO), 401, "invalid_token")


def test_a_lost_answer_has_used_the_refresh_token_up(emulator: Emulator, hub: httpx.Client) -> None:
    pair = emulator.oauth.issue()
    fault = emulator.faults.add(f"POST {TOKEN}", lost_answer=True, times=1)
    form = refresh_form(emulator.oauth.public, pair.refresh_token)
    with pytest.raises(httpx.RemoteProtocolError):
        hub.post(TOKEN, data=form)
    assert (fault.hits, emulator.oauth.refreshes) == (1, 1)
    assert refused(hub.post(TOKEN, data=form), 400, "invalid_grant")


def test_answers_of_the_service_can_be_altered(emulator: Emulator, hub: httpx.Client) -> None:
    emulator.faults.add(f"POST {TOKEN}", fields={"scope": str(AI_SERVICES)})
    assert hub.post(TOKEN, data=code_form(emulator)).json()["scope"] == str(AI_SERVICES)


def test_clients_and_tokens_that_cannot_be(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="sum of bits"):
        emulator.oauth.issue(scope=ALL + 1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"id": "appblk-1"}, "cannot be the id"),
        ({"id": emulator.oauth.device.id}, "already"),
        ({"name": "x" * 129}, "1 to 128"),
        ({"grants": ["password"]}, "no grant password"),
        ({"scope": ALL + 1}, "sum of bits"),
        ({"redirect_uris": ["/callback"]}, "no address"),
        ({"redirect_uris": ["http://127.0.0.1/callback#part"]}, "no address"),
    ]
    for arguments, said in wrong:
        with pytest.raises(ValueError, match=said):
            emulator.oauth.register(**arguments)
