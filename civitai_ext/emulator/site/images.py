"""`/images`, and the image files themselves, in the manner of the image CDN."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse
from civitai_ext.emulator.catalogue import AS_OF, GalleryImage
from civitai_ext.emulator.drawing import Picture, Resized, Source, rendered
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.ranges import file_answer
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.site.parameters import Parameters, next_page, slug
from civitai_ext.emulator.site.rules import public
from civitai_ext.emulator.site.shapes import listed_image
from civitai_ext.emulator.vocabulary import BASE_MODELS, IMAGE_SORTS, NSFW_LABELS, PERIODS
from civitai_ext.emulator.world import World

_DEEPEST_PAGE = 1000
_WIDEST = 1800
_NSFW_MASK = 60
_MEDIA_CACHE = "public, max-age=31536000, immutable"

_SORT_VALUES: dict[str, Callable[[GalleryImage], float]] = {
    "Most Reactions": lambda image: image.likes + image.hearts,
    "Most Comments": lambda image: image.comments,
    "Most Collected": lambda image: image.hearts,
    "Newest": lambda image: image.created_at.timestamp(),
    "Oldest": lambda image: -image.created_at.timestamp(),
    "Random": lambda image: image.id * 2_654_435_761 % 2**32,
}


async def _list_images(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    quirks = world.quirks
    limit = read.number("limit", 100 if Quirk.IMAGES_LIMIT in quirks else 50, low=0, high=200)
    page = read.number("page", 1, low=1) if "page" in read else None
    cursor = read.text("cursor")
    model_id, version_id = read.optional_number("modelId"), read.optional_number("modelVersionId")
    image_id, post_id = read.optional_number("imageId"), read.optional_number("postId")
    user_id, username = read.optional_number("userId"), read.text("username")
    sort = read.choice("sort", IMAGE_SORTS) or "Most Reactions"
    period = PERIODS[read.choice("period", PERIODS) or "AllTime"]
    tags, base_models = read.integers("tags"), _listed(read, "baseModels", [base.name for base in BASE_MODELS])
    kind = read.choice("type", ("image", "video", "audio"))
    with_meta, requiring_meta = read.flag("withMeta") or False, read.flag("requiringMeta") or False
    flat_meta, with_tags = read.flag("flatMeta"), read.flag("withTags") or False
    level = read.number("browsingLevel", 1) if "browsingLevel" in read else _level(read)
    if username and Quirk.IMAGES_USERNAME not in quirks:
        username = slug(username)
    elif username and not re.fullmatch(r"[A-Za-z0-9_]*", username):
        message = "Invalid string: must match pattern /^[A-Za-z0-9_]*$/"
        read.issues.append({"code": "invalid_format", "format": "regex", "path": ["username"], "message": message})
    read.refuse_nested()
    from_database = Quirk.IMAGES_BY_MODEL in quirks and (
        image_id is not None or (model_id is not None and version_id is None)
    )
    if from_database and sort == "Random":
        refuse({"error": "Random sort requires a collection", "code": "BAD_REQUEST"}, 400)
    deep = page is not None and cursor is None and page * limit > _DEEPEST_PAGE
    if deep and Quirk.DEEP_PAGES_429 in quirks:
        refuse({"error": "You've requested too many pages, please use cursors instead"}, 429)

    since = AS_OF - timedelta(days=period) if period else None
    images = [
        image
        for image in world.catalogue.image_by_id.values()
        if image.level & level
        and (image_id is None or image.id == image_id)
        and (post_id is None or image.post_id == post_id)
        and (model_id is None or image.version.model.id == model_id)
        and (version_id is None or image.version.id == version_id)
        and (user_id is None or image.version.model.creator.id == user_id)
        and (username is None or image.version.model.creator.username.lower() == username.lower())
        and (not base_models or image.version.base_model in base_models)
        and (not tags or set(tags) <= {tag.id for tag in image.tags})
        and (not requiring_meta or image.has_meta)
        and (since is None or image.created_at >= since)
        and kind in (None, "image")
    ]
    if from_database and sort != "Oldest":
        sort = "Newest"  # the database knows no order by reactions
    images.sort(key=lambda image: (_SORT_VALUES[sort](image), image.id), reverse=True)

    start = 0
    if cursor is not None:
        try:
            start = int(cursor.split("|")[0])
        except ValueError:
            refuse({"error": "Invalid cursor", "code": "BAD_REQUEST"}, 400)
    elif page is not None:
        start = (page - 1) * limit
    end = start + limit
    metadata: dict[str, object] = {}
    changes: dict[str, object] = {}
    if page is not None and cursor is None:
        metadata |= {"currentPage": page, "pageSize": limit}
    if limit and len(images) > end:
        if page is not None and cursor is None:
            changes["page"] = page + 1
        else:
            metadata["nextCursor"] = changes["cursor"] = f"{end}|{int(AS_OF.timestamp() * 1000)}"
        metadata["nextPage"] = next_page(world, request, changes)

    nested = from_database if flat_meta is None else not flat_meta
    items = []
    for image in images[start:end]:
        item = listed_image(image, world.origin)
        if with_meta:
            item["meta"] = {"id": image.id, "meta": image.meta} if nested else image.meta
        if with_tags:
            item["tags"] = [{"id": tag.id, "name": tag.name} for tag in image.tags]
        items.append(item)
    return answer({"items": items, "metadata": metadata})


def _listed(read: Parameters, name: str, values: list[str]) -> list[str]:
    """Read values that are repeated or separated by commas."""
    texts = [part for text in read.repeated(name) for part in text.split(",")]
    if unknown := [text for text in texts if text not in values]:
        message = f"Invalid option: {unknown[0]}"
        read.issues.append({"code": "invalid_value", "values": values, "path": [name], "message": message})
    return texts


def _level(read: Parameters) -> int:
    """Read `nsfw`: a label that names a mask, or yes or no."""
    text = read.text("nsfw")
    if text in NSFW_LABELS:
        return NSFW_LABELS[text]
    return _NSFW_MASK if read.flag("nsfw") else 1


async def _media(request: Request) -> Response:
    """Serve an image, made smaller when the path asks for a width; uploads come as they are."""
    world = World.of(request)
    image = world.catalogue.image_by_key.get(request.path_params["key"])
    if upload := world.uploads.objects.get(request.path_params["key"]):
        return file_answer(request, upload.content, upload.media_type, cache=_MEDIA_CACHE)
    if image is None:
        return PlainTextResponse("Not Found", 404)
    source: Source = image.picture
    options = dict(part.partition("=")[::2] for part in request.path_params["options"].split(","))
    wanted = whole_number(options.get("width", ""))
    if options.get("original") != "true" and wanted is not None:
        width = min(max(wanted, 1), _WIDEST)
        source = Resized(source, width, max(1, image.height * width // image.width), format="jpeg")
    content = await asyncio.to_thread(rendered, source)
    return file_answer(request, content, "image/jpeg", cache=_MEDIA_CACHE)


async def _avatar(request: Request) -> Response:
    """Serve the picture of a user: the first letter of the name."""
    id_ = request.path_params["id"]
    creator = next((creator for creator in World.of(request).catalogue.creators if creator.id == id_), None)
    if creator is None:
        return PlainTextResponse("Not Found", 404)
    picture = Picture(96, 96, creator.id, creator.username[0].upper(), "", "")
    return file_answer(request, await asyncio.to_thread(rendered, picture), "image/png", cache=_MEDIA_CACHE)


ROUTES = [
    public("/api/v1/images", _list_images),
    Route("/media/avatars/{id:int}.png", _avatar),
    Route("/media/{key}/{options}/{name}", _media),
]
