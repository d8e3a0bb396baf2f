"""What can go wrong, as one tree of exceptions.

Everything that this package raises on purpose is a `CivitaiError`. Below it, classes are named by meaning, and have a
parent from the standard library where one fits, so that `except TimeoutError` or `except LookupError` work too:

    CivitaiError
    ├── ConfigurationError (ValueError)      the client cannot be set up, or cannot be used, like this
    ├── InvalidRequest (ValueError)          a call that the service would refuse; nothing was sent
    ├── InvalidEvent (ValueError)            what was posted to a webhook is no event
    ├── InvalidFile (ValueError)             a file on the disk is broken, or not what its name says
    ├── ApiError                             the service answered with an error
    │   ├── BadRequest                       400
    │   ├── AuthenticationError              401
    │   │   ├── LoginRequired                the file is for those who are logged in
    │   │   └── LoginExpired                 a login cannot be renewed: log in again
    │   ├── PermissionDenied                 403
    │   │   ├── AccessDenied                 the file is for those whom its creator lets
    │   │   ├── DownloadsDisabled            the creator does not offer the file for download
    │   │   ├── EarlyAccess                  the file has to be bought, or waited for
    │   │   ├── ScopeMissing                 the token was not given a right that this needs
    │   │   └── InsufficientBuzz             the account cannot pay for the work
    │   │       └── SpendLimitReached        … or a limit of the token or the app does not let it
    │   ├── NotFound (LookupError)           404
    │   ├── Conflict                         409
    │   ├── Gone                             410
    │   │   └── Archived                     the model is shown, its files are not given any more
    │   ├── PayloadTooLarge                  413
    │   ├── UnsupportedMediaType             415
    │   ├── UnprocessableContent             422
    │   ├── RateLimited                      429
    │   │   └── QuotaExceeded                … for downloads of a day: waiting a moment does not help
    │   ├── PageLimitReached                 429 that no waiting cures: a page too far, use a cursor
    │   ├── RegionBlocked                    451
    │   └── ServerError                      5xx
    │       └── ServiceOverloaded            503
    ├── ConnectionFailed (ConnectionError)   no answer came
    │   └── RequestTimeout (TimeoutError)    … in time
    ├── UnexpectedResponse                   an answer came that cannot be understood
    │   └── NotAFile                         … a page or a message in place of a file
    ├── LoginFailed                          somebody tried to log in, and is not logged in
    │   ├── LoginDenied                      … because they, or the service, said no
    │   └── LoginTimeout (TimeoutError)      … because nobody did anything in time
    ├── TokenStoreError                      a stored login cannot be read or written
    ├── AlreadyDownloading                   the same file is being downloaded by somebody else
    ├── Incomplete                           a file did not come as a whole; what came is kept
    ├── HashMismatch                         a file came as a whole, and is not the one that was published
    ├── NoSpace (OSError)                    the disk has no room for a file
    ├── UnsafeFile                           a file that may run code, or was not found clean, and was not asked for so
    ├── DownloadsFailed                      of several downloads some failed; the others are there
    ├── BlobUnavailable                      a blob has no content that could be fetched
    ├── WorkflowError                        a workflow ended without success
    │   ├── WorkflowFailed
    │   ├── WorkflowExpired
    │   └── WorkflowCanceled
    ├── JobsFailed                           jobs of the Generator API ended without success
    ├── SubmissionUnclear                    jobs were submitted, and whether they were accepted is not known
    ├── WaitTimeout (TimeoutError)           a workflow or jobs are not done yet; they go on
    └── BudgetExceeded                       the work costs more than was allowed; nothing was submitted

The text of an error is a sentence that says what happened, followed by what to do about it if that is known. Neither
holds a token, and neither do the attributes. Errors can be copied and pickled.
"""

# ruff: noqa: N818  # the names say what happened; all of them are errors

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from civitai_ext._redact import public_url

if TYPE_CHECKING:
    from civitai_ext.oauth.scopes import Scope

