"""What an operation is: a `Request` says what to send and how to decode the answer, without doing either.

It runs on any object with a matching `send` (`SyncTransport`, `AsyncTransport`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, Final, Generic, NoReturn, ParamSpec, Protocol, TypeVar, cast
from urllib.parse import quote, urlencode

import attrs

from .models import ApiModel, dump, is_several, reader_of
from .values import UNSET, Unset

try:
    # Reads a page of models in half the time. Values are the same, integers beyond 64 bits too.
    import jiter
except ImportError:
    jiter = None  # type: ignore[assignment]

T = TypeVar("T")
P = ParamSpec("P")


@attrs.frozen
class Response:
    """An answer as it came: status, headers (names in lower case) and the whole body."""

    status: int
    # Both may hold secrets, of which a `repr` shows nothing.
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=lambda headers: str(list(headers)))
    content: bytes = attrs.field(default=b"", repr=lambda content: f"<{len(content)} bytes>")

    @property
    def media_type(self) -> str:
        """The content type in lower case without its parameters; empty if the server gave none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none; control characters in strings are let through."""
        if jiter is not None:
            try:
                return jiter.from_json(self.content)
            except ValueError:
                pass  # it may be what the standard library is more lenient about
        return json.loads(self.content, strict=False)


@attrs.frozen
class Result(Generic[T]):
    """A decoded answer together with its status and headers."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    parsed: T


class UnexpectedAnswer(ValueError):  # noqa: N818  # it says what happened
    """An answer that the operation's document does not describe. `response` holds it."""

    def __init__(self, operation: str, response: Response) -> None:
        self.operation = operation
        self.response = response
        kind = response.media_type or "no content type"
        super().__init__(f"{operation} answered {response.status} with {kind}, which its document does not describe")


IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@attrs.frozen(kw_only=True)
class Request(Generic[T]):
    """What to send, and how to decode the answer. Doing it is the transport's business."""

    service: str
    """Which document the operation is from, such as `site`; the transport knows its host."""
    operation: str
    """The operation's id in that document."""
    method: str
    path: str
    """Begins with a slash; percent-encoded."""
    query: Mapping[str, Any] = attrs.field(factory=dict)
    headers: Mapping[str, Any] = attrs.field(factory=dict)
    body: Any = UNSET
    media_type: str | None = None
    authenticated: bool = True
    """Whether the document asks for a credential. Where it does not, none must be sent."""
    answers: Mapping[int, Any] = attrs.field(factory=dict)
    """The shape of the body by status, for every status that is not an error; `bytes` for one that is not JSON."""
    models: Any = attrs.field(default=None, repr=False)
    idempotent: bool = attrs.field()
    """Whether sending it twice does what sending it once does."""

    @idempotent.default
    def _idempotent(self) -> bool:
        return self.method in IDEMPOTENT_METHODS

    @property
    def target(self) -> str:
        """The path with the query: lists as repeated keys, `None` and `UNSET` left out."""
        query = _encoded(self.query, quote_via=quote)
        return f"{self.path}?{query}" if query else self.path

    @property
    def content(self) -> bytes | None:
        """The body in bytes; None if there is none. Raises ValueError if it holds a number that JSON cannot."""
        if isinstance(self.body, Unset):
            return None
        if isinstance(self.body, (bytes, bytearray)):
            return bytes(self.body)
        data = dump(self.body)
        if self.media_type == "application/x-www-form-urlencoded":
            return _encoded(data).encode()
        try:
            return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which answers may hold and ASCII can spell
            return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()

    @property
    def sent_headers(self) -> dict[str, str]:
        """The operation's own headers, with the content type of its body."""
        headers = {k.lower(): _text(v) for k, v in self.headers.items() if v is not UNSET and v is not None}
        if self.media_type is not None and not isinstance(self.body, Unset):
            headers.setdefault("content-type", self.media_type)
        return headers

    def decode(self, response: Response) -> T:
        """Read the answer.

        Raises:
            UnexpectedAnswer: The status is an error, or the body is not what the document says.
        """
        if response.status in self.answers:
            shape = self.answers[response.status]
        else:
            successes = [shape for status, shape in self.answers.items() if 200 <= status < 300]
            if not successes or not 200 <= response.status < 300:
                raise UnexpectedAnswer(self.operation, response)
            shape = successes[0]
        if shape is NoReturn or response.status == 204:
            return cast(T, None)
        if shape is bytes or (not response.media_type.endswith("json") and response.media_type in BINARY_TYPES):
            return cast(T, response.content)
        try:
            data = response.json()
            reader = reader_of(shape, self.models)
            decoded = data if reader is None else reader(data)
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswer(self.operation, response) from error
        # Within an answer a value of an unexpected type stays as it came; an answer that is one is none at all.
        kinds: dict[type, type] = {list: list, dict: dict, str: ApiModel}
        if not isinstance(decoded, kinds.get(type(shape), object)):
            raise UnexpectedAnswer(self.operation, response)
        return cast(T, decoded)


