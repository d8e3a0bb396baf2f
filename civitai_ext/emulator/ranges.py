"""Answers that are files: ranges, entity tags, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from civitai_ext.emulator.files import Content

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def file_answer(
    request: Request, content: bytes | Content, media_type: str, *, filename: str | None = None, cache: str = "private"
) -> Response:
    """Answer with a file, or with the part of it that the `Range` header asks for.

    A range over several parts is answered with the whole file, which the standard allows.
    """
    if isinstance(content, bytes):
        content = Content(content)
    size, etag = len(content), content.etag
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": cache}
    if filename is not None:
        headers["Content-Disposition"] = _disposition(filename)
    wanted = _RANGE.match(request.headers.get("range", ""))
    if wanted is None or not any(wanted.groups()) or request.headers.get("if-range", etag) != etag:
        return _Part(content, 0, size, 200, headers, media_type)

    first, last = wanted.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, end = max(size - int(last), 0), size
    if start >= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return _Part(content, start, end, 206, headers, media_type)


class _Part(Response):
    """A part of a file, which is made while it is sent."""

    def __init__(
        self, content: Content, start: int, end: int, status: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(None, status, {**headers, "Content-Length": str(end - start)}, media_type)
        self._content = content
        self._start = start
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as long as somebody listens."""
        request = Request(scope, receive)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            for piece in self._content.pieces(self._start, self._end):
                if await request.is_disconnected():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _disposition(filename: str) -> str:
    """Name a file in ASCII, and once more in full where that is not enough (RFC 6266)."""
    plain = filename.encode("ascii", "replace").decode().replace('"', "'")
    plain = "".join(character if character.isprintable() else "?" for character in plain)
    header = f'attachment; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='')}"
