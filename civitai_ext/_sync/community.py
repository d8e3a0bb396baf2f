# Derived from civitai_ext/_async/community.py by scripts/unasync.py: change that file, then run `make fix`.
"""What people make and are: creators, tags, users, articles, collections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from civitai_api.site.api.articles import get_article, list_articles
from civitai_api.site.api.collections import get_collection, list_collections
from civitai_api.site.api.creators import list_creators
from civitai_api.site.api.tags import list_tags
from civitai_api.site.api.users import list_users
from civitai_api.site.models import Article, ArticleSort, Collection, CollectionSort, Creator, Tag, TagSort, User
from civitai_ext._filters import a_number, a_place, a_text, items_of, next_of, numbers, one_of, switches, told
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._sync.pager import Numbered, Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import InvalidRequest, NotFound

__all__ = ["Articles", "Collections", "Creators", "Tags", "Users"]

_LARGEST_PAGE = 100
_LARGEST_NUMBERED_PAGE = 200
_LONGEST_TEXT = 100


class Creators:
    """People who publish models: `civitai.creators`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        query: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Creator]:
        """List creators, in no particular order. The service can be slow with it.

        How many there are in all is known without `query` only.

        Args:
            query: Only creators whose name has this in it, in any letter case.
            limit: How many creators to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 200.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would misread.
        """
        checked_options(options)
        a_text("query", query)

        def fetch(at: str | None, size: int) -> Page[Creator]:
            place = Numbered.at(at, size)
            request = list_creators.request(limit=place.size, page=place.number, query=query)
            page = self._transport.call(request, **options)
            more = told(page, "next_page") or told(page, "has_more") is True
            total = told(page, "total_items") if query is None else None  # with a query it is a lower bound
            return Page(items_of(page), place.next if more else None, total if isinstance(total, int) else None)

        return Pager(
            fetch,
            limit=limit,
            cursor=cursor,
            page_size=page_size,
            largest=_LARGEST_NUMBERED_PAGE,
            identity=lambda creator: creator.username or None,
        )


