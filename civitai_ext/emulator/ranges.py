"""Answers that are files: ranges, entity tags, names."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def file_answer(
    request: Request, content: bytes, media_type: str, *, filename: str | None = None, cache: str = "private"
) -> Response:
    """Answer with a file, or with the part of it that the `Range` header asks for.

    A range over several parts is answered with the whole file, which the standard allows. HEAD needs no case of its
    own: the server drops the body.
    """
    etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": cache}
    if filename is not None:
        headers["Content-Disposition"] = _disposition(filename)
    wanted = _RANGE.match(request.headers.get("range", ""))
    if wanted is None or not any(wanted.groups()) or request.headers.get("if-range", etag) != etag:
        return Response(content, 200, headers, media_type=media_type)

    size = len(content)
    first, last = wanted.groups()
    if first:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Response(content[start : end + 1], 206, headers, media_type=media_type)


def _disposition(filename: str) -> str:
    filename = "".join(character for character in filename if character.isprintable())
    plain = filename.encode("ascii", "replace").decode().replace('"', "'")
    header = f'attachment; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename)}"
