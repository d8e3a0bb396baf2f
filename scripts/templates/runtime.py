"""What all generated code stands on: how a class is read and written, and what an operation is.

A generated class only declares its fields. The function that reads it and the one that writes it are compiled here from
that declaration, once per class and on first use. Reading never raises on what a server sends: unknown fields are
kept in `additional_properties`, missing ones are `UNSET`, values of an unexpected type stay as they came, and an
unknown discriminator gives the base class. Writing what was read gives the same JSON.

An operation is a `Request`: a value that says what to send and how to decode the answer, without doing either. It
runs on any object with a matching `send` (`SyncTransport`, `AsyncTransport`).
"""

from __future__ import annotations

import datetime as _datetime
import importlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from enum import Enum
from functools import wraps
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
)
from urllib.parse import quote, urlencode

import attrs

try:
    # Reads a page of models in half the time. Values are the same, integers beyond 64 bits too.
    import jiter
except ImportError:
    jiter = None  # type: ignore[assignment]

__all__ = [
    "UNSET",
    "ApiModel",
    "AsyncTransport",
    "Reference",
    "Request",
    "Response",
    "Result",
    "SyncTransport",
    "Timestamp",
    "ToWire",
    "UnexpectedAnswer",
    "Unset",
    "dump",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


class Unset:
    """The type of `UNSET`, which stands for "not there": a field that was not sent, or is not to be sent.

    `UNSET` is falsy, empty when iterated and of length 0, so that a list that the server left out needs no special
    case.

    >>> bool(UNSET), list(UNSET), UNSET
    (False, [], UNSET)
    """

    __slots__ = ()
    _instance: ClassVar[Unset | None] = None

    def __new__(cls) -> Unset:
        """Give the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> Literal[False]:
        return False

    def __iter__(self) -> Iterator[NoReturn]:
        return iter(())

    def __len__(self) -> Literal[0]:
        return 0

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Timestamp(_datetime.datetime):
    """A moment as the server wrote it: a `datetime` that remembers its text, so that writing it back loses nothing.

    A text without a zone is taken as UTC, which is what the services mean by it.

    >>> moment = Timestamp.parse("2025-10-29T21:29:24.7599308Z")
    >>> moment.microsecond, moment.tzname(), moment.text
    (759930, 'UTC', '2025-10-29T21:29:24.7599308Z')
    """

    __slots__ = ("_text",)
    _text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an ISO 8601 text with any number of fractional digits. Raises ValueError if it is none."""
        try:
            moment = cls.fromisoformat(text)
        except ValueError:
            from dateutil.parser import isoparse

            other = isoparse(text)
            moment = cls.combine(other.date(), other.timetz())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_datetime.UTC)
        moment._text = text
        return moment

    @property
    def text(self) -> str:
        """The text it was read from, or ISO 8601 if it was made by arithmetic."""
        return getattr(self, "_text", "") or _iso(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if text := getattr(self, "_text", ""):
            return (type(self).parse, (text,))
        return super().__reduce_ex__(protocol)


def _iso(moment: _datetime.datetime) -> str:
    if moment.tzinfo is None:
        return moment.isoformat() + "Z"
    return moment.isoformat().replace("+00:00", "Z")


class Reference:
    """Stands in a step's input for a value that an earlier step, or the workflow's arguments, will supply.

    `name` is the step's name, `$0`, `$1`… by position, `$arguments`, or the loop variable of a repeat step; `path` is
    dotted with indexes, such as `output.images[0].url`.

    >>> Reference("hero", "output.images[0].url").to_wire()
    {'$ref': 'hero', 'path': 'output.images[0].url'}
    """

    __slots__ = ("name", "path")

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def to_wire(self) -> dict[str, str]:
        """The JSON form."""
        return {"$ref": self.name, "path": self.path}

    def __repr__(self) -> str:
        return f"Reference({self.name!r}, {self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and (self.name, self.path) == (other.name, other.path)

    def __hash__(self) -> int:
        return hash((self.name, self.path))


# --------------------------------------------------------------------------------------------------------- declaring


class ToWire(Protocol):
    """Anything that knows its JSON form, such as an `Air`."""

    def to_wire(self) -> Any:
        """The JSON form."""
        ...


DATETIME: Final = _datetime.datetime
"""The shape of a date-time field."""


def wire(
    name: str | None = None,
    shape: Any = None,
    *,
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    init: bool = True,
    **limits: Any,
) -> Any:
    """Declare a field: its name in JSON where that differs, the shape to read it in, and the server's limits.

    A shape is `None` (as it comes), `DATETIME`, the name of a class, `[shape]` for a list, `{"": shape}` for a map,
    or a tuple of shapes for a union.
    """
    default = default if factory is None else attrs.Factory(factory)
    return attrs.field(default=default, init=init, metadata={"wire": name, "shape": shape, **limits})


@dataclass_transform(kw_only_default=True, field_specifiers=(wire,))
def model(cls: type[T]) -> type[T]:
    """Make a class of declared fields a model: slotted, constructed by keyword."""
    return attrs.define(cls, kw_only=True, eq=False, repr=False)


Choice = tuple[str, str | None, dict[str, str]]


@model
class ApiModel:
    """The base of every generated class.

    Fields that the document does not know are in `additional_properties`, and `model["name"]` reads and writes them.
    """

    __attrs_attrs__: ClassVar[tuple[attrs.Attribute[Any], ...]]
    __chosen_by__: ClassVar[Choice | None] = None
    """Which field picks the subclass, the value that an absent field means, and the subclass of each value."""

    __step__: ClassVar[str | None] = None
    """The step type whose input the class is."""

    additional_properties: dict[str, Any] = wire(factory=dict)

    @classmethod
    def from_dict(cls, src: Mapping[str, Any]) -> Self:
        """Read the JSON object `src` into the most specific known class.

        Raises:
            TypeError: `src` is not a mapping.
        """
        if not isinstance(src, Mapping):
            raise TypeError(f"{cls.__name__}.from_dict takes a mapping, not {type(src).__name__}")
        return cast(Self, (_READERS.get(cls) or _compile_reader(cls))(src))

    def to_dict(self) -> dict[str, Any]:
        """Write the JSON object: everything that is set, and everything unknown that was read."""
        return (_WRITERS.get(type(self)) or _compile_writer(type(self)))(self)

    def __getitem__(self, name: str) -> Any:
        return self.additional_properties[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.additional_properties[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.additional_properties

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in attrs.fields(type(self)))

    __hash__ = None  # type: ignore[assignment]  # mutable, like a dict

    def __repr__(self) -> str:
        parts = [
            f"{f.name}={_shorten(value)}"
            for f in attrs.fields(type(self))
            if (value := getattr(self, f.name)) is not UNSET and not (f.name == "additional_properties" and not value)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


def _shorten(value: object, limit: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ----------------------------------------------------------------------------------------------- reading and writing

_Reader = Callable[[Mapping[str, Any]], Any]
_READERS: dict[type, _Reader] = {}
_WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {}


def _lookup(models: Any, name: str) -> type[ApiModel]:
    return cast("type[ApiModel]", getattr(models, name))


def _models_of(cls: type) -> Any:
    """Where the classes that the fields of `cls` name are found: a caller's own class names those of its base."""
    packages = (base.__module__.rpartition(".")[0] for base in cls.__mro__)
    return importlib.import_module(next((name for name in packages if name.endswith(".models")), cls.__module__))


def _read_datetime(value: Any) -> Any:
    if value.__class__ is str:
        try:
            return Timestamp.parse(value)
        except (ValueError, OverflowError):
            return value
    return value


def reader_of(shape: Any, models: Any) -> Callable[[Any], Any] | None:
    """The function that reads a JSON value of `shape`; None if the value is taken as it comes.

    `models` is the package whose classes the shape names. Classes are looked up on first use, not now.
    """
    if shape is None or shape is bytes:  # bytes within JSON are text
        return None
    if shape is DATETIME:
        return _read_datetime
    if isinstance(shape, str):
        return _class_reader(shape, models)
    if isinstance(shape, tuple):
        return _union_reader(shape, models)
    inner = reader_of(next(iter(shape.values() if isinstance(shape, dict) else shape)), models)
    if inner is None:
        return None
    if isinstance(shape, dict):
        return lambda value: {k: inner(v) for k, v in value.items()} if value.__class__ is dict else value
    return lambda value: [inner(v) for v in value] if value.__class__ is list else value


def _class_reader(name: str, models: Any) -> Callable[[Any], Any]:
    found: _Reader | None = None

    def read(value: Any) -> Any:
        nonlocal found
        if value.__class__ is not dict or _is_reference(value):
            return value
        if found is None:
            cls = _lookup(models, name)
            found = _READERS.get(cls) or _compile_reader(cls)
        return found(value)

    return read


def _is_reference(value: dict[str, Any]) -> bool:
    return "$ref" in value and value.keys() == {"$ref", "path"}


def _union_reader(shapes: tuple[Any, ...], models: Any) -> Callable[[Any], Any]:
    """Reads by what came: a list by the list's shape, an object by the class that knows most of its keys."""
    names = [shape for shape in shapes if isinstance(shape, str)]
    others = {type(shape): reader_of(shape, models) for shape in shapes if not isinstance(shape, str)}
    read_list, read_map, read_text = others.get(list), others.get(dict), others.get(type)

    def read(value: Any) -> Any:
        if value.__class__ is list:
            return read_list(value) if read_list else value
        if value.__class__ is str:
            return read_text(value) if read_text else value
        if value.__class__ is not dict or _is_reference(value):
            return value
        classes = [_lookup(models, name) for name in names]
        if classes:
            return max(classes, key=lambda cls: len(value.keys() & _wire_names(cls))).from_dict(value)
        return read_map(value) if read_map else value

    return read


def _wire_names(cls: type[ApiModel]) -> set[str]:
    return {_wire_name(field) for field in attrs.fields(cls)}


def _wire_name(field: attrs.Attribute[Any]) -> str:
    return field.metadata.get("wire") or field.name


def _compile_reader(cls: type) -> _Reader:
    plain = _compile_plain_reader(cls)
    chosen_by = cls.__dict__.get("__chosen_by__")
    reader = plain if chosen_by is None else _compile_choice(plain, _models_of(cls), *chosen_by)
    _READERS[cls] = reader
    return reader


def _compile_choice(plain: _Reader, models: Any, field: str, default: str | None, into: dict[str, str]) -> _Reader:
    known: dict[str, _Reader] = {}
    # The server reads discriminators in any case, so answers and stored requests may carry any.
    folded = {value.casefold(): name for value, name in into.items()}

    def choose(tag: str) -> _Reader:
        name = into.get(tag) or folded.get(tag.casefold())
        if name is None:
            return plain
        cls = _lookup(models, name)
        known[tag] = found = _READERS.get(cls) or _compile_reader(cls)
        return found

    def read(src: Mapping[str, Any]) -> Any:
        tag = src.get(field)
        if tag is None:
            tag = default
        if not isinstance(tag, str):  # a reference, or nonsense
            return plain(src)
        return (known.get(tag) or choose(tag))(src)

    return read


def _compile_plain_reader(cls: type) -> _Reader:
    models = _models_of(cls)
    scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "UNSET": UNSET}
    lines = ["def read(src):", " self = new(cls)", " self.additional_properties = rest = dict(src)", " pop = rest.pop"]
    for number, field in enumerate(attrs.fields(cls)):
        if field.name == "additional_properties":
            continue
        source = f"pop({_wire_name(field)!r}, UNSET)"
        shape = field.metadata.get("shape")
        if isinstance(shape, list) and (item := reader_of(shape[0], models)) is not None:
            scope[f"r{number}"] = item
            lines.append(f" v = {source}")
            lines.append(f" self.{field.name} = [r{number}(x) for x in v] if v.__class__ is list else v")
        elif (reader := reader_of(shape, models)) is not None:
            scope[f"r{number}"] = reader
            lines.append(f" v = {source}")
            lines.append(f" self.{field.name} = v if v is UNSET or v is None else r{number}(v)")
        else:
            lines.append(f" self.{field.name} = {source}")
    lines.append(" return self")
    exec("\n".join(lines), scope)  # noqa: S102  # the names come from attrs fields and repr(), never from data
    return cast(_Reader, scope["read"])


def _compile_writer(cls: type) -> Callable[[Any], dict[str, Any]]:
    scope: dict[str, Any] = {"UNSET": UNSET, "dump": dump}
    lines = ["def write(self):", " out = {}"]
    for field in attrs.fields(cls):
        if field.name != "additional_properties":
            lines.append(f" v = self.{field.name}")
            lines.append(f" if v is not UNSET: out[{_wire_name(field)!r}] = dump(v)")
    lines += [
        " for k, v in self.additional_properties.items():",
        "  if v is not UNSET: out[k] = dump(v)",
        " return out",
    ]
    exec("\n".join(lines), scope)  # noqa: S102  # as above
    _WRITERS[cls] = found = cast("Callable[[Any], dict[str, Any]]", scope["write"])
    return found


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


def dump(value: Any) -> Any:
    """Turn any value that a field may hold into what JSON can hold.

    Models, references, AIRs (anything with `to_wire()`), date-times, enums, lists, tuples, sets and maps are
    understood; whatever else is given back as it is. Entries that are `UNSET` are left out of maps.
    """
    if value.__class__ in _PLAIN:
        return value
    if isinstance(value, ApiModel):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(dump(k)): dump(v) for k, v in value.items() if v is not UNSET}
    if _is_several(value):
        return [dump(v) for v in value]
    if isinstance(value, Timestamp):
        return value.text
    if isinstance(value, _datetime.datetime):
        return _iso(value)
    if isinstance(value, _datetime.date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    to_wire = getattr(value, "to_wire", None)
    return to_wire() if to_wire is not None else value


def _is_several(value: Any) -> bool:
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray))


# --------------------------------------------------------------------------------------------------------- operations


@attrs.frozen
class Response:
    """An answer as it came: status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    content: bytes = b""

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
            return cast(T, data if reader is None else reader(data))
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswer(self.operation, response) from error


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
        for item in (value if _is_several(value) else (value,))
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


# ------------------------------------------------------------------------------------------------------ lazy packages


def lazy(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], Sequence[str]]]:
    """The `__getattr__` and `__dir__` of a package whose names are imported on first use (PEP 562).

    `where` maps each name to the module of the package that holds it.
    """

    def load(name: str) -> Any:
        module = where.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        importlib.import_module(package).__dict__[name] = value
        return value

    return load, lambda: sorted(where)
