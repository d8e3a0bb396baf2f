"""How a class is read and written.

A generated class only declares its fields. The function that reads it and the one that writes it are compiled here from
that declaration, once per class and on first use. Reading never raises on what a server sends: unknown fields are
kept in `additional_properties`, missing ones are `UNSET`, values of an unexpected type stay as they came, and an
unknown discriminator gives the base class. Writing what was read gives the same JSON.
"""

from __future__ import annotations

import datetime as _datetime
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast, dataclass_transform, overload

import attrs

from .values import UNSET, Timestamp, iso

T = TypeVar("T")

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


_EXTENSIONS: dict[type, type] = {}
_SCOPES: dict[type, dict[str, Any]] = {}
"""What the compiled reader of a class refers to; `extended` in it is the extension of the class, if there is one."""


def extension(cls: type[T]) -> type[T]:
    """Have objects of a generated class read into a subclass of one's own from now on, wherever they occur.

    The subclass adds methods and properties, no fields. It may show a field in another form (`shown`); what is written
    back is still what was read.

    Raises:
        TypeError: `cls` has fields of its own, or another subclass of the same class is registered.
    """
    base = cls.__mro__[1]
    if "__attrs_attrs__" in cls.__dict__ or not issubclass(base, ApiModel) or cls.__dictoffset__:
        raise TypeError(f"{cls.__name__} does not merely extend a generated class; it needs `__slots__ = ()`")
    if _EXTENSIONS.setdefault(base, cls) is not cls:
        raise TypeError(f"{base.__name__} is extended by {_EXTENSIONS[base].__name__} already")
    if base in _SCOPES:  # it was read before
        _SCOPES[base]["extended"] = cls
    # Copies are made of what was read: the generated way would take what is shown for it.
    cls.__reduce__ = lambda self: (cls.from_dict, (self.to_dict(),))  # type: ignore[method-assign, attr-defined]
    return cls


class shown(Generic[T]):  # noqa: N801  # a decorator
    """Makes a method of an `extension` the form in which the field of its name is shown.

    The method gets the value as it was read. Setting the attribute sets that value.
    """

    def __init__(self, show: Callable[[Any, Any], T]) -> None:
        self._show = show
        self.__doc__ = show.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._field = next(found for base in owner.__mro__[1:] if (found := base.__dict__.get(name)) is not None)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        return self if instance is None else self._show(instance, self.read(instance))

    def __set__(self, instance: object, value: Any) -> None:
        self._field.__set__(instance, value)

    def read(self, instance: object) -> Any:
        """Give the value as it was read."""
        return self._field.__get__(instance)


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
    scope: dict[str, Any] = {"cls": cls, "extended": _EXTENSIONS.get(cls), "new": object.__new__, "UNSET": UNSET}
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
    # An extension's own way of setting a field that it shows in another form is that much slower.
    lines += [" if extended: self.__class__ = extended", " return self"]
    exec("\n".join(lines), scope)  # noqa: S102  # the names come from attrs fields and repr(), never from data
    _SCOPES[cls] = scope
    return cast(_Reader, scope["read"])


def _compile_writer(cls: type) -> Callable[[Any], dict[str, Any]]:
    scope: dict[str, Any] = {"UNSET": UNSET, "dump": dump}
    lines = ["def write(self):", " out = {}"]
    for field in attrs.fields(cls):
        if field.name != "additional_properties":
            held = inspect.getattr_static(cls, field.name)
            scope[f"read_{field.name}"] = held.read if isinstance(held, shown) else None
            lines.append(f" v = read_{field.name}(self)" if isinstance(held, shown) else f" v = self.{field.name}")
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
    if is_several(value):
        return [dump(v) for v in value]
    if isinstance(value, Timestamp):
        return value.text
    if isinstance(value, _datetime.datetime):
        return iso(value)
    if isinstance(value, _datetime.date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    to_wire = getattr(value, "to_wire", None)
    return to_wire() if to_wire is not None else value


def is_several(value: Any) -> bool:
    """Whether a value is written as a JSON array."""
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray))
