from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext.errors import ConfigurationError, LoginDenied, LoginFailed
from civitai_ext.oauth import Pkce, Scope, SignIn
from civitai_ext.oauth.settings import AppSettings, other_redirect_uri
from civitai_ext.oauth.signing_in import code_in

AUTH = "https://auth.civitai.com"
BACK = "http://127.0.0.1:8127/callback"
SIGN_IN = SignIn(
    client_id="my-id",
    auth_url=AUTH,
    redirect_uri=BACK,
    scopes=Scope.AI_SERVICES,
    state="the-state-that-nobody-sees",
    pkce=Pkce("the-verifier-that-nobody-sees-0123456789-ab"),
    nonce="the-nonce-that-nobody-sees",
)
CODE = "the-code-that-nobody-sees"


def back(to: str = BACK, sign_in: SignIn = SIGN_IN, **fields: str | None) -> str:
    """Where the browser comes back to when all goes well, with some of it changed or left out."""
    given: dict[str, str | None] = {"code": CODE, "state": str(sign_in.state), **fields}
    return f"{to}?{urlencode({name: value for name, value in given.items() if value is not None})}"


# ---------------------------------------------------------------------------------------------------------- PKCE


def test_the_challenge_of_the_standard() -> None:
    # RFC 7636, appendix B
    pkce = Pkce("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert pkce.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_every_verifier_is_another_one_and_is_not_shown() -> None:
    made = [Pkce.new() for _ in range(50)]
    assert len({pkce.verifier for pkce in made}) == 50
    assert {len(pkce.verifier) for pkce in made} == {64}
    assert repr(made[0]) == "Pkce(verifier=Secret('***'))"


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + "\n", "ä" * 43, 5, None])
def test_a_verifier_has_the_form_of_the_standard(verifier: Any) -> None:
    with pytest.raises(ValueError, match="43 to 128") as caught:
        Pkce(verifier)
    assert str(verifier) not in str(caught.value) or not verifier


# ------------------------------------------------------------------------------------------------------- an attempt


def test_the_address_asks_for_what_the_attempt_says() -> None:
    address = urlsplit(SIGN_IN.url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{AUTH}/api/auth/oauth/authorize"
    assert parse_qs(address.query) == {
        "client_id": ["my-id"],
        "redirect_uri": [BACK],
        "response_type": ["code"],
        "scope": ["114689"],
        "state": [str(SIGN_IN.state)],
        "code_challenge": [SIGN_IN.pkce.challenge],
        "code_challenge_method": ["S256"],
        "nonce": [str(SIGN_IN.nonce)],
    }
    without = SignIn.new(client_id="i", auth_url=AUTH, redirect_uri=BACK, scopes=Scope.USER_READ, id_token=False)
    assert "nonce" not in without.url


def test_no_two_attempts_share_a_secret() -> None:
    made = [
        SignIn.new(client_id="i", auth_url=AUTH, redirect_uri=BACK, scopes=Scope.USER_READ, id_token=True)
        for _ in range(20)
    ]
    secrets = [secret for each in made for secret in (each.state, each.pkce.verifier, each.nonce)]
    assert len(set(secrets)) == 60
    assert min(len(secret or "") for secret in secrets) >= 43


def test_an_attempt_can_be_kept_and_is_not_shown() -> None:
    kept = json.dumps(SIGN_IN.to_dict())
    assert SignIn.from_dict(json.loads(kept)) == SIGN_IN
    plain = attrs.evolve(SIGN_IN, nonce=None)
    assert SignIn.from_dict(plain.to_dict()) == plain
    for secret in (SIGN_IN.state, SIGN_IN.pkce.verifier, SIGN_IN.nonce):
        assert str(secret) in kept
        assert str(secret) not in repr(SIGN_IN)


@pytest.mark.parametrize("name", sorted(SIGN_IN.to_dict()))
@pytest.mark.parametrize("value", [None, "", 5, [], True, -1])
def test_what_was_not_kept_whole_is_refused(name: str, value: Any) -> None:
    if (name, value) in (("nonce", None), ("scopes", 5)):
        return
    with pytest.raises(ValueError, match=name) as caught:
        SignIn.from_dict({**SIGN_IN.to_dict(), name: value})
    assert str(SIGN_IN.state) not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_what_is_no_attempt_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="no attempt"):
        SignIn.from_dict(data)


# ------------------------------------------------------------------------------------------------------ coming back


def test_the_code_comes_out() -> None:
    code = code_in(back(), SIGN_IN)
    assert code == CODE
    assert CODE not in repr(code)
    assert code_in(back(iss=AUTH, something="else") + "#_=_", SIGN_IN) == CODE
    assert code_in(f"  {back()}\n", SIGN_IN) == CODE  # pasted


