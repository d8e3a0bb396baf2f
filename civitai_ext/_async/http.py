"""HTTP itself. No other module names the HTTP library, and none of its types or exceptions leaves this one."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from civitai_api.runtime import Response
from civitai_ext._arguments import a_silence
from civitai_ext._hangup import AsyncHangup
from civitai_ext._lazy import AsyncLazy, closed
from civitai_ext._redact import public_text, redacted_logs
from civitai_ext.errors import (
    CivitaiError,
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    RequestTimeout,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from civitai_ext._cache import AsyncCache

__all__ = ["AsyncHttp", "AsyncStream"]

DEFAULT_TIMEOUT: Final = 60.0
_CONNECT_TIMEOUT: Final = 10.0
_POOL_TIMEOUT: Final = 30.0
_LARGEST_BODY: Final = 256 * 1024 * 1024
_READ_DIRECTLY: Final = 8 * 1024 * 1024
"""Bytes of a body above which reading it fast, at half the work for the processor, is worth more than the connection,
which cannot be used again then.
"""
_READ: Final = 1024 * 1024

_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment variables that name other certificates than the usual ones."""

_PROXIES: Final = ("http", "https", "socks5", "socks5h")
# A proxy of the environment would be another machine, and what goes there is not encrypted.
_ON_THIS_MACHINE: Final = ("http://localhost", "http://*.localhost", "http://127.0.0.1", "http://[::1]")

# With these no connection was made, so the service knows nothing of the request.
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NOT_SENDABLE: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError)


class AsyncStream:
    """An answer whose body has not been read yet.

    Attributes:
        status: The HTTP status.
        headers: The headers, names in lower case.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body piece by piece, as it comes over the wire: a `content-encoding` is not undone.

        Raises:
            UnexpectedResponse: The connection broke before the body was whole.
            RequestTimeout: Nothing came for too long.
        """
        failure: CivitaiError | None = None
        try:
            async for chunk in self._response.aiter_raw():
                if chunk:
                    yield chunk
                if (length := self._length) > _READ_DIRECTLY:
                    # That chunk was all that had been read from the connection. Now without the library's pieces of
                    # 64 KiB, and its copies.
                    connection, done = self._response.extensions["network_stream"], len(chunk)
                    while done < length:
                        chunk = await connection.read(min(length - done, _READ), timeout=self._timeout)
                        if not chunk:
                            raise httpx.RemoteProtocolError("the connection was closed before the body was whole")
                        done += len(chunk)
                        yield chunk
                    break
        except _broken() as error:
            failure = self._cut(error)
        if failure is not None:
            raise failure

    @property
    def _length(self) -> int:
        """How many bytes the body has, if they can be read directly from the connection, else 0."""
        length = self.headers.get("content-length", "")
        extensions = self._response.extensions
        alone = extensions.get("http_version") == b"HTTP/1.1" and "network_stream" in extensions
        return int(length) if alone and length.isdecimal() and "transfer-encoding" not in self.headers else 0

    @property
    def _timeout(self) -> float | None:
        timeout: float | None = self._response.request.extensions["timeout"]["read"]
        return timeout

    async def read(self, limit: int = _LARGEST_BODY) -> Response:
        """Give the answer with its whole body, decompressed.

        Raises:
            UnexpectedResponse: The connection broke before the body was whole, or it is longer than `limit` bytes.
            RequestTimeout: Nothing came for too long.
        """
        failure: CivitaiError | None = None
        body = bytearray()
        try:
            async for chunk in self._response.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    raise self._unexpected(f"the body is longer than {limit} bytes")
        except httpx.HTTPError as error:
            failure = self._cut(error)
        if failure is not None:
            body, chunk = bytearray(), b""  # else they were kept with the error
            raise failure
        return Response(self.status, self.headers, bytes(body))

    def _cut(self, error: Exception) -> CivitaiError:
        if isinstance(error, _timeouts()):
            return _failure(error, str(self._response.url))
        return _with_cause(self._unexpected(f"the body is not whole ({_reason(error)})", truncated=True), error)

    def _unexpected(self, message: str, *, truncated: bool = False) -> UnexpectedResponse:
        return UnexpectedResponse(
            message,
            status=self.status,
            media_type=self.headers.get("content-type", "").partition(";")[0].strip().lower(),
            truncated=truncated,
            method=self._response.request.method,
            url=str(self._response.url),
        )


