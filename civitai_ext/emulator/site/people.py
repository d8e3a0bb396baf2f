"""`/creators`, `/users`, `/me`, `/tags` and `/enums`."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse
from civitai_ext.emulator.catalogue import Creator
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.scopes import USER_READ
from civitai_ext.emulator.site.parameters import Parameters, next_page
from civitai_ext.emulator.site.rules import authenticated, public
from civitai_ext.emulator.site.shapes import avatar_key, avatar_url
from civitai_ext.emulator.vocabulary import AIR_TYPES, BASE_MODEL_TYPES, BASE_MODELS, FILE_TYPES, TAG_SORTS
from civitai_ext.emulator.world import World


async def _list_creators(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    limit = read.number("limit", 20, low=1, high=200)
    page = max(1, read.number("page", 1, low=0))
    query = (read.text("query") or "").lower()
    read.refuse_list()
    creators = [creator for creator in world.catalogue.creators if query in creator.username.lower()]
    if Quirk.CREATORS_ORDER not in world.quirks:
        creators.sort(key=lambda creator: creator.username.lower())
    total = len(creators)
    by_page = bool(query) and Quirk.CREATORS_TOTALS in world.quirks
    if by_page:
        # A search counts only as far as it has looked: up to this page, and whether there is one more.
        total = min(total, page * limit + 1)
    pages = -(-total // limit)
    metadata: dict[str, object] = {
        "totalItems": total,
        "currentPage": page,
        "pageSize": limit,
        "totalPages": pages,
    }
    if by_page:
        metadata["hasMore"] = page < pages
    for name, number in (("nextPage", page + 1), ("prevPage", page - 1)):
        if 1 <= number <= pages:
            metadata[name] = next_page(world, request, {"page": number})
    items = []
    for creator in creators[(page - 1) * limit : page * limit]:
        item: dict[str, object] = {"username": creator.username}
        if creator.models:
            item["modelCount"] = len(creator.models)
        item["link"] = f"{world.origin}/api/v1/models?username={creator.username}"
        item["image"] = avatar_url(creator, world.origin)
        items.append(item)
    return answer({"items": items, "metadata": metadata})


async def _list_users(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    limit = read.number("limit", 5)
    ids = read.integers("ids")
    query = (read.text("query") or "").lower()
    read.unusable("email")
    read.refuse_flat()
    if ids is not None:
        limit = len(ids)
    found = [
        creator
        for creator in world.catalogue.creators
        if (ids is None or creator.id in ids) and query in creator.username.lower()
    ]
    items = [
        {
            "id": creator.id,
            "username": creator.username,
            "avatarUrl": _avatar(world, creator),
            "avatarNsfw": 1,
            "meta": None,
        }
        for creator in found[:limit]
    ]
    return answer({"items": items})


def _avatar(world: World, creator: Creator) -> str:
    """Show the picture of a user, here now by its URL and now by its bare key at the image CDN."""
    bare = Quirk.BARE_IMAGE_KEYS in world.quirks and creator.id % 3 == 0
    return avatar_key(creator) if bare else avatar_url(creator, world.origin)


async def _me(request: Request, world: World, caller: Account | None) -> Response:
    credential = world.accounts.credential_of(request, query=True)
    if credential is None:
        refuse({"error": "Unauthorized"}, 401)
    caller = credential.account
    shown: dict[str, object] = {
        "id": caller.id,
        "username": caller.username,
        **({"tier": caller.tier or "free"} if caller.tier or Quirk.ME_TIER not in world.quirks else {}),
        "status": "active",
        "isMember": caller.tier is not None,
        "subscriptions": ["yellow"] if caller.tier else [],
    }
    if credential.scope & USER_READ:
        shown |= {"email": caller.email, "emailVerified": "2026-01-01T00:00:00.000Z"}
    shown |= {
        "tokenScope": credential.scope,
        "buzzLimit": [limit.shown for limit in credential.purse.limits] or None,
        "subject": {"type": credential.subject.type, "id": credential.subject.id},
    }
    return answer(shown)


async def _list_tags(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    limit = read.number("limit", 20, low=1, high=200)
    page = read.number("page", 1, low=1)
    query = read.text("query") or ""
    read.choice("sort", TAG_SORTS)
    read.refuse_list()
    uses = {tag.name: 0 for tag in world.catalogue.tags}
    for model in world.catalogue.models:
        for tag in model.tags:
            uses[tag.name] += 1
    names = sorted((name for name in uses if name.startswith(query)), key=lambda name: (-uses[name], name))
    items = [
        {"name": name, "link": f"{world.origin}/api/v1/models?tag={quote(name)}"}
        for name in names[(page - 1) * limit : page * limit]
    ]
    # The totals are always these: a caller pages on until a page is empty.
    metadata: dict[str, object] = {"totalItems": 0, "currentPage": page, "pageSize": limit, "totalPages": 1}
    if Quirk.TAGS_TOTALS not in world.quirks:
        metadata |= {"totalItems": len(names), "totalPages": -(-len(names) // limit)}
        if page * limit < len(names):
            metadata["nextPage"] = next_page(world, request, {"page": page + 1})
    return answer({"items": items, "metadata": metadata})


async def _enums(request: Request) -> Response:
    return answer(
        {
            "ModelType": list(AIR_TYPES),
            "ModelFileType": list(FILE_TYPES),
            "ActiveBaseModel": [base.name for base in BASE_MODELS if base.active],
            "BaseModel": [base.name for base in BASE_MODELS],
            "BaseModelType": list(BASE_MODEL_TYPES),
        }
    )


ROUTES = [
    public("/api/v1/creators", _list_creators),
    public("/api/v1/users", _list_users),
    authenticated("/api/v1/me", _me),
    public("/api/v1/tags", _list_tags),
    Route("/api/v1/enums", _enums, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
]
