from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.runtime import Response
from civitai_ext import errors
from civitai_ext._answers import error_for, unexpected
from civitai_ext.oauth.scopes import Scope

URL = "https://civitai.com/api/v1/models?limit=1"
PROBLEM = "application/problem+json"

API: dict[str, Any] = {
    "status": 418,
    "code": "X",
    "body": {"a": [1]},
    "request_id": "r1",
    "retry_after": 2.5,
    "method": "GET",
    "url": URL,
}
SAMPLES: list[errors.CivitaiError] = [
    errors.CivitaiError("text"),
    errors.ConfigurationError("text", hint="hint"),
    errors.InvalidRequest("text"),
    errors.InvalidEvent("text"),
    errors.InvalidFile("text", path=Path("a.safetensors")),
    errors.ApiError("text", **API),
    errors.BadRequest("text", issues={"limit": ["Too big"]}, **API),
    errors.AuthenticationError("text", token_source="CIVITAI_TOKEN", **API),
    errors.LoginFailed("text", code="invalid_grant"),
    errors.LoginDenied("text"),
    errors.LoginTimeout("text"),
    errors.TokenStoreError("text", path="a.json"),
    errors.LoginExpired("text", account="alice"),
    errors.ScopeMissing("text", missing=Scope.BUZZ_READ, granted=Scope.USER_READ, **API),
    errors.LoginRequired("text", token_source="CIVITAI_TOKEN", **API),
    errors.PermissionDenied("text", **API),
    errors.DownloadsDisabled("text", **API),
    errors.AccessDenied("text", **API),
    errors.EarlyAccess("text", deadline=datetime(2026, 1, 2, tzinfo=UTC), **API),
    errors.InsufficientBuzz("text", **API),
    errors.SpendLimitReached("text", **API),
    errors.NotFound("text", **API),
    errors.Conflict("text", **API),
    errors.Gone("text", **API),
    errors.Archived("text", **API),
    errors.PayloadTooLarge("text", **API),
    errors.UnsupportedMediaType("text", **API),
    errors.UnprocessableContent("text", **API),
    errors.RateLimited("text", **API),
    errors.QuotaExceeded("text", **API),
    errors.PageLimitReached("text", **API),
    errors.RegionBlocked("text", **API),
    errors.ServerError("text", **API),
    errors.ServiceOverloaded("text", **API),
    errors.ConnectionFailed("text", host="civitai.com", sent=False),
    errors.RequestTimeout("text", host="civitai.com", sent=True),
    errors.UnexpectedResponse(
        "text", status=200, media_type="text/html", title="t", truncated=True, method="GET", url=URL
    ),
    errors.NotAFile("text", status=200, media_type="text/html", method="GET", url=URL),
    errors.AlreadyDownloading("text", path="/a"),
    errors.UnsafeFile("text", name="a.ckpt", reason="it is a pickle"),
    errors.DownloadsFailed("text", downloads=[]),
    errors.Incomplete("text", path="/a", done=1, size=2),
    errors.HashMismatch("text", path="/a", name="SHA256", expected="A", found="B"),
    errors.NoSpace("text", path="/a"),
    errors.BlobUnavailable("text", blob_id="b1", reason="blocked"),
    errors.WorkflowError("text", workflow={"id": "w1"}),
    errors.WorkflowFailed("text", workflow={"id": "w1"}, step="a", reason="r", blocked_reason="b"),
    errors.WorkflowExpired("text", workflow={"id": "w1"}),
    errors.WorkflowCanceled("text", workflow={"id": "w1"}),
    errors.JobsFailed("text", jobs=["j1"]),
    errors.SubmissionUnclear("text", submission_id="s1", properties={"a": "s1"}),
    errors.WaitTimeout("text", workflow_ids=["w1", "w2"]),
    errors.BudgetExceeded("text", estimate={"total": 8}),
]


