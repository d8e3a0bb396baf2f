# Derived from civitai_ext/_async/locating.py by scripts/unasync.py: change that file, then run `make fix`.
"""Where a file lies at the moment: the service is asked, and leads to a signed URL on another host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urljoin, urlsplit

from civitai_api.runtime import Response
from civitai_ext._answers import error_for, unexpected
from civitai_ext._config import origin_of
from civitai_ext._downloadable import DOWNLOADS
from civitai_ext._fetched import Place, Probe
from civitai_ext._file_names import name_from_headers
from civitai_ext._ranges import Version
from civitai_ext._sync.http import Stream
from civitai_ext._sync.signed_urls import refusal, with_retries
from civitai_ext._sync.transport import Transport
from civitai_ext._verifying import why_not_a_file
from civitai_ext.errors import ApiError, CivitaiError, NotAFile, UnexpectedResponse

__all__ = ["LONGEST_ERROR", "REFUSED", "Locator", "url_has_run_out", "no_file", "probe", "unusable"]

LONGEST_ERROR: Final = 64 * 1024
REFUSED: Final = frozenset({401, 403, 410})
"""With what a signed URL is refused."""

_MOST_HOPS: Final = 5
_HAS_RUN_OUT: Final = re.compile(r"ExpiredToken|has expired|AccessDenied", re.IGNORECASE)


def probe(transport: Transport, source: str, *, timeout: float | None = None) -> Probe:
    """Look at a file without fetching it: whether it may be had, and what it is called.

    Args:
        transport: What sends.
        source: The URL that the service gives for the file.
        timeout: How many seconds the host may be silent.

    Raises:
        ApiError: The service does not give the file, as `fetch` raises it.
        ConnectionFailed: The service was not reached.
        NotAFile: Something else is in place of the file.
        UnexpectedResponse: The answer cannot be used, or leads where nothing should be fetched from.
    """
    place = Locator(transport, source, None, timeout).locate()
    size = None if place.version is None else place.version.size
    return Probe(name=place.name, size=size, media_type=place.media_type, etag=place.etag)


class Locator:
    """Finds out where a file lies.

    Args:
        transport: What sends. The token goes to the service's own routes for downloads alone.
        source: The URL that the service gives for the file.
        name: What the file will be called; None for what the host calls it.
        timeout: How many seconds a host may be silent.
    """

    def __init__(self, transport: Transport, source: str, name: str | None, timeout: float | None) -> None:
        self._transport = transport
        self._source = source
        self._name = name
        self._timeout = timeout

    def locate(self) -> Place:
        """Ask the service, and follow it to the file.

        Raises:
            CivitaiError: See `probe`.
        """
        url, hops = self._source, 0
        again, renewed, ranged = True, False, True
        while True:
            try:
                found = self._ask(url, ranged)
            except ApiError as error:
                if renewed or url == self._source or not url_has_run_out(error):
                    raise
                renewed, url, hops = True, self._source, 0
                continue
            if isinstance(found, Place):
                return found
            location = found.headers.get("location", "")
            if found.status == 416 and ranged:  # every file has a first byte, but those that are empty
                ranged = False
            elif found.status == 404 and again and "private" in found.headers.get("cache-control", ""):
                # So it answers when it could not find out where the file lies, which passes.
                again = False
                self._transport.sleep(self._transport.policy.longest(1) * self._transport.policy.scale)
            elif 300 <= found.status < 400 and location and hops < _MOST_HOPS:
                hops += 1
                url = self._next(found, url, location)
            else:
                raise self.refused(found, url)

    def _ask(self, url: str, ranged: bool) -> Place | Response:
        """Ask an address for the first byte, or all; give its answer where that is no file, and will be no other."""
        if not self._transport.config.may_be_fetched(url):
            raise UnexpectedResponse("the URL of the file is not one to fetch", status=200, url=url)

        def attempt(headers: dict[str, str]) -> Place | Response:
            # HEAD is not understood everywhere, and where it is, the answer may differ from that to GET.
            asking = {**headers, "range": "bytes=0-0"} if ranged else headers
            with self._transport.http.stream("GET", url, headers=asking, timeout=self._timeout) as stream:
                if stream.status in (200, 206) or _is_empty(stream):
                    return self._found(stream, url, headers)
                answer = stream.read(LONGEST_ERROR)
            if 300 <= answer.status < 400 or answer.status in (404, 416):
                self._check_login(answer, url)
                return answer
            raise self.refused(answer, url)

        def once() -> Place | Response:
            return self._transport.as_caller(url, attempt, authenticated=self._is_own(url))

        if self._is_own(url):
            return self._transport.in_turn(url, once, what="the download")
        return with_retries(self._transport, once)

    def _check_login(self, answer: Response, url: str) -> None:
        """Take being led to the login page for what it means."""
        with suppress(ValueError):
            path = urlsplit(urljoin(url, answer.headers.get("location", ""))).path
            if path == "/login" or path.startswith("/login/"):
                login = Response(401, {}, b'{"message": "It leads to the login page"}')
                raise error_for(login, method="GET", url=url, token_source=self._token_source(url))

    def _next(self, answer: Response, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
        except ValueError:
            raise unexpected(answer, method="GET", url=url) from None
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise UnexpectedResponse("it redirects to an address without encryption", status=answer.status, url=url)
        return target

    def _is_own(self, url: str) -> bool:
        """Whether the token may go with a request: to the service's own routes for downloads.

        Signed URLs can be on its own hosts too, and refuse a second credential.
        """
        site = self._transport.config.base_url("site")
        return origin_of(url) == origin_of(site) and urlsplit(url).path.startswith(DOWNLOADS)

    def _token_source(self, url: str) -> str | None:
        own = self._is_own(url) and self._transport.config.may_receive_token(url)
        return self._transport.config.token_source if own else None

    def refused(self, answer: Response, url: str) -> CivitaiError:
        """Make the exception for an answer that is no file."""
        if answer.status < 400:
            return unexpected(answer, method="GET", url=url)
        if not self._is_own(url):
            return refusal(answer, "GET", url, "Download it again.")
        return error_for(
            answer,
            method="GET",
            url=url,
            token_source=self._token_source(url),
            secrets=self._transport.config.secrets,
        )

    def _found(self, stream: Stream, url: str, headers: Mapping[str, str]) -> Place:
        self.check(stream, url)
        version = Version.of(stream.status, stream.headers)
        return Place(
            url,
            headers,
            version,
            stream.status == 206,
            name_from_headers(stream.headers, url),
            _media_type(stream),
            stream.headers.get("etag"),
        )

    def check(self, stream: Stream, url: str) -> None:
        """Make sure by the headers of an answer that it can be the file, as it is.

        Raises:
            NotAFile: It is a page or a message.
            UnexpectedResponse: It is compressed, which another answer may not be, or it could not be known whether it
                came as a whole.
        """
        name = self._name or name_from_headers(stream.headers, url) or ""
        if reason := why_not_a_file(name, _media_type(stream), b"", 1):
            raise no_file(stream, url, reason)
        chunked = "chunked" in stream.headers.get("transfer-encoding", "").lower()
        if stream.status == 200 and not chunked and "content-length" not in stream.headers:
            raise unusable(stream, url, "it does not say where the file ends")
        if stream.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise unusable(stream, url, "the file came compressed, which was not asked for", truncated=True)


def url_has_run_out(error: CivitaiError) -> bool:
    """Whether a signed URL was refused, as it is when its time is over."""
    if not isinstance(error, ApiError):
        return False
    return error.status in REFUSED or (error.status == 400 and bool(_HAS_RUN_OUT.search(str(error.body))))


def no_file(stream: Stream, url: str, message: str) -> NotAFile:
    """Make the exception for something in place of the file."""
    return NotAFile(message, status=stream.status, media_type=_media_type(stream), method="GET", url=url)


def unusable(stream: Stream, url: str, message: str, *, truncated: bool = False) -> UnexpectedResponse:
    """Make the exception for an answer that is not what was asked for."""
    return UnexpectedResponse(message, status=stream.status, truncated=truncated, method="GET", url=url)


def _is_empty(stream: Stream) -> bool:
    """Whether a file has no first byte, since it has none at all."""
    version = Version.of(stream.status, stream.headers) if stream.status == 416 else None
    return version is not None and version.size == 0


def _media_type(stream: Stream) -> str:
    return stream.headers.get("content-type", "").partition(";")[0].strip().lower()
