"""The options of a download, checked. No I/O."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import attrs

from civitai_ext._arguments import a_count, a_silence, a_switch
from civitai_ext._fetched import CONNECTIONS
from civitai_ext._hash_cache import HashCache
from civitai_ext.downloads import EXISTS, SIDECARS, Collision, DownloadOptions
from civitai_ext.errors import InvalidRequest
from civitai_ext.layouts import Layout

__all__ = ["Settings"]

_MOST_CONNECTIONS: Final = 16


def _text(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidRequest(f"{attribute.name} is {value!r}; it takes a text")


def _switch(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    a_switch(attribute.name, value)


def _exists(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and value not in EXISTS:
        raise InvalidRequest(f"{attribute.name} is {value!r}; it is one of {', '.join(map(repr, EXISTS))}")


def _connections(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    a_count(attribute.name, value, 1, _MOST_CONNECTIONS)


def _sidecars(values: Any) -> frozenset[str]:
    given = [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
    for value in given:
        if value not in SIDECARS:
            raise InvalidRequest(f"sidecars holds {value!r}; there are {', '.join(map(repr, SIDECARS))}")
    return frozenset(given)


def _layout(value: Any) -> Layout | None:
    return value if value is None or isinstance(value, Layout) else Layout(value)


def _cache(_: object, __: object, value: Any) -> None:
    if value is not None and not isinstance(value, (bool, str, os.PathLike)):
        raise InvalidRequest(f"cache is {value!r}; it takes a path, True or False")


def _timeout(_: object, __: object, value: Any) -> None:
    if value is not None:
        a_silence(value)


@attrs.frozen(kw_only=True)
class Settings:
    """See `DownloadOptions`.

    >>> Settings.of({"fp": "fp16"}).asked
    {'fp': 'fp16'}
    """

    format: str | None = attrs.field(default=None, validator=_text)
    fp: str | None = attrs.field(default=None, validator=_text)
    size: str | None = attrs.field(default=None, validator=_text)
    quant: str | None = attrs.field(default=None, validator=_text)
    type: str | None = attrs.field(default=None, validator=_text)
    allow_pickle: bool = attrs.field(default=False, validator=_switch)
    allow_unscanned: bool = attrs.field(default=False, validator=_switch)
    layout: Layout | None = attrs.field(default=None, converter=_layout)
    exists: Collision | None = attrs.field(default=None, validator=_exists)
    sidecars: frozenset[str] = attrs.field(factory=frozenset, converter=_sidecars)
    connections: int = attrs.field(default=CONNECTIONS, validator=_connections)
    cache: str | os.PathLike[str] | bool | None = attrs.field(default=None, validator=_cache)
    timeout: float | None = attrs.field(default=None, validator=_timeout)

    @classmethod
    def of(cls, options: DownloadOptions) -> Settings:
        """Check them.

        Raises:
            InvalidRequest: One of them cannot be like that.
            ConfigurationError: A cache is wanted, and the extra `cache` is not installed.
            TypeError: There is no such option.
            ImportError: A description is wanted, and the extra `text` is not installed.
        """
        if unknown := sorted(options.keys() - DownloadOptions.__annotations__.keys()):
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
        settings = cls(**options)
        HashCache(settings.cache)  # told now, not when everything is there
        if "readme" in settings.sidecars:
            import civitai_ext._html  # noqa: F401  # told now, too
        return settings

    @property
    def asked(self) -> dict[str, str]:
        """What the file has to be, as far as it was said."""
        asked = {name: getattr(self, name) for name in ("format", "fp", "size", "quant", "type")}
        return {name: value for name, value in asked.items() if value is not None}
