"""`/model-versions`: by id, by hash, in short."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, NoReturn

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse, site_time
from civitai_ext.emulator.catalogue import ModelFile, Version
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.reading import moment
from civitai_ext.emulator.site.parameters import Parameters, path_number
from civitai_ext.emulator.site.rules import authenticated, mixed, public
from civitai_ext.emulator.site.shapes import Json, paid_access, single_version
from civitai_ext.emulator.vocabulary import AVAILABILITIES
from civitai_ext.emulator.world import World

_SHA256_LENGTH = 64
_LARGEST_ID = 2**31 - 1
_DEFAULT_ACCESS = timedelta(days=14)
# What a mistyped header name makes of the host in answers to POST /by-hash.
_BROKEN_ORIGIN = "https://undefined"


async def _get_version(request: Request, world: World, caller: Account | None) -> Response:
    parameters = Parameters(QueryParams({"id": request.path_params["id"]}))
    id_ = parameters.number("id", 0, low=1)
    parameters.refuse_text()
    if id_ > _LARGEST_ID and Quirk.VERSION_ID_500 in world.quirks:
        # Only the database notices.
        refuse({"error": "Failed to fetch model version details"}, 500)
    version = world.catalogue.version_by_id.get(id_)
    if version is None:
        refuse({"error": "Model not found"}, 404)
    return answer(_shown(world, version))


async def _by_hash(request: Request, world: World, caller: Account | None) -> Response:
    found = (await _index(world)).get(request.path_params["hash"].upper())
    if not found:
        refuse({"error": "Model not found"}, 404)
    return answer(_shown(world, found[0].version, by_hash=True))


async def _by_hashes(request: Request, world: World, caller: Account | None) -> Response:
    index = await _index(world)
    files = [file for hash_ in await _hashes(request, most=100) for file in index.get(hash_, ())]
    origin = _BROKEN_ORIGIN if Quirk.BY_HASH_HOST in world.quirks else world.origin
    return answer([_shown(world, file.version, by_hash=True, download_origin=origin) for file in files])


def _shown(world: World, version: Version, *, by_hash: bool = False, download_origin: str | None = None) -> Json:
    now = world.clock.now()
    shown = single_version(version, world.origin, now=now, by_hash=by_hash, download_origin=download_origin)
    if Quirk.VERSION_FIELDS not in world.quirks:
        ends = version.gated_until(now)
        shown |= {
            "availability": AVAILABILITIES[0],
            "earlyAccessConfig": {"permanent": version.access_is_permanent} if ends else None,
            "earlyAccessEndsAt": site_time(ends) if ends else None,
        }
    return shown


async def _ids_by_hashes(request: Request, world: World, caller: Account | None) -> Response:
    index = await _index(world)
    return answer(
        [
            {"modelVersionId": file.version.id, "modelId": file.version.model.id, "hash": hash_}
            for hash_ in await _hashes(request, most=10_000)
            for file in index.get(hash_, ())
        ]
    )


async def _get_mini(request: Request, world: World, caller: Account | None) -> Response:
    id_ = path_number(request, "id")
    parameters = Parameters(request.query_params)
    file_id = parameters.number("modelFileId", 0, low=1) if "modelFileId" in parameters else None
    epoch = None
    if Quirk.MINI_EPOCH in world.quirks:
        parameters.unusable("epoch")
    else:
        epoch = parameters.optional_number("epoch")
    parameters.refuse_text()
    version = world.catalogue.version_by_id.get(id_)
    if version is None:
        refuse({"error": "Model not found"}, 404)
    file: ModelFile | None = version.primary_file
    if file_id is not None:
        file = next((file for file in version.files if file.id == file_id), None)
        if file is None:
            refuse({"error": f"Model file {file_id} not found in version {id_}"}, 404)
    assert file is not None  # noqa: S101 - tells the type checker
    download = f"{world.origin}/api/download/models/{id_}"
    if file_id is not None:
        download += f"?fileId={file_id}"
    if epoch is not None:
        if version.epoch(epoch) is None:
            refuse({"error": "Missing epoch"}, 404)
        download = f"{world.origin}/api/download/training/{id_}?epochNumber={epoch}"
    gated = version.gated_until(world.clock.now())
    shown: dict[str, Any] = {
        "air": version.air if file_id is None else f"{version.air}+{file_id}",
        "versionName": version.name,
        "modelName": version.model.name,
        "userId": version.model.creator.id,
        "baseModel": version.base_model,
        "availability": AVAILABILITIES[0],
        "publishedAt": site_time(version.published_at),
        "size": file.size_kb,
        "fileType": file.type,
        "fileName": file.name,
        "hashes": file.hashes,
        "downloadUrls": [download],
        "format": file.format,
        "canGenerate": version.supports_generation,
        "isFeatured": False,
        "requireAuth": version.requires_auth,
        "checkPermission": gated is not None,
        "additionalResourceCharge": False,
        "minor": False,
        "sfwOnly": False,
        "fees": [],
        "payoutEnabled": False,
    }
    if gated:
        shown |= {"earlyAccessEndsAt": site_time(gated), "freeTrialLimit": 0}
    return answer(shown)


async def _set_early_access(request: Request, world: World, caller: Account | None) -> Response:
    """Set or remove the paid access of one of the caller's own versions."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or isinstance(body.get("id"), bool) or not isinstance(body.get("id"), int):
        refuse({"error": "✖ Invalid input: expected number\n  → at id"}, 400)
    if not isinstance(body.get("rightsAffirmed"), bool):
        refuse({"error": "✖ Invalid input: expected boolean\n  → at rightsAffirmed"}, 400)
    access = body.get("paidAccess")
    if "paidAccess" not in body or not (access is None or isinstance(access, dict)):
        refuse({"error": "✖ Invalid input: expected object\n  → at paidAccess"}, 400)
    version = world.catalogue.version_by_id.get(body["id"])
    if version is None:
        refuse({"error": "Model version not found"}, 404)
    if caller is None or version.model.creator.id != caller.id:
        refuse({"error": "You do not have permission to change this version"}, 403)
    if access is None:
        world.catalogue.set_access(version, None, permanent=False)
    else:
        if not body["rightsAffirmed"]:
            refuse({"error": "You must affirm that you hold the rights"}, 400)
        until = _moment(access.get("endsAt")) or world.clock.now() + _DEFAULT_ACCESS
        world.catalogue.set_access(version, until, permanent=access.get("permanent") is True)
    world.rendered.clear()
    return answer({"id": version.id, "paidAccess": paid_access(version, world.clock.now())})


