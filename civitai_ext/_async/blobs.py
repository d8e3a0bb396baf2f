"""Blobs: the media that go into workflows and come out of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import urljoin

import attrs

from civitai_api.orchestration.api.blobs import (
    get_blob,
    get_consumer_blob_upload_url,
    head_blob,
    upload_consumer_blob,
)
from civitai_api.orchestration.models import Blob, BlobArchiveOutput, ConsumerBlobPresignResponse
from civitai_api.runtime import UNSET
from civitai_ext._answers import unexpected
from civitai_ext._arguments import a_path
from civitai_ext._async.blob_files import LARGEST_IN_MEMORY, read_blob, refreshed, save_blob
from civitai_ext._async.media_files import OnProgress
from civitai_ext._async.output import AsyncOutput
from civitai_ext._async.signed_urls import send_signed
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._disk import AsyncDisk, Exists, is_folder
from civitai_ext._filters import a_segment
from civitai_ext._media import START, media_type_of
from civitai_ext._options import CallOptions
from civitai_ext._outputs import blob_stem
from civitai_ext._reading import text
from civitai_ext._sources import Source, Uploadable
from civitai_ext.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from civitai_api.orchestration.models import NSFWLevel

__all__ = ["AsyncBlobs"]

_PIECE: Final = 256 * 1024

Fetchable = Blob | AsyncOutput | BlobArchiveOutput | str
"""What can be fetched: a blob, an output of a workflow, its id, a signed URL, or the output of a `blobArchive` step."""


class AsyncBlobs:
    """Blobs, the media that go into workflows and come out of them: `civitai.blobs`.

    The service keeps a blob for 30 days. Its content is behind a signed URL, which runs out earlier and is renewed as
    long as the blob is kept.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(
        self,
        file: Uploadable,
        *,
        content_type: str | None = None,
        presigned: ConsumerBlobPresignResponse | str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        **options: Unpack[CallOptions],
    ) -> Blob:
        """Upload an image, a video or a sound, and give the blob that it became.

        Its `url` can be put into the input of a step. What is uploaded is looked at by moderation at once. It is read
        from the disk while it is sent. If no answer comes, it is sent again: should both have arrived, the other blob
        costs nothing and is forgotten after 30 days.

        Args:
            file: Its path, its content, or a file that is open for reading bytes, which is read from where it stands.
            content_type: Its kind, such as `image/png`; by default what its first bytes or its name say.
            presigned: A permission of `presign`, or its URL, to upload with instead of the token.
            on_progress: Called with how many bytes were sent and how many there are, after every piece.
            options: Options of this call: `timeout`, and `extra_headers` and `extra_query`, which a presigned URL does
                not get.

        Raises:
            AuthenticationError: There is no token, or it is not valid; or the presigned URL is not.
            BadRequest: The service cannot make anything of it.
            PayloadTooLarge: It is larger than the service takes.
            UnsupportedMediaType: The service takes no files of this kind.
            UnprocessableContent: Moderation refused it, or it is broken.
            InvalidRequest: There is nothing to upload, its kind cannot be told, or the URL is not one to trust.
            OSError: The file cannot be read.
        """
        target = None if presigned is None else self._target(presigned)
        with await AsyncDisk.run(Source, file) as source:
            if content_type is None:
                start = await AsyncDisk.run(source.read, min(START, source.size))
                content_type = media_type_of(start, source.name)
            if not content_type:
                raise InvalidRequest(
                    "Neither its first bytes nor its name tell of what kind the file is",
                    hint="Say it, as in content_type='image/png'.",
                )
            request = attrs.evolve(
                upload_consumer_blob.request(body=b""),
                media_type=content_type,
                headers={"content-length": str(source.size)},  # a body without it is sent chunked, which is refused
                idempotent=True,
            )

            def content() -> AsyncIterator[bytes]:
                return _pieces(source, on_progress)

            if target is None:
                return await self._transport.call(request, content=content, **options)
            headers, timeout = request.sent_headers, options.get("timeout")
            answer = await send_signed(self._transport, "POST", target, content, headers=headers, timeout=timeout)
            return self._transport.decode(request, answer)

    def _target(self, presigned: ConsumerBlobPresignResponse | str) -> str:
        url = text(presigned if isinstance(presigned, str) else getattr(presigned, "upload_url", None))
        if not self._transport.config.may_be_fetched(url):
            raise InvalidRequest("presigned has no URL that can be trusted", hint="Give what `presign` gave.")
        return url

    async def presign(self, **options: Unpack[CallOptions]) -> ConsumerBlobPresignResponse:
        """Give a URL that takes one upload without a token, for programs that should not have the token.

        Args:
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
        """
        return await self._transport.call(get_consumer_blob_upload_url.request(), **options)

    async def exists(self, id: str, **options: Unpack[CallOptions]) -> bool:
        """Tell whether the service has a blob of the caller, blocked or not.

        Args:
            id: The blob.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
            InvalidRequest: No blob can have such an id.
        """
        try:
            await self._transport.call(head_blob.request(blob_id=_id(id)), **options)
        except NotFound:
            return False
        return True

    async def refresh(self, id: str, **options: Unpack[CallOptions]) -> Blob:
        """Have a blob kept for 30 more days, and its URL signed anew.

        Args:
            id: The blob.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: The service does not have it, or not any more.
            InvalidRequest: No blob can have such an id.
        """
        return await refreshed(self._transport, _id(id), **options)

    async def url(
        self,
        id: str,
        *,
        filename: str | None = None,
        download: bool = False,
        workflow_id: str | None = None,
        nsfw_level: NSFWLevel | None = None,
        **options: Unpack[CallOptions],
    ) -> str:
        """Give a signed URL of a blob, to hand on: whoever has it can fetch the content without a token.

        Args:
            id: The blob.
            filename: The name under which browsers save it.
            download: Whether browsers are to save it instead of showing it.
            workflow_id: The workflow that it belongs to.
            nsfw_level: The level of its content.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: The service does not have it, or not any more.
            PermissionDenied: It is blocked.
            InvalidRequest: No blob can have such an id.
        """
        request = get_blob.request(
            blob_id=_id(id),
            workflow_id=UNSET if workflow_id is None else workflow_id,
            nsfw_level=UNSET if nsfw_level is None else nsfw_level,
            filename=UNSET if filename is None else filename,
            download=True if download else UNSET,
        )
        answer = await self._transport.send(request, **options)
        url = self._transport.url_of(request)
        found = urljoin(url, answer.headers.get("location", ""))
        if not 300 <= answer.status < 400 or found == url or not self._transport.config.may_be_fetched(found):
            raise unexpected(answer, method=request.method, url=url)
        return found

    async def download(
        self,
        blob: Fetchable,
        to: str | os.PathLike[str],
        *,
        exists: Exists = "overwrite",
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> Path:
        """Save the content of a blob in a file, and give its path.

        The file has its name only once it is whole. The token is not sent to the signed URL; a URL that has run out is
        renewed if the blob has an id, and `blob.url` with it.

        Args:
            blob: The blob, an output of a workflow, its id, a signed URL, or the output of a `blobArchive` step.
            to: The file, or a folder, which is there or ends with a slash; in it the file is called after the blob's
                id, with a suffix that fits what came. Folders that are missing are made.
            exists: What to do if there is such a file already: `overwrite` it once the new one is whole, as everywhere
                by default; `skip` (leave it, and give its path); or `error`.
            on_progress: Called with how many bytes came and how many there are (None if the host does not say).
            timeout: How many seconds the host may be silent.

        Raises:
            BlobUnavailable: It is blocked, or the service does not have it.
            AuthenticationError: The signed URL was refused and cannot be renewed.
            Gone: The archive is not kept any more.
            ConnectionFailed: The host was not reached.
            FileExistsError: There is such a file already, and `exists` is `error`.
            OSError: The file cannot be written.
            UnexpectedResponse: The host gave a page, an error or half a file instead of the blob.
            InvalidRequest: It is nothing that can be fetched.
        """
        wanted, to = self._wanted(blob), a_path("to", to)
        stem = blob_stem(wanted) if await AsyncDisk.run(is_folder, to) else None
        return await save_blob(
            self._transport, wanted, Path(to), stem=stem, exists=exists, on_progress=on_progress, timeout=timeout
        )

    async def read(
        self,
        blob: Fetchable,
        *,
        limit: int = LARGEST_IN_MEMORY,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """Give the content of a blob.

        Args:
            blob: As for `download`.
            limit: How many bytes it may have.
            on_progress: As for `download`.
            timeout: As for `download`.

        Raises:
            UnexpectedResponse: The host gave something else than the blob, or more than `limit` bytes.
            CivitaiError: As for `download`.
        """
        return await read_blob(
            self._transport, self._wanted(blob), limit=limit, on_progress=on_progress, timeout=timeout
        )

    def _wanted(self, what: Any) -> Blob:
        if isinstance(what, Blob):
            return what
        if isinstance(what, AsyncOutput):
            return what.blob
        if isinstance(what, str) and "://" not in what:
            return Blob(id=_id(what))
        url = text(what.url if isinstance(what, BlobArchiveOutput) else what)
        if not self._transport.config.may_be_fetched(url):
            wrong = "The URL is not one to trust" if url else f"{type(what).__name__} is nothing that can be fetched"
            raise InvalidRequest(wrong, hint="Give a blob, its id, a signed URL, or the output of a blobArchive step.")
        return Blob(url=url)


async def _pieces(source: Source, on_progress: Callable[[int, int], object] | None) -> AsyncIterator[bytes]:
    """Give a file from its beginning."""
    await AsyncDisk.run(source.rewind)
    sent = 0
    while sent < source.size:
        piece = await AsyncDisk.run(source.read, min(_PIECE, source.size - sent))
        yield piece
        sent += len(piece)
        if on_progress is not None:
            on_progress(sent, source.size)


def _id(value: Any) -> str:
    return a_segment(value, "the id of a blob")