__all__ = [
    "AccessDenied",
    "AlreadyDownloading",
    "ApiError",
    "Archived",
    "AuthenticationError",
    "BadRequest",
    "BlobUnavailable",
    "BudgetExceeded",
    "CivitaiError",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "DownloadsDisabled",
    "DownloadsFailed",
    "EarlyAccess",
    "Gone",
    "HashMismatch",
    "Incomplete",
    "InsufficientBuzz",
    "InvalidEvent",
    "InvalidFile",
    "InvalidRequest",
    "JobsFailed",
    "LoginDenied",
    "LoginExpired",
    "LoginFailed",
    "LoginRequired",
    "LoginTimeout",
    "NoSpace",
    "NotAFile",
    "NotFound",
    "PageLimitReached",
    "PayloadTooLarge",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "RegionBlocked",
    "RequestTimeout",
    "ScopeMissing",
    "ServerError",
    "ServiceOverloaded",
    "SpendLimitReached",
    "SubmissionUnclear",
    "TokenStoreError",
    "UnexpectedResponse",
    "UnprocessableContent",
    "UnsafeFile",
    "UnsupportedMediaType",
    "ValidationWarning",
    "WaitTimeout",
    "WorkflowCanceled",
    "WorkflowError",
    "WorkflowExpired",
    "WorkflowFailed",
]


class CivitaiError(Exception):
    """The parent of every error of this package.

    Attributes:
        message: What happened.
        hint: What to do about it; None if there is nothing to say.
        external_id: Where a submit failed whose workflow may have been accepted, the key to submit it again with.

    >>> str(CivitaiError("The kettle is empty", hint="Fill it."))
    'The kettle is empty. Fill it.'
    """

    default_hint: ClassVar[str | None] = None

    message: str
    hint: str | None
    external_id: str | None = None

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint

    def describe(self) -> str:
        """Say what happened, without the hint."""
        return self.message or type(self).__name__

    def __str__(self) -> str:
        # An error that cannot be printed hides the one that it is about.
        try:
            text = self.describe().rstrip()
            if not self.hint:
                return text
            return f"{text}{'' if text.endswith(('.', '!', '?', '…')) else '.'} {self.hint}"
        except Exception:
            return type(self).__name__

    def __reduce__(self) -> tuple[Any, ...]:
        # The way that exceptions have of their own calls the class with `args`, which leaves out what is keyword-only.
        return (_restore, (type(self), self.args), self.__dict__)


def _restore(cls: type[CivitaiError], args: tuple[Any, ...]) -> CivitaiError:
    error = cls.__new__(cls)
    error.args = args
    return error


# ------------------------------------------------------------------------------------------------------ before sending


class ConfigurationError(CivitaiError, ValueError):
    """The client cannot be set up, or cannot be used, the way that was asked for."""


class InvalidRequest(CivitaiError, ValueError):
    """A call that the service would refuse, or would understand in another way. It was not sent."""


class InvalidEvent(CivitaiError, ValueError):
    """What was posted to a webhook is no event. The message says what is wrong, and does not repeat the body."""


