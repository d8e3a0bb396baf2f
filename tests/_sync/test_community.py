# Derived from tests/_async/test_community.py by scripts/unasync.py: change that file, then run `make fix`.
from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from civitai_ext import Civitai, errors
from civitai_ext.emulator import Emulator
from tests.faults.server import Answer, FaultServer

pytestmark = pytest.mark.anyio


def page(items: list[Any], **metadata: Any) -> Answer:
    return Answer(body=json.dumps({"items": items, "metadata": metadata}).encode())


def asked(server: FaultServer) -> list[dict[str, str]]:
    return [dict(parse_qsl(urlsplit(each.target).query)) for each in server.received]


# ----------------------------------------------------------------------------------------------------------- creators


def test_creators_come_once_each_on_pages_of_any_size(civitai: Civitai) -> None:
    whole = [creator.username for creator in civitai.creators.list()]
    assert len(set(whole)) == len(whole) > 3
    assert [creator.username for creator in civitai.creators.list(page_size=2)] == whole
    first = civitai.creators.list(page_size=2)
    begun = [creator.username for creator in first.take(3)]
    rest = civitai.creators.list(cursor=first.cursor, page_size=4)
    assert begun + [creator.username for creator in rest] == whole


def test_creators_are_counted_where_the_count_is_true(civitai: Civitai) -> None:
    everyone = civitai.creators.list()
    found = everyone.to_list()
    assert everyone.total == len(found)
    some = civitai.creators.list(query=(found[0].username or "")[:3].upper())
    assert found[0].username in [creator.username for creator in some]
    assert some.total is None


def test_creators_end_where_no_page_follows() -> None:
    follows = "https://example.com/api/v1/creators?page=2"
    with FaultServer(
        [
            page([{"username": "a"}, {"username": None}], totalItems=4, nextPage=follows),
            page([{"username": "b"}, {"username": None}], totalItems=4, hasMore=True),
            page([{"username": "a"}], totalItems=4, hasMore=False),
        ]
    ) as server:
        with Civitai(site_url=server.url) as civitai:
            names = [creator.username for creator in civitai.creators.list(page_size=2)]
    assert names == ["a", None, "b", None]
    assert [query["page"] for query in asked(server)] == ["1", "2", "3"]


# --------------------------------------------------------------------------------------------------------------- tags


def test_tags_come_until_a_page_is_empty(civitai: Civitai, emulator: Emulator) -> None:
    whole = [tag.name for tag in civitai.tags.list(page_size=5)]
    assert len(set(whole)) == len(whole) > 5
    assert len(emulator.journal) == -(-len(whole) // 5) + 1
    assert civitai.tags.list().total is None


def test_tags_are_looked_for_in_lower_case(civitai: Civitai) -> None:
    (tag,) = civitai.tags.list(sort="Most Models", limit=1).to_list()
    found = civitai.tags.list(query=tag.name[:3].upper()).to_list()
    assert tag.name in [each.name for each in found]
    assert all(each.name.startswith(tag.name[:3]) for each in found)


def test_tags_go_on_from_a_cursor(civitai: Civitai) -> None:
    whole = [tag.name for tag in civitai.tags.list()]
    first = civitai.tags.list(page_size=3)
    begun = [tag.name for tag in first.take(4)]
    assert begun + [tag.name for tag in civitai.tags.list(cursor=first.cursor)] == whole


# -------------------------------------------------------------------------------------------------------------- users


def test_users_by_name_and_by_id(civitai: Civitai) -> None:
    (someone,) = civitai.users.list(query="a", limit=1).to_list()
    assert (civitai.users.get(someone.id)).username == someone.username
    assert [user.id for user in civitai.users.list(ids=[someone.id, 2_000_000_000])] == [someone.id]
    with pytest.raises(errors.NotFound, match="there is no user with id 2000000000"):
        civitai.users.get(2_000_000_000)


def test_any_number_of_users_is_asked_for_in_parts() -> None:
    def answer(ids: range) -> Answer:
        return page([{"id": id, "username": f"user{id}"} for id in ids])

    with FaultServer([answer(range(1, 101)), answer(range(101, 201)), answer(range(201, 251))]) as server:
        with Civitai(site_url=server.url) as civitai:
            found = [user.id for user in civitai.users.list(ids=range(1, 251))]
    assert found == list(range(1, 251))
    counts = [len(parse_qsl(urlsplit(each.target).query)) for each in server.received]
    assert counts == [100, 100, 50]


def test_users_go_on_from_a_cursor(civitai: Civitai) -> None:
    everyone = [user.id for user in civitai.users.list(query="a")]
    ids = [each for id in everyone for each in (id, *range(2_000_000_000, 2_000_000_040))]
    first = civitai.users.list(ids=ids)
    begun = [user.id for user in first.take(2)]
    assert sorted(begun + [user.id for user in civitai.users.list(ids=ids, cursor=first.cursor)]) == sorted(everyone)


def test_another_user_is_not_taken_for_the_one() -> None:
    with FaultServer([page([{"id": 6, "username": "other"}])]) as server:
        with Civitai(site_url=server.url) as civitai:
            with pytest.raises(errors.NotFound):
                civitai.users.get(5)


# ----------------------------------------------------------------------------------------------- articles, collections


def test_articles(civitai: Civitai) -> None:
    whole = list(civitai.articles.list(nsfw=True))
    assert len({article.id for article in whole}) == len(whole) > 5
    assert [article.id for article in civitai.articles.list(nsfw=True, page_size=4)] == [
        article.id for article in whole
    ]
    article = civitai.articles.get(whole[0].id)
    assert article.title == whole[0].title
    assert article.content
    by_name = [each.id for each in civitai.articles.list(username=article.user.username, nsfw=True)]
    assert article.id in by_name
    tag = article.tags[0].id
    assert isinstance(tag, int)
    assert article.id in [each.id for each in civitai.articles.list(tags=tag, nsfw=True)]
    with pytest.raises(errors.NotFound, match="No article with id 5"):
        civitai.articles.get(5)
    with pytest.raises(errors.NotFound):
        civitai.articles.list(username="nobody at all").to_list()


def test_collections(civitai: Civitai) -> None:
    whole = list(civitai.collections.list(nsfw=True))
    assert len({collection.id for collection in whole}) == len(whole) > 5
    first = civitai.collections.list(nsfw=True, page_size=3)
    begun = [collection.id for collection in first.take(4)]
    rest = civitai.collections.list(nsfw=True, cursor=first.cursor)
    assert begun + [collection.id for collection in rest] == [collection.id for collection in whole]
    collection = civitai.collections.get(whole[0].id)
    assert collection.name == whole[0].name
    with pytest.raises(errors.NotFound, match="No collection with id 5"):
        civitai.collections.get(5)


def test_the_most_followed_collections_are_one_page(civitai: Civitai, emulator: Emulator) -> None:
    found = civitai.collections.list(sort="Most Followers", page_size=5)
    assert len(found.take(3)) == 3
    again = civitai.collections.list(sort="Most Followers", page_size=5, cursor=found.cursor)
    assert len(again.to_list()) == 2
    assert again.cursor is None
    assert all("cursor" not in dict(each.query) for each in emulator.journal)


def test_a_cursor_that_is_a_number_is_followed() -> None:
    with FaultServer([page([{"id": 9}], nextCursor=7), page([{"id": 7}])]) as server:
        with Civitai(site_url=server.url) as civitai:
            found = [collection.id for collection in civitai.collections.list()]
    assert found == [9, 7]
    assert [query.get("cursor") for query in asked(server)] == [None, "7"]