class AsyncHttp:
    """Sends requests over connections that are kept open between them. The first request makes the client.

    Redirects are not followed, cookies are not kept, and no credential is taken from a netrc file. Proxies and
    certificates come from the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`…) unless they are given. Servers
    on this machine are asked without those proxies.

    Args:
        timeout: How many seconds the service may be silent before a request is given up.
        transport: What sends, instead of the network: a transport of the HTTP library.
        verify: Which certificates to trust: True for the usual ones, a file or folder of others, an `ssl.SSLContext`,
            or False for any at all.
        proxy: The URL of a proxy for all requests.
        cache: Where public answers are kept: a file, or True for one in the user's folder. False to keep none.
    """

    def __init__(
        self,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        transport: Any = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
        cache: bool | str | os.PathLike[str] = False,
    ) -> None:
        self._timeout = timeout
        self._transport = transport
        self._verify = verify
        self._proxy = None if proxy is None else _proxy_url(proxy)
        self._hangup = AsyncHangup()
        self._client = AsyncLazy(self._make)
        self._cache = None if cache is False else AsyncLazy(lambda: self._make_cache(cache))

    def _make(self) -> httpx.AsyncClient:
        try:
            verify = self._verify
            if verify is True and self._transport is None:
                # Else the library makes one for every proxy of the environment, and loads the certificates each time.
                verify = _certificates(*(os.environ.get(name) for name in _CERTIFICATES))
            elif isinstance(verify, (str, os.PathLike)):
                path = Path(verify)
                directory, file = (str(path), None) if path.is_dir() else (None, str(path))
                verify = ssl.create_default_context(cafile=file, capath=directory)
            return httpx.AsyncClient(
                transport=self._transport,
                verify=verify,
                proxy=self._proxy,
                mounts=dict.fromkeys(_ON_THIS_MACHINE) if self._transport is None and self._proxy is None else None,
                follow_redirects=False,
                # A session cookie would be a second credential, and would make one request depend on another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                event_hooks={"request": [self._hangup.follow]},
            )
        except httpx.InvalidURL:  # what it says of a proxy of the environment may be a part of a password
            failure = ConfigurationError("The HTTP client cannot be set up: a proxy in the environment is no URL")
        except (ImportError, ValueError, OSError) as error:
            raise ConfigurationError(f"The HTTP client cannot be set up: {public_text(str(error))}") from error
        raise failure

    def _make_cache(self, cache: bool | str | os.PathLike[str]) -> AsyncCache:
        from civitai_ext._cache import AsyncCache, file_for  # loaded here: few use it

        client = self._client.get()

        async def send(request: httpx.Request) -> httpx.Response:
            return await client.send(request, stream=True)

        return AsyncCache(send, file_for(cache))

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        timeout: float | None = None,
        public: bool = False,
    ) -> Response:
        """Send a request and give back the whole answer, whatever its status.

        A `content` that comes in pieces needs a `content-length` header, else it is sent chunked. The answer to a
        `public` request is the same for everyone, and may come from the cache if there is one.

        Raises:
            ConfigurationError: The client is closed, or cannot be set up, or cannot be used here.
            ConnectionFailed: No answer came; `sent` tells whether the request may have reached the service.
            InvalidRequest: The URL or a header cannot be sent.
            RequestTimeout: No answer came in time.
            UnexpectedResponse: The answer was cut, or is too long.
        """
        async with self._open(method, url, headers or {}, content, timeout, public) as stream:
            return await stream.read()

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[AsyncStream]:
        """Send a request and give back the answer with its body still to be read. Raises what `send` does.

        The service is asked not to compress, so that lengths and ranges mean the file itself.
        """
        async with self._open(method, url, {"accept-encoding": "identity", **(headers or {})}, None, timeout) as stream:
            yield stream

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterable[bytes] | None,
        timeout: float | None,
        public: bool = False,
    ) -> AsyncIterator[AsyncStream]:
        response = await self._begin(method, url, headers, content, timeout, public)
        if isinstance(response, CivitaiError):
            raise response
        try:
            yield AsyncStream(response)
        except (ConnectionFailed, UnexpectedResponse):
            if self._client.closed:
                raise closed() from None
            raise
        finally:
            await response.aclose()

    async def _begin(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | AsyncIterable[bytes] | None,
        timeout: float | None,
        public: bool,
    ) -> httpx.Response | CivitaiError:
        """Give the answer as soon as its headers are there, or the error.

        The error is not raised here: the exception of the HTTP library, which holds the request's headers and so the
        token, would be attached to it.
        """
        client = self._client.get()
        silence = a_silence(self._timeout if timeout is None else timeout)
        limits = httpx.Timeout(silence, connect=min(silence, _CONNECT_TIMEOUT), pool=min(silence, _POOL_TIMEOUT))
        try:
            request = client.build_request(method, url, headers=headers, content=content, timeout=limits)
            with redacted_logs():
                if public and self._cache is not None:
                    response: httpx.Response = await self._cache.get().send(request)
                    return response
                return await client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return closed() if self._client.closed else _failure(error, url)
        except RuntimeError:  # what the HTTP library raises if it was closed meanwhile
            if self._client.closed:
                return closed()
            raise

    async def aclose(self) -> None:
        """Close the connections, also those that somebody waits for.

        The object cannot be used after that; closing it again does nothing.
        """
        cache = None if self._cache is None else self._cache.take()
        if cache is not None:
            await cache.aclose()
        client = self._client.take()
        self._hangup.hang_up()
        if client is not None:
            await client.aclose()


