"""Versions of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_api.site.api.model_versions import get_model_version
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._filters import a_number

if TYPE_CHECKING:
    from civitai_api.site.models import ModelVersion

__all__ = ["AsyncModelVersions"]


class AsyncModelVersions:
    """Versions of models: `civitai.model_versions`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, id: int) -> ModelVersion:
        """Give a version with its files, its AIR and its model in brief.

        Raises:
            NotFound: There is no version with this id, or it is not published.
            InvalidRequest: No version can have such an id.
        """
        return await self._transport.call(get_model_version.request(id=a_number(id)))
