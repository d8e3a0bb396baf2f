"""Articles and collections: cursors, filters, refusals, and how many requests a minute are answered."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from civitai_ext.emulator import Emulator


def _all(reader: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        page = reader.get(path, params=query).json()
        items += page["items"]
        if "nextCursor" not in page["metadata"]:
            return items
        query["cursor"] = page["metadata"]["nextCursor"]


def _ids(items: list[dict[str, Any]]) -> list[int]:
    return [item["id"] for item in items]


# Articles


@pytest.mark.parametrize("sort", ["Newest", "Most Reactions", "Recently Updated", "Most Bookmarks"])
def test_articles_page_by_a_cursor_of_value_and_id(anonymous: httpx.Client, sort: str) -> None:
    page = anonymous.get("/api/v1/articles", params={"limit": 3, "sort": sort}).json()
    value, _, id_ = page["metadata"]["nextCursor"].partition("|")
    assert value.isdecimal()
    assert id_.isdecimal()
    assert anonymous.get(page["metadata"]["nextPage"]).json()["items"][0]["id"] == int(id_)
    paged = _ids(_all(anonymous, "/api/v1/articles", limit=3, sort=sort))
    assert paged == _ids(_all(anonymous, "/api/v1/articles", sort=sort))
    assert len(set(paged)) == len(paged) > 10


def test_articles_come_newest_first_and_fit_for_all(anonymous: httpx.Client) -> None:
    items = _all(anonymous, "/api/v1/articles")
    assert [item["publishedAt"] for item in items] == sorted((item["publishedAt"] for item in items), reverse=True)
    assert all(item["nsfwLevel"] & 1 for item in items)
    assert len(_all(anonymous, "/api/v1/articles", nsfw="true")) > len(items)


def test_the_two_names_of_an_order(anonymous: httpx.Client) -> None:
    first, second = (
        _ids(anonymous.get("/api/v1/articles", params={"sort": sort}).json()["items"])
        for sort in ("Most Bookmarks", "Most Collected")
    )
    assert first == second


def test_articles_are_filtered(anonymous: httpx.Client) -> None:
    items = _all(anonymous, "/api/v1/articles")
    first = items[0]
    tag, name = first["tags"][0]["id"], first["user"]["username"]
    assert _ids(_all(anonymous, "/api/v1/articles", tags=f"{tag},1")) == [
        item["id"] for item in items if tag in {tag["id"] for tag in item["tags"]}
    ]
    assert {item["user"]["username"] for item in _all(anonymous, "/api/v1/articles", username=name)} == {name}
    word = first["title"].split()[-1].upper()
    assert all(word.lower() in item["title"].lower() for item in _all(anonymous, "/api/v1/articles", query=word))
    missing = anonymous.get("/api/v1/articles", params={"username": name.upper()})
    assert (missing.status_code, missing.json()) == (404, {"message": "User not found"})


def test_articles_refuse(anonymous: httpx.Client) -> None:
    for cursor in ("nothing", "1", "a|b"):
        refused = anonymous.get("/api/v1/articles", params={"cursor": cursor})
        assert (refused.status_code, refused.json()) == (400, {"error": "Invalid cursor"})
    for query in ({"limit": 101}, {"limit": 0}, {"cursor": "1" * 101}, {"sort": "Best"}, {"nsfw": "perhaps"}):
        refused = anonymous.get("/api/v1/articles", params=query)
        assert refused.status_code == 400
        assert json.loads(refused.json()["error"]["message"])[0]["path"] == list(query)


def test_the_cover_of_an_article_is_a_bare_key(anonymous: httpx.Client) -> None:
    covers = [item["coverImage"] for item in _all(anonymous, "/api/v1/articles") if "coverImage" in item]
    assert covers
    for cover in covers:
        assert "/" not in cover["url"]
        assert anonymous.head(f"/media/{cover['url']}/width=96/x.jpeg").status_code == 200


def test_an_article_on_its_own(anonymous: httpx.Client) -> None:
    listed = next(item for item in _all(anonymous, "/api/v1/articles") if "stats" in item)
    article = anonymous.get(f"/api/v1/articles/{listed['id']}").json()
    assert article["content"].startswith("<p>")
    assert article["user"] == listed["user"] | {"isModerator": False}
    assert article["stats"]["likeCountAllTime"] == listed["stats"]["likeCount"]
    assert not listed["stats"].keys() & article["stats"].keys()
    missing = anonymous.get("/api/v1/articles/1")
    assert (missing.status_code, missing.json()) == (404, {"message": "No article with id 1"})
    assert anonymous.get("/api/v1/articles/x").json()["error"].startswith("✖ ")


# Collections


def test_collections_page_by_a_number(anonymous: httpx.Client) -> None:
    page = anonymous.get("/api/v1/collections", params={"limit": 2}).json()
    cursor = page["metadata"]["nextCursor"]
    assert isinstance(cursor, int)
    # The cursor is the id of the first item of the next page.
    assert anonymous.get(page["metadata"]["nextPage"]).json()["items"][0]["id"] == cursor
    ids = _ids(_all(anonymous, "/api/v1/collections", limit=2))
    assert ids == sorted(set(ids), reverse=True)
    assert ids == _ids(_all(anonymous, "/api/v1/collections"))


def test_collections_by_followers_have_one_page(anonymous: httpx.Client) -> None:
    page = anonymous.get("/api/v1/collections", params={"limit": 2, "sort": "Most Followers"}).json()
    refused = anonymous.get(page["metadata"]["nextPage"])
    assert refused.status_code == 400
    assert json.loads(refused.json()["error"]["message"])[0]["path"] == ["cursor"]


def test_lists_show_public_collections_and_ids_lead_to_unlisted_ones(
    emulator: Emulator, anonymous: httpx.Client
) -> None:
    assert all(item["read"] == "Public" for item in _all(anonymous, "/api/v1/collections", nsfw="true"))
    assert emulator._server is not None
    community = emulator._server._world.community
    by_read = {collection.read: collection.id for collection in community.collections}
    unlisted = anonymous.get(f"/api/v1/collections/{by_read['Unlisted']}").json()
    assert (unlisted["read"], unlisted["isPublic"]) == ("Unlisted", False)
    assert "itemCount" not in unlisted
    assert isinstance(unlisted["tags"], list)
    private = anonymous.get(f"/api/v1/collections/{by_read['Private']}")
    assert (private.status_code, private.json()) == (404, {"error": f"No collection with id {by_read['Private']}"})


def test_collections_are_filtered_and_refused(anonymous: httpx.Client) -> None:
    items = _all(anonymous, "/api/v1/collections")
    assert all(item["nsfwLevel"] is None or item["nsfwLevel"] & 1 for item in items)
    assert len(_all(anonymous, "/api/v1/collections", nsfw="yes")) >= len(items)
    name = items[0]["name"]
    assert items[0]["id"] in _ids(_all(anonymous, "/api/v1/collections", query=f"  {name.upper()}  "))
    assert anonymous.get("/api/v1/collections", params={"query": "a" * 101}).status_code == 400
    cover = next(item["coverImageUrl"] for item in items if item["coverImageUrl"])
    assert "width=450" in cover


# Rations


@pytest.mark.parametrize(("path", "other"), [("articles", "collections"), ("collections", "articles")])
def test_families_answer_sixty_times_a_minute(
    emulator: Emulator, anonymous: httpx.Client, path: str, other: str
) -> None:
    url = f"/api/v1/{path}?limit=1"
    assert {anonymous.get(url).status_code for _ in range(60)} == {200}
    emulator.clock.advance(18)
    refused = anonymous.get(url)
    assert refused.status_code == 429
    assert refused.json() == {"error": "Rate limit exceeded, please retry shortly."}
    assert (refused.headers["retry-after"], refused.headers["cache-control"]) == ("42", "no-store")
    # Single ones count too, other families and known callers do not.
    assert anonymous.get(f"/api/v1/{path}/1").status_code == 429
    assert anonymous.get(f"/api/v1/{other}?limit=1").status_code == 200
    assert anonymous.get(url, headers={"Authorization": "Bearer test-token"}).status_code == 200
    emulator.clock.advance(42)
    assert anonymous.get(url).status_code == 200


def test_known_callers_are_answered_twice_as_often(client: httpx.Client) -> None:
    statuses = [client.get("/api/v1/articles?limit=1").status_code for _ in range(121)]
    assert (statuses.index(429), statuses.count(200)) == (120, 120)