class InvalidFile(CivitaiError, ValueError):
    """A file on the disk is broken, not what its name says, or changes while it is read.

    Attributes:
        path: The file; None if it is not known.

    >>> print(InvalidFile("it is no safetensors file", path=Path("a.safetensors")))
    a.safetensors: it is no safetensors file
    """

    path: Path | None

    def __init__(self, message: str = "", *, path: Path | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path

    def describe(self) -> str:
        """Say which file it is, and what is wrong with it."""
        return f"{self.path}: {self.message}" if self.path is not None else super().describe()


class ValidationWarning(UserWarning):
    """A request has a value beyond what the documents say. It is sent all the same: the service decides.

    Turned into errors by `validate="strict"` of the call, and left out by `validate="off"`.
    """


# ------------------------------------------------------------------------------------------------------------- logins


class LoginFailed(CivitaiError):
    """Somebody tried to log in, and is not logged in. Nothing was stored.

    Attributes:
        code: The name of the error, if the service gave one, such as `invalid_grant`.
    """

    code: str | None

    def __init__(self, message: str = "", *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class LoginDenied(LoginFailed):
    """Whoever was asked to allow it said no, or the service does not let the program or the account."""


class LoginTimeout(LoginFailed, TimeoutError):
    """Nobody allowed it in time."""

    default_hint = "Try again; `timeout` says how many seconds to wait."


class TokenStoreError(CivitaiError):
    """A stored login cannot be read or written. What is stored stays as it is.

    Attributes:
        path: The file, if it is one.
    """

    path: str | None

    def __init__(self, message: str = "", *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


# ------------------------------------------------------------------------------------------------------------- answers


class ApiError(CivitaiError):
    """The service answered with an error.

    Attributes:
        status: The HTTP status.
        code: The error's name, if the service gave one, such as `REGION_BLOCKED` or `invalid_grant`.
        message: The service's own words; empty if there were none.
        body: The body, parsed if it was JSON, else as text; None if it was empty.
        request_id: What to name when reporting the error to Civitai.
        retry_after: Seconds after which the service wants to be asked again.
        method: The HTTP method of the request.
        url: The URL of the request, with its secrets masked.
        hint: What to do about it.

    >>> error = NotFound("No model with id 1", status=404, method="GET", url="https://civitai.com/api/v1/models/1")
    >>> print(error)
    GET https://civitai.com/api/v1/models/1 answered 404 Not Found: No model with id 1
    """

    status: int
    code: str | None
    body: Any
    request_id: str | None
    retry_after: float | None
    method: str
    url: str

    def __init__(
        self,
        message: str = "",
        *,
        status: int,
        code: str | None = None,
        body: Any = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        method: str = "",
        url: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.method = method
        self.url = public_url(url)

    def describe(self) -> str:
        """Say what was asked, what the answer was, and the service's own words."""
        asked = f"{self.method} {self.url}".strip() or "The service"
        named = f" (request id {self.request_id})" if self.request_id else ""
        said = f": {self.message}" if self.message else ""
        return f"{asked} answered {_status_text(self.status)}{named}{said}"


def _status_text(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


class BadRequest(ApiError):
    """The service cannot accept the request (400).

    Attributes:
        issues: What is wrong, by field; the key of what belongs to no field is empty.

    >>> error = BadRequest(status=400, issues={"limit": ["Too big: expected number to be <=100"]})
    >>> print(error)
    The service answered 400 Bad Request: limit: Too big: expected number to be <=100
    """

    issues: Mapping[str, Sequence[str]]

    def __init__(self, message: str = "", *, issues: Mapping[str, Sequence[str]] | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.issues = dict(issues or {})

    def describe(self) -> str:
        """Say what was asked and answered, and which fields are at fault."""
        general = super().describe()
        if not self.issues:
            return general
        listed = [f"{field}: {text}".lstrip(": ") for field, texts in self.issues.items() for text in texts]
        more = f"; and {len(listed) - 5} more" if len(listed) > 5 else ""
        return f"{general.rstrip('.')}{' -' if self.message else ':'} {'; '.join(listed[:5])}{more}"


class AuthenticationError(ApiError):
    """The service wants to know who is asking (401): no token was sent, or it refused the one that was.

    Attributes:
        token_source: Where the token that was sent came from; None if none was sent.
    """

    token_source: str | None

    def __init__(self, message: str = "", *, token_source: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.token_source = token_source


class LoginRequired(AuthenticationError):
    """The file is only for those who are logged in (401), which is what a token does."""


class LoginExpired(AuthenticationError):
    """A login cannot be renewed any more: it was ended, or not used for too long (a month). Log in again.

    Attributes:
        account: The name that the login is stored under.
    """

    default_hint = "Log in again with `civitai_ext.oauth.login`."

    account: str | None

    def __init__(self, message: str = "", *, account: str | None = None, status: int = 401, **details: Any) -> None:
        super().__init__(message, status=status, **details)
        self.account = account

    def describe(self) -> str:
        """Say what is wrong with the login."""
        return self.message or super().describe()


class PermissionDenied(ApiError):
    """The account that the token belongs to may not do this (403)."""

    default_hint = "The token may lack a scope, or the account the right to do this."


class AccessDenied(PermissionDenied):
    """The file is only for those whom its creator lets have it, and the caller is none of them (403)."""

    default_hint = "Only its creator can give access; its page on the site says whether it can be asked for."


class DownloadsDisabled(PermissionDenied):
    """The creator does not offer the file for download (401, though no token changes that)."""

    default_hint = "The creator does not offer this for download; no token changes that."


class EarlyAccess(PermissionDenied):
    """The file is for buyers until a certain time (403).

    Attributes:
        deadline: When it becomes free for all; None if the service did not say.
    """

    default_hint = "Buy access on the model's page, or wait until early access ends."

    deadline: datetime | None

    def __init__(self, message: str = "", *, deadline: datetime | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.deadline = deadline


class ScopeMissing(PermissionDenied):
    """The token was not given a right that this needs (403).

    Attributes:
        missing: The rights that it lacks, as far as they are known.
        granted: The rights that it has, if they are known.
    """

    missing: Scope
    granted: Scope | None

    def __init__(self, message: str = "", *, missing: Scope, granted: Scope | None = None, **details: Any) -> None:
        if details.get("hint") is None:
            wanted = f"scope {' and '.join(missing.names)}" if missing else "scope that this needs"
            details["hint"] = f"Log in again and ask for the {wanted}, or make an API key that has it."
        super().__init__(message, **details)
        self.missing = missing
        self.granted = granted


class InsufficientBuzz(PermissionDenied):
    """The account does not have the Buzz that the work costs (403). Nothing was charged."""

    default_hint = (
        "Buy or earn Buzz, or allow more kinds of it with `currencies`; an estimate shows what the work costs. "
        "The token may have a limit of its own, too: see `budgets` of `civitai.me()`."
    )


class SpendLimitReached(InsufficientBuzz):
    """A limit on what the token or the app may spend is used up (403). Nothing was charged.

    The service does not always tell it from an empty account, and so it is an `InsufficientBuzz` too.
    """

    default_hint = "`civitai.me().budgets` shows the token's limits; wait until it is renewed, or raise it."


class NotFound(ApiError, LookupError):
    """There is no such thing, or it is not visible to this account (404)."""


class Conflict(ApiError):
    """The thing is not in a state in which this can be done (409)."""


class Gone(ApiError):
    """The thing existed, and is not available any more (410)."""


class Archived(Gone):
    """The model is archived: it is still shown, but its files are not available for download (410)."""

    default_hint = "Only its creator can make it available again."


class PayloadTooLarge(ApiError):
    """The request's body is larger than the service takes (413)."""


class UnsupportedMediaType(ApiError):
    """The service does not take content of this kind (415)."""


class UnprocessableContent(ApiError):
    """The request's content was understood and refused (422), for example by moderation."""


class RateLimited(ApiError):
    """Too many requests (429). `retry_after` says how long to wait, if the service said so."""

    default_hint = "Wait before asking again, and ask for more per request where you can."


class QuotaExceeded(RateLimited):
    """Too much was downloaded in the last 24 hours (429). The service does not say how much is allowed."""

    default_hint = "Downloads of the last 24 hours are counted: go on in some hours, or with a token if none was sent."


class PageLimitReached(ApiError):
    """The page is further in than page numbers reach (429). This is no rate limit: waiting does not help."""

    default_hint = "Page numbers end after 1000 items: go on by cursor, as the pagers of this package do."


class RegionBlocked(ApiError):
    """The service does not answer in the country that the request came from (451)."""

    default_hint = "Civitai refuses requests from this country or region; the request itself is not at fault."


class ServerError(ApiError):
    """The service failed (5xx)."""

    default_hint = "The fault is the service's: try again later."


class ServiceOverloaded(ServerError):
    """The service cannot answer at the moment (503)."""

    default_hint = "The service is overloaded or down for a moment: try again later."


# ------------------------------------------------------------------------------------------- no answer, or no good one


class ConnectionFailed(CivitaiError, ConnectionError):
    """No answer came: the host was not reached, or the connection broke.

    Attributes:
        host: The host, with its port where that is not the usual one.
        sent: Whether the request may have reached the service. If not, it is certain that nothing was done.
    """

    default_hint = "Check the network, the proxy settings, and that the host is right."

    host: str
    sent: bool

    def __init__(self, message: str = "", *, host: str = "", sent: bool = True, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.host = host
        self.sent = sent


class RequestTimeout(ConnectionFailed, TimeoutError):
    """No answer came in time."""

    default_hint = "Try again, or allow more time with `timeout`."


class UnexpectedResponse(CivitaiError):
    """An answer that cannot be understood: a page where data was expected, or a body that is broken or cut.

    Attributes:
        status: The HTTP status.
        media_type: The kind of the body, such as `text/html`; empty if the service gave none.
        title: The title, if the body is an HTML page.
        truncated: Whether another answer may be whole: the connection broke too early, or the body is not the one that
            was asked for.
        method: The HTTP method of the request.
        url: The URL of the request, with its secrets masked.
    """

    status: int
    media_type: str
    title: str | None
    truncated: bool
    method: str
    url: str

    def __init__(
        self,
        message: str = "",
        *,
        status: int,
        media_type: str = "",
        title: str | None = None,
        truncated: bool = False,
        method: str = "",
        url: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.media_type = media_type
        self.title = title
        self.truncated = truncated
        self.method = method
        self.url = public_url(url)

    def describe(self) -> str:
        """Say what was asked, and what is wrong with the answer."""
        asked = f"{self.method} {self.url}".strip() or "The service"
        said = f": {self.message}" if self.message else ""
        return f"{asked} answered {_status_text(self.status)} with what cannot be understood{said}"


class NotAFile(UnexpectedResponse):
    """Something else came in place of a file, such as a login page or a message. Nothing of it is kept."""


class AlreadyDownloading(CivitaiError):
    """The same file is being downloaded to the same place, by this process or another.

    Attributes:
        path: Where it will be.
    """

    default_hint = "Wait until that download is over, then try again."

    path: str

    def __init__(self, message: str = "", *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class Incomplete(CivitaiError):
    """A file did not come as a whole. What came is kept; why the rest did not is the cause (`__cause__`).

    Attributes:
        path: Where it would be.
        done: How many bytes came.
        size: How many it has; None if its host does not say.
    """

    default_hint = "Download it again: that goes on where this one stopped."

    path: str
    done: int
    size: int | None

    def __init__(self, message: str = "", *, path: str, done: int, size: int | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.done = done
        self.size = size


class HashMismatch(CivitaiError):
    """A file came as a whole, and is not the one that was published. It was removed.

    Attributes:
        path: Where it would be.
        name: The kind of hash, such as `SHA256`.
        expected: The hash that was published.
        found: The hash of what came.
    """

    default_hint = "Read the published hash again, in case the file was replaced, and download it again."

    path: str
    name: str
    expected: str
    found: str

    def __init__(
        self, message: str = "", *, path: str, name: str, expected: str, found: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.name = name
        self.expected = expected
        self.found = found


class NoSpace(CivitaiError, OSError):
    """The disk has no room for a file. What came of it is kept, as far as there was room to note it.

    Attributes:
        path: Where it would be.
    """

    default_hint = "Make room, then download it again: that goes on where this one stopped."

    path: str

    def __init__(self, message: str = "", *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.errno = errno.ENOSPC


class UnsafeFile(CivitaiError):
    """A file was not downloaded since it can run code when it is loaded, or was not found clean by the scans.

    Attributes:
        name: The file.
        reason: What is wrong with it.
    """

    name: str
    reason: str

    def __init__(self, message: str = "", *, name: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.reason = reason


class DownloadsFailed(CivitaiError):
    """Of several downloads some failed. The others were finished, and are as good as without this error.

    Attributes:
        downloads: What came of all of them, each a `Download`, in the order in which they were asked for; those that
            failed have an `error`.
    """

    downloads: Sequence[Any]

    def __init__(self, message: str = "", *, downloads: Sequence[Any], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.downloads = downloads


class BlobUnavailable(CivitaiError):
    """A blob has no content that could be fetched: it was blocked, or is not there yet or any more.

    Attributes:
        blob_id: The blob; empty if it has no id.
        reason: Why, in the service's words if it gave any, such as a verdict of its moderation.
    """

    blob_id: str
    reason: str

    def __init__(self, message: str = "", *, blob_id: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.blob_id = blob_id
        self.reason = reason


# -------------------------------------------------------------------------------------------------- workflows and jobs


class WorkflowError(CivitaiError):
    """A workflow ended without success.

    Attributes:
        workflow: The workflow as it was last read.
        step: The name of the first step that failed; None if none did.
        reason: What the service says about it, such as `no_provider_available`; None if it says nothing.
        blocked_reason: Why its content was refused; None if it was not. Submitting it again does not help.
    """

    workflow: Any
    step: str | None
    reason: str | None
    blocked_reason: str | None

    def __init__(
        self,
        message: str = "",
        *,
        workflow: Any,
        step: str | None = None,
        reason: str | None = None,
        blocked_reason: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.workflow = workflow
        self.step = step
        self.reason = reason
        self.blocked_reason = blocked_reason

    @property
    def workflow_id(self) -> str | None:
        """The workflow's id; None if it has none."""
        found = getattr(self.workflow, "id", None)
        return found if isinstance(found, str) else None


class WorkflowFailed(WorkflowError):
    """A step of the workflow failed, or was refused."""


class WorkflowExpired(WorkflowError):
    """The workflow was not done within its time."""


class WorkflowCanceled(WorkflowError):
    """The workflow was canceled."""


class JobsFailed(CivitaiError):
    """Some of the jobs that were waited for ended without success; all of them are over.

    Attributes:
        jobs: All of them as they were last read: `jobs.failed` are those without success.
    """

    jobs: Any

    def __init__(self, message: str = "", *, jobs: Any, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.jobs = jobs


class SubmissionUnclear(CivitaiError):
    """Jobs were submitted, no good answer came, and the service does not show them. They may run all the same.

    What went wrong is the cause (`__cause__`).

    Attributes:
        submission_id: Given to `submit` again, the jobs are looked for first, and only submitted if there are none.
        properties: What a query for them takes.
    """

    submission_id: str
    properties: Mapping[str, Any]

    def __init__(
        self, message: str = "", *, submission_id: str, properties: Mapping[str, Any], hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.submission_id = submission_id
        self.properties = dict(properties)


class WaitTimeout(CivitaiError, TimeoutError):
    """Something was not done within the time that was to be waited.

    Attributes:
        workflow_id: The workflow; with it the waiting can be taken up again. The first one, if several were waited for.
        workflow_ids: All that were not done.
        jobs: Jobs of the Generator API as they were last read, whose `wait` takes the waiting up again; else None.
    """

    default_hint = "The work goes on: attach to it again by its id, or cancel it."

    workflow_ids: tuple[str, ...]
    jobs: Any

    def __init__(
        self, message: str = "", *, workflow_ids: Sequence[str] = (), jobs: Any = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.workflow_ids = tuple(workflow_ids)
        self.jobs = jobs

    @property
    def workflow_id(self) -> str:
        """The first of them; an empty text if it was no workflow that was waited for."""
        return next(iter(self.workflow_ids), "")


class BudgetExceeded(CivitaiError):
    """The work would cost more than was allowed. It was not submitted.

    Attributes:
        estimate: What it would cost.
    """

    default_hint = "Raise `max_cost`, or make the work cheaper."

    estimate: Any

    def __init__(self, message: str = "", *, estimate: Any, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.estimate = estimate