BINARY_TYPES: Final = frozenset({"application/zip", "application/octet-stream"})


def _text(value: Any) -> str:
    value = dump(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _encoded(fields: Mapping[str, Any], **options: Any) -> str:
    """The fields of a query or a form: lists as repeated keys, `None` and `UNSET` left out."""
    pairs = [
        (key, _text(item))
        for key, value in fields.items()
        for item in (value if is_several(value) else (value,))
        if item is not UNSET and item is not None
    ]
    return urlencode(pairs, **options)


class Segments(str):
    """A path parameter that stands for several segments, whose slashes are kept."""

    __slots__ = ()


def path(template: str, **values: Any) -> str:
    """Fill a path template, each value percent-encoded whole.

    >>> path("/v2/resources/{air}", air="urn:air:sdxl:lora:civitai:1@2")
    '/v2/resources/urn%3Aair%3Asdxl%3Alora%3Acivitai%3A1%402'

    Raises:
        ValueError: A value is empty, or would lead to another path than the template's.
    """
    return template.format(**{name: _segment(name, value) for name, value in values.items()})


def _segment(name: str, value: Any) -> str:
    text = "" if value is None or value is UNSET else _text(value)
    if any(part in {"", ".", ".."} for part in (text.split("/") if isinstance(value, Segments) else (text,))):
        raise ValueError(f"{name} is {text!r}, which cannot stand in a path")
    return quote(text, safe="/" if isinstance(value, Segments) else "")


class SyncTransport(Protocol):
    """What an operation's `sync` functions run on."""

    def send(self, request: Request[Any], /) -> Response:
        """Send `request` and give back the whole answer."""
        ...


class AsyncTransport(Protocol):
    """What an operation's `asyncio` functions run on."""

    async def send(self, request: Request[Any], /) -> Response:
        """Send `request` and give back the whole answer."""
        ...


def sync(build: Callable[P, Request[T]]) -> Callable[Concatenate[SyncTransport, P], T]:
    """Make the function that sends what `build` describes and decodes the answer."""

    @wraps(build)
    def run(transport: SyncTransport, /, *args: P.args, **kwargs: P.kwargs) -> T:
        request = build(*args, **kwargs)
        return request.decode(transport.send(request))

    return run


def sync_detailed(build: Callable[P, Request[T]]) -> Callable[Concatenate[SyncTransport, P], Result[T]]:
    """Like `sync`, but the answer's status and headers are given back too."""

    @wraps(build)
    def run(transport: SyncTransport, /, *args: P.args, **kwargs: P.kwargs) -> Result[T]:
        request = build(*args, **kwargs)
        return _result(request, transport.send(request))

    return run


def asyncio(build: Callable[P, Request[T]]) -> Callable[Concatenate[AsyncTransport, P], Awaitable[T]]:
    """Make the coroutine function that sends what `build` describes and decodes the answer."""

    @wraps(build)
    async def run(transport: AsyncTransport, /, *args: P.args, **kwargs: P.kwargs) -> T:
        request = build(*args, **kwargs)
        return request.decode(await transport.send(request))

    return run


def asyncio_detailed(build: Callable[P, Request[T]]) -> Callable[Concatenate[AsyncTransport, P], Awaitable[Result[T]]]:
    """Like `asyncio`, but the answer's status and headers are given back too."""

    @wraps(build)
    async def run(transport: AsyncTransport, /, *args: P.args, **kwargs: P.kwargs) -> Result[T]:
        request = build(*args, **kwargs)
        return _result(request, await transport.send(request))

    return run


def _result(request: Request[T], response: Response) -> Result[T]:
    return Result(response.status, response.headers, response.content, request.decode(response))