def fail(status: int, body: Any = b"", media_type: str = "application/json", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_for(Response(status, {"content-type": media_type, **named}, content), method="GET", url=URL)


# ------------------------------------------------------------------------------------------------------------ the tree


def test_the_samples_are_all_there_is() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes == set(errors.__all__) == {"ValidationWarning", *(type(sample).__name__ for sample in SAMPLES)}
    assert sorted(errors.__all__) == errors.__all__


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_can_be_copied_pickled_and_read(error: errors.CivitaiError) -> None:
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert type(twin) is type(error)
        assert (vars(twin), twin.args, str(twin)) == (vars(error), error.args, str(error))
    assert "text" in str(error)
    assert "\n" not in str(error)
    assert repr(error)


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (errors.ConfigurationError, [ValueError]),
        (errors.InvalidRequest, [ValueError]),
        (errors.InvalidEvent, [ValueError]),
        (errors.NotFound, [errors.ApiError, LookupError]),
        (errors.InsufficientBuzz, [errors.PermissionDenied]),
        (errors.SpendLimitReached, [errors.InsufficientBuzz]),
        (errors.EarlyAccess, [errors.PermissionDenied]),
        (errors.ServiceOverloaded, [errors.ServerError]),
        (errors.ConnectionFailed, [ConnectionError, OSError]),
        (errors.RequestTimeout, [errors.ConnectionFailed, TimeoutError]),
        (errors.WaitTimeout, [TimeoutError]),
        (errors.WorkflowExpired, [errors.WorkflowError]),
    ],
)
def test_parents(kind: type[Exception], parents: list[type[Exception]]) -> None:
    assert all(issubclass(kind, parent) for parent in [*parents, errors.CivitaiError])
    assert not issubclass(errors.PageLimitReached, errors.RateLimited), "waiting does not help there"


def test_an_error_can_always_be_printed() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    error = errors.NotFound(Rude(), status=404)  # type: ignore[arg-type]
    assert str(error) == "NotFound"
    assert str(errors.CivitaiError()) == "CivitaiError"
    assert str(errors.ApiError(status=999)) == "The service answered 999"


def test_urls_are_kept_without_their_secrets() -> None:
    error = errors.ApiError("no", status=418, method="GET", url="https://me:pw@civitai.com/x?token=abc&page=2")
    assert error.url == "https://civitai.com/x?token=***&page=2"


def test_long_lists_of_issues_are_cut_in_the_text_only() -> None:
    error = errors.BadRequest("Wrong.", status=400, issues={f"f{n}": ["bad"] for n in range(9)})
    assert str(error).endswith("Wrong - f0: bad; f1: bad; f2: bad; f3: bad; f4: bad; and 4 more")
    assert len(error.issues) == 9


def test_the_workflow_id_of_a_workflow_error() -> None:
    assert errors.WorkflowFailed("no", workflow=type("W", (), {"id": "w1"})()).workflow_id == "w1"
    assert errors.WorkflowFailed("no", workflow=None).workflow_id is None


def test_the_errors_alone_load_neither_the_http_library_nor_generated_code() -> None:
    code = "import sys, civitai_ext.errors; print([m for m in sys.modules if m in ('httpx', 'civitai_api', 'attrs')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------------- from answers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (405, errors.ApiError),
        (408, errors.ApiError),
        (409, errors.Conflict),
        (410, errors.Gone),
        (413, errors.PayloadTooLarge),
        (415, errors.UnsupportedMediaType),
        (422, errors.UnprocessableContent),
        (429, errors.RateLimited),
        (451, errors.RegionBlocked),
        (499, errors.ApiError),
        (500, errors.ServerError),
        (503, errors.ServiceOverloaded),
        (524, errors.ServerError),
    ],
)
def test_the_class_of_a_status(status: int, kind: type[errors.ApiError]) -> None:
    for body in (b"", b"null", b'{"error": "no"}'):
        assert type(fail(status, body)) is kind


