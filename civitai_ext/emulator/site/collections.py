"""`/collections`: the list, and single ones."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse
from civitai_ext.emulator.community import Collection
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.site.parameters import Parameters, next_page, path_number
from civitai_ext.emulator.site.rules import mixed, rationed
from civitai_ext.emulator.site.shapes import Json, thumbnail_url
from civitai_ext.emulator.vocabulary import COLLECTION_SORTS
from civitai_ext.emulator.world import World

_COVER_WIDTH = 450


async def _list_collections(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    limit = read.number("limit", 100, low=1, high=100)
    cursor = read.optional_number("cursor")
    query = (read.text("query", longest=100) or "").strip().lower()
    by_followers = read.choice("sort", COLLECTION_SORTS) == "Most Followers"
    level = 31 if read.flag("nsfw") else 1
    if cursor is not None and by_followers and Quirk.COLLECTIONS_CURSOR in world.quirks:
        message = "Cursor pagination is not supported with this sort"
        read.issues.append({"code": "custom", "path": ["cursor"], "message": message})
    read.refuse_nested()
    found = [
        collection
        for collection in world.community.collections
        if collection.read == "Public"
        and (collection.level is None or collection.level & level)
        and query in collection.name.lower()
    ]

    def place(collection: Collection) -> tuple[int, int]:
        return collection.followers if by_followers else 0, collection.id

    found.sort(key=place, reverse=True)
    if cursor is not None:
        start = world.community.collection_by_id.get(cursor)
        first = (0, cursor) if start is None else place(start)
        found = [collection for collection in found if place(collection) <= first]
    metadata: Json = {}
    if len(found) > limit:
        # For the order by followers too, where the next request is then refused.
        metadata["nextCursor"] = found[limit].id
        changes = {"cursor": found[limit].id}
        metadata["nextPage"] = next_page(world, request, changes)
    items = [_shown(collection, world.origin) | {"itemCount": collection.items} for collection in found[:limit]]
    return answer({"items": items, "metadata": metadata})


async def _get_collection(request: Request, world: World, caller: Account | None) -> Response:
    id_ = path_number(request, "id")
    collection = world.community.collection_by_id.get(id_)
    if collection is None or collection.read == "Private":
        refuse({"error": f"No collection with id {id_}"}, 404)
    tags = [{"id": tag.id, "name": tag.name} for tag in collection.tags]
    return answer(_shown(collection, world.origin) | {"tags": tags})


def _shown(collection: Collection, origin: str) -> Json:
    creator, cover = collection.creator, collection.cover
    return {
        "id": collection.id,
        "name": collection.name,
        "description": collection.description,
        "type": collection.type,
        "nsfwLevel": collection.level,
        "read": collection.read,
        "isPublic": collection.read == "Public",
        "coverImageUrl": thumbnail_url(cover, origin, _COVER_WIDTH) if cover else None,
        "user": {"id": creator and creator.id, "username": creator and creator.username},
    }


ROUTES = [
    mixed("/api/v1/collections", rationed("collections", _list_collections)),
    mixed("/api/v1/collections/{id}", rationed("collections", _get_collection)),
]
