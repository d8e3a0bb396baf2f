"""Public answers of the Site API, kept in a file for as long as they say (extra `cache`).

What HTTP says about caches is left to hishel, set to be a shared cache: those are the rules for answers that are not
one caller's own, and the ones that the service's `s-maxage` speaks to. Only what `may_be_kept` allows gets there.

There is one class for each half, since the library has two. It sits in front of the HTTP client, not inside, so that
proxies and transports of any kind are behind it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from civitai_api.runtime import Request
from civitai_ext._redact import public_url
from civitai_ext.errors import ConfigurationError

__all__ = ["AsyncCache", "Cache", "file_for", "may_be_kept"]

_LARGEST: Final = 256 * 1024 * 1024
_LONGEST: Final = 7 * 24 * 3600.0
# Later versions of the library may keep answers in another form, and refuse a file of this one.
_NAME: Final = "answers-2.sqlite3"


def may_be_kept(request: Request[Any], url: str, *, authorized: bool) -> bool:
    """Tell whether the answer to a request is the same for everyone: anonymous, and only about the catalogue.

    >>> url = "https://civitai.com/api/v1/models?limit=1"
    >>> request = Request(service="site", operation="listModels", method="GET", path="/api/v1/models")
    >>> may_be_kept(request, url, authorized=False), may_be_kept(request, url, authorized=True)
    (True, False)
    """
    return (
        request.service == "site"
        and request.method == "GET"
        and request.path.startswith("/api/v1/")  # the download route answers with signed URLs
        and not authorized
        and public_url(url) == url  # nothing in it is secret
    )


def file_for(cache: str | os.PathLike[str] | bool, name: str = _NAME) -> Path:
    """Give the file to keep things in: the one that is given, else the one of this name in the user's folder for them.

    Raises:
        ConfigurationError: The extra `cache` is not installed.
    """
    if not isinstance(cache, bool):
        return Path(cache).expanduser()
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise _missing() from error
    return user_cache_path("civitai-ext", appauthor=False) / name


def _missing() -> ConfigurationError:
    return ConfigurationError(
        "cache needs packages that are not installed", hint="Install them with pip install 'civitai-ext[cache]'."
    )


def _only_successes(response: Any) -> Any:
    """Let nothing be kept but what was asked for: the service marks errors as public too."""
    if response.status_code not in (200, 304) or "cache-control" not in response.headers:
        response.headers["cache-control"] = "no-store"
    return response


class Cache:
    """Sends requests unless it has the answer.

    Args:
        send: Sends a request of the HTTP library and gives back its answer, with the body still to be read.
        path: The file to keep answers in; made if it is not there.

    Raises:
        ConfigurationError: The extra `cache` is not installed.
    """

    def __init__(self, send: Callable[[Any], Any], path: Path) -> None:
        try:
            from hishel import CacheOptions, SqliteStorage
            from hishel.httpx import CacheTransport
        except ImportError as error:
            raise _missing() from error
        self._storage = SqliteStorage(database_path=path, default_ttl=_LONGEST, max_size=_LARGEST)
        behind: Any = SimpleNamespace(handle_request=lambda request: _only_successes(send(request)))
        self._transport = CacheTransport(behind, self._storage, rfc=CacheOptions(shared=True))

    def send(self, request: Any) -> Any:
        """Give the answer that is kept, else the one that is sent for.

        Raises:
            ConfigurationError: The file cannot be used.
        """
        try:
            response = self._transport.handle_request(request)
        except RuntimeError as error:
            raise _unusable(error) from error
        response.request = request
        return response

    def close(self) -> None:
        """Close the file."""
        self._storage.close()


class AsyncCache:
    """Sends requests unless it has the answer.

    Args:
        send: Sends a request of the HTTP library and gives back its answer, with the body still to be read.
        path: The file to keep answers in; made if it is not there.

    Raises:
        ConfigurationError: The extra `cache` is not installed.
    """

    def __init__(self, send: Callable[[Any], Awaitable[Any]], path: Path) -> None:
        try:
            from hishel import AsyncSqliteStorage, CacheOptions
            from hishel.httpx import AsyncCacheTransport

            self._storage = AsyncSqliteStorage(database_path=path, default_ttl=_LONGEST, max_size=_LARGEST)
        except ImportError as error:
            raise _missing() from error

        async def through(request: Any) -> Any:
            return _only_successes(await send(request))

        behind: Any = SimpleNamespace(handle_async_request=through)
        self._transport = AsyncCacheTransport(behind, self._storage, rfc=CacheOptions(shared=True))

    async def send(self, request: Any) -> Any:
        """Give the answer that is kept, else the one that is sent for.

        Raises:
            ConfigurationError: The file cannot be used.
        """
        try:
            response = await self._transport.handle_async_request(request)
        except RuntimeError as error:
            raise _unusable(error) from error
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close the file."""
        await self._storage.close()


def _unusable(error: RuntimeError) -> ConfigurationError:
    return ConfigurationError(f"The cache cannot be used: {error}", hint="Name another file, or delete this one.")
