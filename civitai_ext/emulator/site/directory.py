"""`/apps`, `/bugs` and `/content`: what stands beside the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, refuse, refuse_message, site_time
from civitai_ext.emulator.directory import CLOSED, TEXTS, App, Bug
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.reading import whole_number
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.site.parameters import Parameters, next_page
from civitai_ext.emulator.site.rules import Handler, mixed, public, ration
from civitai_ext.emulator.site.shapes import Json, avatar_url
from civitai_ext.emulator.vocabulary import APP_CATEGORIES, APP_KINDS, APP_SORTS
from civitai_ext.emulator.world import World

_APPS_A_MINUTE = 60
_BUGS_DEFAULT, _BUGS_AT_MOST = 30, 200

_APP_ORDERS: dict[str, Callable[[App], Any]] = {
    "top-rated": lambda app: (-(app.share or 0), -app.recommended, app.number),
    "popular": lambda app: (-app.users, app.number),
    "newest": lambda app: (-app.published_at.timestamp(), app.number),
    "name": lambda app: app.name,
}


def _rationed(handler: Handler) -> Handler:
    """Let a caller through so many times a minute; the answer to more differs from that of other families."""

    async def endpoint(request: Request, world: World, caller: Account | None) -> Response:
        most = _APPS_A_MINUTE
        if wait := ration(request, world, "apps", caller, anonymous=most, known=most):
            message = "Too many requests, please try again later."
            told = {"message": message, "retryAfterSeconds": wait, "limit": most, "windowSeconds": 60}
            return answer(told, 429, {"Retry-After": str(wait), "Cache-Control": "no-store"})
        return await handler(request, world, caller)

    return endpoint


async def _list_apps(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(request.query_params)
    kind = read.choice("kind", APP_KINDS) or "all"
    category = read.choice("category", APP_CATEGORIES)
    order = _APP_ORDERS[read.choice("sort", APP_SORTS) or "top-rated"]
    cursor = read.text("cursor", longest=128)
    limit = read.number("limit", 20, low=1, high=50)
    if read.issues:
        fields: dict[str, list[str]] = {}
        for issue in read.issues:
            fields.setdefault(str(issue["path"][0]), []).append(issue["message"])
        refuse({"error": {"formErrors": [], "fieldErrors": fields}}, 400)
    apps = [
        app
        for app in world.directory.apps
        if (kind == "all" or app.onsite == (kind == "onsite")) and (category is None or app.category == category)
    ]
    apps.sort(key=order)
    start = next((place for place, app in enumerate(apps) if app.slug == cursor), len(apps)) if cursor else 0
    metadata: Json = {}
    if len(apps) > start + limit:
        metadata["nextCursor"] = apps[start + limit].slug
        changes = {"cursor": metadata["nextCursor"]}
        metadata["nextPage"] = next_page(world, request, changes)
    items = [_card(app, world.origin) for app in apps[start : start + limit]]
    return answer({"items": items, "metadata": metadata})


async def _get_app(request: Request, world: World, caller: Account | None) -> Response:
    app = world.directory.app_by_slug.get(request.path_params["slug"])
    if app is None:
        refuse({"error": "App not found"}, 404)
    shown = _card(app, world.origin) | {
        "serialId": app.number,
        "description": f"{app.name}, as far as an emulator has such a thing.",
        "screenshots": [{"url": avatar_url(app.creator, world.origin), "caption": app.name}],
    }
    if not app.onsite:
        shown["connectClientId"] = f"client-{app.number}" if app.number % 2 else None
    return answer(shown)


def _card(app: App, origin: str) -> Json:
    if app.onsite:
        kind: Json = {"kind": "onsite", "appBlockId": f"block-{app.number}", "hasPage": True, "liveUrl": None}
    else:
        link = "connect" if app.number % 2 else "external-link"
        kind = {"kind": "offsite", "subKind": link, "externalUrl": f"https://example.com/{app.slug}"}
    creator = app.creator
    return {
        "id": f"app-{app.number}",
        "slug": app.slug,
        "kind": kind["kind"],
        "name": app.name,
        "tagline": f"{app.name} for everybody",
        "category": app.category,
        "contentRating": "g",
        "iconUrl": avatar_url(creator, origin),
        "coverUrl": None,
        "creator": {"id": creator.id, "username": creator.username, "image": avatar_url(creator, origin)},
        "recommend": {
            "recommendedCount": app.recommended,
            "notRecommendedCount": app.not_recommended,
            "recommendPct": app.share,
        },
        "reviewCount": app.recommended + app.not_recommended,
        "kindData": kind,
    }


async def _list_bugs(request: Request, world: World, caller: Account | None) -> Response:
    query = request.query_params
    limit = _number(query, "limit", low=1, high=_BUGS_AT_MOST, default=_BUGS_DEFAULT)
    start = _number(query, "cursor", low=0, high=2**31, default=0)
    statuses, tags = _words(query, "statuses"), _words(query, "tags")
    search = query.get("search", "").lower()
    closed = query.get("includeClosed") == "true"
    bugs = [
        bug
        for bug in world.directory.bugs
        if (closed or bug.status in statuses or bug.status not in CLOSED)
        and (not statuses or bug.status in statuses)
        and (not tags or tags & set(bug.tags))
        and search in bug.title.lower()
    ]
    metadata = {"nextCursor": start + limit} if len(bugs) > start + limit else {}
    return answer({"items": [_bug(bug) for bug in bugs[start : start + limit]], "metadata": metadata})


async def _get_bug(request: Request, world: World, caller: Account | None) -> Response:
    if request.method not in ("GET", "HEAD"):
        refuse_message("Method not allowed", 405)
    id_ = whole_number(request.path_params["id"])
    if id_ is None:
        refuse_message("Invalid id", 400)
    bug = world.directory.bug_by_id.get(id_)
    if bug is None:
        refuse_message("Bug not found", 404)
    return answer(_bug(bug))


def _bug(bug: Bug) -> Json:
    return {
        "id": bug.id,
        "title": bug.title,
        "summary": f"{bug.title}.",
        "content": f"<p>{bug.title}.</p>",
        "status": bug.status,
        "clickupUrl": None,
        "firstSeenAt": site_time(bug.seen_at),
        "resolvedAt": site_time(bug.resolved_at) if bug.resolved_at else None,
        "publishedAt": site_time(bug.seen_at),
        "createdAt": site_time(bug.seen_at),
        "updatedAt": site_time(bug.resolved_at or bug.seen_at),
        "disabled": False,
        "domain": bug.domains,
        "tags": bug.tags,
        "reportCount": bug.reports,
    }


def _number(query: Mapping[str, str], name: str, *, low: int, high: int, default: int) -> int:
    """Read a number; one that is none or out of bounds counts as absent."""
    value = whole_number(query.get(name, ""))
    return default if value is None or not low <= value <= high else value


def _words(query: QueryParams, name: str) -> set[str]:
    return {word for text in query.getlist(name) for word in text.split(",") if word}


async def _get_content(request: Request, world: World, caller: Account | None) -> Response:
    slug = request.path_params["slug"]
    text = TEXTS.get(slug)
    if text is None:
        refuse({"error": "Failed to load the content"}, 500 if Quirk.CONTENT_500 in world.quirks else 404)
    shown = {"title": text.title, "description": text.description, "content": text.content}
    if text.changed:
        shown["lastmod"] = text.changed
    return answer(shown | {"hash": hashlib.sha256(text.content.encode()).hexdigest()})


ROUTES = [
    mixed("/api/v1/apps", _rationed(_list_apps)),
    mixed("/api/v1/apps/{slug}", _rationed(_get_app)),
    public("/api/v1/bugs", _list_bugs),
    public("/api/v1/bugs/{id}", _get_bug),
    public(f"/api/v1/content/{{slug:{REST}}}", _get_content),
]
