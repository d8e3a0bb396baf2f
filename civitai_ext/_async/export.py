"""Answers that are files: saved while they come."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from civitai_api.runtime import Request
from civitai_ext._answers import error_for
from civitai_ext._async.signed_urls import with_retries
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._disk import AsyncDisk, PartFile
from civitai_ext.errors import UnexpectedResponse

__all__ = ["save_zip"]


async def save_zip(transport: AsyncTransport, request: Request[Any], target: Path) -> Path:
    """Save the answer to an operation that gives a zip file, and give its path.

    Raises:
        ApiError: The service answered with an error.
        ConnectionFailed: No answer came.
        UnexpectedResponse: What came is no zip file, or not whole.
        OSError: The file cannot be written.
    """
    url = transport.url_of(request)

    async def attempt(caller: dict[str, str]) -> Path:
        headers = caller | request.sent_headers
        async with transport.http.stream("GET", url, headers=headers, timeout=transport.timeout) as stream:
            if stream.status != 200:
                config = transport.config
                raise error_for(
                    await stream.read(), method="GET", url=url, token_source=config.token_source, secrets=config.secrets
                )
            part = PartFile(target.parent)
            try:
                async for chunk in stream.chunks():
                    await AsyncDisk.run(part.write, chunk)
                if not await AsyncDisk.run(part.check, zipfile.is_zipfile):
                    raise UnexpectedResponse(
                        "what came is no zip file",
                        status=stream.status,
                        media_type=stream.headers.get("content-type", ""),
                        method="GET",
                        url=url,
                    )
                await AsyncDisk.run(part.become, target)
                return target
            finally:
                await AsyncDisk.run(part.discard)

    async def once() -> Path:
        return await transport.as_caller(url, attempt)

    return await with_retries(transport, once)
