"""The shapes in which the services answer, above all their many shapes of error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, NoReturn

from starlette.responses import Response


class RefusalError(Exception):
    """Raised anywhere below a route to answer the request with an error.

    Args:
        response: The answer.
        words: What it says, where that is in a shape of its own.

    """

    def __init__(self, response: Response, words: str | None = None) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.words = words


def answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Build a JSON answer."""
    return Response(to_json(data), status, headers, media_type="application/json")


def to_json(data: Any) -> bytes:
    """Write compact UTF-8 JSON, as the services write it."""
    # Half a surrogate pair is legal in JSON and has no UTF-8.
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def http_date(ahead: timedelta = timedelta()) -> bytes:
    """Write the present moment for a header: that of the caller's clock, and not of the emulator's."""
    return format_datetime(datetime.now(UTC) + ahead, usegmt=True).encode()


def answer_page(items: Iterable[bytes], metadata: Any) -> Response:
    """Build the answer of a list from items that are JSON already."""
    content = b'{"items":[' + b",".join(items) + b'],"metadata":' + to_json(metadata) + b"}"
    return Response(content, media_type="application/json")


def refuse(data: Any, status: int, headers: Mapping[str, str] | None = None, *, words: str | None = None) -> NoReturn:
    """Answer with a JSON error of any shape; see `RefusalError`."""
    raise RefusalError(answer(data, status, headers), words)


def refuse_message(message: str, status: int) -> NoReturn:
    """Answer as some routes of the Site API do, which say `message` where others say `error`."""
    refuse({"message": message}, status, words=message)


def failed(error: Any) -> NoReturn:
    """Answer as the Site API does when it did not expect what happened."""
    refuse({"message": "An unexpected error occurred", "error": error}, 500)


# Orchestration API: problem details (RFC 9457)


def problem(status: int, detail: str | None = None, errors: Mapping[str, Sequence[str]] | None = None) -> Response:
    """Build a problem document; `errors` maps the path of a field to its messages."""
    title = "One or more validation errors occurred." if errors else _phrase(status)
    content: dict[str, Any] = {"type": f"https://httpstatuses.io/{status}", "title": title, "status": status}
    if detail is not None:
        content["detail"] = detail
    if errors:
        content["errors"] = errors
    # The service adds the trace of the request; here it follows from the problem, so that answers repeat.
    content["traceId"] = f"00-{hashlib.md5(to_json(content), usedforsecurity=False).hexdigest()}-0000000000000000-00"
    return Response(to_json(content), status, media_type="application/problem+json")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of a proxy's own, such as 520
        return f"Error {status}"


def refuse_problem(
    status: int, detail: str | None = None, errors: Mapping[str, Sequence[str]] | None = None
) -> NoReturn:
    """Answer with a problem document."""
    raise RefusalError(problem(status, detail, errors))


# Site API: validation issues as the zod library words them

Issue = dict[str, Any]


def zod_error(issues: Sequence[Issue]) -> dict[str, str]:
    """Write a `ZodError` as its own JSON: the issues are a string of JSON inside the JSON."""
    return {"name": "ZodError", "message": json.dumps(issues, indent=2, ensure_ascii=False)}


def prettified(issues: Sequence[Issue]) -> str:
    """Write issues as text for people, one or two lines each."""
    lines = []
    for issue in issues:
        lines.append(f"✖ {issue['message']}")
        if issue["path"]:
            lines.append(f"  → at {'.'.join(map(str, issue['path']))}")
    return "\n".join(lines)


# Object storage: XML


def storage_error(status: int, code: str, message: str) -> Response:
    """Build an error as S3-like object storage words it."""
    content = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(content, status, media_type="application/xml")


# Moments


def orchestration_time(moment: datetime) -> str:
    """Write a moment with seven fractional digits, as the Orchestration API writes it.

    >>> orchestration_time(datetime(2026, 8, 1, 12, 0, 0, 250000, tzinfo=UTC))
    '2026-08-01T12:00:00.2500000Z'
    """
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}0Z"


def site_time(moment: datetime) -> str:
    """Write a moment with milliseconds, as the Site API writes it.

    >>> site_time(datetime(2026, 8, 1, 12, 0, 0, 250000, tzinfo=UTC))
    '2026-08-01T12:00:00.250Z'
    """
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
