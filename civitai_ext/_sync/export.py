# Derived from civitai_ext/_async/export.py by scripts/unasync.py: change that file, then run `make fix`.
"""Answers that are files: saved while they come."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from civitai_api.runtime import Request
from civitai_ext._answers import error_for
from civitai_ext._disk import Disk, PartFile
from civitai_ext._sync.signed_urls import with_retries
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import UnexpectedResponse

__all__ = ["save_zip"]


def save_zip(transport: Transport, request: Request[Any], target: Path) -> Path:
    """Save the answer to an operation that gives a zip file, and give its path.

    Raises:
        ApiError: The service answered with an error.
        ConnectionFailed: No answer came.
        UnexpectedResponse: What came is no zip file, or not whole.
        OSError: The file cannot be written.
    """
    url = transport.url_of(request)

    def attempt(caller: dict[str, str]) -> Path:
        headers = caller | request.sent_headers
        with transport.http.stream("GET", url, headers=headers, timeout=transport.timeout) as stream:
            if stream.status != 200:
                config = transport.config
                raise error_for(
                    stream.read(), method="GET", url=url, token_source=config.token_source, secrets=config.secrets
                )
            part = PartFile(target.parent)
            try:
                for chunk in stream.chunks():
                    Disk.run(part.write, chunk)
                if not Disk.run(part.check, zipfile.is_zipfile):
                    raise UnexpectedResponse(
                        "what came is no zip file",
                        status=stream.status,
                        media_type=stream.headers.get("content-type", ""),
                        method="GET",
                        url=url,
                    )
                Disk.run(part.become, target)
                return target
            finally:
                Disk.run(part.discard)

    def once() -> Path:
        return transport.as_caller(url, attempt)

    return with_retries(transport, once)
