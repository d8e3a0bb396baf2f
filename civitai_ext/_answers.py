"""From an answer that is an error, in whatever shape, to the exception that stands for it. Nothing is sent here.

The services share no error format. What is understood: `{error}` as text or object, `{message}`, `{name, message}`,
`{error, message}`, `{error, code}`, Zod issues (as an array, as JSON inside a string, or pretty-printed), RFC 9457
problem details with or without `errors`, OAuth's `{error, error_description}`, a bare JSON string, plain text, HTML,
and nothing.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from civitai_api.runtime import Response
from civitai_ext import errors
from civitai_ext._backoff import retry_after_of
from civitai_ext._config import TOKEN_VARIABLES
from civitai_ext._redact import MASK, public_text, public_url

if TYPE_CHECKING:
    from civitai_ext.oauth.scopes import Scope

__all__ = ["error_for", "html_title", "unexpected"]

_CLASSES: Final[Mapping[int, type[errors.ApiError]]] = {
    400: errors.BadRequest,
    401: errors.AuthenticationError,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.UnprocessableContent,
    429: errors.RateLimited,
    451: errors.RegionBlocked,
    503: errors.ServiceOverloaded,
}

_LACKING: Final = re.compile(r"insufficient|not enough|n.t have enough|not have enough|not have sufficient", re.I)
_MONEY: Final = re.compile(r"buzz|funds|balance|credit|spend", re.I)
_LIMIT: Final = re.compile(
    r"(spend|buzz|budget)\w*[ -](\w+ ){0,3}(limit|cap)|(limit|cap|budget)\b.{0,40}\b(exceed|reach|used up|exhaust)",
    re.I,
)
_LOG_IN: Final = re.compile(r"\blog(ged)? ?in\b", re.I)
_DISABLED: Final = re.compile(r"\bdisabled\b.{0,20}\bdownload|\bdownload\w*\b.{0,20}\bdisabled\b", re.I)
_NO_ACCESS: Final = re.compile(r"\baccess to download\b", re.I)
_DOWNLOADING: Final = re.compile(r"\bdownload(s|ed|ing)\b", re.I)
_TOO_FAR: Final = re.compile(r"too many pages|use cursors", re.I)
_OAUTH_CODE: Final = re.compile(r"[a-z]+(_[a-z]+)+")
_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title", re.I | re.S)
_PAGE_START: Final = re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.I)

_LONGEST_MESSAGE: Final = 500
_LONGEST_BODY: Final = 20_000

Issues = dict[str, list[str]]


@attrs.frozen
class _Said:
    """What could be made out of a body."""

    message: str = ""
    code: str | None = None
    issues: Issues = attrs.field(factory=dict)


def error_for(
    response: Response,
    *,
    method: str,
    url: str,
    token_source: str | None = None,
    secrets: Iterable[str] = (),
    granted: Scope | None = None,
) -> errors.ApiError:
    """Make the exception for an answer that is an error. Never raises, whatever the body is.

    Args:
        response: The answer.
        method: The HTTP method of the request.
        url: The URL of the request.
        token_source: Where the token that was sent came from; None if none was sent.
        secrets: Texts that are masked wherever the answer repeats them.
        granted: What the token that was sent may do; None if that is not known.

    >>> answer = Response(400, {}, b'[{"code": "too_big", "path": ["limit"], "message": "Too big"}]')
    >>> error_for(answer, method="GET", url="https://civitai.com/api/v1/tags").issues
    {'limit': ['Too big']}
    """
    response = _without(response, secrets)
    page = html_title(response)
    body = None if page is not None else _body(response)
    said = _Said(_page_message(page)) if page is not None else _listen(body)
    missing = None
    if response.status == 403:
        from civitai_ext.oauth.missing import missing_scopes  # loaded here, since few need it

        missing = missing_scopes(said.code, said.message, body, response.headers)
    kind = _class_of(response.status, body, said) if missing is None else errors.ScopeMissing
    retry_after = retry_after_of(response.headers, time.time())
    details: dict[str, Any] = {
        "status": response.status,
        "code": said.code,
        "body": _text(response) if page is not None else body,
        "request_id": _request_id(response.headers, body),
        "retry_after": retry_after,
        "method": method,
        "url": url,
        "hint": _hint(kind, said, token_source, retry_after=retry_after, page=page),
    }
    message = said.message
    if issubclass(kind, errors.BadRequest):
        details["issues"] = said.issues
    elif said.issues and not message:
        message = _clean("; ".join(f"{field}: {text}" for field, texts in said.issues.items() for text in texts))
    if issubclass(kind, errors.AuthenticationError):
        details["token_source"] = token_source
    if issubclass(kind, errors.ScopeMissing) and missing is not None:
        # What is needed may be named as a whole.
        details["missing"] = missing if granted is None else missing & ~granted or missing
        details["granted"] = granted
    if issubclass(kind, errors.EarlyAccess):
        details["deadline"] = _moment(body.get("deadline")) if isinstance(body, dict) else None
    return kind(message, **details)


def unexpected(response: Response, *, method: str, url: str) -> errors.UnexpectedResponse:
    """Make the exception for an answer that is no error, and not what was asked for either.

    Of the body only the title of a page is told: the body of a success may be confidential.
    """
    page = html_title(response)
    hint = None
    if 300 <= response.status < 400:
        target = public_url(response.headers.get("location", "nowhere"))
        message = f"it redirects to {_clean(target)}"
        if "/login" in target:
            hint = "That is a login page: a token is needed."
    elif page is not None:
        message = _page_message(page)
        hint = "A gateway in front of the service, or a proxy on the way, may have sent it."
    else:
        message = f"the body is not what was asked for ({_clean(response.media_type) or 'no media type'})"
    return errors.UnexpectedResponse(
        message,
        status=response.status,
        media_type=response.media_type,
        title=page or None,
        method=method,
        url=url,
        hint=hint,
    )


def html_title(response: Response) -> str | None:
    """Give the title of an answer that is an HTML page, empty if it has none; None if it is no such page.

    >>> html_title(Response(200, {}, b"<!doctype html><title>Just a moment...</title>"))
    'Just a moment...'
    """
    if response.media_type not in ("text/html", "application/xhtml+xml") and not _PAGE_START.match(response.content):
        return None
    found = _TITLE.search(response.content[:_LONGEST_BODY])
    return _clean(html.unescape(found[1].decode("utf-8", "replace"))) if found else ""


def _page_message(title: str) -> str:
    return f"an HTML page titled {title!r}" if title else "an HTML page"


# ---------------------------------------------------------------------------------------------------------- the body


def _without(response: Response, secrets: Iterable[str]) -> Response:
    content, headers = response.content, dict(response.headers)
    for secret in secrets:
        # One this short is no real secret, and replacing it would garble what is left.
        if len(secret) >= 4:
            content = content.replace(secret.encode(), MASK.encode())
            headers = {name: value.replace(secret, MASK) for name, value in headers.items()}
    return attrs.evolve(response, content=content, headers=headers)


def _text(response: Response) -> str:
    return response.content[:_LONGEST_BODY].decode("utf-8", "replace")


def _body(response: Response) -> Any:
    if not response.content.strip():
        return None
    try:
        return response.json()
    except (ValueError, RecursionError):
        return _text(response)


def _clean(text: str) -> str:
    """One line of printable characters, not too long, without the secrets of the URLs in it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST_MESSAGE]).split())
    line = public_text(line)
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _listen(data: Any, depth: int = 0) -> _Said:
    """Find the message, the code and the issues in a parsed body."""
    if depth > 4:
        return _Said()
    if isinstance(data, str):
        return _listen_to_text(data, depth)
    if isinstance(data, list):
        issues = _zod_issues(data)
        return _Said(issues=issues) if issues else _Said(_clean("; ".join(x for x in data if isinstance(x, str))))
    if isinstance(data, dict):
        return _listen_to_object(data, depth)
    return _Said() if data is None else _Said(_clean(str(data)))