ISSUE = {"code": "too_big", "path": ["limit"], "message": "Too big"}
NESTED = {"code": "invalid", "path": ["steps", 0, "name"], "message": "Bad"}
BOTH = {"limit": ["Too big"], "steps.0.name": ["Bad"]}


@pytest.mark.parametrize(
    ("body", "message", "code", "issues"),
    [
        ({"error": "No model"}, "No model", None, {}),
        ({"message": "No model"}, "No model", None, {}),
        ({"message": "An error", "error": {"x": 1}}, "An error", None, {}),
        ({"error": "Unauthorized", "message": "Log in"}, "Log in", None, {}),
        ({"error": "Blocked", "code": "REGION_BLOCKED"}, "Blocked", "REGION_BLOCKED", {}),
        ({"error": {"name": "ZodError", "message": json.dumps([ISSUE, NESTED])}}, "", None, BOTH),
        ({"name": "ZodError", "message": json.dumps([ISSUE])}, "", None, {"limit": ["Too big"]}),
        ({"message": json.dumps([ISSUE])}, "", None, {"limit": ["Too big"]}),
        ([ISSUE, {**ISSUE, "message": "No"}], "", None, {"limit": ["Too big", "No"]}),
        ({"error": "✖ Not a number\n  → at id\n✖ No key"}, "", None, {"id": ["Not a number"], "": ["No key"]}),
        ({"title": "Wrong", "status": 400, "errors": {"$.steps": ["a", "b"]}}, "Wrong", None, {"$.steps": ["a", "b"]}),
        ({"title": "Wrong", "detail": "More"}, "More", None, {}),
        ({"error": "invalid_grant", "error_description": "Used up"}, "Used up", "invalid_grant", {}),
        ({"error": "invalid_grant"}, "invalid_grant", "invalid_grant", {}),
        ("a bare string", "a bare string", None, {}),
        ({"error": "see https://h/?token=abc\n\x1b[31m now"}, "see https://h/?token=*** [31m now", None, {}),
        ({"error": "{not json"}, "{not json", None, {}),
        ({"errors": ["x"], "error": None}, "", None, {}),
        (404, "404", None, {}),
    ],
)
def test_shapes_of_bodies(body: Any, message: str, code: str | None, issues: dict[str, list[str]]) -> None:
    error = fail(400, body)
    assert (error.message, error.code, error.issues) == (message, code, issues)
    assert error.body == body
    assert "\n" not in str(error)


def test_issues_are_told_by_errors_of_other_kinds_too() -> None:
    assert fail(422, [ISSUE]).message == "limit: Too big"


@pytest.mark.parametrize(
    ("content", "media_type", "message", "body"),
    [
        (b"Not found", "text/plain", "Not found", "Not found"),
        (b"", "text/plain", "", None),
        (b" \n", "application/json", "", None),
        (b'{"error": "a\tb"}', "application/json", "a b", {"error": "a\tb"}),
        (b"\xff\xfe", "text/plain", "\ufffd\ufffd", "\ufffd\ufffd"),
        (b"[" * 100_000, "application/json", "[" * 499 + "…", "[" * 20_000),
        (
            b"<html><title>A &amp;\n B</title>",
            "text/html",
            "an HTML page titled 'A & B'",
            "<html><title>A &amp;\n B</title>",
        ),
        (b"\n<!DOCTYPE html>", "", "an HTML page", "\n<!DOCTYPE html>"),
    ],
)
def test_bodies_that_are_no_json(content: bytes, media_type: str, message: str, body: Any) -> None:
    error = fail(404, content, media_type)
    assert (error.message, error.body) == (message, body)


@pytest.mark.parametrize(
    "body",
    [
        "You do not have enough Buzz for this",
        "Insufficient funds",
        {"title": "Forbidden", "detail": "Insufficient Buzz: 8 needed"},
        {"error": "User doesn't have enough credits"},
    ],
)
def test_too_little_buzz_is_told_apart(body: Any) -> None:
    assert type(fail(403, body)) is errors.InsufficientBuzz
    assert type(fail(404, body)) is errors.NotFound


