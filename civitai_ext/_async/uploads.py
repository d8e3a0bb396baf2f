"""Uploads of images."""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Unpack

import attrs

from civitai_api.runtime import UNSET, Response
from civitai_api.site.api.uploads import abort_upload, complete_upload, create_image_upload, create_multipart_upload
from civitai_api.site.models import (
    MultipartUpload,
    MultipartUploadRequest,
    UploadAbortion,
    UploadCompletion,
    UploadPart,
    UploadPartUrl,
)
from civitai_ext._answers import error_for, unexpected
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import delay_after
from civitai_ext._options import CallOptions
from civitai_ext._reading import models_in, number, text
from civitai_ext.errors import (
    CivitaiError,
    ConnectionFailed,
    InvalidRequest,
    PermissionDenied,
    UnexpectedResponse,
)

__all__ = ["AsyncUploads"]

LARGEST_WHOLE: Final = 26_214_400
"""Bytes that are sent in one piece at most; more go in parts, of which one at a time is in memory."""

OnProgress = Callable[[int, int], object]


class AsyncUploads:
    """Uploads of images (not documented by Civitai): `civitai.uploads`. All of it needs a token."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def image(
        self,
        image: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        filename: str | None = None,
        mime_type: str | None = None,
        on_progress: OnProgress | None = None,
        **options: Unpack[CallOptions],
    ) -> str:
        """Upload an image, and give the id under which the site knows it from then on.

        A part that does not get through is sent again; if it never does, the service is told to drop the others.

        Args:
            image: Its path, its content, or a file that is open for reading bytes, which is read from where it stands.
            filename: Its name; by default that of the file.
            mime_type: Its kind, such as `image/png`; by default what the name says.
            on_progress: Called with how many bytes were sent and how many there are, after every part.
            options: Options of each request: `timeout`, and `extra_headers` and `extra_query`, which the storage does
                not get.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
            ApiError: The service or its storage refuses the image.
            ConnectionFailed: No answer came.
            InvalidRequest: There is nothing to upload, or it ends before it should.
            OSError: The file cannot be read.
            UnexpectedResponse: The service gave no address to upload to, or none to trust.
        """
        with _opened(image) as source:
            size = _size(source)
            if filename is None:
                filename = _name_of(image)
            if mime_type is None:
                mime_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
            if size <= LARGEST_WHOLE:
                id = await self._whole(source, size, mime_type, options)
                if on_progress is not None:
                    on_progress(size, size)
                return id
            template = MultipartUploadRequest(size=size, mime_type=mime_type, filename=filename or UNSET)
            return await self._in_parts(source, template, on_progress, options)

    async def _whole(self, source: BinaryIO, size: int, mime_type: str, options: CallOptions) -> str:
        data = _read(source, size)
        # An address that is not used does no harm, so asking again for one is safe.
        request = attrs.evolve(create_image_upload.request(), idempotent=True)
        upload = await self._transport.call(request, **options)
        await self._put(upload.upload_url, data, options, {"content-type": mime_type})
        return text(upload.id)

    async def _in_parts(
        self,
        source: BinaryIO,
        template: MultipartUploadRequest,
        on_progress: OnProgress | None,
        options: CallOptions,
    ) -> str:
        upload = await self._transport.call(create_multipart_upload.request(body=template), **options)
        names: dict[str, Any] = {
            "bucket": text(upload.bucket),
            "key": text(upload.key),
            "upload_id": text(upload.upload_id),
            "backend": text(upload.backend),
            "type": "image",
        }
        parts: list[UploadPart] = []
        sent = 0
        try:
            for url, size in _parts_of(upload, template.size):
                answer = await self._put(url, _read(source, size), options)
                parts.append(UploadPart(e_tag=_tag_of(answer), part_number=len(parts) + 1))
                sent += size
                if on_progress is not None:
                    on_progress(sent, template.size)
            await self._transport.call(complete_upload.request(body=UploadCompletion(parts=parts, **names)), **options)
        except BaseException:
            with suppress(CivitaiError):  # what went wrong before is what has to be told
                await self._transport.call(abort_upload.request(body=UploadAbortion(**names)), **options)
            raise
        return text(upload.key)

    async def _put(
        self, url: Any, data: bytes, options: CallOptions, headers: dict[str, str] | None = None
    ) -> Response:
        """Send bytes to a signed address of the storage, which carries its own credential and gets no other."""
        transport = self._transport
        if not isinstance(url, str) or not transport.config.may_be_fetched(url):
            raise UnexpectedResponse("the address to upload to is not one to trust", status=200, url=text(url))
        headers = transport.headers_for(url, authenticated=False) | (headers or {})
        timeout = options.get("timeout")
        attempt = 1
        while True:
            failure: CivitaiError
            try:
                answer = await transport.http.send("PUT", url, headers=headers, content=data, timeout=timeout)
                if 200 <= answer.status < 300:
                    return answer
                failure = _refusal(answer, url)
            except (ConnectionFailed, UnexpectedResponse) as error:
                failure = error
            delay = delay_after(failure, transport.policy, attempt, idempotent=True)
            if delay is None:
                raise failure
            await transport.sleep(delay)
            attempt += 1


@contextmanager
def _opened(image: str | os.PathLike[str] | bytes | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(image, (str, os.PathLike)):
        with Path(image).open("rb") as file:
            yield file
    elif isinstance(image, (bytes, bytearray, memoryview)):
        yield io.BytesIO(image)
    elif not callable(getattr(image, "read", None)):
        raise InvalidRequest(f"{type(image).__name__} is no image", hint="Give a path, bytes, or an open file.")
    elif image.seekable():
        yield image
    else:
        yield io.BytesIO(image.read())


def _size(source: BinaryIO) -> int:
    start = source.tell()
    size = source.seek(0, os.SEEK_END) - start
    source.seek(start)
    if size <= 0:
        raise InvalidRequest("There is nothing to upload: the image has no bytes")
    return size


def _read(source: BinaryIO, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = source.read(size - len(data))
        if not isinstance(piece, bytes):
            raise InvalidRequest("The image is open as text", hint="Open it with mode 'rb'.")
        if not piece:
            raise InvalidRequest(f"The image ends {size - len(data)} bytes too early: it changed while it was sent")
        data += piece
    return bytes(data)


def _name_of(image: object) -> str:
    name = image if isinstance(image, (str, os.PathLike)) else getattr(image, "name", "")
    return Path(name).name if isinstance(name, (str, os.PathLike)) else ""


def _parts_of(upload: MultipartUpload, size: int) -> list[tuple[Any, int]]:
    """The address and the size of every part, in order."""
    given: list[UploadPartUrl] = models_in(upload.urls)
    urls = {part.part_number: part.url for part in given if isinstance(part.part_number, int)}
    chunk = int(number(upload.chunk_size) or 0)
    count = -(-size // chunk) if chunk > 0 else 0
    if not count or count > len(urls) or not urls.keys() >= set(range(1, count + 1)):
        raise UnexpectedResponse("the service did not give an address for every part of the image", status=200)
    return [(urls[place + 1], min(chunk, size - place * chunk)) for place in range(count)]


def _tag_of(answer: Response) -> str:
    tag = answer.headers.get("etag")
    if not tag:
        raise UnexpectedResponse("the storage did not confirm a part with an ETag", status=answer.status)
    return tag


def _refusal(answer: Response, url: str) -> CivitaiError:
    if answer.status < 400:
        return unexpected(answer, method="PUT", url=url)
    error = error_for(answer, method="PUT", url=url)
    if isinstance(error, PermissionDenied):
        error.hint = "The storage refuses the signed address: it may have run out. Upload again."
    return error
