# Derived from civitai_ext/_async/models.py by scripts/unasync.py: change that file, then run `make fix`.
"""Models of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from civitai_api.runtime import UNSET
from civitai_api.site.api.models import get_model, list_models
from civitai_ext._filters import a_number, list_of, several
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import InvalidRequest

if TYPE_CHECKING:
    from civitai_api.site.models import (
        Availability,
        BaseModel,
        CheckpointType,
        CommercialUse,
        Model,
        ModelFileFormat,
        ModelSort,
        ModelType,
        Period,
        PeriodMode,
    )

__all__ = ["Models"]

_LARGEST_PAGE = 100


class Models:
    """Models: `civitai.models`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int) -> Model:
        """Give a model with its versions.

        Raises:
            NotFound: There is no model with this id, or it is not published.
            InvalidRequest: No model can have such an id.
        """
        return self._transport.call(get_model.request(id=a_number(id)))

    def list(
        self,
        *,
        query: str | None = None,
        ids: Sequence[int] | None = None,
        model_version_ids: Sequence[int] | None = None,
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
    ) -> Pager[Model]:
        """List the published models that fit every filter.

        Args:
            query: Words to search for. Hits come by relevance, whatever `sort` says.
            ids: Only these models.
            model_version_ids: Only the models of these versions.
            tag: Only models with the tag of exactly this name; the service ignores a name that no tag has.
            username: Only models of this creator.
            types: Only models of these types, such as `LORA`.
            base_models: Only models with a version for one of these, such as `SDXL 1.0`; other versions are left out.
            checkpoint_type: Only checkpoints that were `Trained`, or that are a `Merge`.
            sort: The order; the service's default is `Highest Rated`.
            period: How far back to look; the service's default is `AllTime`.
            period_mode: Whether `period` is about the publication (`published`) or the statistics (`stats`).
            nsfw: Whether to list all content levels. If not, only models and images of level PG are there.
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
            availability: Only models of this availability.
            file_formats: Only models with a file in one of these formats; at least two, since the service refuses one.
            limit: How many models to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
        """
        for name, asked in (("favorites", favorites), ("hidden", hidden), ("followed", followed)):
            if asked and self._transport.config.token is None:
                raise InvalidRequest(
                    f"{name}=True is about the caller, and there is no token", hint="Set CIVITAI_TOKEN."
                )
        if file_formats is not None and (isinstance(file_formats, str) or len(set(file_formats)) < 2):
            raise InvalidRequest("file_formats needs at least two formats: the service refuses a single one")
        if query is not None and not query.strip():
            raise InvalidRequest("query is empty", hint="Leave it out to list without searching.")
        filters: dict[str, Any] = {
            "query": query,
            "ids": several("ids", ids),
            "model_version_ids": several("model_version_ids", model_version_ids),
            "tag": tag,
            "username": username,
            "types": several("types", types),
            "base_models": several("base_models", base_models),
            "checkpoint_type": checkpoint_type,
            "sort": sort,
            "period": period,
            "period_mode": period_mode,
            "allow_commercial_use": several("allow_commercial_use", allow_commercial_use),
            "availability": availability,
            "file_formats": file_formats,
        }
        switches = {
            "nsfw": nsfw,
            "primary_file_only": primary_file_only,
            "favorites": favorites,
            "hidden": hidden,
            "new_creators": new_creators,
            "supports_generation": supports_generation,
            "from_platform": from_platform,
            "early_access": early_access,
            "followed": followed,
            "archived": archived,
        }
        # The service takes the mere presence of some switches for true, so none is sent unless it is on.
        filters |= {name: True for name, on in switches.items() if on}

        def fetch(at: str | None, size: int) -> Page[Model]:
            page = self._transport.call(list_models.request(limit=size, cursor=UNSET if at is None else at, **filters))
            following = page.metadata.next_cursor if page.metadata else None
            return Page(list_of(page.items), str(following) if following else None)

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)
