# Derived from civitai_ext/_async/uploads.py by scripts/unasync.py: change that file, then run `make fix`.
"""Uploads of images."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Unpack

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
from civitai_ext._disk import Disk
from civitai_ext._options import CallOptions
from civitai_ext._reading import models_in, number, text
from civitai_ext._sources import Source, Uploadable
from civitai_ext._sync.signed_urls import send_signed
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import CivitaiError, UnexpectedResponse

__all__ = ["Uploads"]

LARGEST_WHOLE: Final = 26_214_400
"""Bytes that are sent in one piece at most; more go in parts, of which one at a time is in memory."""

OnProgress = Callable[[int, int], object]


class Uploads:
    """Uploads of images (not documented by Civitai): `civitai.uploads`. All of it needs a token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def image(
        self,
        image: Uploadable,
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
        with Disk.run(Source, image) as source:
            size = source.size
            if filename is None:
                filename = source.name
            if mime_type is None:
                mime_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
            if size <= LARGEST_WHOLE:
                id = self._whole(source, mime_type, options)
                if on_progress is not None:
                    on_progress(size, size)
                return id
            template = MultipartUploadRequest(size=size, mime_type=mime_type, filename=filename or UNSET)
            return self._in_parts(source, template, on_progress, options)

    def _whole(self, source: Source, mime_type: str, options: CallOptions) -> str:
        data = Disk.run(source.read, source.size)
        # An address that is not used does no harm, so asking again for one is safe.
        request = attrs.evolve(create_image_upload.request(), idempotent=True)
        upload = self._transport.call(request, **options)
        self._put(upload.upload_url, data, options, {"content-type": mime_type})
        return text(upload.id)

    def _in_parts(
        self,
        source: Source,
        template: MultipartUploadRequest,
        on_progress: OnProgress | None,
        options: CallOptions,
    ) -> str:
        upload = self._transport.call(create_multipart_upload.request(body=template), **options)
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
                answer = self._put(url, Disk.run(source.read, size), options)
                parts.append(UploadPart(e_tag=_tag_of(answer), part_number=len(parts) + 1))
                sent += size
                if on_progress is not None:
                    on_progress(sent, template.size)
            self._transport.call(complete_upload.request(body=UploadCompletion(parts=parts, **names)), **options)
        except BaseException:
            with suppress(CivitaiError):  # what went wrong before is what has to be told
                self._transport.call(abort_upload.request(body=UploadAbortion(**names)), **options)
            raise
        return text(upload.key)

    def _put(self, url: Any, data: bytes, options: CallOptions, headers: dict[str, str] | None = None) -> Response:
        """Send bytes to a signed address of the storage."""
        timeout = options.get("timeout")
        return send_signed(self._transport, "PUT", text(url), lambda: data, headers=headers or {}, timeout=timeout)


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