@functools.cache
def _certificates(*named: str | None) -> ssl.SSLContext:
    """Load the usual certificates, once: it takes longer than most requests, and each renewal of a login needs them."""
    return httpx.create_ssl_context()


def _proxy_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in _PROXIES and parts.hostname and parts.port != 0:
            return url
    except (ValueError, TypeError, AttributeError):
        pass
    # It is not quoted: there may be a password in it.
    raise ConfigurationError(
        "proxy is not the URL of a proxy",
        hint=f"It looks like http://proxy.example:3128, and begins with one of {', '.join(_PROXIES)}.",
    )


def _timeouts() -> tuple[type[Exception], ...]:
    """What says that something took too long."""
    import httpcore  # loaded here, for its exceptions: the first request needs it, and the client does not

    return (httpx.TimeoutException, httpcore.TimeoutException)


def _broken() -> tuple[type[Exception], ...]:
    """What reading raises, be it directly from a connection."""
    import httpcore

    return (httpx.HTTPError, httpcore.NetworkError, httpcore.TimeoutException)


def _failure(error: Exception, url: str) -> CivitaiError:
    """The exception for a request that got no answer."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    if isinstance(error, _NOT_SENDABLE):
        # Its text quotes the header that is at fault, which may be the one with the token.
        return InvalidRequest(f"The URL or a header of the request to {host or 'the service'} cannot be sent")
    sent = not isinstance(error, _NOT_SENT)
    if isinstance(error, _timeouts()):
        doing = "answer" if sent else "accept a connection"
        return RequestTimeout(f"{host} did not {doing} in time", host=host, sent=sent)
    doing = "The connection to {} broke" if sent else "No connection could be made to {}"
    return _with_cause(ConnectionFailed(f"{doing.format(host)}: {_reason(error)}", host=host, sent=sent), error)


def _root(error: BaseException) -> OSError | None:
    """The error of the operating system that is behind one of the HTTP library."""
    cause: BaseException | None = error
    while cause is not None:
        # The library below cuts the chain, but keeps what it caught as its first argument. The context is no help: it
        # may be an error that the caller is handling.
        for found in (cause, *cause.args[:1]):
            if isinstance(found, OSError):
                return found
        cause = cause.__cause__
    return None


def _reason(error: Exception) -> str:
    return public_text(str(_root(error) or error)) or type(error).__name__


def _with_cause(failure: CivitaiError, error: Exception) -> CivitaiError:
    cause = _root(error)
    # The variables of the functions that it went through hold the whole request.
    failure.__cause__ = None if cause is None else cause.with_traceback(None)
    return failure