def _moment(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        return moment(text)
    except (TypeError, ValueError):
        refuse({"error": "✖ Invalid ISO datetime\n  → at paidAccess.endsAt"}, 400)


async def _hashes(request: Request, *, most: int) -> list[str]:
    def refuse_body(detail: str) -> NoReturn:
        refuse({"error": f"Request must include an array of SHA256 Hashes. {detail}"}, 400)

    try:
        content = await request.json()
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, list):
        refuse_body("✖ Invalid input: expected array")
    elif len(content) > most:
        refuse_body(f"✖ Too big: expected array to have <={most} items")
    elif not all(isinstance(hash_, str) and len(hash_) == _SHA256_LENGTH for hash_ in content):
        refuse_body("✖ Invalid input: expected a string of exactly 64 characters")
    return [hash_.upper() for hash_ in content]


async def _index(world: World) -> dict[str, list[ModelFile]]:
    # The first call reads every file of the catalogue: not in the thread that answers everybody else.
    return await asyncio.to_thread(lambda: world.catalogue.files_by_hash)


ROUTES = [
    public("/api/v1/model-versions/by-hash/ids", _ids_by_hashes),
    public("/api/v1/model-versions/by-hash", _by_hashes),
    public(
        "/api/v1/model-versions/by-hash/{hash}",
        _by_hash,
        cache="public, s-maxage=3600, stale-while-revalidate=1800",
    ),
    authenticated("/api/v1/model-versions/early-access", _set_early_access, verb="POST"),
    mixed("/api/v1/model-versions/mini/{id}", _get_mini),
    mixed("/api/v1/model-versions/{id}", _get_version),
]