def _listen_to_text(text: str, depth: int) -> _Said:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            inner = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            return _Said(_clean(text))
        said = _listen(inner, depth + 1)
        return said if said.message or said.issues else _Said(_clean(text))
    if text.lstrip().startswith("✖"):
        return _Said(issues=_pretty_issues(text))
    return _Said(_clean(text))


def _listen_to_object(data: dict[str, Any], depth: int) -> _Said:
    error, description = data.get("error"), data.get("error_description")
    code = data["code"] if isinstance(data.get("code"), str) else None
    if code is None and isinstance(error, str) and (isinstance(description, str) or _OAUTH_CODE.fullmatch(error)):
        code = error
    issues = _field_issues(data.get("errors")) or _field_issues(data.get("issues"))
    # Beside an error object the message is a general one, as when the vault refuses.
    inner = error if isinstance(error, dict) else None
    for value in (description, inner, data.get("message"), error, data.get("detail"), data.get("title")):
        said = _listen(value, depth + 1)
        if said.message or said.issues:
            return _Said(said.message, (code and _clean(code)) or said.code, issues or said.issues)
    return _Said("", code and _clean(code), issues)


def _field_issues(value: Any) -> Issues:
    """The `errors` of problem details: field → messages; or a list of Zod issues."""
    if isinstance(value, list):
        return _zod_issues(value)
    if not isinstance(value, dict):
        return {}
    listed = {field: texts if isinstance(texts, list) else [texts] for field, texts in value.items()}
    return {
        _clean(field): found
        for field, texts in listed.items()
        if (found := [_clean(text) for text in texts if isinstance(text, str)])
    }