@pytest.mark.parametrize(
    "body",
    [
        "Buzz limit exceeded for this application",
        "This token's spend limit has been reached",
        {"title": "Forbidden", "detail": "The daily budget of 500 Buzz is used up"},
    ],
)
def test_a_limit_of_the_token_is_told_apart(body: Any) -> None:
    assert type(fail(403, body)) is errors.SpendLimitReached
    assert type(fail(429, body)) is errors.RateLimited


def test_other_refusals_are_not_taken_for_too_little_buzz() -> None:
    assert type(fail(403, "Buzz transfers are not allowed")) is errors.PermissionDenied


WRITE = Scope.AI_SERVICES_WRITE


@pytest.mark.parametrize(
    ("body", "challenge", "missing"),
    [
        ({"error": "insufficient_scope"}, "", Scope(0)),
        ({"error": "insufficient_scope", "error_description": "Needs AIServicesWrite"}, "", WRITE),
        ({"error": "insufficient_scope", "scope": "32768"}, "", WRITE),
        ({"error": "insufficient_scope", "requiredScopes": [32768, "BuzzRead"]}, "", WRITE | Scope.BUZZ_READ),
        ({"error": "insufficient_scope", "scope": {"a": []}}, "", Scope(0)),
        ({"message": "Insufficient scope: BuzzRead"}, "", Scope.BUZZ_READ),
        ({"message": "This token is missing the ModelsWrite scope"}, "", Scope.MODELS_WRITE),
        ({"message": "Missing required scope 32768"}, "", WRITE),
        ({"message": "Missing required scope " + "9" * 300}, "", Scope(0)),
        ({"message": "The scope ai_services_write is required"}, "", WRITE),
        ({"title": "Forbidden", "detail": "Token does not have the required permission scope"}, "", Scope(0)),
        ({"error": {"message": "Missing scope", "data": 1, "requiredScope": "AIServicesWrite"}}, "", WRITE),
        ("", 'Bearer realm="x", error="insufficient_scope", scope="32768"', WRITE),
        ("", "Bearer error=insufficient_scope", Scope(0)),
        ("Full Creator accounts only: requires a scope", "", Scope(0)),
    ],
)
def test_a_scope_that_is_missing_is_named(body: Any, challenge: str, missing: Scope) -> None:
    error = fail(403, body, www_authenticate=challenge)
    assert type(error) is errors.ScopeMissing
    assert (error.missing, error.granted) == (missing, None)
    assert all(name in str(error) for name in missing.names)
    assert type(fail(404, body, www_authenticate=challenge)) is errors.NotFound


def test_of_what_is_needed_only_what_the_token_lacks_is_missing() -> None:
    body = b'{"error": "insufficient_scope", "scope": "114689"}'
    answer = Response(403, {"content-type": "application/json"}, body)
    for granted, missing in (
        (Scope.USER_READ | Scope.BUZZ_READ, Scope.AI_SERVICES_READ | WRITE),
        (Scope.AI_SERVICES, Scope.AI_SERVICES),
        (None, Scope.AI_SERVICES),
    ):
        error = error_for(answer, method="GET", url=URL, granted=granted)
        assert isinstance(error, errors.ScopeMissing)
        assert (error.missing, error.granted) == (missing, granted)


@pytest.mark.parametrize(
    "body", ["Only the creator may do this", "Forbidden", {"error": "access_denied", "scope": "1"}, "Buzz is missing"]
)
def test_other_refusals_are_not_taken_for_a_missing_scope(body: Any) -> None:
    assert type(fail(403, body, www_authenticate='Bearer error="invalid_token"')) is errors.PermissionDenied


