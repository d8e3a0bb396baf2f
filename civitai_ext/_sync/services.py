# Derived from civitai_ext/_async/services.py by scripts/unasync.py: change that file, then run `make fix`.
"""What can be run, and with which models: services and resources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from civitai_api.orchestration import models
from civitai_api.orchestration.api.resources import get_resource, query_resources
from civitai_api.orchestration.api.services import get_service, list_services
from civitai_api.runtime import UNSET, Segments
from civitai_ext._filters import a_place, a_text, items_of, one_of, several
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._reading import number, text
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.air import Air
from civitai_ext.errors import InvalidRequest

if TYPE_CHECKING:
    from civitai_api.orchestration.models import ResourceInfo, ResourceView, ServiceResponse, ServiceStatus

__all__ = ["Resources", "Services"]

_LARGEST_PAGE_OF_SERVICES = 50
_SPAN = re.compile(r"[1-9]\d{0,4}[mhd]", re.ASCII)


class Services:
    """What can be run, with prices and waiting times: `civitai.services`. No token is needed, and none is sent."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(
        self, id: str, *, window: str | None = None, interval: str | None = None, **options: Unpack[CallOptions]
    ) -> ServiceResponse:
        """Give a service with its history.

        Args:
            id: The service, such as `image/flux2/klein/createImage/9b`.
            window: How far back its figures reach, such as `24h`, which is the service's default.
            interval: How long each part of its history is; the service's default is `1h`.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no such service.
            InvalidRequest: No service can have such an id.
        """
        named = _segments(id, "the id of a service, such as image/textToImage")
        request = get_service.request(
            service_id=named, window=_span("window", window), interval=_span("interval", interval)
        )
        return self._transport.call(request, **options)

    def list(
        self,
        *,
        category: str | None = None,
        prefix: str | None = None,
        tags: Sequence[str] | str | None = None,
        query: str | None = None,
        status: ServiceStatus | None = None,
        window: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[ServiceResponse]:
        """List what can be run.

        Args:
            category: Only services of this category, such as `image`.
            prefix: Only services whose id begins with this, such as `image/flux2/`.
            tags: Only services with all of these tags.
            query: Only services in which this text is found.
            status: Only services in this status.
            window: How far back the figures reach, such as `24h`, which is the service's default.
            limit: How many services to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 50.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "category": a_text("category", category),
            "prefix": a_text("prefix", prefix),
            "tags": several("tags", tags),
            "query": a_text("query", query),
            "status": one_of("status", status, models.ServiceStatus),
            "window": _span("window", window),
        }

        def fetch(at: str | None, size: int) -> Page[ServiceResponse]:
            begin = a_place(at) or 0
            page = self._transport.call(list_services.request(limit=size, offset=begin, **filters), **options)
            items = items_of(page)
            end, total = begin + len(items), number(page.total_count)
            more = end < total if total is not None else len(items) >= size
            return Page(items, str(end) if items and more else None, None if total is None else int(total))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE_OF_SERVICES)


class Resources:
    """Models as workflows use them, and whether they are loaded: `civitai.resources`. All of it needs a token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, air: Air | str, **options: Unpack[CallOptions]) -> ResourceInfo:
        """Tell what the service knows about a resource: its file, its fees, and whether it is loaded.

        `availability.status` is `available`, `loading`, `unavailable` or `unsupported`; the class of `availability`
        has what belongs to it, such as `progress`. The `air` of the answer may be another than the one asked for.

        Args:
            air: The resource.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
            NotFound: There is no such resource.
            AirError: The text is not an AIR.
            InvalidRequest: The AIR cannot stand in a path.
        """
        # An AIR of Hugging Face has a slash, which is one in the path too.
        named = _segments(str(air if isinstance(air, Air) else Air.parse(air)), "the AIR of a resource")
        return self._transport.call(get_resource.request(air=named), **options)

    def list(
        self,
        *,
        view: ResourceView = "queue",
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[ResourceInfo]:
        """List resources.

        Args:
            view: Which ones: `queue`, those that are being loaded or wait for it, is all that the service knows.
            limit: How many resources to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: The service has no such view.
        """
        checked_options(options)
        one_of("view", view, models.ResourceView)

        def fetch(at: str | None, size: int) -> Page[ResourceInfo]:
            start = UNSET if at is None else at
            page = self._transport.call(query_resources.request(view=view, cursor=start, take=size), **options)
            return Page(items_of(page), text(page.next) or None)

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, identity=lambda resource: resource.air)


def _segments(value: Any, what: str) -> Segments:
    """A name whose slashes are slashes of the path."""
    if not isinstance(value, str) or {"", ".", ".."} & set(value.split("/")):
        raise InvalidRequest(f"{value!r} is not {what}")
    return Segments(value)


def _span(name: str, value: str | None) -> Any:
    """A span of time as these operations take it, or nothing."""
    if value is not None and not (isinstance(value, str) and _SPAN.fullmatch(value)):
        raise InvalidRequest(f"{name} is {value!r}; it takes a number and a unit, such as '30m', '24h' or '7d'")
    return UNSET if value is None else value
