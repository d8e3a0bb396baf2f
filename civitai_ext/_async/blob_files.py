"""The content of blobs: fetched from their signed URLs, which are renewed when they have run out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, get_args

import attrs

from civitai_api.orchestration.api.blobs import refresh_blob
from civitai_ext._async.http import AsyncStream
from civitai_ext._async.signed_urls import refusal, with_retries
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._disk import AsyncDisk, Exists, PartFile, is_free
from civitai_ext._media import START
from civitai_ext._options import CallOptions
from civitai_ext._outputs import is_error_page, suffix_of
from civitai_ext._reading import text
from civitai_ext.errors import (
    ApiError,
    AuthenticationError,
    BlobUnavailable,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from civitai_api.orchestration.models import Blob

__all__ = ["LARGEST_IN_MEMORY", "Exists", "OnProgress", "has_run_out", "read_blob", "refreshed", "save_blob"]

T = TypeVar("T")

LARGEST_IN_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that are read into memory at most, unless more are allowed."""

_LONGEST_ERROR: Final = 64 * 1024

OnProgress = Callable[[int, int | None], object]
"""Called with how many bytes came and how many there are, None if the host does not say. A new try begins at 0."""


class AsyncContent:
    """The content of a blob on its way: known not to be a page in place of it, and in the end to be whole.

    Attributes:
        url: Where it comes from.
        media_type: Its kind, as the host says; may be empty.
        size: How many bytes it has; None if the host does not say.
        start: Its first bytes.
    """

    def __init__(self, stream: AsyncStream, url: str) -> None:
        self.url = url
        self.media_type = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        length = stream.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdecimal() else None
        self.start = b""
        self._status = stream.status
        self._packed = stream.headers.get("content-encoding", "identity").strip().lower() != "identity"
        self._rest = stream.chunks()

    async def begin(self) -> None:
        """Read its first bytes.

        Raises:
            UnexpectedResponse: It is not the content of a blob.
        """
        async for chunk in self._rest:
            self.start += chunk
            if len(self.start) >= START:
                break
        if is_error_page(self.media_type, self.start):
            raise self._unexpected("a page or an error came in place of the file")
        if self._packed:
            raise self._unexpected("the file came compressed, which was not asked for")
        if not self.start:
            raise self._unexpected("the file is empty", truncated=True)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give it piece by piece, its first bytes too.

        Raises:
            UnexpectedResponse: It was cut.
        """
        done = len(self.start)
        yield self.start
        async for chunk in self._rest:
            done += len(chunk)
            yield chunk
        if self.size is not None and done != self.size:
            raise self._unexpected(f"{done} bytes came of {self.size}", truncated=True)

    def _unexpected(self, message: str, *, truncated: bool = False) -> UnexpectedResponse:
        return UnexpectedResponse(
            message,
            status=self._status,
            media_type=self.media_type,
            truncated=truncated,
            method="GET",
            url=self.url,
        )


async def save_blob(
    transport: AsyncTransport,
    blob: Blob,
    target: Path,
    *,
    stem: str | None = None,
    exists: Exists = "error",
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
) -> Path:
    """Save the content of a blob in a file, and give its path.

    It has its name only once it is whole; a failure leaves nothing behind. When its URL has run out, another is asked
    for, once, and put into the blob.

    Args:
        transport: What sends. The token goes with the request for another URL, and never to the URL itself.
        blob: The blob; one without an id is fetched from its URL, which cannot be renewed then.
        target: The file; with a `stem` the folder of it. Folders that are missing are made.
        stem: The name of the file without its suffix, which depends on what comes. It is taken as it is: names from a
            service go through `_outputs.file_stem` or `blob_stem` before.
        exists: What to do if there is such a file already.
        on_progress: Called with how many bytes came and how many there are, after every piece.
        timeout: How many seconds the host may be silent.

    Raises:
        BlobUnavailable: It has no content that could be fetched.
        ApiError: The host refuses to give it, or the service another URL.
        ConnectionFailed: The host was not reached.
        FileExistsError: There is such a file already, and `exists` is `error`.
        OSError: The folder or the file cannot be written.
        UnexpectedResponse: The host gave something else than the blob, or half of it, or the URL is not one to fetch.
    """
    if exists not in get_args(Exists):
        raise InvalidRequest(f"exists is {exists!r}; it takes {', '.join(map(repr, get_args(Exists)))}")
    if stem is None and not await AsyncDisk.run(is_free, target, exists):
        return target

    async def receive(content: AsyncContent) -> Path:
        suffix = suffix_of(content.media_type, blob, content.url, content.start)
        path = target if stem is None else target / f"{stem}{suffix}"
        if not await AsyncDisk.run(is_free, path, exists):
            return path
        part, done = PartFile(path.parent), 0
        try:
            async for chunk in content.chunks():
                await AsyncDisk.run(part.write, chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, content.size)
            if await AsyncDisk.run(is_free, path, exists):  # it may have come meanwhile
                await AsyncDisk.run(part.become, path)
            return path
        finally:
            await AsyncDisk.run(part.discard)

    return await _received(transport, blob, receive, timeout)


async def read_blob(
    transport: AsyncTransport,
    blob: Blob,
    *,
    limit: int = LARGEST_IN_MEMORY,
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
) -> bytes:
    """Give the content of a blob.

    Args:
        transport: As for `save_blob`.
        blob: As for `save_blob`.
        limit: How many bytes it may have.
        on_progress: As for `save_blob`.
        timeout: As for `save_blob`.

    Raises:
        BlobUnavailable: It has no content that could be fetched.
        ApiError: The host refuses to give it, or the service another URL.
        ConnectionFailed: The host was not reached.
        UnexpectedResponse: The host gave something else than the blob, half of it or more than `limit` bytes, or the
            URL is not one to fetch.
    """

    async def receive(content: AsyncContent) -> bytes:
        body = bytearray()
        async for chunk in content.chunks():
            body += chunk
            if max(len(body), content.size or 0) > limit:
                raise UnexpectedResponse(
                    f"the file has more than {limit} bytes",
                    status=200,
                    media_type=content.media_type,
                    method="GET",
                    url=content.url,
                    hint="Save it on the disk, or allow more with `limit`.",
                )
            if on_progress is not None:
                on_progress(len(body), content.size)
        return bytes(body)

    return await _received(transport, blob, receive, timeout)


async def refreshed(transport: AsyncTransport, id: str, **options: Unpack[CallOptions]) -> Blob:
    """Have a blob kept for longer, and its URL signed anew; give it with the new URL."""
    # Each time prolongs its life from then on, so that twice is as good as once.
    request = attrs.evolve(refresh_blob.request(blob_id=id), idempotent=True)
    return await transport.call(request, **options)


async def _received(
    transport: AsyncTransport,
    blob: Blob,
    receive: Callable[[AsyncContent], Awaitable[T]],
    timeout: float | None,
) -> T:
    """Fetch a blob, and give what `receive` makes of its content; `receive` is called again with every new try."""
    if text(blob.blocked_reason):
        raise _unavailable(blob, text(blob.blocked_reason))
    renewed = False
    if not text(blob.url) or has_run_out(blob.url_expires_at):
        try:
            await _renew(transport, blob)
            renewed = True
        except ApiError:
            if not text(blob.url):
                raise
            # The clock here may be ahead, and the URL still hold.

    async def once() -> T:
        return await _fetched(transport, blob, receive, timeout)

    try:
        return await with_retries(transport, once)
    except (AuthenticationError, PermissionDenied):
        if renewed or not text(blob.id):
            raise
    await _renew(transport, blob)
    return await with_retries(transport, once)


async def _fetched(
    transport: AsyncTransport,
    blob: Blob,
    receive: Callable[[AsyncContent], Awaitable[T]],
    timeout: float | None,
) -> T:
    url = text(blob.url)
    if not transport.config.may_be_fetched(url):
        raise UnexpectedResponse(f"the URL of blob {text(blob.id)} is not one to fetch", status=200, url=url)
    # A blob's URL carries its own credential, and its host refuses a second one.
    headers = transport.headers_for(url, authenticated=False)
    silence = transport.timeout if timeout is None else timeout
    async with transport.http.stream("GET", url, headers=headers, timeout=silence) as stream:
        if stream.status != 200:
            raise refusal(await stream.read(_LONGEST_ERROR), "GET", url, "Ask for the blob again.")
        content = AsyncContent(stream, url)
        await content.begin()
        return await receive(content)


async def _renew(transport: AsyncTransport, blob: Blob) -> None:
    """Have the URL of a blob signed again.

    Raises:
        BlobUnavailable: The blob is blocked, or not there, or has no id.
        ApiError: The service refuses it.
    """
    if not text(blob.id):
        raise _unavailable(blob, "it has neither a URL that holds nor an id")
    try:
        fresh = await refreshed(transport, blob.id)
    except NotFound as error:
        raise _unavailable(blob, "the service does not have it") from error
    if text(fresh.blocked_reason):
        raise _unavailable(blob, text(fresh.blocked_reason))
    if not text(fresh.url):
        raise _unavailable(blob, "it is not there yet" if fresh.available is False else "the service gives no URL")
    blob.url, blob.url_expires_at = fresh.url, fresh.url_expires_at


def has_run_out(moment: Any) -> bool:
    """Tell whether the moment until which a URL holds is over; not if nobody said it."""
    if not isinstance(moment, datetime):
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= datetime.now(UTC)


def _unavailable(blob: Blob, reason: str) -> BlobUnavailable:
    id = text(blob.id)
    return BlobUnavailable(f"Blob {id or 'without an id'} cannot be fetched: {reason}", blob_id=id, reason=reason)