def test_early_access() -> None:
    error = fail(403, {"error": "Early Access", "deadline": "2026-01-02T00:00:00.000Z", "message": "Wait for it"})
    assert type(error) is errors.EarlyAccess
    assert (error.deadline, error.message) == (datetime(2026, 1, 2, tzinfo=UTC), "Wait for it")
    assert fail(403, {"error": "Early Access", "deadline": 5}).deadline is None


def test_downloads_that_are_switched_off_do_not_ask_for_a_token() -> None:
    error = fail(401, {"error": "Unauthorized", "message": "The creator has disabled downloads"})
    assert type(error) is errors.DownloadsDisabled
    assert "no token changes that" in str(error)


def test_a_refused_oauth_client_is_not_about_the_token() -> None:
    assert "OAuth client" in str(fail(401, {"error": "invalid_client", "error_description": "Wrong secret"}))


def test_request_ids() -> None:
    assert fail(500, {"traceId": "t"}, x_request_id="x", cf_ray="r").request_id == "x"
    assert fail(500, {"traceId": "t"}, cf_ray="r").request_id == "r"
    assert fail(500, {"traceId": "t"}, PROBLEM).request_id == "t"
    assert fail(500, {"traceId": 5}).request_id is None
    assert "(request id x)" in str(fail(500, x_request_id="x"))


def test_retry_after_is_read_from_any_error() -> None:
    assert fail(503, retry_after="2").retry_after == 2.0
    assert "Wait 7 seconds" in str(fail(429, retry_after="7"))


def test_secrets_that_an_answer_repeats_are_masked() -> None:
    answer = Response(
        401, {"x-request-id": "hush-hush"}, b'{"error": "hush-hush is wrong", "hush-hush": ["hush-hush"]}'
    )
    error = error_for(answer, method="GET", url=f"{URL}&token=hush-hush", token_source="x", secrets=["hush-hush", "e"])
    assert "hush" not in str(error) + repr(vars(error))
    assert error.message == "*** is wrong"


def test_unexpected_answers() -> None:
    error = unexpected(Response(200, {"content-type": "application/json"}, b"secret"), method="GET", url=URL)
    assert str(error) == (
        f"GET {URL} answered 200 OK with what cannot be understood: "
        "the body is not what was asked for (application/json)"
    )
    assert "no media type" in str(unexpected(Response(200), method="GET", url=URL))
    assert "redirects to nowhere" in str(unexpected(Response(302), method="GET", url=URL))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "errors", "issues", "title", "detail", "path", "name", "traceId"]
            )
            | st.sampled_from(["error_description", "deadline", "scope", "requiredScopes"])
            | st.text(),
            inner,
        )
        | inner.map(json.dumps)
    ),
    max_leaves=12,
)
STATUSES = st.sampled_from([400, 401, 402, 403, 404, 408, 418, 422, 429, 451, 500, 503, 524, 599])


@given(STATUSES, JSON.map(lambda value: json.dumps(value).encode()) | st.binary(), st.text(), st.text())
def test_any_answer_makes_an_error_that_can_be_read(status: int, content: bytes, media_type: str, other: str) -> None:
    headers = {"content-type": media_type, "x-request-id": other, "retry-after": other, "location": other}
    answer = Response(status, headers, content)
    for error in (error_for(answer, method="GET", url=other), unexpected(answer, method="GET", url=other)):
        text = str(error)
        text.encode()
        assert text.isprintable() or not other.isprintable()
        assert len(text) < 5000 + len(other)
        assert str(pickle.loads(pickle.dumps(error))) == text  # noqa: S301


def test_an_error_object_says_more_than_the_message_beside_it() -> None:
    body = (
        b'{"message": "An unexpected error occurred", "error": {"code": "FORBIDDEN", "message": "The vault is full"}}'
    )
    error = error_for(Response(500, {}, body), method="POST", url="https://civitai.com/api/v1/vault/toggle-version")
    assert "The vault is full" in str(error)
    assert error.code == "FORBIDDEN"
