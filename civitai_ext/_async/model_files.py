"""What is inside files of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from civitai_api.site.api.model_files import get_tensor_metadata
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._filters import a_number
from civitai_ext._options import CallOptions

if TYPE_CHECKING:
    from civitai_api.site.models import TensorMetadata

__all__ = ["AsyncModelFiles"]


class AsyncModelFiles:
    """What is inside files of models (not documented by Civitai): `civitai.model_files`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def tensor_metadata(
        self, id: int, *, summary_only: bool = False, **options: Unpack[CallOptions]
    ) -> TensorMetadata:
        """Tell which tensors are in a SafeTensor or GGUF file, and how much graphics memory it takes.

        Args:
            id: The file: `id` of one of a version's `files`.
            summary_only: Whether to leave out the list of tensors, which is long.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no such file.
            BadRequest: The file is in another format.
            PermissionDenied: The caller may not download the file, so neither look into it.
            Gone: The model is archived.
            UnprocessableContent: The service cannot read the file.
            InvalidRequest: No file can have such an id.
        """
        return await self._transport.call(
            get_tensor_metadata.request(id=a_number(id), summary_only=summary_only), **options
        )
