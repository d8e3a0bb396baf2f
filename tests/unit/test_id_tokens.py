"""Whether ID tokens are believed, and above all which ones are not."""

from __future__ import annotations

import hmac
import json
import sys
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, RSAKey

from civitai_api.oauth.models import JsonWebKey, JsonWebKeySet
from civitai_ext.errors import ConfigurationError, LoginFailed
from civitai_ext.oauth.id_tokens import claims_in, require_joserfc

ISSUER, CLIENT, NONCE, NOW = "https://auth.civitai.com", "my-id", "the-nonce", 1_800_000_000
CLAIMS = {"iss": ISSUER, "aud": CLIENT, "sub": "1", "nonce": NONCE, "iat": NOW, "exp": NOW + 3600, "auth_time": NOW}
KEY = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": "a"})
OTHER = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": "a"})


def keys(*more: Any, own: bool = True) -> JsonWebKeySet:
    published = [KEY.as_dict(private=False)] if own else []
    return JsonWebKeySet.from_dict({"keys": [*more, *published]})


def token(key: Key = KEY, header: dict[str, Any] | None = None, /, **changed: Any) -> str:
    """A token that would be believed, with some of its claims changed, or left out for None."""
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    head = {"alg": "ES256", "kid": "a", **(header or {})}
    return jwt.encode(head, claims, key, registry=jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False))


def part(value: Any) -> str:
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else json.dumps(value)).encode()
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def read(given: str, published: JsonWebKeySet | None = None, now: float = NOW) -> dict[str, Any]:
    published = keys() if published is None else published
    return claims_in(given, published, client_id=CLIENT, issuer=ISSUER, nonce=NONCE, now=now)


def refused(given: str, published: JsonWebKeySet | None = None, now: float = NOW) -> str:
    with pytest.raises(LoginFailed, match="cannot be believed") as caught:
        read(given, published, now)
    assert str(caught.value).isprintable()
    assert NONCE not in str(caught.value)
    return str(caught.value)


def test_a_good_token_says_who_it_is() -> None:
    assert read(token()) == CLAIMS
    assert read(token(aud=[CLIENT]))["sub"] == "1"
    assert read(token(KEY, {"typ": "JWT", "x-new": 1}))["sub"] == "1"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": ISSUER + "/"}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": [CLIENT, "other"]}, "others"),
        ({"aud": {CLIENT: 1}}, "aud"),
        ({"aud": None}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": 1}, "sub"),
        ({"nonce": "other"}, "another attempt"),
        ({"nonce": None}, "another attempt"),
        ({"nonce": [NONCE]}, "another attempt"),
        ({"nonce": "the-n\ud800nce"}, ""),
        ({"exp": NOW - 61}, "expire"),
        ({"exp": None}, "exp"),
        ({"exp": str(NOW + 10)}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": NOW + 61}, "future"),
        ({"iat": None}, "iat"),
        ({"nbf": NOW + 61}, "not yet valid"),
    ],
)
def test_a_token_for_something_else_is_refused(changed: dict[str, Any], why: str) -> None:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    forged = jws.serialize_compact({"alg": "ES256", "kid": "a"}, json.dumps(claims), KEY, algorithms=["ES256"])
    assert why in refused(forged)


def test_clocks_may_differ_a_little() -> None:
    assert read(token(), now=NOW - 59)
    assert read(token(), now=NOW + 3659)
    refused(token(), now=NOW - 61)
    refused(token(), now=NOW + 3661)


def test_what_another_key_signed_is_refused() -> None:
    refused(token(OTHER))
    refused(token(KEY, {"kid": "unknown"}))
    refused(token(KEY, {"kid": "\u202e\x1b[2J"}))
    assert "x" * 250 not in refused(token(KEY, {"kid": "x" * 300}))
    refused(token(KEY, {"kid": "x" * 10_000_000}))
    refused(token(), keys(own=False))
    refused(token(), keys({**OTHER.as_dict(private=False)}, own=False))
    assert read(token(), keys({**OTHER.as_dict(private=False), "kid": "b"}))


