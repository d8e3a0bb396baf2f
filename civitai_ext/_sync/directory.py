# Derived from civitai_ext/_async/directory.py by scripts/unasync.py: change that file, then run `make fix`.
"""What Civitai serves but does not document: apps, known bugs, texts of the site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Unpack

from civitai_api.site import models
from civitai_api.site.api.apps import get_app, list_apps
from civitai_api.site.api.bugs import get_bug, list_bugs
from civitai_api.site.api.content import get_content
from civitai_api.site.models import App, AppCategory, AppKindFilter, AppSort, Bug
from civitai_ext._filters import a_number, a_place, a_text, items_of, next_of, one_of, several, switches
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import InvalidRequest

__all__ = ["Apps", "Bugs", "Content"]

_LARGEST_PAGE_OF_APPS = 50
_LARGEST_PAGE_OF_BUGS = 200
_LONGEST_CURSOR = 128
_SEGMENT = re.compile(r"[\w-]+", re.ASCII)


class Apps:
    """The directory of apps: `civitai.apps`. Civitai does not document it, and it may be empty."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, slug: str, **options: Unpack[CallOptions]) -> App:
        """Give an app with its description and its screenshots.

        Args:
            slug: The app's short name.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no app of this name.
            InvalidRequest: No app can have such a name.
        """
        if not isinstance(slug, str) or not _SEGMENT.fullmatch(slug):
            raise InvalidRequest(f"slug is {slug!r}; it takes letters, digits, underscores and hyphens")
        return self._transport.call(get_app.request(slug=slug), **options)

    def list(
        self,
        *,
        kind: AppKindFilter | None = None,
        category: AppCategory | None = None,
        sort: AppSort | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[App]:
        """List the apps of the directory. The service allows 60 requests a minute.

        Args:
            kind: Only apps that run on the site (`onsite`) or elsewhere (`offsite`).
            category: Only apps of this category.
            sort: The order; the service's default is `top-rated`.
            limit: How many apps to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 50.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "kind": one_of("kind", kind, AppKindFilter),
            "category": one_of("category", category, AppCategory),
            "sort": one_of("sort", sort, AppSort),
        }

        def fetch(at: str | None, size: int) -> Page[App]:
            at = a_text("cursor", at, most=_LONGEST_CURSOR)
            page = self._transport.call(list_apps.request(limit=size, cursor=at, **filters), **options)
            return Page(items_of(page), next_of(page))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE_OF_APPS)


class Bugs:
    """Known bugs of the site: `civitai.bugs`. Civitai does not document them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int, **options: Unpack[CallOptions]) -> Bug:
        """Give a known bug.

        Args:
            id: The bug.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no bug with this id.
            InvalidRequest: No bug can have such an id.
        """
        return self._transport.call(get_bug.request(id=a_number(id)), **options)

    def list(
        self,
        *,
        search: str | None = None,
        statuses: Sequence[str] | str | None = None,
        tags: Sequence[str] | str | None = None,
        include_closed: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Bug]:
        """List the known bugs that fit every filter.

        Args:
            search: Words to search for.
            statuses: Only bugs in one of these states.
            tags: Only bugs with one of these tags.
            include_closed: Whether to list closed bugs too.
            limit: How many bugs to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 200.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would misread.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "search": a_text("search", search),
            "statuses": several("statuses", statuses),
            "tags": several("tags", tags),
        }
        filters |= switches(include_closed=include_closed)

        def fetch(at: str | None, size: int) -> Page[Bug]:
            page = self._transport.call(list_bugs.request(limit=size, cursor=a_place(at), **filters), **options)
            return Page(items_of(page), next_of(page))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE_OF_BUGS)


class Content:
    """Texts of the site: `civitai.content`. Civitai does not document them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, slug: str, **options: Unpack[CallOptions]) -> models.Content:
        """Give a text of the site, as Markdown.

        Args:
            slug: The text's path, such as `tos`, `privacy` or `rules/minors`.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            ServerError: There is no such text: the service says so as if it had failed.
            InvalidRequest: No text can have such a path.
        """
        if not isinstance(slug, str) or not all(_SEGMENT.fullmatch(segment) for segment in slug.split("/")):
            raise InvalidRequest(
                f"slug is {slug!r}; it takes letters, digits, underscores and hyphens, with slashes in between"
            )
        return self._transport.call(get_content.request(slug=slug), **options)
