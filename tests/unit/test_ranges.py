"""Pieces of a file: whatever happens on the way, they make up one version of it, and all of it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._ranges import SMALLEST, Claim, Part, Verdict, Version, judge

VERSIONS = st.builds(Version, st.integers(0, 40), st.sampled_from(['"a"', '"b"', None]))


def answer(
    version: Version, start: int, end: int, *, condition: str | None, ranged: bool
) -> tuple[int, dict[str, str]]:
    """What a host answers that holds `version`."""
    tag = {} if version.etag is None else {"etag": version.etag}
    if not ranged or (condition is not None and condition != version.etag):
        return 200, {"content-length": str(version.size), **tag}
    if start >= version.size:
        return 416, {"content-range": f"bytes */{version.size}", **tag}
    end = min(end, version.size)
    return 206, {"content-range": f"bytes {start}-{end - 1}/{version.size}", **tag}


@given(st.data())
def test_each_byte_comes_from_one_version_and_all_of_them_come(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12)) * SMALLEST + data.draw(st.integers(0, 3))
    now = Version(size, '"0"')
    part = Part(now)
    held: dict[tuple[int, int], Version] = {}  # what was written, in order: a later one lies over an earlier one
    claims: list[Claim] = []
    for step in range(data.draw(st.integers(0, 30))):
        match data.draw(st.sampled_from(["take", "some", "all", "release", "crash", "change"])):
            case "take" if not part.is_whole:
                claim = part.take(data.draw(st.integers(1, 6)))
                claims += [] if claim is None else [claim]
            case "some" | "all" as much if claims:
                claim = data.draw(st.sampled_from(claims))
                if claim.at < claim.end:
                    ranged = data.draw(st.booleans())
                    told = answer(now, claim.at, claim.end, condition=part.version.validator, ranged=ranged)
                    verdict = judge(*told, claim.at, claim.end, part.version)
                    if now != part.version:
                        assert verdict is Verdict.CHANGED
                        part, claims = Part(now), []
                        held.clear()
                    elif verdict is Verdict.PIECE:
                        left = claim.end - claim.at
                        count = left if much == "all" else data.draw(st.integers(0, left))
                        held[claim.at, claim.at + count] = now
                        part.add(claim, count)
                    else:
                        assert (verdict, ranged) == (Verdict.WHOLE, False)
            case "release" if claims:
                part.release(claims.pop())
            case "crash":
                again = Part.from_dict(json.loads(json.dumps(part.to_dict())))
                assert again is not None
                assert (again.version, again.done) == (part.version, part.done)
                part, claims = again, []
            case "change":
                now = Version(size, f'"{step}"')
            case _:
                pass
    if now != part.version:
        part, claims = Part(now), []
        held.clear()
    for claim in claims:
        part.release(claim)
    while (last := part.take(1)) is not None:
        held[last.at, last.end] = now
        part.add(last, last.end - last.at)
        part.release(last)
    assert part.is_whole
    assert part.done == [(0, size)]
    covered = 0
    for (start, end), version in sorted(held.items()):
        assert version == now
        assert start <= covered
        covered = max(covered, end)
    assert covered == size


@given(st.integers(1, 60 * SMALLEST), st.integers(1, 8))
def test_connections_share_what_is_missing_and_never_fetch_a_byte_twice(size: int, connections: int) -> None:
    part = Part(Version(size, '"a"'))
    claims = [claim for _ in range(connections) if (claim := part.take(connections)) is not None]
    spans = sorted((claim.at, claim.end) for claim in claims)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(end - start >= min(size, SMALLEST // 2) for start, end in spans)
    for claim in claims:
        part.add(claim, claim.end - claim.at)
    while (claim := part.take(1)) is not None:
        part.add(claim, claim.end - claim.at)
    assert part.is_whole


def test_the_largest_rest_is_halved() -> None:
    part = Part(Version(8 * SMALLEST, '"a"'))
    first = part.take(1)
    assert first is not None
    part.add(first, 2 * SMALLEST)
    second = part.take(2)
    assert second is not None
    assert (first.end, second.at, second.end) == (5 * SMALLEST, 5 * SMALLEST, 8 * SMALLEST)


@given(VERSIONS, VERSIONS, st.integers(0, 39), st.integers(1, 40), st.booleans())
def test_a_piece_is_of_the_version_that_was_asked_for(
    asked: Version, there: Version, start: int, end: int, ranged: bool
) -> None:
    status, headers = answer(there, start, end, condition=asked.validator, ranged=ranged)
    verdict = judge(status, headers, start, end, asked)
    if verdict in (Verdict.PIECE, Verdict.WHOLE):
        assert there.size == asked.size
        assert asked.etag is None or there.etag == asked.etag


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["content-range", "content-length", "etag"]), st.text()))
def test_no_answer_is_too_strange(status: int, headers: dict[str, str]) -> None:
    assert judge(status, headers, 0, 5, Version(9, '"a"')) in Verdict


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["format", "size", "etag", "done"]), inner),
    )
    | st.fixed_dictionaries(
        {"format": st.just(1), "size": st.integers(-1, 9), "done": st.lists(st.lists(st.integers(-1, 10), max_size=3))}
    )
)
def test_no_notes_are_too_strange(notes: Any) -> None:
    part = Part.from_dict(notes)
    if part is not None:
        assert 0 <= part.present <= part.version.size


def test_what_is_no_strong_validator() -> None:
    for headers in (
        {"etag": 'W/"a"'},
        {"etag": "a"},
        {"etag": '""'},
        {"etag": '"a"b"'},
        {"etag": '"a\n"'},
        {"last-modified": "Wed, 01 Jan 2025 00:00:00 GMT"},
        {"last-modified": "Wed, 01 Jan 2025 00:00:00 GMT", "date": "Wed, 01 Jan 2025 00:00:00 GMT"},
        {"last-modified": "soon", "date": "Wed, 01 Jan 2025 00:00:00 GMT"},
    ):
        version = Version.of(200, {"content-length": "9", **headers})
        assert version is not None
        assert version.validator is None
        assert not version.is_surely(version)


OLD = "Wed, 01 Jan 2025 00:00:00 GMT"
NEW = "Thu, 02 Jan 2025 00:00:00 GMT"
LATER = "Fri, 03 Jan 2025 00:00:00 GMT"
TAGGED = Version(9, '"a"')
DATED = Version(9, modified=OLD)
PIECE = {"content-range": "bytes 2-5/9"}


def test_a_date_tells_versions_apart_if_it_was_a_second_ago_at_least() -> None:
    for moment, modified in (("00:00:01", OLD), ("00:00:00", None), ("12:00:00", OLD)):
        headers = {"content-length": "9", "last-modified": OLD, "date": f"Wed, 01 Jan 2025 {moment} GMT"}
        assert Version.of(200, headers) == Version(9, modified=modified)
    assert DATED.validator == OLD
    assert DATED.is_surely(Version(9, modified=OLD))
    assert not DATED.is_surely(Version(9, modified=NEW))
    assert not DATED.is_surely(None)


@pytest.mark.parametrize(
    ("version", "status", "headers", "verdict"),
    [
        (TAGGED, 206, PIECE, Verdict.PIECE),
        (TAGGED, 206, {**PIECE, "etag": '"a"'}, Verdict.PIECE),
        (TAGGED, 206, {**PIECE, "etag": '"b"'}, Verdict.CHANGED),
        (TAGGED, 206, {**PIECE, "content-length": "4"}, Verdict.PIECE),
        (TAGGED, 206, {**PIECE, "content-length": "5"}, Verdict.UNUSABLE),
        (TAGGED, 206, {"content-range": "bytes 2-3/9"}, Verdict.PIECE),
        (TAGGED, 206, {"content-range": "bytes 2-2/9"}, Verdict.PIECE),
        (TAGGED, 206, {"content-range": "bytes 2-1/9"}, Verdict.UNUSABLE),
        (TAGGED, 206, {"content-range": "bytes 2-6/9"}, Verdict.UNUSABLE),
        (TAGGED, 206, {"content-range": "bytes 1-5/9"}, Verdict.UNUSABLE),
        (TAGGED, 206, {"content-range": "bytes 2-5/8"}, Verdict.CHANGED),
        (TAGGED, 206, {"content-range": "bytes 2-5/*"}, Verdict.UNUSABLE),
        (TAGGED, 206, {"content-length": "9"}, Verdict.UNUSABLE),
        (TAGGED, 204, {"content-length": "9"}, Verdict.UNUSABLE),
        (TAGGED, 302, {"content-range": "bytes 2-5/9", "content-length": "9"}, Verdict.UNUSABLE),
        (TAGGED, 416, {}, Verdict.UNUSABLE),
        (TAGGED, 416, {"content-range": "bytes */9", "etag": '"a"'}, Verdict.UNUSABLE),
        (TAGGED, 416, {"content-range": "bytes */8", "etag": '"b"'}, Verdict.CHANGED),
        (TAGGED, 200, {"content-length": "9", "etag": '"a"'}, Verdict.WHOLE),
        (TAGGED, 200, {"content-length": "9"}, Verdict.CHANGED),
        (TAGGED, 200, {"etag": '"a"'}, Verdict.CHANGED),
        (DATED, 206, {**PIECE, "last-modified": OLD, "date": LATER}, Verdict.PIECE),
        (DATED, 206, {**PIECE, "last-modified": NEW, "date": LATER}, Verdict.CHANGED),
        (DATED, 206, PIECE, Verdict.PIECE),
        (DATED, 200, {"content-length": "9", "last-modified": OLD, "date": LATER}, Verdict.WHOLE),
        (DATED, 200, {"content-length": "9", "last-modified": NEW, "date": LATER}, Verdict.CHANGED),
        (DATED, 200, {"content-length": "9"}, Verdict.CHANGED),
        (Version(9), 200, {"content-length": "9", "etag": '"b"'}, Verdict.WHOLE),
        (Version(9), 200, {"content-length": "8"}, Verdict.CHANGED),
    ],
)
def test_what_an_answer_means(version: Version, status: int, headers: dict[str, str], verdict: Verdict) -> None:
    assert judge(status, headers, 2, 6, version) is verdict


def test_what_is_there_is_counted() -> None:
    part = Part(TAGGED, [(2, 5), (6, 9)])
    assert (part.present, part.is_whole) == (6, False)
    assert Part(TAGGED, [(0, 9)]).is_whole


def test_an_answer_of_too_much_tells_the_size() -> None:
    headers = {"content-range": "bytes */9", "content-length": "30", "etag": '"a"'}
    assert Version.of(416, headers) == TAGGED
    assert Version.of(416, {"content-length": "30"}) is None


@pytest.mark.parametrize(
    ("notes", "read"),
    [
        ({}, True),
        ({"done": [[0, 3], [4, 9]]}, True),
        ({"done": [[0, 3], [3, 9]]}, False),
        ({"done": [[4, 9], [0, 3]]}, False),
        ({"done": [[0, 10]]}, False),
        ({"done": [[3, 3]]}, False),
        ({"done": [[0, 3, 4]]}, False),
        ({"done": [[0, 3.0]]}, False),
        ({"size": 0}, True),
        ({"size": -1}, False),
        ({"size": True}, False),
        ({"etag": 5}, False),
        ({"modified": 5}, False),
        ({"format": 2}, False),
    ],
)
def test_notes_are_read_only_if_they_can_be_right(notes: dict[str, Any], read: bool) -> None:
    given = {**Part(Version(9, '"a"')).to_dict(), **notes}
    assert (Part.from_dict(given) is not None) is read