@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "ES384"}, {"alg": "HS256"}, {"crv": "P-384"}, {"kty": "oct"}, {"x": "AAAA"}]
)
def test_keys_for_something_else_are_not_used(change: dict[str, str]) -> None:
    refused(token(), keys({**KEY.as_dict(private=False), **change}, own=False))


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": 5, "y": []}])
def test_keys_that_are_none_do_not_harm_the_others(odd: Any) -> None:
    assert read(token(), keys(odd))


def test_a_token_that_nobody_signed_is_refused() -> None:
    for algorithm in ("none", "None", "NONE", "", None, 5):
        header = {"alg": algorithm, "kid": "a"}
        for signature in ("", part("x"), token().rpartition(".")[2]):
            refused(f"{part(header)}.{part(CLAIMS)}.{signature}")
    refused(f"{part({'kid': 'a'})}.{part(CLAIMS)}.{token().rpartition('.')[2]}")


def test_the_public_key_is_no_password() -> None:
    public = KEY.as_dict(private=False)
    for secret in (json.dumps(public), KEY.as_pem(private=False).decode(), str(public["x"])):
        signed = f"{part({'alg': 'HS256', 'kid': 'a'})}.{part(CLAIMS)}"
        forged = f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"
        refused(forged)
        refused(forged, keys({"kty": "oct", "k": part(secret), "kid": "a", "alg": "HS256"}))


def test_other_algorithms_are_refused_even_with_a_key_of_the_service() -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "a"})
    refused(token(rsa, {"alg": "RS256"}), keys(rsa.as_dict(private=False)))
    larger = ECKey.generate_key("P-384", {"kid": "a"})
    refused(token(larger, {"alg": "ES384"}), keys(larger.as_dict(private=False)))


def test_a_token_that_was_changed_is_refused() -> None:
    head, body, signature = token().split(".")
    refused(f"{head}.{part({**CLAIMS, 'sub': '2'})}.{signature}")
    refused(f"{part({'alg': 'ES256', 'kid': 'a', 'typ': 'x'})}.{body}.{signature}")
    refused(f"{head}.{body}.{'A' * len(signature)}")
    refused(f"{head}.{body}")
    refused(f"{head}.{body}.{signature}.{signature}")


def test_what_has_to_be_understood_and_is_not_is_refused() -> None:
    for header in ({"crit": ["x-new"], "x-new": 1}, {"crit": ["b64"], "b64": False}):
        signed = f"{part({'alg': 'ES256', 'kid': 'a', **header})}.{part(CLAIMS)}"
        refused(f"{signed}.{part(jws.JWSRegistry.algorithms['ES256'].sign(signed.encode(), KEY))}")


@pytest.mark.parametrize("payload", ["null", "[]", '"x"', "5", "{", "[" * 50_000, '{"exp": ' + "9" * 5000 + "}"])
def test_what_is_no_set_of_claims_is_refused(payload: str) -> None:
    refused(jws.serialize_compact({"alg": "ES256", "kid": "a"}, payload, KEY, algorithms=["ES256"]))


@given(st.text() | st.lists(st.text() | st.binary().map(part)).map(".".join))
def test_any_text_is_refused(text: str) -> None:
    refused(text)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "jwk", "typ", "zip", "x5u"]), JSON | st.just("ES256"))
)
def test_any_header_is_refused(header: dict[str, Any]) -> None:
    refused(f"{part(header)}.{part(CLAIMS)}.{token().rpartition('.')[2]}")


def test_keys_of_any_kind() -> None:
    assert read(token(), JsonWebKeySet(keys=[JsonWebKey(), *keys().keys]))
    refused(token(), JsonWebKeySet())
    refused(token(), JsonWebKeySet.from_dict({"keys": "x"}))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_joserfc()
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match=r"civitai-ext\[oauth\]"):
        require_joserfc()
