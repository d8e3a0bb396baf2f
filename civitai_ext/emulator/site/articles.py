"""`/articles`: the list, and single ones with their text."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse, refuse_message, site_time
from civitai_ext.emulator.catalogue import GalleryImage
from civitai_ext.emulator.community import Article
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.site.parameters import Parameters, next_page, path_number
from civitai_ext.emulator.site.rules import mixed, rationed
from civitai_ext.emulator.site.shapes import Json, avatar_key, avatar_url, image_url
from civitai_ext.emulator.vocabulary import ARTICLE_SORTS
from civitai_ext.emulator.world import World

_PUBLIC_LEVEL = 1
_EVERY_LEVEL = 31

_SORT_VALUES: dict[str, Callable[[Article], int]] = {
    "Most Bookmarks": lambda article: article.counts.get("collected", 0),
    "Most Collected": lambda article: article.counts.get("collected", 0),
    "Most Reactions": lambda article: article.counts.get("like", 0) + article.counts.get("heart", 0),
    "Most Comments": lambda article: article.counts.get("comment", 0),
    "Newest": lambda article: int(article.published_at.timestamp() * 1000),
    "Recently Updated": lambda article: int(article.updated_at.timestamp() * 1000),
}


async def _list_articles(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    limit = read.number("limit", 100, low=1, high=100)
    cursor = read.text("cursor", longest=100)
    query, username = (read.text("query") or "").lower(), read.text("username")
    tags = set(read.integers("tags") or ())
    value = _SORT_VALUES[read.choice("sort", ARTICLE_SORTS) or "Newest"]
    level = _EVERY_LEVEL if read.flag("nsfw") else _PUBLIC_LEVEL
    read.refuse_nested()
    if username and all(username != creator.username for creator in world.catalogue.creators):
        refuse_message("User not found", 404)

    found = [
        article
        for article in world.community.articles
        if article.level & level
        and query in article.title.lower()
        and (not tags or tags & {tag.id for tag in article.tags})
        and (username is None or article.creator.username == username)
    ]
    found.sort(key=lambda article: (value(article), article.id), reverse=True)
    if cursor is not None:
        first = _position(cursor)
        found = [article for article in found if (value(article), article.id) <= first]
    metadata: Json = {}
    if len(found) > limit:
        metadata["nextCursor"] = f"{value(found[limit])}|{found[limit].id}"
        changes = {"cursor": metadata["nextCursor"]}
        metadata["nextPage"] = next_page(world, request, changes)
    return answer({"items": [_shown(world, article) for article in found[:limit]], "metadata": metadata})


def _position(cursor: str) -> tuple[int, int]:
    """Read a cursor: the sort value and the id of the first article of the page."""
    try:
        value, id_ = cursor.split("|")
        return int(value), int(id_)
    except ValueError:
        refuse({"error": "Invalid cursor"}, 400)


async def _get_article(request: Request, world: World, caller: Account | None) -> Response:
    id_ = path_number(request, "id")
    article = world.community.article_by_id.get(id_)
    if article is None:
        refuse_message(f"No article with id {id_}", 404)
    shown = _shown(world, article)
    if "stats" in shown and Quirk.ARTICLE_COUNTS in world.quirks:
        shown["stats"] = {f"{name}AllTime": count for name, count in shown["stats"].items()}
    shown["user"]["isModerator"] = False
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": paragraph}]} for paragraph in article.paragraphs
    ]
    attachments = [
        {
            "id": file.id,
            "name": file.name,
            "url": f"{world.origin}/api/download/attachments/{file.id}",
            "sizeKB": len(file.content) / 1024,
            "metadata": {},
        }
        for file in article.attachments
    ]
    shown |= {
        "content": "".join(f"<p>{paragraph}</p>" for paragraph in article.paragraphs),
        "contentJson": {"type": "doc", "content": paragraphs},
        "contentImages": [],
        "attachments": attachments,
        "reactions": [],
        "ingestion": "Scanned",
        "lockedProperties": [],
        "metadata": None,
    }
    return answer(shown)


def _shown(world: World, article: Article) -> Json:
    """Show an article as an item of the list."""
    cover, creator = article.cover, article.creator
    bare = Quirk.BARE_IMAGE_KEYS in world.quirks
    shown: Json = {
        "id": article.id,
        "cover": cover.key,
        "coverId": cover.id,
        "title": article.title,
        "publishedAt": site_time(article.published_at),
        "nsfwLevel": article.level,
        "userNsfwLevel": 0,
        "userId": creator.id,
        "createdAt": site_time(article.published_at),
        "updatedAt": site_time(article.updated_at),
        "unlisted": False,
        "availability": "Public",
        "status": "Published",
        "tags": [{"id": tag.id, "name": tag.name, "isCategory": False} for tag in article.tags],
        "user": {
            "id": creator.id,
            "username": creator.username,
            "deletedAt": None,
            "image": avatar_key(creator) if bare else avatar_url(creator, world.origin),
            "profilePicture": None,
            "cosmetics": [],
        },
        "cosmetic": None,
    }
    if article.counts:
        shown["stats"] = {f"{name}Count": count for name, count in article.counts.items()}
    if cover.level & _PUBLIC_LEVEL:
        # Everywhere else images have URLs.
        shown["coverImage"] = _cover(cover, cover.key if bare else image_url(cover, world.origin))
    return shown


def _cover(image: GalleryImage, url: str) -> Json:
    return {
        "id": image.id,
        "url": url,
        "name": f"{image.id}.jpeg",
        "type": "image",
        "width": image.width,
        "height": image.height,
        "nsfwLevel": image.level,
    }


ROUTES = [
    mixed("/api/v1/articles", rationed("articles", _list_articles)),
    mixed("/api/v1/articles/{id}", rationed("articles", _get_article)),
]
