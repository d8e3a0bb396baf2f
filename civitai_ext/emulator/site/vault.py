"""`/vault`: what a member keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, failed, refuse, site_time
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.site.parameters import Parameters
from civitai_ext.emulator.site.rules import authenticated
from civitai_ext.emulator.site.shapes import Json, thumbnail_url
from civitai_ext.emulator.vaults import VaultError, VaultItem
from civitai_ext.emulator.vocabulary import AIR_TYPES, BASE_MODELS, VAULT_SORTS
from civitai_ext.emulator.world import World

_COVER_WIDTH = 450
_DATES = ("dateCreatedFrom", "dateCreatedTo", "dateAddedFrom", "dateAddedTo")

# Sorted by the value, high values first; names are turned round after that.
_SORT_VALUES: dict[str, Callable[[VaultItem], Any]] = {
    "Recently Added": lambda item: (item.added_at, item.id),
    "Recently Created": lambda item: (item.version.published_at, item.id),
    "Model Name": lambda item: (item.version.model.name, item.id),
    "Model Size": lambda item: (item.model_kb, item.id),
}


async def _get_vault(request: Request, world: World, caller: Account | None) -> Response:
    account = _member(caller)
    vault = world.vaults.of(account)
    if vault is None:
        return answer({"vault": None})
    shown = {
        "userId": vault.owner,
        "storageKb": world.vaults.quota_kb(account),
        "usedStorageKb": vault.used_kb,
        "meta": {},
        "updatedAt": site_time(vault.updated_at),
    }
    return answer({"vault": shown})


async def _list_items(request: Request, world: World, caller: Account | None) -> Response:
    account = _member(caller)
    read = Parameters(request.query_params)
    limit = read.number("limit", 60, low=1, high=200)
    page = max(1, read.number("page", 1, low=0))
    query = (read.text("query") or "").lower()
    sort = read.choice("sort", VAULT_SORTS) or "Recently Added"
    broken = Quirk.VAULT_FILTERS in world.quirks

    def chosen(name: str, values: Collection[str] | None = None) -> list[str]:
        return read.repeated(name, values, at_least=2 if broken else 1, commas=not broken)

    types, categories = chosen("types", AIR_TYPES), chosen("categories")
    base_models = chosen("baseModels", [base.name for base in BASE_MODELS])
    if broken:
        read.unusable(*_DATES)
    created_from, created_to, added_from, added_to = [None] * 4 if broken else [read.moment(name) for name in _DATES]
    refuse_mistakes(world, read)

    vault = world.vaults.of(account) if account.tier else None
    found = [
        item
        for item in (vault.items.values() if vault else ())
        if any(query in text.lower() for text in (item.version.model.name, item.version.model.creator.username))
        and (not types or item.version.model.type in types)
        and (not categories or item.category in categories)
        and (not base_models or item.version.base_model in base_models)
        and (created_from is None or item.version.published_at >= created_from)
        and (created_to is None or item.version.published_at <= created_to)
        and (added_from is None or item.added_at >= added_from)
        and (added_to is None or item.added_at <= added_to)
    ]
    found.sort(key=_SORT_VALUES[sort], reverse=sort != "Model Name")
    items = [_with_cover(item, world) for item in found[(page - 1) * limit : page * limit]]
    pages = -(-len(found) // limit)
    return answer(
        {"items": items, "totalItems": len(found), "currentPage": page, "pageSize": limit, "totalPages": pages}
    )


async def _check(request: Request, world: World, caller: Account | None) -> Response:
    vault = world.vaults.of(_member(caller))
    read = Parameters(request.query_params)
    ids = read.integers("modelVersionIds") or []
    if read.issues:
        refuse({"error": "Could not parse provided model versions array."}, 400)
    kept = vault.items if vault else {}
    return answer(
        [{"modelVersionId": id_, "vaultItem": _row(kept[id_], world) if id_ in kept else None} for id_ in ids]
    )


async def _toggle(request: Request, world: World, caller: Account | None) -> Response:
    account = _member(caller)
    read = Parameters(QueryParams({"id": request.query_params.get("modelVersionId", "?")}))
    id_ = read.number("id", 0)
    if read.issues:
        refuse({"error": "Could not parse provided model version"}, 400)
    vault = world.vaults.of(account)
    kept = vault.items.get(id_) if vault else None
    # What is kept may have been deleted since.
    version = kept.version if kept else world.catalogue.version_by_id.get(id_)
    try:
        if version is None:
            raise VaultError(f"No model version with id {id_}")
        item = world.vaults.toggle(account, version)
    except VaultError as error:
        if Quirk.TOGGLE_500 in world.quirks:
            failed({"name": "TRPCError", "code": "BAD_REQUEST", "message": str(error)})
        refuse({"error": str(error)}, 400)
    if item is None:
        return answer({"success": True})
    return answer({"success": True, "vaultId": item.id if Quirk.TOGGLE_VAULT_ID in world.quirks else item.vault_id})


def refuse_mistakes(world: World, read: Parameters) -> None:
    """Answer if something is wrong with the parameters of a request about the vault: it is taken for a failure."""
    if Quirk.VAULT_500 in world.quirks:
        read.refuse_as_failure()
    read.refuse_nested()


def _with_cover(item: VaultItem, world: World) -> Json:
    cover = next(iter(item.version.images), None)
    return _row(item, world) | {"coverImageUrl": thumbnail_url(cover, world.origin, _COVER_WIDTH) if cover else None}


def _row(item: VaultItem, world: World) -> Json:
    version, model = item.version, item.version.model
    status = world.vaults.status(item)
    files = [
        {
            "id": file.id,
            "sizeKB": file.size_kb,
            "url": f"{world.origin}/api/download/vault/{item.id}?type=model&fileId={file.id}",
            "displayName": file.name,
        }
        for file in version.files
    ]
    return {
        "id": item.id,
        "vaultId": item.vault_id,
        "status": status,
        "files": files,
        "modelVersionId": version.id,
        "modelId": model.id,
        "modelName": model.name,
        "versionName": version.name,
        "creatorId": model.creator.id,
        "creatorName": model.creator.username,
        "type": model.type,
        "baseModel": version.base_model,
        "category": item.category,
        "createdAt": site_time(version.published_at),
        "addedAt": site_time(item.added_at),
        "refreshedAt": None,
        "modelSizeKb": item.model_kb,
        "detailsSizeKb": item.details_kb,
        "imagesSizeKb": item.images_kb,
        "notes": None,
        "meta": {} if status == "Stored" else {"processingStartedAt": site_time(item.added_at)},
    }


def _member(caller: Account | None) -> Account:
    assert caller is not None  # noqa: S101 - the routes are for known callers only
    return caller


ROUTES = [
    authenticated("/api/v1/vault/get", _get_vault),
    authenticated("/api/v1/vault/all", _list_items),
    authenticated("/api/v1/vault/check-vault", _check),
    authenticated("/api/v1/vault/toggle-version", _toggle, verb="POST"),
]