def _zod_issues(items: list[Any]) -> Issues:
    issues: Issues = {}
    for item in items:
        if isinstance(item, dict) and ("path" in item or "message" in item):
            path = item.get("path")
            field = ".".join(str(part) for part in path) if isinstance(path, list) else str(path or "")
            message = item.get("message") or item.get("code") or "invalid"
            issues.setdefault(_clean(field), []).append(_clean(str(message)))
    return issues


def _pretty_issues(text: str) -> Issues:
    """Zod's text for people: a line with ✖ and the message, and below it → and the field."""
    issues: Issues = {}
    for part in filter(str.strip, text.split("✖")):
        message, _, field = part.partition("→ at ")
        issues.setdefault(_clean(field), []).append(_clean(message))
    return issues


def _request_id(headers: Mapping[str, str], body: Any) -> str | None:
    found = headers.get("x-request-id") or headers.get("cf-ray")
    if not found and isinstance(body, dict) and isinstance(body.get("traceId"), str):
        found = body["traceId"]
    return (_clean(found)[:128] or None) if found else None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


# ----------------------------------------------------------------------------------------------------- what it means


def _class_of(status: int, body: Any, said: _Said) -> type[errors.ApiError]:
    if status == 403 and isinstance(body, dict) and body.get("error") == "Early Access":
        return errors.EarlyAccess
    if status in (400, 402, 403) and _MONEY.search(said.message):
        if _LIMIT.search(said.message):
            return errors.SpendLimitReached
        if _LACKING.search(said.message):
            return errors.InsufficientBuzz
    if status == 401 and _DISABLED.search(said.message):
        return errors.DownloadsDisabled
    if status == 401 and _LOG_IN.search(said.message):
        return errors.LoginRequired
    if status == 403 and _NO_ACCESS.search(said.message):
        return errors.AccessDenied
    if status == 410 and "archived" in said.message.lower():
        return errors.Archived
    if status == 429 and _TOO_FAR.search(said.message):
        return errors.PageLimitReached
    if status == 429 and _DOWNLOADING.search(said.message):
        return errors.QuotaExceeded
    return _CLASSES.get(status, errors.ServerError if status >= 500 else errors.ApiError)


def _hint(
    kind: type[errors.ApiError],
    said: _Said,
    token_source: str | None,
    *,
    retry_after: float | None,
    page: str | None,
) -> str | None:
    """What to do, where it depends on the case; None to leave it to the class."""
    if issubclass(kind, errors.AuthenticationError):
        return _authentication_hint(said, token_source)
    if kind is errors.RateLimited and retry_after is not None:
        return f"Wait {retry_after:g} seconds before asking again."
    if page is not None and kind is errors.PermissionDenied:
        return "A gateway in front of the service refused the request, not the service: check network and user agent."
    return None


def _authentication_hint(said: _Said, token_source: str | None) -> str:
    if said.code == "invalid_client":
        return "The id or the secret of the OAuth client was refused."
    if token_source is not None:
        return (
            f"The token from {token_source} was sent and refused: it may be expired, revoked, or of the wrong kind. "
            "API keys are made at https://civitai.com/user/account."
        )
    first, *others = TOKEN_VARIABLES
    return (
        f"No token was sent: pass `token`, set {first} ({' and '.join(others)} are looked at too), or log in. "
        "API keys are made at https://civitai.com/user/account."
    )
