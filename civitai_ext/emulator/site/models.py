"""`/models`: search, filters, cursors, detail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, answer_page, refuse, refuse_message, to_json
from civitai_ext.emulator.catalogue import AS_OF, Model, Version
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.site.parameters import Parameters, next_page, path_number, slug
from civitai_ext.emulator.site.rules import mixed, public
from civitai_ext.emulator.site.shapes import Json, detailed_model, listed_model
from civitai_ext.emulator.vocabulary import (
    AIR_TYPES,
    AVAILABILITIES,
    CHECKPOINT_TYPES,
    COLLECTION_ITEM_STATUSES,
    COMMERCIAL_USES,
    FILE_FORMATS,
    MODEL_SORTS,
    MODEL_STATUSES,
    PERIODS,
)
from civitai_ext.emulator.world import World

_UNUSABLE = (
    "browsingLevel", "allowNoCredit", "allowDerivatives", "allowDifferentLicense", "collectionId", "collectionTagId",
    "pending", "disablePoi", "disableMinor", "isFeatured", "poiOnly", "minorOnly", "excludedTagIds", "excludedUserIds",
    "excludedImageIds", "excludedModelIds",
)  # fmt: skip
_DEEPEST_PAGE = 1000
_SEARCH_DEFAULT = 20

_SORT_VALUES: dict[str, Callable[[Model], int]] = {
    "Highest Rated": lambda model: model.likes,
    "Most Liked": lambda model: model.likes,
    "Most Downloaded": lambda model: model.downloads,
    "Most Discussed": lambda model: model.comments,
    "Most Collected": lambda model: model.collected,
    "Most Images": lambda model: sum(len(version.images) for version in model.versions),
    "Newest": lambda model: int(model.published_at.timestamp() * 1000),
    # The sign turns the order round, so that every list runs from high to low.
    "Oldest": lambda model: -int(model.published_at.timestamp() * 1000),
}


class _Filters:
    """What a request to `/models` narrows the list to."""

    def __init__(self, parameters: Parameters, world: World, caller: Account | None) -> None:
        read, quirks, self.now = parameters, world.quirks, world.clock.now()
        commas = Quirk.MODELS_TYPES_COMMA not in quirks
        checkpoints = CHECKPOINT_TYPES + (() if Quirk.MODELS_CHECKPOINT_STANDARD in quirks else ("Standard",))
        says = read.present if Quirk.MODELS_YES_WORDS in quirks else read.flag
        self.ids = read.integers("ids")
        self.version_ids = read.integers("modelVersionIds")
        self.types = read.repeated("types", AIR_TYPES, commas=commas)
        self.base_models = read.repeated("baseModels")
        self.checkpoint_type = read.choice("checkpointType", checkpoints)
        self.commercial_uses = read.repeated("allowCommercialUse", COMMERCIAL_USES)
        self.formats = read.repeated("fileFormats", FILE_FORMATS, at_least=2)
        self.availability = read.choice("availability", AVAILABILITIES)
        self.nsfw = read.flag("nsfw") or False
        self.primary_only = read.flag("primaryFileOnly") or False
        favorites, hidden = read.flag("favorites"), read.flag("hidden")
        self.generates = says("supportsGeneration")
        self.from_platform = says("fromPlatform")
        self.early_access = says("earlyAccess")
        period = PERIODS[read.choice("period", PERIODS) or "AllTime"]
        self.since = AS_OF - timedelta(days=period) if period else None
        # Read for what they refuse; without effect for anybody but moderators.
        read.repeated("status", MODEL_STATUSES)
        read.repeated("collectionItemStatus", COLLECTION_ITEM_STATUSES, at_least=2)
        read.choice("periodMode", ("stats", "published"))
        read.flag("newCreators")
        read.number("rating", 0)
        read.unusable(*_UNUSABLE)
        read.refuse_nested()

        if Quirk.MODELS_FAVORITES_401 in quirks:
            personal = "favorites" in read or "hidden" in read
        else:
            personal = bool(favorites or hidden)
        if caller is None and personal:
            refuse({"error": "Unauthorized"}, 401)
        self.favourites = caller.favorites if caller and favorites else None
        self.hidden = caller.hidden if caller and hidden else None
        own = caller is not None and slug(read.text("username") or "") == slug(caller.username)
        if self.availability == "Private" and not own:
            refuse_message("You do not have access to private models", 401)
        known = {tag.name for tag in world.catalogue.tags}
        wanted = {name for name in (read.text("tag"), read.text("tagname")) if name}
        self.tags = wanted & known if Quirk.MODELS_UNKNOWN_TAG in quirks else wanted
        name = slug(read.text("username") or "") or read.text("user")
        self.creator = world.catalogue.creator(name) if name else None
        if name and self.creator is None:
            refuse_message("User not found", 404)

    def found_by_search(self, model: Model) -> bool:
        """Apply the few filters that a text search knows."""
        return (not self.types or model.type in self.types) and (self.nsfw or bool(model.level & 1))

    def accept(self, model: Model) -> bool:
        """Apply all filters."""
        listed = self.ids or self.version_ids or self.creator or model.availability == "Public"
        return bool(
            listed
            and self.found_by_search(model)
            and (not self.ids or model.id in self.ids)
            and (not self.tags or self.tags <= {tag.name for tag in model.tags})
            and (self.creator is None or model.creator is self.creator)
            and (self.checkpoint_type is None or model.checkpoint_type == self.checkpoint_type)
            and (not self.commercial_uses or set(self.commercial_uses) & set(model.commercial_use))
            and (self.availability is None or model.availability == self.availability)
            and (self.since is None or model.published_at >= self.since)
            and (self.favourites is None or model.id in self.favourites)
            and (self.hidden is None or model.id in self.hidden)
            and not self.from_platform  # nothing here was trained on the site
            and self.versions(model)
        )

    def versions(self, model: Model) -> list[Version]:
        """Choose the versions of a model to show."""
        return [
            version
            for version in model.versions
            if (not self.version_ids or version.id in self.version_ids)
            and (not self.base_models or version.base_model in self.base_models)
            and (not self.generates or version.supports_generation)
            and (not self.early_access or version.gated_until(self.now))
            and (not self.formats or any(file.format in self.formats for file in version.files))
        ]


async def _list_models(request: Request, world: World, caller: Account | None) -> Response:
    parameters = Parameters(request.query_params)
    limit = parameters.number("limit", 100, low=0, high=100)
    page = parameters.number("page", 1, low=1) if "page" in parameters else None
    query = parameters.text("query")
    cursor = parameters.text("cursor")
    sort = parameters.choice("sort", MODEL_SORTS) or "Highest Rated"
    filters = _Filters(parameters, world, caller)
    if query and page is not None and Quirk.MODELS_QUERY_PAGE in world.quirks:
        message = "Cannot use page param with query search. Use cursor-based pagination."
        refuse({"error": message}, 400)
    deep = page is not None and cursor is None and page * limit > _DEEPEST_PAGE
    if deep and Quirk.DEEP_PAGES_429 in world.quirks:
        refuse({"error": "You've requested too many pages, please use cursors instead"}, 429)

    if query:
        models, metadata = _search(world, filters, query, cursor, page, limit or _SEARCH_DEFAULT)
    else:
        models, metadata = _browse(world, filters, sort, cursor, page, limit or 1)
    changes = {}
    if "nextCursor" in metadata:
        changes["cursor"] = metadata["nextCursor"]
    elif metadata.pop("more", False):
        changes["page"] = metadata["currentPage"] + 1
    if changes:
        metadata["nextPage"] = next_page(world, request, changes)

    return answer_page((_item(world, filters, model) for model in models), metadata)


def _item(world: World, filters: _Filters, model: Model) -> bytes:
    """Show a model as an item of the list, or take the JSON from when it was shown before."""
    versions, level, now = filters.versions(model), None if filters.nsfw else 1, filters.now
    shown_versions = tuple((version.id, version.gated_until(now)) for version in versions)
    key = (model.id, model.mode, shown_versions, level, filters.primary_only)
    if key not in world.rendered:
        shown = listed_model(
            model, world.origin, now=now, versions=versions, level=level, primary_only=filters.primary_only
        )
        world.rendered[key] = to_json(shown)
    return world.rendered[key]


def _browse(
    world: World, filters: _Filters, sort: str, cursor: str | None, page: int | None, limit: int
) -> tuple[list[Model], Json]:
    """List by a sort order; the cursor holds the sort values of the first model of the next page."""
    value = _SORT_VALUES[sort]
    models = [model for model in [*world.catalogue.models, *world.catalogue.unlisted] if filters.accept(model)]
    models.sort(key=lambda model: (value(model), model.id), reverse=True)
    if cursor is not None:
        try:
            first = tuple(int(part) for part in cursor.split("|"))
        except ValueError:
            refuse({"error": "Invalid cursor"}, 400)
        models = [model for model in models if (value(model), model.id) <= first]
    elif page is not None:
        start = (page - 1) * limit
        metadata = {"currentPage": page, "pageSize": limit, "more": len(models) > start + limit}
        return models[start : start + limit], metadata
    if len(models) > limit:
        return models[:limit], {"nextCursor": f"{value(models[limit])}|{models[limit].id}"}
    return models, {}


def _search(
    world: World, filters: _Filters, query: str, cursor: str | None, page: int | None, limit: int
) -> tuple[list[Model], Json]:
    """Search by text: most filters come after the page is cut, so that a page can be short although more follow."""
    words = query.lower().split()
    hits = []
    for model in world.catalogue.models:
        text = " ".join([model.name, model.creator.username, *(tag.name for tag in model.tags)]).lower()
        if model.availability == "Public" and filters.found_by_search(model) and all(word in text for word in words):
            in_name = sum(word in model.name.lower() for word in words)
            hits.append((-in_name, -model.downloads, model.id, model))
    hits.sort(key=lambda hit: hit[:3])
    try:
        offset = int(cursor or ((page or 1) - 1) * limit)
    except ValueError:
        refuse({"error": "Invalid cursor"}, 400)
    if Quirk.MODELS_SEARCH_CUT not in world.quirks:
        hits = [hit for hit in hits if filters.accept(hit[3])]
    # What has been filtered before passes.
    found = [hit[3] for hit in hits[offset : offset + limit] if filters.accept(hit[3])]
    return found, {"nextCursor": str(offset + limit)} if len(hits) > offset + limit else {}


async def _get_model(request: Request, world: World, caller: Account | None) -> Response:
    id_ = path_number(request, "id")
    model = world.catalogue.model_by_id.get(id_)
    if model is None:
        refuse({"error": f"No model with id {id_}"}, 404)
    return answer(
        detailed_model(model, world.origin, now=world.clock.now(), complete=Quirk.MODEL_DETAIL not in world.quirks)
    )


ROUTES = [
    mixed("/api/v1/models", _list_models),
    public("/api/v1/models/{id}", _get_model),
]
