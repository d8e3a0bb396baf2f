"""Faults of files, seen from a socket: what comes over the wire, byte by byte."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import ModelFile

STORAGE = "GET /storage/*"
_MOMENT = 0.1
NO_STORE = "private, no-store"


@dataclass
class Raw:
    """What came over a connection until it ended, and how it did."""

    head: str
    body: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in lines}


Fetch = Callable[..., Raw]


@pytest.fixture
def file(emulator: Emulator) -> ModelFile:
    return emulator.oddities["no_suffix"].primary_file


@pytest.fixture
def url(emulator: Emulator, anonymous: httpx.Client, file: ModelFile) -> str:
    location: str = anonymous.get(f"/api/download/models/{file.version.id}").headers["location"]
    return location


@pytest.fixture
def fetch(url: str) -> Iterator[Fetch]:
    """Ask on a connection of its own; it stalls if nothing comes for a moment after so many bytes of the body."""
    opened: list[socket.socket] = []

    def fetch(*, method: str = "GET", stalls_after: int | None = None, **headers: str) -> Raw:
        where = urlsplit(url)
        connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=20)
        opened.append(connection)
        lines = [f"{method} {where.path}?{where.query} HTTP/1.1", f"Host: {where.netloc}"]
        lines += [f"{name}: {value}" for name, value in ({"Connection": "close"} | headers).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        got, end = b"", "closed"
        try:
            while piece := connection.recv(65_536):
                got += piece
                _, blank, body = got.partition(b"\r\n\r\n")
                if stalls_after is not None and blank and len(body) >= stalls_after:
                    connection.settimeout(_MOMENT)
        except TimeoutError:
            end = "stalled"
        except ConnectionResetError:
            end = "reset"
        head, _, body = got.partition(b"\r\n\r\n")
        return Raw(head.decode("latin-1"), body, end)

    yield fetch
    for connection in opened:
        connection.close()


def _dechunked(body: bytes) -> bytes:
    content = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        content += body[: int(length, 16)]
        body = body[int(length, 16) + 2 :]
    return content


# How an answer ends


@pytest.mark.parametrize(("end", "seen"), [("close", "closed"), ("reset", "reset"), ("stall", "stalled")])
@pytest.mark.parametrize("length", [0, 1, 1000])
def test_a_body_is_cut_after_some_bytes(
    emulator: Emulator, fetch: Fetch, file: ModelFile, end: Any, seen: str, length: int
) -> None:
    emulator.faults.add(STORAGE, cut_body=length, end=end, times=1)
    got = fetch(stalls_after=length if end == "stall" else None)
    assert (got.status, got.body, got.end) == (200, file.content[:length], seen)
    assert got.headers["content-length"] == str(len(file.content))
    assert emulator.journal[-1].fault == "cut_body"
    assert fetch().body == file.content


def test_a_range_is_cut_too_and_what_is_shorter_comes_whole(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, cut_body=10)
    assert fetch(Range="bytes=100-199").body == file.content[100:110]
    short = fetch(Range="bytes=100-109")
    assert (short.body, short.end) == (file.content[100:110], "closed")
    assert fetch(method="HEAD").headers["content-length"] == str(len(file.content))
    emulator.faults.clear()
    emulator.faults.add(STORAGE, cut_body=True)
    assert fetch(Range="bytes=100-199").body == file.content[100:150]


@pytest.mark.parametrize(("end", "seen"), [("close", "closed"), ("reset", "reset")])
def test_an_answer_never_comes(emulator: Emulator, fetch: Fetch, end: Any, seen: str) -> None:
    emulator.faults.add(STORAGE, lost_answer=True, end=end)
    got = fetch()
    assert (got.head, got.body, got.end) == ("", b"", seen)


def test_nothing_ever_comes(emulator: Emulator, url: str) -> None:
    emulator.faults.add(STORAGE, lost_answer=True, end="stall")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(url, timeout=_MOMENT)


def test_what_stalls_or_drips_ends_with_the_emulator(
    emulator: Emulator, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.faults.add(STORAGE, cut_body=1, end="stall", times=1)
    emulator.faults.add(STORAGE, rate=5)
    for _ in range(2):
        fetch(stalls_after=1)
    begin = time.perf_counter()
    emulator.close()
    assert time.perf_counter() - begin < 4
    assert not caplog.records


# Lengths


def test_more_is_promised_than_comes(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    length = str(len(file.content) + 5)
    emulator.faults.add(STORAGE, headers={"Content-Length": length})
    got = fetch()
    assert (got.headers["content-length"], got.body, got.end) == (length, file.content, "closed")
    emulator.faults.clear()
    emulator.faults.add(STORAGE, headers={"content-length": length}, end="stall")
    got = fetch(stalls_after=len(file.content))
    assert (got.body, got.end) == (file.content, "stalled")


def test_less_is_promised_than_comes(emulator: Emulator, fetch: Fetch, file: ModelFile, url: str) -> None:
    emulator.faults.add(STORAGE, headers={"Content-Length": "1000"})
    got = fetch()
    assert (got.headers["content-length"], got.body, got.end) == ("1000", file.content, "closed")
    assert httpx.get(url).content == file.content[:1000]


def test_a_false_length_goes_with_an_error_and_with_head(emulator: Emulator, fetch: Fetch) -> None:
    emulator.faults.add("* /storage/*", status=403, headers={"Content-Length": "7"})
    assert (fetch().headers["content-length"], len(fetch().body) > 7) == ("7", True)
    head = fetch(method="HEAD")
    assert (head.headers["content-length"], head.body, head.end) == ("7", b"", "closed")


def test_no_length_is_told(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, headers={"Content-Length": None})
    got = fetch()
    assert "content-length" not in got.headers
    assert got.headers["transfer-encoding"] == "chunked"
    assert _dechunked(got.body) == file.content


# Ranges and what else the headers say


def test_ranges_are_ignored_or_refused(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, ignore_range=True, headers={"Accept-Ranges": "none", "ETag": None})
    got = fetch(Range="bytes=5-9")
    assert (got.status, got.body, got.headers["accept-ranges"]) == (200, file.content, "none")
    assert not {"content-range", "etag"} & got.headers.keys()
    assert emulator.journal[-1].fault == "ignore_range"


@pytest.mark.parametrize(
    ("by", "start", "end"), [(3, 103, 203), (-1, 99, 199), (-150, 0, 50), (10_000_000, None, None)]
)
def test_another_range_comes_than_was_asked_for(
    emulator: Emulator, fetch: Fetch, file: ModelFile, by: int, start: int | None, end: int
) -> None:
    emulator.faults.add(STORAGE, shift_range=by)
    got = fetch(Range="bytes=100-199")
    if start is None:
        assert got.status == 416
        return
    assert (got.status, got.body) == (206, file.content[start:end])
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/{len(file.content)}"
    assert fetch().body == file.content


def test_a_range_cannot_be_satisfied(emulator: Emulator, fetch: Fetch) -> None:
    emulator.faults.add(STORAGE, status=416, headers={"Content-Range": "bytes */7"}, times=1)
    got = fetch(Range="bytes=0-5")
    assert (got.status, got.headers["content-range"], b"InvalidRange" in got.body) == (416, "bytes */7", True)


def test_the_file_becomes_another_one(emulator: Emulator, fetch: Fetch, file: ModelFile, url: str) -> None:
    before = fetch()
    emulator.faults.add(STORAGE, changed=True, times=1)
    after = [fetch(), fetch(), fetch(Range="bytes=0-99999", **{"If-Range": before.headers["etag"]})]
    assert {got.status for got in after} == {200}
    assert len({got.body for got in after} | {before.body}) == 2
    assert len({got.headers["etag"] for got in after} | {before.headers["etag"]}) == 2
    assert len(after[0].body) == len(before.body)
    emulator.faults.clear()
    assert fetch().body == before.body


# Encodings and pages


def test_a_body_is_compressed_unasked(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, gzip=True)
    got = fetch(**{"Accept-Encoding": "identity"})
    assert (got.headers["content-encoding"], "content-length" in got.headers) == ("gzip", False)
    assert gzip.decompress(_dechunked(got.body)) == file.content
    part = fetch(Range="bytes=0-99")
    assert (part.status, gzip.decompress(_dechunked(part.body))) == (206, file.content[:100])


def test_something_else_comes_with_status_200(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, html_page=True, status=200, times=1)
    emulator.faults.add(STORAGE, status=200, body={"error": "Unauthorized"}, times=1)
    binary = {"Content-Type": "application/x-binary"}
    emulator.faults.add(STORAGE, status=200, body=b"<html>", headers=binary, times=1)
    emulator.faults.add(STORAGE, status=206, body=b"\0", times=1)
    page, error, disguised, plain = (fetch() for _ in range(4))
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (error.status, error.body) == (200, b'{"error":"Unauthorized"}')
    assert (disguised.body, disguised.headers["content-type"]) == (b"<html>", "application/x-binary")
    assert (plain.status, plain.body, plain.headers["content-type"]) == (206, b"\0", "application/octet-stream")
    assert fetch().body == file.content


def test_a_redirect_leads_to_the_page_where_one_signs_in(emulator: Emulator, fetch: Fetch, url: str) -> None:
    emulator.faults.add(STORAGE, status=307, headers={"Location": "/login?reason=download-auth"})
    got = httpx.get(url, follow_redirects=True)
    assert (got.status_code, got.url.path, got.headers["content-type"]) == (200, "/login", "text/html; charset=utf-8")


# Pace


def test_a_rate_holds_for_every_connection(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, rate=200_000)
    begin = time.perf_counter()
    got = fetch()
    assert time.perf_counter() - begin >= 0.9 * len(file.content) / 200_000
    assert got.body == file.content
    assert emulator.journal[-1].fault == "rate"


def test_bytes_drip(emulator: Emulator, fetch: Fetch, file: ModelFile) -> None:
    emulator.faults.add(STORAGE, rate=50, cut_body=10)
    begin = time.perf_counter()
    got = fetch()
    assert (got.body, got.end) == (file.content[:10], "closed")
    assert time.perf_counter() - begin >= 0.15


def test_who_goes_away_is_not_served_any_longer(
    emulator: Emulator, fetch: Fetch, file: ModelFile, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.faults.add(STORAGE, rate=20, times=1)
    with httpx.stream("GET", url) as answer:
        assert next(answer.iter_raw()) == file.content[:1]
    assert fetch().body == file.content
    begin = time.perf_counter()
    emulator.close()
    assert time.perf_counter() - begin < 0.9  # nothing is left to wait for
    assert not caplog.records


# Refusals


def test_a_url_runs_out_while_it_is_used(
    emulator: Emulator, fetch: Fetch, anonymous: httpx.Client, file: ModelFile
) -> None:
    emulator.faults.add(STORAGE, advance=901, after=1, times=1)
    assert [fetch().status for _ in range(3)] == [200, 403, 403]
    assert emulator.journal[-2].fault == "advance"
    fresh = anonymous.get(f"/api/download/models/{file.version.id}").headers["location"]
    assert httpx.get(fresh).content == file.content


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "AccessDenied"), (404, "NoSuchKey"), (503, "SlowDown")]
)
def test_the_storage_refuses_in_its_own_words(emulator: Emulator, fetch: Fetch, status: int, code: str) -> None:
    emulator.faults.add(STORAGE, status=status)
    got = fetch()
    assert (got.status, got.headers["content-type"]) == (status, "application/xml")
    assert f"<Code>{code}</Code>".encode() in got.body


def test_a_file_is_not_found_for_a_moment(emulator: Emulator, anonymous: httpx.Client, file: ModelFile) -> None:
    path = f"/api/download/models/{file.version.id}"
    emulator.faults.add(
        f"GET {path}", status=404, body={"error": "File not found"}, headers={"Cache-Control": NO_STORE}, times=1
    )
    missing = anonymous.get(path)
    assert (missing.status_code, missing.headers["cache-control"]) == (404, NO_STORE)
    assert anonymous.get(path).status_code == 307