@pytest.mark.parametrize(
    ("registered", "came"),
    [
        ("https://app.example/callback", "https://APP.example:443/callback"),
        ("http://127.0.0.1:8127", "http://127.0.0.1:8127/"),
        ("http://[::1]:8127/callback", "http://[::1]:8127/callback"),
        ("https://app.example/callback?tenant=a%20b", "https://app.example/callback?tenant=a+b"),
        ("com.example.app:/callback", "com.example.app:/callback"),
        ("myapp://callback", "myapp://callback"),
    ],
)
def test_addresses_that_are_the_same(registered: str, came: str) -> None:
    sign_in = attrs.evolve(SIGN_IN, redirect_uri=registered)
    url = back(came).replace("?code", "&code") if "?" in came else back(came)
    assert code_in(url, sign_in) == CODE


@pytest.mark.parametrize(
    ("registered", "came"),
    [
        (BACK, "https://127.0.0.1:8127/callback"),
        (BACK, "http://localhost:8127/callback"),
        (BACK, "http://127.0.0.1:8128/callback"),
        (BACK, "http://127.0.0.1/callback"),
        (BACK, "http://127.0.0.1:8127/callback/"),
        (BACK, "http://127.0.0.1:8127/other"),
        (BACK, "http://127.0.0.1:8127@evil.example/callback"),
        (BACK, "http://me@127.0.0.1:8127/callback"),
        (BACK, "http://[::1/callback"),
        (BACK, "http://127.0.0.1:99999/callback"),
        (BACK, "/callback"),
        (BACK, ""),
        ("https://app.example/callback?tenant=a", "https://app.example/callback?tenant=b"),
        ("https://app.example/callback?tenant=a", "https://app.example/callback"),
        ("myapp://callback", "myapp://callback/x"),
        ("myapp://callback", "other://callback"),
        ("myapp://callback", "myapp://call\tback"),
    ],
)
def test_the_answer_to_another_address_is_refused(registered: str, came: str) -> None:
    refused(back(came), "another address", attrs.evolve(SIGN_IN, redirect_uri=registered))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (back(state=None), "no state"),
        (back(state=""), "another attempt"),
        (back(state="x"), "another attempt"),
        (back(state=str(SIGN_IN.state) + "x"), "another attempt"),
        (back(state=str(SIGN_IN.state).swapcase()), "another attempt"),
        (back(state="ä\ud800"[:1]), "another attempt"),
        (back(state=None, error="access_denied"), "no state"),
        (back(state="x", error="access_denied"), "another attempt"),
        (back() + f"&state={SIGN_IN.state}", "state more than once"),
        (back() + "&code=other", "code more than once"),
        (back() + "&error=a&error=b", "error more than once"),
        (back(iss=AUTH) + f"&iss={quote(AUTH)}", "iss more than once"),
        (back(iss="https://evil.example"), "Another accounts service"),
        (back(iss=AUTH + "/"), "Another accounts service"),
        (back(iss=""), "Another accounts service"),
        (back(iss="https://evil.example", error="access_denied"), "Another accounts service"),
        (back(code=None), "no code"),
        (back(code=""), "no code"),
        (BACK, "no state"),
    ],
)
def test_an_answer_that_is_not_ours_is_refused(url: str, message: str) -> None:
    refused(url, message)


def refused(url: str, message: str, sign_in: SignIn = SIGN_IN) -> LoginFailed:
    with pytest.raises(LoginFailed, match=message) as caught:
        code_in(url, sign_in)
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    for secret in (CODE, sign_in.state, sign_in.pkce.verifier, sign_in.nonce or "-" * 9):
        assert secret not in shown
    return caught.value


def test_somebody_who_said_no() -> None:
    error = refused(back(code=None, error="access_denied", error_description="The user denied it"), "denied it")
    assert isinstance(error, LoginDenied)
    assert error.code == "access_denied"


def test_other_answers_that_are_errors_say_what_the_service_said() -> None:
    error = refused(back(error="server_error", error_description="Try later"), "server_error: Try later")
    assert error.code == "server_error"
    assert not isinstance(error, LoginDenied)
    assert "an error" in str(refused(back(error=""), "an error"))


def test_what_an_address_says_is_not_shown_as_it_is() -> None:
    words = f"\x1b[2Jgo to https://evil.example/?token=abcdef {SIGN_IN.state} {SIGN_IN.pkce.verifier} " + "a" * 5000
    error = refused(back(error=f"x\n{SIGN_IN.state}", error_description=words), r"\[2Jgo to")
    assert str(error).isprintable()
    assert "abcdef" not in str(error)
    assert len(str(error)) < 1000
    assert error.code == "x***"


