"""Going through lists, whatever the service makes of its pages."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_api.runtime import UNSET
from civitai_ext import AsyncCivitai, errors
from civitai_ext._async.pager import AsyncPager, Numbered, Page
from tests._async.helpers import no_sleep
from tests.faults.server import Action, Answer, Cut, FaultServer, Reset

pytestmark = pytest.mark.anyio


@attrs.frozen
class Item:
    id: Any


Fetch = Callable[[str | None, int], Awaitable[Page[Item]]]
Asked = list[tuple[str | None, int]]


def served(total: int, asked: Asked | None = None) -> Fetch:
    """A service that has `total` items, and cursors that are offsets."""

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        if asked is not None:
            asked.append((cursor, size))
        start = int(cursor or 0)
        end = min(start + size, total)
        return Page([Item(number) for number in range(start, end)], str(end) if end < total else None)

    return fetch


def numbered(total: int, asked: list[tuple[int, int]] | None = None, *, totals: bool = True) -> Fetch:
    """A service whose pages have numbers; without totals, its list ends with an empty page."""

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        at = Numbered.at(cursor, size)
        if asked is not None:
            asked.append((at.number, at.size))
        start = (at.number - 1) * at.size
        items = [Item(number) for number in range(start, min(start + at.size, total))]
        if totals:
            return Page(items, at.next if at.number * at.size < total else None, total)
        return Page(items, at.next if items else None)

    return fetch


def scripted(*pages: Sequence[Any], asked: list[str | None] | None = None) -> Fetch:
    """A service that gives these pages whatever size it is asked for, with the cursors 1, 2, 3…"""

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        if asked is not None:
            asked.append(cursor)
        place = int(cursor or 0)
        return Page([Item(id) for id in pages[place]], str(place + 1) if place + 1 < len(pages) else None)

    return fetch


async def read(pager: AsyncPager[Any], into: list[Any], count: int = 1000) -> None:
    """Read some items, and leave the loop early if there are more; those before an error are kept."""
    if count:
        async for item in pager:
            into.append(item)
            count -= 1
            if not count:
                break


def ids(items: Sequence[Item]) -> list[Any]:
    return [item.id for item in items]


# -------------------------------------------------------------------------------------------------------- how it reads


@pytest.mark.parametrize("prefetch", [True, False])
async def test_all_items_come_in_the_fewest_requests(prefetch: bool) -> None:
    asked: Asked = []
    assert ids(await AsyncPager(served(250, asked), prefetch=prefetch).to_list()) == list(range(250))
    assert asked == [(None, 100), ("100", 100), ("200", 100)]


@pytest.mark.parametrize(
    ("limit", "asks"),
    [
        (0, []),
        (1, [(None, 1)]),
        (5, [(None, 5)]),
        (100, [(None, 100)]),
        (101, [(None, 100), ("100", 100)]),
        (200, [(None, 100), ("100", 100)]),
    ],
)
async def test_a_limit_asks_for_no_more_than_it_needs(limit: int, asks: Asked) -> None:
    asked: Asked = []
    pager = AsyncPager(served(250, asked), limit=limit)
    assert ids([item async for item in pager]) == list(range(limit))
    assert [item async for item in pager] == []
    assert asked == asks


async def test_a_limit_above_all_there_is_gives_all() -> None:
    assert len(await AsyncPager(served(25), limit=1000, page_size=10).to_list()) == 25


async def test_pages_come_as_they_are_served() -> None:
    pager = AsyncPager(served(25), page_size=10, limit=22)
    assert [len(page) async for page in pager.pages()] == [10, 10, 2]
    assert pager.cursor == "~2~20"


async def test_pages_go_on_in_the_middle_of_one() -> None:
    pager = AsyncPager(served(25), page_size=10)
    assert len(await pager.take(3)) == 3
    assert [ids(page)[0] async for page in pager.pages()] == [3, 10, 20]


async def test_take_goes_on_where_it_stopped() -> None:
    pager = AsyncPager(served(25), page_size=10)
    assert ids(await pager.take(3)) == [0, 1, 2]
    assert ids(await pager.take(9)) == list(range(3, 12))
    assert ids(await pager.to_list()) == list(range(12, 25))
    assert await pager.take(5) == []
    assert pager.cursor is None


@pytest.mark.parametrize("count", [0, -1])
async def test_taking_nothing_asks_nothing(count: int) -> None:
    asked: Asked = []
    assert await AsyncPager(served(5, asked)).take(count) == []
    assert asked == []


async def test_taking_fetches_no_page_that_it_does_not_need() -> None:
    asked: Asked = []
    pager = AsyncPager(served(100, asked), page_size=10)
    assert len(await pager.take(10)) == 10
    assert len(asked) == 1
    assert len(await pager.take(11)) == 11
    assert len(asked) == 3


async def test_first_is_the_next_one_or_none() -> None:
    pager = AsyncPager(served(2))
    assert await pager.first() == Item(0)
    assert await pager.first() == Item(1)
    assert await pager.first() is None
    assert await AsyncPager(served(0)).first() is None


async def test_iterating_again_goes_on() -> None:
    pager = AsyncPager(served(25), page_size=10)
    async for item in pager:
        if item.id == 11:
            break
    assert ids([item async for item in pager]) == list(range(12, 25))
    assert [item async for item in pager] == []


async def test_it_can_be_closed_and_still_goes_on() -> None:
    pager = AsyncPager(served(25), page_size=10)
    found = []
    async for item in pager:
        found.append(item)
        await pager.aclose()
        await pager.aclose()
    assert ids(found) == list(range(25))


async def test_it_shows_where_it_is() -> None:
    pager = AsyncPager(numbered(25), page_size=10)
    assert repr(pager) == f"<{AsyncPager.__name__} given=0 total=None cursor=None>"
    await pager.take(3)
    assert repr(pager) == f"<{AsyncPager.__name__} given=3 total=25 cursor='~3~'>"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": -1}, "limit is -1"),
        ({"page_size": 0}, "1 to 100"),
        ({"page_size": 101}, "1 to 100"),
        ({"cursor": "~x~"}, "not a cursor"),
        ({"cursor": "~²~"}, "not a cursor"),
        ({"cursor": "~3"}, "not a cursor"),
    ],
)
async def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=message):
        AsyncPager(served(1), **options)


# ------------------------------------------------------------------------------------------------ what the service does


async def test_items_that_come_twice_are_given_once() -> None:
    assert ids(await AsyncPager(scripted([1, 2, 2], [2, 3, 1], [4])).to_list()) == [1, 2, 3, 4]


async def test_a_list_that_grows_at_its_head_gives_each_item_once() -> None:
    items = list(range(30))

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        start = int(cursor or 0)
        page = Page([Item(id) for id in items[start : start + size]], str(start + size))
        items[:0] = [-len(items)] * 3  # three places further on, whatever is asked for next
        return page if page.items else Page([], None)

    found = ids(await AsyncPager(fetch, page_size=10).to_list())
    assert sorted(set(found)) == sorted(found)
    assert [id for id in found if id >= 0] == list(range(30))


@pytest.mark.parametrize("id", [None, UNSET, [1], {"a": 1}, 1.5])
async def test_items_without_a_usable_id_are_all_given(id: Any) -> None:
    assert len(await AsyncPager(scripted([id, id], [id])).to_list()) == 3


async def test_what_makes_items_the_same_can_be_said() -> None:
    pager = AsyncPager(scripted(["a", "b"], ["A"]), identity=lambda item: item.id.lower())
    assert ids(await pager.to_list()) == ["a", "b"]


@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_cursor_that_comes_back_ends_the_list(prefetch: bool) -> None:
    pages = {None: Page([Item(1)], "a"), "a": Page([Item(2)], "b"), "b": Page([Item(3)], "a")}
    asked = []

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        asked.append(cursor)
        return pages[cursor]

    pager = AsyncPager(fetch, prefetch=prefetch)
    assert ids(await pager.to_list()) == [1, 2, 3]
    assert asked == [None, "a", "b", "b", "b"]  # it is asked twice more, in case the service had slipped
    assert pager.cursor is None


async def test_a_list_that_begins_at_a_cursor_ends_when_that_comes_back() -> None:
    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        return Page([Item(cursor)], "a")

    assert ids(await AsyncPager(fetch, cursor="a").to_list()) == ["a"]


async def test_a_page_without_items_is_not_the_end() -> None:
    assert ids(await AsyncPager(scripted([], [2], *[[]] * 19, [3])).to_list()) == [2, 3]


@pytest.mark.parametrize("barren", [[], [1]], ids=["empty", "known"])
async def test_after_many_pages_without_anything_new_the_rest_is_left_for_later(
    barren: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str | None] = []
    pager = AsyncPager(scripted([1], *[barren] * 25, [2], asked=asked))
    with caplog.at_level(logging.WARNING, "civitai_ext"):
        assert ids([item async for item in pager]) == [1]
    assert len(asked) == 21
    assert "20 pages in a row" in caplog.text
    assert pager.cursor == "21"
    assert ids([item async for item in pager]) == [2]
    assert pager.cursor is None


async def test_a_small_page_without_items_makes_the_next_ones_large() -> None:
    asked: Asked = []

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        """Search for 150, and cut the pages before filtering."""
        asked.append((cursor, size))
        start = int(cursor or 0)
        return Page([Item(150)] if start <= 150 < start + size else [], str(start + size))

    assert await AsyncPager(fetch, limit=1).to_list() == [Item(150)]
    assert asked == [(None, 1), ("1", 100), ("101", 100)]


@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_page_that_failed_fails_when_it_is_due_and_can_be_tried_again(prefetch: bool) -> None:
    fetch, failures = served(30), [OSError("down")]

    async def flaky(cursor: str | None, size: int) -> Page[Item]:
        if cursor == "10" and failures:
            raise failures.pop()
        return await fetch(cursor, size)

    pager = AsyncPager(flaky, page_size=10, prefetch=prefetch)
    got: list[Item] = []
    with pytest.raises(OSError, match="down"):
        await read(pager, got)
    assert ids(got) == list(range(10))
    assert pager.cursor == "10"
    assert ids(await AsyncPager(flaky, cursor=pager.cursor).to_list()) == list(range(10, 30))
    await read(pager, got)
    assert ids(got) == list(range(30))


# --------------------------------------------------------------------------------------------------- numbers and totals


async def test_numbered_pages_end_where_the_service_says() -> None:
    asked: list[tuple[int, int]] = []
    pager = AsyncPager(numbered(200, asked))
    assert pager.total is None
    assert ids(await pager.to_list()) == list(range(200))
    assert pager.total == 200
    assert asked == [(1, 100), (2, 100)]


async def test_numbered_pages_without_an_end_end_with_an_empty_one() -> None:
    asked: list[tuple[int, int]] = []
    pager = AsyncPager(numbered(200, asked, totals=False))
    assert len(await pager.to_list()) == 200
    assert pager.total is None
    assert asked == [(1, 100), (2, 100), (3, 100)]


async def test_numbered_pages_refuse_cursors_of_other_lists() -> None:
    for cursor in ("a|b", "-1", "²", "1.5"):
        with pytest.raises(errors.InvalidRequest, match="not a cursor"):
            await AsyncPager(numbered(5), cursor=cursor).to_list()


async def test_counting_costs_a_page_that_is_not_fetched_twice() -> None:
    asked: list[tuple[int, int]] = []
    pager = AsyncPager(numbered(25, asked), page_size=10)
    assert await pager.count() == 25
    assert await pager.count() == 25
    assert asked == [(1, 10)]
    assert len(await pager.to_list()) == 25
    assert asked == [(1, 10), (2, 10), (3, 10)]


async def test_a_count_is_of_what_the_pager_gives() -> None:
    assert await AsyncPager(numbered(25), limit=7).count() == 7
    assert await AsyncPager(numbered(25), limit=0).count() == 0
    assert await AsyncPager(numbered(25), limit=70).count() == 25
    assert await AsyncPager(numbered(25), cursor="~3~").count() is None
    assert await AsyncPager(served(25)).count() is None


@pytest.mark.parametrize("total", [-1, 2**31, 10**30, "25", 2.5, UNSET])
async def test_totals_that_cannot_be_are_not_passed_on(total: Any) -> None:
    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        return Page([Item(1)], None, total)

    pager = AsyncPager(fetch)
    assert await pager.count() is None
    assert pager.total is None


# ------------------------------------------------------------------------------------------------------------ resuming


@pytest.mark.parametrize("serve", [served, numbered])
@given(
    total=st.integers(0, 60),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    first=st.integers(0, 70),
    limited=st.booleans(),
    prefetch=st.booleans(),
)
async def test_a_cursor_resumes_exactly_where_the_reading_stopped(
    serve: Callable[[int], Fetch], total: int, sizes: tuple[int, int], first: int, limited: bool, prefetch: bool
) -> None:
    pager = AsyncPager(serve(total), page_size=sizes[0], prefetch=prefetch)
    begun: list[Item] = []
    await read(pager, begun, first)
    rest: list[Item] = []
    if pager.cursor is not None or first == 0:
        size, limit = (None, 100) if limited else (sizes[1], None)
        again = AsyncPager(serve(total), page_size=size, limit=limit, cursor=pager.cursor, prefetch=prefetch)
        rest = await again.to_list()
    assert ids(begun + rest) == list(range(total))


async def test_a_cursor_stays_exact_while_smaller_pages_catch_up() -> None:
    pager = AsyncPager(served(50), page_size=30)
    assert len(await pager.take(25)) == 25
    fetch, failures = served(50), [OSError("down")]

    async def flaky(cursor: str | None, size: int) -> Page[Item]:
        if cursor == "10" and failures:
            raise failures.pop()
        return await fetch(cursor, size)

    again = AsyncPager(flaky, page_size=10, cursor=pager.cursor)
    with pytest.raises(OSError, match="down"):
        await again.first()
    assert again.cursor == "~15~10"
    assert ids(await AsyncPager(served(50), cursor=again.cursor).to_list()) == list(range(25, 50))
    assert ids(await again.to_list()) == list(range(25, 50))


async def test_a_limit_does_not_make_the_pages_that_are_passed_over_small() -> None:
    asked: Asked = []
    assert ids(await AsyncPager(served(50, asked), limit=1, cursor="~25~").to_list()) == [25]
    assert asked == [(None, 26)]


async def test_pages_that_are_passed_over_are_no_sign_of_an_end() -> None:
    assert ids(await AsyncPager(served(50), page_size=1, cursor="~45~").to_list()) == [45, 46, 47, 48, 49]


async def test_a_cursor_of_the_service_that_looks_like_ours_is_kept_apart() -> None:
    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        return Page([Item(cursor)], {None: "~5~x", "~5~x": None}[cursor])

    pager = AsyncPager(fetch)
    assert await pager.first() == Item(None)
    assert ids(await AsyncPager(fetch, cursor=pager.cursor).to_list()) == ["~5~x"]


# ---------------------------------------------------------------------------------------------------------- all at once


@given(
    pages=st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=15),
    failing=st.sets(st.integers(0, 14)),
    steps=st.lists(st.sampled_from(["one", "page", "take", "break", "resume"]), max_size=10),
    prefetch=st.booleans(),
)
async def test_whatever_is_served_every_id_comes_once_and_in_order(
    pages: list[list[int]], failing: set[int], steps: list[str], prefetch: bool
) -> None:
    whole, failures = scripted(*pages), set(failing)

    async def fetch(cursor: str | None, size: int) -> Page[Item]:
        if (place := int(cursor or 0)) in failures:
            failures.discard(place)
            raise OSError("down")
        return await whole(cursor, size)

    pager = AsyncPager(fetch, prefetch=prefetch)
    got: list[Item] = []
    for step in steps:
        # Taking several gives none of them when it fails on the way, so those do not cross into a page that may.
        with contextlib.suppress(OSError):
            if step == "one":
                got += await pager.take(1)
            elif step == "page":
                async for page in pager.pages():
                    got += page
            elif step == "take":
                failures.clear()
                got += await pager.take(4)
            elif step == "break":
                await read(pager, got, 1)
            elif pager.cursor is not None:
                pager = AsyncPager(fetch, cursor=pager.cursor, prefetch=prefetch)
    resumed = "resume" in steps
    failures.clear()
    if pager.cursor is not None or not got:
        got += await pager.to_list()
    first_seen = list(dict.fromkeys(id for page in pages for id in page))
    assert list(dict.fromkeys(ids(got))) == first_seen
    assert resumed or ids(got) == first_seen


# ------------------------------------------------------------------------------------------------------- over a network


def models(first: int, last: int, cursor: str | None) -> Answer:
    """A page of models."""
    metadata = {} if cursor is None else {"nextCursor": cursor, "nextPage": "https://elsewhere.example/next"}
    return Answer(body=json.dumps({"items": [{"id": id} for id in range(first, last)], "metadata": metadata}).encode())


@pytest.mark.parametrize(
    "fault", [Reset(), Cut(), Answer(429, headers={"retry-after": "1"}), Answer(503), Answer(200, b'{"items": [')]
)
async def test_a_fault_in_the_middle_loses_nothing_and_repeats_nothing(fault: Action) -> None:
    script = [models(1, 4, "a"), fault, models(3, 6, "b"), fault, models(6, 9, None)]
    with FaultServer(script) as server:
        async with AsyncCivitai("token", site_url=server.url) as civitai:
            civitai.transport.sleep = no_sleep
            pager = civitai.models.list()
            found: list[Any] = []
            while pager.cursor is not None or not found:
                with contextlib.suppress(errors.UnexpectedResponse):  # a body that is no JSON is not asked for again
                    await read(pager, found)
        assert ids(found) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert {request.target.partition("?")[0] for request in server.received} == {"/api/v1/models"}
        assert not [request for request in server.received if "page=" in request.target]


async def test_an_error_comes_when_its_page_is_due() -> None:
    refused = Answer(400, b'{"error": "bad cursor"}')
    with FaultServer([models(1, 4, "a"), refused, models(4, 6, None)]) as server:
        async with AsyncCivitai("token", site_url=server.url) as civitai:
            pager = civitai.models.list()
            found: list[Any] = []
            with pytest.raises(errors.BadRequest, match="bad cursor"):
                await read(pager, found)
            assert ids(found) == [1, 2, 3]
            assert [model.id async for model in pager] == [4, 5]


async def test_a_client_can_be_closed_while_a_page_is_fetched_ahead() -> None:
    with FaultServer([models(1, 4, "a"), Answer(503)]) as server:
        async with AsyncCivitai("token", site_url=server.url) as civitai:
            pager = civitai.models.list()
            async for _ in pager:
                break
        with pytest.raises(errors.ConfigurationError, match="closed"):
            await pager.to_list()
