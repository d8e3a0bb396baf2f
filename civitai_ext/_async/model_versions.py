"""Versions of models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

import attrs

from civitai_api.runtime import UNSET
from civitai_api.site.api.model_versions import (
    get_model_version,
    get_model_version_by_hash,
    get_model_version_ids_by_hashes,
    get_model_version_mini,
    get_model_versions_by_hashes,
    set_early_access,
)
from civitai_api.site.models import EarlyAccessRequest
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._filters import a_number
from civitai_ext._hashes import (
    assign,
    assign_ids,
    assign_rest,
    is_long,
    match_of,
    normal,
    repair_downloads,
    spellings,
)
from civitai_ext._options import CallOptions
from civitai_ext._together import AsyncTogether, in_batches
from civitai_ext.catalogue import ModelVersion, ModelVersionMini
from civitai_ext.errors import NotFound

if TYPE_CHECKING:
    from civitai_api.site.models import ModelVersionHashMatch

__all__ = ["AsyncModelVersions"]

T = TypeVar("T")

_MOST_VERSIONS: Final = 100
_MOST_IDS: Final = 10_000


class AsyncModelVersions:
    """Versions of models: `civitai.model_versions`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, id: int, **options: Unpack[CallOptions]) -> ModelVersion:
        """Give a version with its files, its AIR and its model in brief.

        Raises:
            NotFound: There is no version with this id, or it is not published.
            InvalidRequest: No version can have such an id.
        """
        version = await self._transport.call(get_model_version.request(id=a_number(id)), **options)
        return cast(ModelVersion, version)

    async def get_mini(
        self, id: int, *, model_file_id: int | None = None, **options: Unpack[CallOptions]
    ) -> ModelVersionMini:
        """Give what is needed to generate with a version or to download one file of it: AIR, fees, permissions, URL.

        The caller's own versions are found before they are published too.

        Args:
            id: The version.
            model_file_id: Which of its files to tell of, instead of the primary one; the AIR then names it too.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no version with this id, it has no such file, or the caller cannot see it.
            InvalidRequest: No version or no file can have such an id.
        """
        file_id = UNSET if model_file_id is None else a_number(model_file_id, "model_file_id")
        request = get_model_version_mini.request(id=a_number(id), model_file_id=file_id)
        return cast(ModelVersionMini, await self._transport.call(request, **options))

    async def by_hash(self, hash: str, **options: Unpack[CallOptions]) -> ModelVersion:
        """Give the version that a file belongs to; the oldest, if it is in several.

        Args:
            hash: AutoV1, AutoV2, AutoV3, SHA-256, CRC32 or BLAKE3 of the file in hexadecimal, in any letter case.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: No published version has a file with this hash.
            InvalidRequest: It is not hexadecimal, or has as many digits as no kind of hash.
        """
        request = get_model_version_by_hash.request(hash=normal(hash))
        version = cast(ModelVersion, await self._transport.call(request, **options))
        return repair_downloads(version, self._transport.config.site_url)

    async def by_hashes(
        self, hashes: Iterable[str], *, try_other_kinds: bool = False, **options: Unpack[CallOptions]
    ) -> dict[str, ModelVersion | None]:
        """Give the versions that files belong to, by the hash; None for those that the service does not know.

        Any number of hashes of any kind: a request for every hundred of 64 digits, and one for each of the others.

        Args:
            hashes: As `by_hash` takes them; the keys of the answer, in this order.
            try_other_kinds: Hashes of 64 digits are taken for SHA-256. Those that are none may still be BLAKE3 or
                AutoV3: whether to look, with a request for each.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: One of them is no hash.
        """

        async def many(wanted: list[str]) -> dict[str, ModelVersion]:
            request = attrs.evolve(get_model_versions_by_hashes.request(body=wanted), idempotent=True)
            versions = cast("list[ModelVersion | None]", await self._transport.call(request, **options))
            found, unexplained = assign(versions, wanted)
            left = [hash for hash in wanted if hash not in found]
            if unexplained and left:
                # Some versions do not show the hashes of all of their files; the other route says whose they are.
                found |= assign_rest(unexplained, await self._ids(left, **options))
            for version in found.values():
                repair_downloads(version, self._transport.config.site_url)
            return found

        async def one(hash: str) -> ModelVersion:
            return await self.by_hash(hash, **options)

        return await _lookup(hashes, _MOST_VERSIONS, many, one, try_other_kinds)

    async def ids_by_hashes(
        self, hashes: Iterable[str], *, try_other_kinds: bool = False, **options: Unpack[CallOptions]
    ) -> dict[str, ModelVersionHashMatch | None]:
        """Give the ids of the versions and models that files belong to, by the hash; None for those unknown.

        Like `by_hashes`, and far cheaper: ten thousand SHA-256 hashes take one request.

        Args:
            hashes: As `by_hash` takes them; the keys of the answer, in this order.
            try_other_kinds: As in `by_hashes`.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: One of them is no hash.
        """

        async def many(wanted: list[str]) -> dict[str, ModelVersionHashMatch]:
            return await self._ids(wanted, **options)

        async def one(hash: str) -> ModelVersionHashMatch:
            return match_of(await self.by_hash(hash, **options), hash)

        return await _lookup(hashes, _MOST_IDS, many, one, try_other_kinds)

    async def set_early_access(
        self,
        id: int,
        paid_access: Mapping[str, Any] | None,
        *,
        donation_goal: Any = UNSET,
        rights_affirmed: bool = False,
        **options: Unpack[CallOptions],
    ) -> dict[str, Any]:
        """Set or end the paid access of one of the caller's own versions (not documented by Civitai).

        Args:
            id: The version.
            paid_access: The terms, in the form that the site sends; None makes the version free.
            donation_goal: A goal of donations that makes it free earlier, in the form that the site sends.
            rights_affirmed: Whether the caller affirms to have the rights that paid access takes.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            PermissionDenied: The version is somebody else's.
            NotFound: There is no version with this id.
            InvalidRequest: No version can have such an id.
        """
        body = EarlyAccessRequest(
            id=a_number(id),
            paid_access=None if paid_access is None else dict(paid_access),
            donation_goal=donation_goal,
            rights_affirmed=rights_affirmed,
        )
        return await self._transport.call(set_early_access.request(body=body), **options)

    async def _ids(self, wanted: list[str], **options: Unpack[CallOptions]) -> dict[str, ModelVersionHashMatch]:
        request = attrs.evolve(get_model_version_ids_by_hashes.request(body=wanted), idempotent=True)
        return assign_ids(await self._transport.call(request, **options), wanted)


async def _lookup(
    hashes: Iterable[str],
    batch: int,
    many: Callable[[list[str]], Awaitable[dict[str, T]]],
    one: Callable[[str], Awaitable[T]],
    try_other_kinds: bool,
) -> dict[str, T | None]:
    """Find something by every hash, each asked for once: in batches where that goes, else one by one."""
    spelled = spellings(hashes)
    wanted = dict.fromkeys(spelled.values())
    found: dict[str, T] = {}
    for part in await AsyncTogether(many).each(in_batches([hash for hash in wanted if is_long(hash)], batch)):
        found |= part

    async def one_or_none(hash: str) -> T | None:
        try:
            return await one(hash)
        except NotFound:
            return None

    left = [hash for hash in wanted if hash not in found and (try_other_kinds or not is_long(hash))]
    others = dict(zip(left, await AsyncTogether(one_or_none).each(left), strict=True))
    return {spelling: found.get(hash, others.get(hash)) for spelling, hash in spelled.items()}
