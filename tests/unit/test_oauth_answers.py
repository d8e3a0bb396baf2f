"""What the answers of the accounts service mean, whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.oauth.api.device import start_device_flow
from civitai_api.oauth.api.tokens import create_token
from civitai_api.oauth.models import DeviceAuthorization, DeviceRequest, TokenRequest, TokenResponse
from civitai_api.runtime import Response, UnexpectedAnswer
from civitai_ext import errors
from civitai_ext._config import Config
from civitai_ext.oauth import DeviceCode, Scope, Tokens
from civitai_ext.oauth.answers import moment_of, tokens_of
from civitai_ext.oauth.devices import DevicePolling, device_code_of

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
GOOD = {"access_token": "the-access", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "the-refresh"}
CODES = {
    "device_code": "the-device",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://auth.civitai.com/login/oauth/device",
    "verification_uri_complete": "https://auth.civitai.com/login/oauth/device?code=ABCD-EFGH",
    "expires_in": 900,
    "interval": 5,
}
CONFIG = Config.load(token=False, environ={})


def read(data: Any, **known: Any) -> Tokens:
    request = create_token.request(body=TokenRequest(grant_type="refresh_token"))
    answer = request.decode(Response(200, {"content-type": "application/json"}, json.dumps(data).encode()))
    return tokens_of(answer, obtained_at=NOW, **known)


def read_codes(data: Any) -> DeviceCode:
    request = start_device_flow.request(body=DeviceRequest(client_id="i", scope=1))
    answer = request.decode(Response(200, {"content-type": "application/json"}, json.dumps(data).encode()))
    return device_code_of(answer, CONFIG, obtained_at=NOW)


# ---------------------------------------------------------------------------------------------------------- tokens


def test_a_good_answer() -> None:
    tokens = read({**GOOD, "scope": ["114689"], "id_token": "x", "something": "new"})
    assert tokens == Tokens(
        access_token="the-access",
        refresh_token="the-refresh",
        obtained_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        scopes=Scope.AI_SERVICES,
    )
    assert "new" not in json.dumps(tokens.to_dict())


@pytest.mark.parametrize("scope", [["114689"], "114689", 114689, [114689], "UserRead AIServicesRead 98304"])
def test_what_was_granted_comes_in_several_forms(scope: Any) -> None:
    assert read({**GOOD, "scope": scope}).scopes is Scope.AI_SERVICES


@pytest.mark.parametrize(
    "scope", [None, "", [], "all of it", -1, True, 1.5, {"1": 1}, [["x"]], [{}], 10**300, "9" * 30, [None]]
)
def test_what_was_granted_may_not_be_said(scope: Any) -> None:
    assert read({**GOOD, "scope": scope}).scopes is None
    assert read({**GOOD, "scope": scope}, scopes=Scope.BUZZ_READ).scopes is Scope.BUZZ_READ
    assert read(GOOD).scopes is None


@pytest.mark.parametrize(("given", "lifetime"), [(60, 60), ("3600", 3600), (90.5, 90.5), (86400 * 365, 86400 * 365)])
def test_how_long_a_token_lives(given: Any, lifetime: float) -> None:
    assert read({**GOOD, "expires_in": given}).lifetime == timedelta(seconds=lifetime)


@pytest.mark.parametrize("given", [None, 0, -5, True, "soon", "", "-1", 1e300, 10**18, "9" * 400, [], {}, "²"])
def test_a_lifetime_that_cannot_be_is_an_hour(given: Any) -> None:
    assert read({**GOOD, "expires_in": given}).lifetime == timedelta(hours=1)


@pytest.mark.parametrize("kind", ["bearer", "BEARER", None, ""])
def test_the_type_is_bearer_in_any_case(kind: Any) -> None:
    assert read({**GOOD, "token_type": kind}).access_token == "the-access"


NO_ACCESS: list[Any] = [None, "", 5, True, [], ["a"], {}, "a b", "a\nb", "ä"]
NO_REFRESH: list[Any] = [5, True, ["a"], {}, "a b", "a\r\nb", "ä"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"token_type": "DPoP"}, "another type"),
        ({"token_type": 5}, "another type"),
        ({"token_type": ["Bearer"]}, "another type"),
        *(({"access_token": value}, "no access token") for value in NO_ACCESS),
        *(({"refresh_token": value}, "no refresh token") for value in NO_REFRESH),
        ({"access_token": "a" * 8193}, "access token in it is too long"),
        ({"refresh_token": "a" * 10_000_000}, "refresh token in it is too long"),
    ],
)
def test_tokens_that_could_not_be_used_are_refused(changed: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read({**GOOD, **changed})
    assert "the-" not in str(caught.value)


def test_a_refresh_token_that_does_not_come_is_the_one_before() -> None:
    for none in (None, ""):
        assert read({**GOOD, "refresh_token": none}, refresh_token="old").refresh_token == "old"
        assert read({**GOOD, "refresh_token": none}).refresh_token is None
    assert read(GOOD, refresh_token="old").refresh_token == "the-refresh"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, "scope", "id_token", "x"], JSON)) | JSON)
def test_any_answer_gives_tokens_or_says_what_is_wrong(data: Any) -> None:
    for body in (data, {**GOOD, **data} if isinstance(data, dict) else data):
        try:
            tokens = read(body)
        except (ValueError, UnexpectedAnswer):
            continue
        assert Tokens.from_dict(json.loads(json.dumps(tokens.to_dict()))) == tokens
        assert tokens.lifetime is not None
        assert tokens.lifetime > timedelta(0)
        assert "the-" not in repr(tokens)


def test_an_answer_without_anything() -> None:
    with pytest.raises(ValueError, match="no access token"):
        tokens_of(TokenResponse(), obtained_at=NOW)
    with pytest.raises(ValueError, match="no codes"):
        device_code_of(DeviceAuthorization(), CONFIG, obtained_at=NOW)


def test_what_time_an_answer_was_made_at() -> None:
    assert moment_of({"date": "Sat, 01 Aug 2026 12:00:00 GMT"}, 5.0) == NOW.timestamp()
    for headers in ({}, {"date": "soon"}, {"date": ""}, {"date": "Sat, 99 Aug 99999 12:00:00 GMT"}):
        assert moment_of(headers, 5.0) == 5.0


# --------------------------------------------------------------------------------------------------------- devices


def test_good_codes() -> None:
    code = read_codes(CODES)
    assert (code.user_code, code.interval, code.device_code) == ("ABCD-EFGH", 5, "the-device")
    assert code.expires_at == NOW + timedelta(minutes=15)
    assert code.verification_uri_complete == CODES["verification_uri_complete"]
    assert "the-device" not in repr(code)


@pytest.mark.parametrize(
    "changed",
    [
        {"device_code": None},
        {"device_code": 5},
        {"user_code": ""},
        {"user_code": "\x1b\n"},
        {"user_code": "A" * 100},
        {"verification_uri": None},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://192.168.0.1/admin"},
        {"verification_uri": "file:///etc/passwd"},
        {"verification_uri": "https://auth.civitai.com/" + "a" * 2000},
    ],
)
def test_codes_that_cannot_be_shown_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="in it"):
        read_codes({**CODES, **changed})


def test_of_codes_only_what_is_harmless_is_shown() -> None:
    code = read_codes({**CODES, "user_code": "\x1b[31mABCD\n", "verification_uri_complete": "javascript:alert(1)"})
    assert (code.user_code, code.verification_uri_complete) == ("[31mABCD", None)
    odd = read_codes({**CODES, "interval": -3, "expires_in": "soon"})
    assert (odd.interval, odd.expires_at) == (5, NOW + timedelta(minutes=15))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*CODES, "x"], JSON)) | JSON)
def test_any_codes_can_be_shown_or_are_refused(data: Any) -> None:
    for body in (data, {**CODES, **data} if isinstance(data, dict) else data):
        try:
            code = read_codes(body)
        except (ValueError, UnexpectedAnswer):
            continue
        assert code.user_code.isprintable()
        assert code.verification_uri.startswith("https://")
        assert 0 < code.interval <= 60


def polling(timeout: float | None = None, **changed: Any) -> DevicePolling:
    return DevicePolling(read_codes({**CODES, **changed}), timeout, now=100.0, moment=NOW)


def api(status: int, code: str | None = None, **details: Any) -> errors.ApiError:
    kind = {429: errors.RateLimited, 500: errors.ServerError}.get(status, errors.BadRequest)
    return kind(status=status, code=code, **details)


def test_questions_come_at_the_interval() -> None:
    asked = polling()
    assert [asked.pause(100.0), asked.goes_on(api(400, "authorization_pending")), asked.pause(105.0)] == [5, True, 5]
    assert asked.pause(998.0) == 2.0  # the last one, when the code expires
    assert [asked.is_over(999.9), asked.is_over(1000.0), asked.pause(1001.0)] == [False, True, 0.0]


def test_questions_that_are_too_many_become_fewer() -> None:
    asked = polling()
    pauses = []
    for error in [api(429), api(400, "slow_down"), *[api(429)] * 20]:
        assert asked.goes_on(error)
        pauses.append(asked.pause(100.0))
    assert pauses[:3] == [10, 15, 20]
    assert max(pauses) == pauses[-1] == 60
    assert asked.goes_on(api(429, retry_after=120.0))
    assert asked.pause(100.0) == 120
    assert asked.goes_on(api(400, "authorization_pending"))
    assert asked.pause(100.0) == 60


@pytest.mark.parametrize(
    "error",
    [
        api(500, "server_error"),
        api(400, "server_error"),
        errors.ConnectionFailed("no"),
        errors.RequestTimeout("no"),
        errors.UnexpectedResponse("cut", status=200, truncated=True),
    ],
)
def test_what_passes_does_not_end_it_and_is_told_at_the_end(error: errors.CivitaiError) -> None:
    asked = polling()
    assert asked.goes_on(error)
    assert asked.pause(100.0) == 5
    assert asked.timed_out().__cause__ is error
    assert "failed" in str(asked.timed_out())
    assert asked.goes_on(api(400, "authorization_pending"))
    assert asked.timed_out().__cause__ is None


@pytest.mark.parametrize(
    "error",
    [
        api(400, "access_denied"),
        api(400, "expired_token"),
        api(400, "invalid_grant"),
        api(404),
        errors.UnexpectedResponse("a page", status=200),
        errors.ConfigurationError("closed"),
    ],
)
def test_everything_else_ends_it(error: errors.CivitaiError) -> None:
    assert not polling().goes_on(error)


def test_the_time_is_the_shorter_one() -> None:
    assert polling(timeout=7).pause(105.0) == 2
    assert polling(timeout=10_000, expires_in=6).pause(105.0) == 1
    assert polling(timeout=0).pause(100.0) == 0
    assert polling(timeout=float("inf")).pause(998.0) == 2
    with pytest.raises(errors.InvalidRequest, match="timeout"):
        polling(timeout=-1)
    with pytest.raises(errors.InvalidRequest, match="start_device"):
        DevicePolling("the-device", None, now=0.0, moment=NOW)  # type: ignore[arg-type]