class Tags:
    """Tags of models: `civitai.tags`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        query: str | None = None,
        sort: TagSort | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Tag]:
        """List tags. Without `query` these are only the featured ones that are safe for all.

        Args:
            query: Only tags that begin with this, in any letter case.
            sort: The order.
            limit: How many tags to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 200.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
        """
        checked_options(options)
        one_of("sort", sort, TagSort)
        prefix = a_text("query", query)
        lowered = None if prefix is None else prefix.lower()  # names are in lower case, and compared as they are

        def fetch(at: str | None, size: int) -> Page[Tag]:
            place = Numbered.at(at, size)
            request = list_tags.request(limit=place.size, page=place.number, query=lowered, sort=sort)
            items = items_of(self._transport.call(request, **options))
            return Page(items, place.next if items else None)  # the metadata knows nothing: an empty page is the end

        return Pager(
            fetch,
            limit=limit,
            cursor=cursor,
            page_size=page_size,
            largest=_LARGEST_NUMBERED_PAGE,
            identity=lambda tag: tag.name or None,
        )


class Users:
    """Accounts: `civitai.users`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int, **options: Unpack[CallOptions]) -> User:
        """Give a user in brief.

        Args:
            id: The user.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no user with this id: the service gives an empty list.
            InvalidRequest: No user can have such an id.
        """
        request = list_users.request(ids=[a_number(id)])
        found: Sequence[User] = items_of(self._transport.call(request, **options))
        for user in found:
            if user.id == id:
                return user
        url = self._transport.url_of(request)
        raise NotFound(f"an empty list: there is no user with id {id}", status=200, method="GET", url=url)

    def list(
        self,
        *,
        query: str | None = None,
        ids: Sequence[int] | int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[User]:
        """Find users by name or by id.

        Args:
            query: Text to search names for. The service has one page of hits: at most 100 are asked for.
            ids: The users with these ids, any number of them. Ids that nobody has are left out.
            limit: How many users to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: Neither `query` nor `ids` is given, or both are, or one has a value that the service would
                refuse or misread.
        """
        checked_options(options)
        if (query is None) == (ids is None):
            raise InvalidRequest("users are found by query or by ids", hint="Give one of the two.")
        a_text("query", query)
        wanted = numbers("ids", ids) or []

        def fetch(at: str | None, size: int) -> Page[User]:
            begin = a_place(at) or 0
            if query is not None and begin:
                raise InvalidRequest(f"{at!r} is not a cursor of this list", hint="A search for users has one page.")
            some = wanted[begin : begin + size]
            request = list_users.request(query=query, limit=size) if query else list_users.request(ids=some)
            page = self._transport.call(request, **options)
            return Page(items_of(page), str(begin + size) if begin + size < len(wanted) else None)

        return Pager(fetch, limit=limit, cursor=cursor, largest=_LARGEST_PAGE)


class Articles:
    """Articles: `civitai.articles`.

    The service shows them as to an anonymous visitor. A token raises the number of requests that it allows, from 60 to
    120 a minute.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int, **options: Unpack[CallOptions]) -> Article:
        """Give an article with its text.

        Args:
            id: The article.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no article with this id, or it is not published.
            InvalidRequest: No article can have such an id.
        """
        return self._transport.call(get_article.request(id=a_number(id)), **options)

    def list(
        self,
        *,
        query: str | None = None,
        tags: Sequence[int] | int | None = None,
        username: str | None = None,
        sort: ArticleSort | None = None,
        nsfw: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Article]:
        """List the published articles that fit every filter, without their texts.

        Args:
            query: Only articles whose title has this in it.
            tags: Only articles with one of the tags of these ids.
            username: Only articles of the user of exactly this name.
            sort: The order; the service's default is `Newest`. `Most Bookmarks` is another name for `Most Collected`.
            nsfw: Whether to list mature articles too.
            limit: How many articles to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
            NotFound: While listing: nobody has the name `username`.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "query": a_text("query", query),
            "tags": numbers("tags", tags),
            "username": a_text("username", username),
            "sort": one_of("sort", sort, ArticleSort),
        }
        filters |= switches(nsfw=nsfw)

        def fetch(at: str | None, size: int) -> Page[Article]:
            at = a_text("cursor", at, most=_LONGEST_TEXT)
            page = self._transport.call(list_articles.request(limit=size, cursor=at, **filters), **options)
            return Page(items_of(page), next_of(page))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)


class Collections:
    """Collections of models, images, posts or articles: `civitai.collections`.

    The service allows 60 requests a minute, and 120 with a token.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int, **options: Unpack[CallOptions]) -> Collection:
        """Give a public or unlisted collection, without what is in it.

        Args:
            id: The collection.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no collection with this id, or it is private.
            InvalidRequest: No collection can have such an id.
        """
        return self._transport.call(get_collection.request(id=a_number(id)), **options)

    def list(
        self,
        *,
        query: str | None = None,
        sort: CollectionSort | None = None,
        nsfw: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Collection]:
        """List the public collections that fit every filter.

        Args:
            query: Text to search names for, of up to 100 characters.
            sort: The order; the service's default is `Newest`. By `Most Followers` there is one page only: at most 100
                collections, and no going on by cursor.
            nsfw: Whether to list mature collections too.
            limit: How many collections to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "query": a_text("query", query, most=_LONGEST_TEXT),
            "sort": one_of("sort", sort, CollectionSort),
        }
        filters |= switches(nsfw=nsfw)
        one_page = sort == "Most Followers"

        def fetch(at: str | None, size: int) -> Page[Collection]:
            begin = a_place(at)
            if one_page and begin is not None:
                raise InvalidRequest("sort is 'Most Followers', and the service refuses a cursor beside it")
            page = self._transport.call(list_collections.request(limit=size, cursor=begin, **filters), **options)
            return Page(items_of(page), None if one_page else next_of(page))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)
