"""Models of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Unpack, cast

from civitai_api.site.api.models import get_model, list_models
from civitai_api.site.models import (
    Availability,
    BaseModel,
    CheckpointType,
    CommercialUse,
    ModelFileFormat,
    ModelSort,
    ModelType,
    Period,
    PeriodMode,
)
from civitai_ext._async.pager import AsyncPager, Page
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._filters import (
    a_number,
    a_text,
    as_a_list,
    items_of,
    next_of,
    numbers,
    one_of,
    part_after,
    part_at,
    parts_of,
    several,
    switches,
)
from civitai_ext._options import CallOptions, checked_options
from civitai_ext.catalogue import Model
from civitai_ext.errors import InvalidRequest

__all__ = ["AsyncModels"]

_LARGEST_PAGE = 100
_MOST_IDS = 100
_SLUG = re.compile(r"[A-Za-z0-9_ ]")


class AsyncModels:
    """Models: `civitai.models`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, id: int, **options: Unpack[CallOptions]) -> Model:
        """Give a model with its versions, whatever its content level.

        Args:
            id: The model.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no model with this id, or it is not published.
            InvalidRequest: No model can have such an id.
        """
        return cast(Model, await self._transport.call(get_model.request(id=a_number(id)), **options))

    def list(
        self,
        *,
        query: str | None = None,
        ids: Sequence[int] | int | None = None,
        model_version_ids: Sequence[int] | int | None = None,
        tag: str | None = None,
        username: str | None = None,
        types: Sequence[ModelType] | ModelType | None = None,
        base_models: Sequence[BaseModel] | BaseModel | None = None,
        checkpoint_type: CheckpointType | None = None,
        sort: ModelSort | None = None,
        period: Period | None = None,
        period_mode: PeriodMode | None = None,
        nsfw: bool = False,
        primary_file_only: bool = False,
        favorites: bool = False,
        hidden: bool = False,
        new_creators: bool = False,
        supports_generation: bool = False,
        from_platform: bool = False,
        early_access: bool = False,
        followed: bool = False,
        archived: bool = False,
        allow_commercial_use: Sequence[CommercialUse] | CommercialUse | None = None,
        availability: Availability | None = None,
        file_formats: Sequence[ModelFileFormat] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPager[Model]:
        """List the published models that fit every filter.

        Any number of ids can be given. They are asked for a hundred at a time, and come hundred by hundred, each in the
        order of `sort`.

        Args:
            query: Words to search for. Hits come by relevance: `sort` has no effect then. Other filters than `types`
                and `nsfw` are applied to the hits of each page, so that pages can be short.
            ids: Only these models.
            model_version_ids: Only the models of these versions.
            tag: Only models with the tag of exactly this name; the service ignores a name that no tag has.
            username: Only models of this creator. The service makes the first space an underscore, drops every other
                character but letters, digits and underscores, and ignores case.
            types: Only models of these types, such as `LORA`.
            base_models: Only models with a version for one of these, such as `SDXL 1.0`; other versions are left out.
            checkpoint_type: Only checkpoints that were `Trained`, or that are a `Merge`.
            sort: The order; the service's default is `Highest Rated`, which `Most Liked` is another name for.
            period: How far back to look; the service's default is `AllTime`.
            period_mode: Whether `period` is about the publication (`published`) or the statistics (`stats`).
            nsfw: Whether to list all content levels. If not, only models and images of level PG are there, with a token
                too. There is nothing in between: choose from `model.nsfw_level` by `civitai_ext.levels`.
            primary_file_only: Whether to leave out all files but the primary one of each version.
            favorites: Only the caller's favourites; needs a token.
            hidden: Only models that the caller has hidden; needs a token.
            new_creators: Only models of new creators.
            supports_generation: Only versions that the services can generate with.
            from_platform: Only models that were trained on the platform.
            early_access: Only models in early access.
            followed: Only models of creators that the caller follows; needs a token.
            archived: Ask for archived models.
            allow_commercial_use: Only models that permit one of these uses.
            availability: Only models of this availability; `Private` needs a token and your own `username`.
            file_formats: Only models with a file in one of these formats, such as `GGUF`.
            limit: How many models to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
            NotFound: While listing: nobody has the name `username`.
        """
        checked_options(options)
        for name, asked in (("favorites", favorites), ("hidden", hidden), ("followed", followed)):
            if asked and self._transport.config.is_anonymous:
                raise InvalidRequest(
                    f"{name}=True is about the caller, and there is no token", hint="Set CIVITAI_TOKEN."
                )
        if availability == "Private" and (username is None or self._transport.config.is_anonymous):
            raise InvalidRequest("availability is 'Private', which needs a token and your own `username`")
        if a_text("username", username) is not None and not _SLUG.search(username or ""):
            raise InvalidRequest(f"username is {username!r}, of which the service would keep nothing")
        filters: dict[str, Any] = {
            "query": a_text("query", query),
            "tag": a_text("tag", tag),
            "username": username,
            "types": several("types", types, ModelType),
            "base_models": several("base_models", base_models, BaseModel),
            "checkpoint_type": one_of("checkpoint_type", checkpoint_type, CheckpointType),
            "sort": one_of("sort", sort, ModelSort),
            "period": one_of("period", period, Period),
            "period_mode": one_of("period_mode", period_mode, PeriodMode),
            "allow_commercial_use": several("allow_commercial_use", allow_commercial_use, CommercialUse),
            "availability": one_of("availability", availability, Availability),
            "file_formats": as_a_list("file_formats", file_formats, ModelFileFormat),
        }
        filters |= switches(
            nsfw=nsfw,
            primary_file_only=primary_file_only,
            favorites=favorites,
            hidden=hidden,
            new_creators=new_creators,
            supports_generation=supports_generation,
            from_platform=from_platform,
            early_access=early_access,
            followed=followed,
            archived=archived,
        )
        # The service takes a hundred ids at a time; two lists of ids share that, so that no address becomes too long.
        most = _MOST_IDS if ids is None or model_version_ids is None else _MOST_IDS // 2
        parts: list[dict[str, Any]] = [
            {"ids": some, "model_version_ids": others}
            for some in parts_of(numbers("ids", ids), most)
            for others in parts_of(numbers("model_version_ids", model_version_ids), most)
        ]

        async def fetch(cursor: str | None, size: int) -> Page[Model]:
            part, at = part_at(cursor, len(parts))
            request = list_models.request(limit=size, cursor=at, **filters, **parts[part])
            page = await self._transport.call(request, **options)
            following = next_of(page)
            if following == at and len(parts) > 1:
                following = None  # a cursor that stands still ends this part only; the pager would end the list
            return Page(items_of(page), part_after(part, len(parts), following))

        return AsyncPager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)
