from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._sync.pager import Page, Pager
from civitai_ext.errors import InvalidRequest


@attrs.frozen
class Item:
    id: int | None


def served(total: int, asked: list[tuple[str | None, int]] | None = None) -> Callable[[str | None, int], Page[Item]]:
    """A service that has `total` items, and cursors that are offsets."""

    def fetch(cursor: str | None, size: int) -> Page[Item]:
        if asked is not None:
            asked.append((cursor, size))
        start = int(cursor or 0)
        end = min(start + size, total)
        return Page([Item(number) for number in range(start, end)], str(end) if end < total else None)

    return fetch


def ids(items: list[Item]) -> list[int | None]:
    return [item.id for item in items]


def test_all_items_come_in_the_fewest_requests() -> None:
    asked: list[tuple[str | None, int]] = []
    assert ids(Pager(served(250, asked)).to_list()) == list(range(250))
    assert asked == [(None, 100), ("100", 100), ("200", 100)]


def test_a_limit_asks_for_no_more_than_it_needs() -> None:
    asked: list[tuple[str | None, int]] = []
    assert len(Pager(served(250, asked), limit=5).to_list()) == 5
    assert asked == [(None, 5)]


def test_a_limit_of_nothing_asks_nothing() -> None:
    asked: list[tuple[str | None, int]] = []
    assert Pager(served(250, asked), limit=0).to_list() == []
    assert asked == []


def test_pages_come_as_they_are_served() -> None:
    assert [len(page) for page in Pager(served(25), page_size=10, limit=22).pages()] == [10, 10, 2]


def test_take_goes_on_where_it_stopped() -> None:
    pager = Pager(served(25), page_size=10)
    assert ids(pager.take(3)) == [0, 1, 2]
    assert ids(pager.take(9)) == list(range(3, 12))
    assert ids(pager.to_list()) == list(range(12, 25))
    assert pager.take(5) == []
    assert pager.cursor is None


def test_items_that_come_twice_are_given_once() -> None:
    pages = {None: Page([Item(1), Item(2)], "a"), "a": Page([Item(2), Item(3)], None)}
    assert ids(Pager(lambda cursor, _: pages[cursor]).to_list()) == [1, 2, 3]


def test_items_without_an_id_are_all_given() -> None:
    assert len(Pager(lambda *_: Page([Item(None), Item(None)], None)).to_list()) == 2


def test_a_cursor_that_comes_back_ends_the_list() -> None:
    pages = {None: Page([Item(1)], "a"), "a": Page([Item(2)], "b"), "b": Page([Item(3)], "a")}
    assert ids(Pager(lambda cursor, _: pages[cursor]).to_list()) == [1, 2, 3]


def test_an_empty_page_with_a_cursor_is_not_the_end() -> None:
    pages: dict[str | None, Page[Item]] = {None: Page([], "a"), "a": Page([Item(2)], None)}
    assert ids(Pager(lambda cursor, _: pages[cursor]).to_list()) == [2]


def test_a_failed_page_can_be_tried_again() -> None:
    fetch, failures = served(30), [OSError("down")]

    def flaky(cursor: str | None, size: int) -> Page[Item]:
        if cursor == "10" and failures:
            raise failures.pop()
        return fetch(cursor, size)

    pager = Pager(flaky, page_size=10)
    got: list[Item] = []
    with pytest.raises(OSError, match="down"):
        got.extend(iter(pager))
    got = pager.to_list()
    assert ids(got)[-1] == 29
    assert ids(got)[0] == 10


@given(total=st.integers(0, 60), size=st.integers(1, 20), first=st.integers(0, 70), second=st.integers(1, 20))
def test_a_cursor_resumes_exactly_where_the_reading_stopped(total: int, size: int, first: int, second: int) -> None:
    pager = Pager(served(total), page_size=size)
    begun = pager.take(first)
    rest: list[Item] = []
    if pager.cursor is not None or first == 0:
        rest = Pager(served(total), page_size=second, cursor=pager.cursor).to_list()
    assert ids(begun + rest) == list(range(total))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": -1}, "limit is -1"),
        ({"page_size": 0}, "1 to 100"),
        ({"page_size": 101}, "1 to 100"),
        ({"cursor": "~x~"}, "not a cursor"),
    ],
)
def test_wrong_numbers_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Pager(served(1), **options)  # type: ignore[arg-type]