@given(st.text(), st.text(max_size=30), st.dictionaries(st.sampled_from(["code", "error", "iss", "x"]), st.text()))
def test_any_address_is_an_answer_or_a_failed_login(url: str, state: str, fields: dict[str, str]) -> None:
    query = urlencode({"state": state, **fields}, errors="replace")
    for came in (url, f"{BACK}?{url}", f"{BACK}?{query}", f"{BACK}?state={SIGN_IN.state}&{query}", f"{url}://{url}"):
        try:
            code_in(came, SIGN_IN)
        except LoginFailed as error:
            assert str(error).isprintable()  # noqa: PT017
            assert SIGN_IN.state not in str(error)  # noqa: PT017
        else:
            pytest.fail("the state was guessed")


# --------------------------------------------------------------------------------------------------------- settings


def settings(**changed: Any) -> AppSettings:
    return AppSettings(**{"client_id": "my-id", "redirect_uri": BACK, **changed})


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback",
        "https://app.example",
        "http://127.0.0.1/callback",
        "http://[::1]:5000/callback",
        "http://localhost:5000/callback",
        "com.example.app:/callback",
        "myapp://callback",
        "https://app.example/callback?tenant=1",
    ],
)
def test_redirect_uris(uri: str) -> None:
    assert settings(redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "registered"),
        (None, "registered"),
        (5, "registered"),
        ("/callback", "leads to no program"),
        ("127.0.0.1/callback", "leads to no program"),
        ("http://app.example/callback", "unencrypted"),
        ("http://192.168.0.1/callback", "unencrypted"),
        ("https://", "not an address of a host"),
        ("https://me:pw@app.example/", "not an address of a host"),
        ("https://app.example/callback#x", "fragment"),
        ("https://app.example/call back", "registered"),
        ("https://äpp.example/", "registered"),
        ("https://[::1/", "no address"),
        ("javascript:alert(1)", "leads to no program"),
        ("data:text/html,x", "leads to no program"),
        ("file:///etc/passwd", "leads to no program"),
        ("myapp:", "leads to no program"),
    ],
)
def test_redirect_uris_that_cannot_be(uri: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings(redirect_uri=uri)


@pytest.mark.parametrize("id_", ["", " ", "my id", "ä", None, 5, "a\nb", "appblk-123"])
def test_client_ids_that_cannot_be(id_: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_id") as caught:
        settings(client_id=id_)
    assert "https://civitai.com/user/account" in str(caught.value)


@pytest.mark.parametrize("secret", ["", "hush hush", "hush\n", "hüsh", 55555])
def test_client_secrets_that_cannot_be(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_secret") as caught:
        settings(client_secret=secret)
    assert not secret or str(secret) not in str(caught.value)


def test_settings_show_no_secret() -> None:
    shown = repr(settings(client_secret="hush-hush", proxy="http://me:pass-word@proxy.example"))
    assert "hush" not in shown
    assert "pass-word" not in shown


@pytest.mark.parametrize("url", ["http://auth.example", "http://192.168.0.1:3000"])
def test_nothing_is_sent_unencrypted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        settings(auth_url=url).config()
    assert settings(auth_url="http://localhost:3000/").config().auth_url == "http://localhost:3000"


@pytest.mark.parametrize(
    ("uri", "registered", "fits"),
    [
        ("http://127.0.0.1:8127/callback", "http://127.0.0.1/callback", True),
        ("http://[::1]:8127/callback", "http://127.0.0.1/callback", True),
        ("http://localhost:8127/callback", "http://localhost:5/callback", True),
        ("https://app.example/callback", "https://app.example/callback", True),
        ("http://127.0.0.1:8127/other", "http://127.0.0.1/callback", False),
        ("https://127.0.0.1:8127/callback", "http://127.0.0.1/callback", False),
        ("https://app.example:8443/callback", "https://app.example/callback", False),
        ("http://127.0.0.1:8127/callback", "https://app.example/callback", False),
        ("http://127.0.0.1/callback?a=1", "http://127.0.0.1/callback", False),
    ],
)
def test_an_attempt_may_use_another_port_of_this_machine(uri: str, registered: str, fits: bool) -> None:
    if fits:
        assert other_redirect_uri(uri, registered) == uri
    else:
        with pytest.raises(ConfigurationError, match="Only the port"):
            other_redirect_uri(uri, registered)
