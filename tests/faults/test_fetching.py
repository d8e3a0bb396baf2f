"""What becomes of a download when things go wrong, over real sockets: begun anew and gone on with, in both halves."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import errors, unfinished_downloads
from civitai_ext._async import fetching as async_fetching
from civitai_ext._async.http import AsyncHttp
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import RetryPolicy
from civitai_ext._config import Config
from civitai_ext._disk import PartFile
from civitai_ext._part_files import ResumableFile, boot_id
from civitai_ext._redact import public_url
from civitai_ext._sync import fetching as sync_fetching
from civitai_ext._sync.http import Http
from civitai_ext._sync.transport import Transport
from civitai_ext.hashing import hash_file
from tests.faults.range_server import MB, Asked, Fault, RangeServer, Reply

TOKEN = "t0ken-that-nobody-may-see"
SIZE = 4 * MB + 12_345  # enough for four connections
PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"


def made(seed: int, size: int = SIZE) -> bytes:
    header = b'{"__metadata__":{}}'
    return len(header).to_bytes(8, "little") + header + hashlib.shake_256(bytes([seed])).digest(size - 8 - len(header))


FIRST, SECOND = made(1), made(2)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest().upper()


def config_of(server: RangeServer) -> Config:
    url = server.url
    return Config.load(token=TOKEN, site_url=url, orchestration_url=url, auth_url=url, environ={})


def sync_fetch(
    server: RangeServer, target: Path | None, *, timeout: float = 10, policy: RetryPolicy | None = None, **options: Any
) -> Any:
    policy = RetryPolicy.immediate() if policy is None else policy
    transport = Transport(config_of(server), Http(timeout=timeout, verify=False), policy=policy)
    try:
        if target is None:
            return sync_fetching.probe(transport, server.source, timeout=timeout)
        more = _expected(sync_fetching, options)
        return sync_fetching.fetch(transport, server.source, target, timeout=timeout, **more)
    finally:
        transport.close()


def async_fetch(
    server: RangeServer, target: Path | None, *, timeout: float = 10, policy: RetryPolicy | None = None, **options: Any
) -> Any:
    async def run() -> Any:
        immediate = RetryPolicy.immediate() if policy is None else policy
        transport = AsyncTransport(config_of(server), AsyncHttp(timeout=timeout, verify=False), policy=immediate)
        try:
            if target is None:
                return await async_fetching.probe(transport, server.source, timeout=timeout)
            more = _expected(async_fetching, options)
            return await async_fetching.fetch(transport, server.source, target, timeout=timeout, **more)
        finally:
            await transport.aclose()

    return asyncio.run(run())


def _expected(module: Any, options: dict[str, Any]) -> dict[str, Any]:
    known = {name: options.pop(name) for name in ("size", "hashes") if name in options}
    return {**options, "expected": module.Expected(**known)}


Fetch = Callable[..., Any]


@pytest.fixture(params=[sync_fetch, async_fetch], ids=["sync", "async"])
def fetch(request: pytest.FixtureRequest) -> Fetch:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def probe(fetch: Fetch) -> Fetch:
    return lambda server: fetch(server, None)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer(FIRST) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "a.safetensors"


def begin(server: RangeServer, target: Path) -> int:
    """Leave a download behind that was cut short; give how many bytes of it are there."""

    def cut(number: int, asked: Asked, reply: Reply) -> Reply | None:
        return cut_at(reply, MB // 2) if number < 4 else Reply(404, {}, b"")

    server.fault = cut
    with pytest.raises(errors.CivitaiError):
        sync_fetch(server, target, policy=RetryPolicy.off())
    server.fault = None
    server.asked.clear()
    server._number = 0
    file = ResumableFile(target, public_url(server.source))
    part = file.load()
    file.close()
    assert part is not None
    assert 0 < part.present < SIZE
    return part.present


def cut_at(reply: Reply, at: int | None, **changes: Any) -> Reply:
    return Reply(reply.status, reply.headers, reply.body, cut=at, **changes)


def once(change: Callable[[Reply], Reply], first: int = 0, count: int = 1) -> Fault:
    """A fault of the first request for bytes, or of some later ones."""
    return lambda number, _, reply: change(reply) if first <= number < first + count else reply


def always(change: Callable[[Reply], Reply]) -> Fault:
    return lambda number, _, reply: change(reply) if number >= 0 else reply


def failing(status: int, body: bytes = b"", **headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, named, body)


def changed(**headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda reply: Reply(reply.status, {**reply.headers, **named}, reply.body)


def whole(reply: Reply) -> Reply:
    headers = {name: value for name, value in reply.headers.items() if name != "content-range"}
    return Reply(200, headers, FIRST)


def no_ranges(_: int, __: Asked, reply: Reply) -> Reply:
    return whole(reply)


def longer(reply: Reply) -> Reply:
    return Reply(reply.status, {**reply.headers, "content-length": str(len(reply.body) + 99)}, reply.body)


def weak(number: int, asked: Asked, reply: Reply) -> Reply:
    return changed(etag='W/"v1"')(reply)


def without_etag(number: int, asked: Asked, reply: Reply) -> Reply:
    return Reply(reply.status, {name: value for name, value in reply.headers.items() if name != "etag"}, reply.body)


def one_connection(status: int) -> Fault:
    """A host that has enough of the second connection on, until the first is done."""
    return lambda number, _, reply: Reply(status, {}, b"") if number in (1, 2, 3) else reply


def shifted(reply: Reply) -> Reply:
    return changed(content_range=f"bytes 7-{6 + len(reply.body)}/{SIZE}")(reply)


# What comes right in the end, however it began.
CURED: dict[str, Fault] = {
    "nothing": once(lambda reply: reply),
    "cut at the first byte": once(lambda reply: cut_at(reply, 1)),
    "cut within the header": once(lambda reply: cut_at(reply, 100)),
    "cut in the middle": once(lambda reply: cut_at(reply, MB // 2)),
    "cut before anything": once(lambda reply: cut_at(reply, 0)),
    "every connection cut": once(lambda reply: cut_at(reply, MB // 2), count=4),
    "cut again and again": lambda n, _, reply: cut_at(reply, MB // 2) if n % 2 else reply,
    "longer than said": once(longer),
    "reset at once": once(lambda reply: cut_at(reply, 0, reset=True)),
    "reset in the middle": once(lambda reply: cut_at(reply, MB // 2, reset=True)),
    "all reset": once(lambda reply: cut_at(reply, MB // 2, reset=True), count=4),
    "silence at once": once(lambda reply: cut_at(reply, 0, stall=True)),
    "silence in the middle": once(lambda reply: cut_at(reply, MB // 2, stall=True)),
    "slow drops": once(lambda reply: Reply(reply.status, reply.headers, reply.body, drip=0.02)),
    "500": once(failing(500)),
    "502 as a page": once(failing(502, PAGE, content_type="text/html")),
    "503 with a time": once(failing(503, retry_after="1")),
    "503 three times": once(failing(503), count=3),
    "429 with a time": once(failing(429, retry_after="1")),
    "429 with a date": once(failing(429, retry_after=formatdate(1.7e9, usegmt=True))),
    "408": once(failing(408)),
    "no ranges at all": no_ranges,
    "a range ignored at first": once(whole),
    "a range ignored at the second request": once(whole, first=1),
    "all ranges ignored but the probe": always(whole),
    "another range than asked": once(shifted),
    "416 once": once(failing(416, content_range=f"bytes */{SIZE}")),
    "a weak entity tag": weak,
    "no entity tag": without_etag,
    "403 for the second connection": one_connection(403),
    "429 for the second connection": one_connection(429),
    "503 for the second connection": one_connection(503),
    "403 once": once(failing(403)),
    "401 once": once(failing(401)),
    "410 once": once(failing(410)),
    "400 since its time is over": once(failing(400, b"<Error><Code>ExpiredToken</Code></Error>")),
    "403 since its time is over": once(failing(403, b"<Error><Message>Request has expired</Message></Error>")),
    "no length": lambda _, __, reply: unmeasured(reply),
    "no length, and cut at first": lambda n, _, reply: cut_at(unmeasured(reply), MB if n == 0 else None, chunked=True),
    "no length, and reset at first": lambda n, _, reply: (
        cut_at(unmeasured(reply), MB, chunked=True, reset=True) if n == 0 else unmeasured(reply)
    ),
    "no length, and slow drops at first": lambda n, _, reply: (
        Reply(200, {}, FIRST, drip=0.02, chunked=True) if n == 0 else unmeasured(reply)
    ),
    "no length, and its time over at first": lambda n, _, reply: (
        Reply(400, {}, b"<Error><Code>ExpiredToken</Code></Error>") if n == 0 else unmeasured(reply)
    ),
    "no length at first, then one": lambda n, _, reply: unmeasured(reply) if n < 0 else reply,
    "shorter ranges than asked": lambda n, asked, reply: shortened(reply) if n >= 0 else reply,
}


def unmeasured(reply: Reply) -> Reply:
    headers = {name: value for name, value in reply.headers.items() if name != "content-range"}
    return Reply(200, headers, FIRST, chunked=True)


def shortened(reply: Reply) -> Reply:
    count = min(len(reply.body), MB)
    start = int(reply.headers["content-range"].split()[1].split("-")[0])
    headers = {**reply.headers, "content-range": f"bytes {start}-{start + count - 1}/{SIZE}"}
    return Reply(206, headers, reply.body[:count])


def each(cases: Iterable[str]) -> pytest.MarkDecorator:
    """Each case begun anew and gone on with, the two halves in turns: one is derived from the other."""
    params = []
    for number, name in enumerate(cases):
        for resumed in (False, True):
            fetch = (sync_fetch, async_fetch)[(number + resumed) % 2]
            id = f"{name}-{'resumed' if resumed else 'fresh'}-{fetch.__name__.partition('_')[0]}"
            params.append(pytest.param(fetch, name, resumed, id=id))
    return pytest.mark.parametrize(("fetch", "name", "resumed"), params)


@each(CURED)
def test_what_comes_right(fetch: Fetch, server: RangeServer, target: Path, name: str, resumed: bool) -> None:
    if resumed:
        begin(server, target)
    server.fault = CURED[name]
    done = fetch(server, target, timeout=0.25, hashes={"sha256": sha256(FIRST).lower()})
    assert target.read_bytes() == FIRST
    assert (done.verified, done.size, done.hashes.crc32) == (True, SIZE, f"{zlib.crc32(FIRST):08X}")
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert all("authorization" not in asked.headers for asked in server.stored)
    assert all(asked.headers["accept-encoding"] == "identity" for asked in server.asked)


def json_error(_: Reply) -> Reply:
    return Reply(200, {"content-type": "application/json"}, b'{"error": "File not found"}')


def packed(reply: Reply) -> Reply:
    return Reply(200, {"content-encoding": "gzip", "content-type": "application/octet-stream"}, gzip.compress(PAGE))


def everywhere(change: Callable[[Reply], Reply]) -> Fault:
    return lambda _, __, reply: change(reply)


# What does not come right: nothing may stand under the name.
FATAL: dict[str, tuple[Fault, type[errors.CivitaiError]]] = {
    "a page": (everywhere(failing(200, PAGE, content_type="text/html")), errors.NotAFile),
    "a page for a range": (always(failing(200, PAGE, content_type="text/html")), errors.NotAFile),
    "a page that does not say so": (everywhere(failing(200, PAGE, etag='"page"')), errors.NotAFile),
    "JSON": (everywhere(json_error), errors.NotAFile),
    "JSON for a range": (always(json_error), errors.NotAFile),
    "nothing at all": (everywhere(failing(200)), errors.NotAFile),
    "the storage's error with 200": (everywhere(failing(200, b"<Error><Code>x</Code></Error>")), errors.NotAFile),
    "compressed": (everywhere(packed), errors.UnexpectedResponse),
    "compressed for a range": (always(changed(content_encoding="gzip")), errors.Incomplete),
    "another file": (everywhere(failing(200, b"PK\x03\x04" * 99)), errors.NotAFile),
    "cut each time": (always(lambda reply: cut_at(reply, 1000)), errors.Incomplete),
    "reset each time": (always(lambda reply: cut_at(reply, 0, reset=True)), errors.Incomplete),
    "silence each time": (always(lambda reply: cut_at(reply, 0, stall=True)), errors.Incomplete),
    "cut each time, without ranges": (lambda _, __, r: cut_at(whole(r), 3 * MB), errors.Incomplete),
    "no length, and cut each time": (
        lambda _, __, reply: cut_at(unmeasured(reply), MB, chunked=True),
        errors.Incomplete,
    ),
    "no length, and another file": (
        lambda _, __, reply: Reply(200, {}, b"PK\x03\x04" * MB, chunked=True),
        errors.NotAFile,
    ),
    "no sign of its end": (lambda _, __, reply: Reply(200, {}, FIRST, endless=True), errors.UnexpectedResponse),
    "400 since its time is over, each time": (
        always(failing(400, b"<Error><Code>ExpiredToken</Code></Error>")),
        errors.BadRequest,
    ),
    "503 each time": (always(failing(503)), errors.Incomplete),
    "403 each time": (everywhere(failing(403)), errors.PermissionDenied),
    "403 for every range": (always(failing(403)), errors.PermissionDenied),
    "404": (everywhere(failing(404)), errors.NotFound),
    "404 for every range": (always(failing(404)), errors.NotFound),
    "another version each time": (
        lambda n, _, reply: changed(etag=f'"{n}"')(reply) if n >= 0 else reply,
        errors.Incomplete,
    ),
}


@each(FATAL)
def test_what_does_not_come_right(fetch: Fetch, server: RangeServer, target: Path, name: str, resumed: bool) -> None:
    if resumed:
        begin(server, target)
    fault, kind = FATAL[name]
    server.fault = fault
    with pytest.raises(kind) as caught:
        fetch(server, target, timeout=0.1)
    assert not target.exists()
    assert TOKEN not in str(caught.value)
    assert "signature=1" not in str(caught.value)
    # And nothing of it stays in the way.
    server.fault = None
    fetch(server, target, hashes={"SHA256": sha256(FIRST)})
    assert target.read_bytes() == FIRST


REFUSALS: list[tuple[int, Any, type[errors.ApiError]]] = [
    (401, {"error": "Unauthorized", "message": "The creator requires you to be logged in"}, errors.LoginRequired),
    (401, {"error": "Unauthorized", "message": "The creator has disabled downloads"}, errors.DownloadsDisabled),
    (403, {"error": "Forbidden"}, errors.PermissionDenied),
    (403, {"error": "Early Access", "deadline": "2026-12-02T00:00:00.000Z", "message": "Wait"}, errors.EarlyAccess),
    (403, {"error": "You do not have access to download this file"}, errors.AccessDenied),
    (404, {"error": "File not found"}, errors.NotFound),
    (410, {"error": "Model archived, not available for download"}, errors.Archived),
    (429, {"error": "You have been downloading unusually much"}, errors.QuotaExceeded),
    (500, {"error": "Something"}, errors.ServerError),
    (400, {"error": "Missing modelVersionId"}, errors.BadRequest),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
def test_what_the_service_refuses(
    fetch: Fetch, server: RangeServer, target: Path, status: int, body: Any, kind: type[errors.ApiError]
) -> None:
    server.service = lambda _: Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())
    with pytest.raises(kind) as caught:
        fetch(server, target)
    assert type(caught.value) is kind
    assert not target.exists()
    assert not list(target.parent.iterdir())
    if kind is errors.QuotaExceeded:
        assert len(server.asked) == 1  # asking again would only count


def test_a_login_page_is_a_login_that_is_missing(fetch: Fetch, server: RangeServer, target: Path) -> None:
    server.service = lambda _: Reply(302, {"location": "/login?returnUrl=/model-versions/1&reason=download-auth"}, b"")
    with pytest.raises(errors.LoginRequired):
        fetch(server, target)


def test_a_file_that_could_not_be_found_for_a_moment(fetch: Fetch, server: RangeServer, target: Path) -> None:
    moment = Reply(404, {"cache-control": "private, no-store"}, b'{"error": "File not found"}')
    server.service = lambda number: moment if number == 0 else None
    assert fetch(server, target).size == SIZE


def test_redirects_that_do_not_end(fetch: Fetch, server: RangeServer, target: Path) -> None:
    server.service = lambda _: Reply(308, {"location": server.source}, b"")
    with pytest.raises(errors.UnexpectedResponse, match="redirects"):
        fetch(server, target)
    assert len(server.asked) < 10


@pytest.mark.parametrize("location", ["http://10.0.0.1/x", "file:///etc/passwd", "http://[", "//user@host/x"])
def test_addresses_that_are_not_to_be_fetched(fetch: Fetch, server: RangeServer, target: Path, location: str) -> None:
    server.service = lambda _: Reply(307, {"location": location}, b"")
    with pytest.raises(errors.UnexpectedResponse):
        fetch(server, target)


def test_the_token_goes_to_the_service_alone(fetch: Fetch, server: RangeServer, target: Path) -> None:
    fetch(server, target)
    first, *others = server.asked
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert len(others) >= 5  # the probe, and four connections
    assert not [asked for asked in others if "authorization" in asked.headers]


def test_a_service_that_gets_too_much_is_asked_again(fetch: Fetch, server: RangeServer, target: Path) -> None:
    server.service = lambda number: Reply(429, {"retry-after": "1"}, b"{}") if number < 2 else None
    assert fetch(server, target).size == SIZE


def test_a_url_that_runs_out_meanwhile(fetch: Fetch, server: RangeServer, target: Path) -> None:
    def run_out(number: int, _: Asked, reply: Reply) -> Reply:
        if number != 2:
            return reply
        server.signature += 1
        return cut_at(reply, MB // 2)

    server.fault = run_out
    assert fetch(server, target, hashes={"SHA256": sha256(FIRST)}).verified
    assert len([asked for asked in server.asked if asked.path.startswith("/api/")]) == 2


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("same_size", [False, True])
def test_a_file_that_changes_meanwhile(
    fetch: Fetch, server: RangeServer, target: Path, before: int, same_size: bool
) -> None:
    second = SECOND if same_size else SECOND[: 3 * MB]

    def change(number: int, asked: Asked, reply: Reply) -> Reply:
        if number == before:
            server.content, server.etag = second, '"v2"'
            return cut_at(reply, MB // 2)
        return server.right(asked)

    server.fault = change
    assert fetch(server, target).size == len(second)
    assert target.read_bytes() == second


def test_a_file_that_changed_since(fetch: Fetch, server: RangeServer, target: Path) -> None:
    begin(server, target)
    server.content, server.etag = SECOND, '"v2"'
    fetch(server, target)
    assert target.read_bytes() == SECOND


def test_a_file_that_changed_without_a_tag(fetch: Fetch, server: RangeServer, target: Path) -> None:
    begin(server, target)
    server.content, server.etag = SECOND, 'W/"v2"'
    fetch(server, target)
    assert target.read_bytes() == SECOND


def test_a_date_does_as_well_as_a_tag(fetch: Fetch, server: RangeServer, target: Path) -> None:
    server.etag = None
    server.extra = {"last-modified": formatdate(1.7e9, usegmt=True), "date": formatdate(1.8e9, usegmt=True)}
    present = begin(server, target)
    fetch(server, target)
    assert target.read_bytes() == FIRST
    assert server.sent <= SIZE - present + 2 * MB


def test_going_on_fetches_only_the_rest(fetch: Fetch, server: RangeServer, target: Path) -> None:
    present = begin(server, target)
    steps: list[tuple[int, int | None]] = []
    fetch(server, target, on_progress=lambda done, size: steps.append((done, size)))
    assert target.read_bytes() == FIRST
    assert steps[0] == (present, SIZE)
    assert steps[-1] == (SIZE, SIZE)
    asked = [asked for asked in server.stored if not asked.is_probe]
    assert all(one.headers["if-range"] == '"v1"' for one in asked)


def test_a_wrong_hash_leaves_nothing(fetch: Fetch, server: RangeServer, target: Path) -> None:
    with pytest.raises(errors.HashMismatch) as caught:
        fetch(server, target, hashes={"SHA256": sha256(SECOND)})
    assert (caught.value.expected, caught.value.found) == (sha256(SECOND), sha256(FIRST))
    assert not list(target.parent.iterdir())


def test_without_a_published_hash_it_is_not_verified(fetch: Fetch, server: RangeServer, target: Path) -> None:
    assert fetch(server, target, hashes={"SHA512": "01" * 64, "AutoV2": ""}).verified is False


def test_another_size_than_expected(fetch: Fetch, server: RangeServer, target: Path) -> None:
    with pytest.raises(errors.NotAFile, match=str(SIZE)):
        fetch(server, target, size=SIZE + 1)
    assert not target.exists()


def test_notes_that_are_garbled_are_not_believed(fetch: Fetch, server: RangeServer, target: Path) -> None:
    for garbled in ("", "{", "[]", '{"format": 1}', '{"format": 1, "size": 5, "done": [[0, 9]]}', "[" * 100_000):
        begin(server, target)
        for notes in target.parent.glob("*.json"):
            notes.write_text(garbled)
        assert fetch(server, target, hashes={"SHA256": sha256(FIRST)}).verified
        target.unlink()


@pytest.mark.skipif(boot_id() is None, reason="the system does not tell when it was started")
@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_not_on_the_disk_is_not_believed_after_a_restart(
    fetch: Fetch, server: RangeServer, target: Path, restarted: bool
) -> None:
    begin(server, target)
    (notes,) = (path for path in target.parent.glob("*.part.json"))
    written = json.loads(notes.read_text())
    recent = notes.with_name(notes.name.replace(".part.json", ".part.recent.json"))
    recent.write_text(json.dumps({**written, "boot": "another" if restarted else boot_id()}))
    notes.write_text(json.dumps({**written, "done": [[0, 1000]]}))
    steps: list[int] = []
    assert fetch(
        server, target, on_progress=lambda done, _: steps.append(done), hashes={"SHA256": sha256(FIRST)}
    ).verified
    assert steps[0] == (1000 if restarted else sum(end - start for start, end in written["done"]))


@pytest.mark.parametrize("exists", ["error", "skip", "overwrite"])
def test_a_file_that_is_there(fetch: Fetch, server: RangeServer, target: Path, exists: str) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    if exists == "error":
        with pytest.raises(FileExistsError):
            fetch(server, target)
    else:
        fetch(server, target, exists=exists)
    assert target.read_bytes() == (FIRST if exists == "overwrite" else b"mine")


def test_two_at_once(fetch: Fetch, server: RangeServer, target: Path) -> None:
    file = ResumableFile(target, public_url(server.source))
    with pytest.raises(errors.AlreadyDownloading, match=target.name):
        fetch(server, target)
    file.close()
    assert fetch(server, target).size == SIZE


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.txt", "a.html", "a.png", "README.md", "a.svg", "LICENSE"])
def test_files_of_other_kinds_are_files(fetch: Fetch, server: RangeServer, target: Path, name: str) -> None:
    kinds = {".json": "application/json", ".html": "text/html", ".png": "image/png", ".svg": "image/svg+xml"}
    server.content = {"a.html": PAGE, "a.png": b"\x89PNG\r\n\x1a\n"}.get(name, b'{"message": "about cats"}')
    server.extra = {"content-type": kinds.get(Path(name).suffix, "text/plain")}
    place = target.with_name(name)
    assert fetch(server, place).path.read_bytes() == server.content


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.txt", "a.png", "a.zip", "a.ckpt", "a", "a.md"])
@pytest.mark.parametrize("says_so", [True, False])
def test_a_page_is_no_file(fetch: Fetch, server: RangeServer, target: Path, name: str, says_so: bool) -> None:
    server.content = PAGE
    server.extra = {"content-type": "text/html" if says_so else "application/octet-stream"}
    with pytest.raises(errors.NotAFile, match="page"):
        fetch(server, target.with_name(name))
    assert not target.with_name(name).exists()


@pytest.mark.parametrize("end", ["cut", "silent"])
def test_a_body_that_is_read_directly(fetch: Fetch, server: RangeServer, target: Path, end: str) -> None:
    server.content = FIRST * 17  # more than 64 MiB

    def fault(number: int, _: Asked, reply: Reply) -> Reply:
        return cut_at(reply, 40 * MB, stall=end == "silent") if number == 0 else reply

    server.fault = fault
    place = target.with_name("a.bin")
    done = fetch(server, place, connections=1, timeout=0.25, hashes={"SHA256": sha256(server.content)})
    assert done.verified
    assert server.sent < len(server.content) + 8 * MB


def test_a_host_that_is_slower_over_several_connections(server: RangeServer, target: Path) -> None:
    server.content = FIRST * 8
    server.pace = lambda active: 64 * MB if active == 1 else MB / 2
    sync_fetch(server, target.with_name("a.bin"), hashes={"SHA256": sha256(server.content)})
    assert len(server.stored) > 4  # the others were tried
    assert all("range" in asked.headers for asked in server.stored)


def test_what_the_hash_cache_needs(fetch: Fetch, server: RangeServer, target: Path, tmp_path: Path) -> None:
    done = fetch(server, target, hashes={"SHA256": sha256(FIRST)})
    assert done.hashes == hash_file(target, cache=False)
    assert (done.status.st_size, done.status.st_ino) == (SIZE, target.stat().st_ino)


def test_looking_at_a_file(probe: Fetch, server: RangeServer) -> None:
    server.extra = {"content-disposition": "attachment; filename*=UTF-8''caf%C3%A9.safetensors"}
    found = probe(server)
    assert (found.name, found.size, found.etag) == ("café.safetensors", SIZE, '"v1"')
    assert found.media_type == "application/octet-stream"
    assert server.sent == 0
    assert "signature" not in repr(found)


def test_looking_at_a_file_of_any_length(probe: Fetch, server: RangeServer) -> None:
    server.fault = CURED["no length"]
    assert probe(server).size is None


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
def test_looking_at_what_the_service_refuses(
    probe: Fetch, server: RangeServer, status: int, body: Any, kind: type[errors.ApiError]
) -> None:
    server.service = lambda _: Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())
    with pytest.raises(kind):
        probe(server)


def test_looking_at_a_page(probe: Fetch, server: RangeServer) -> None:
    server.extra = {"content-type": "text/html"}
    with pytest.raises(errors.NotAFile):
        probe(server)


def test_what_was_cut_short_is_found(server: RangeServer, target: Path) -> None:
    folder = target.parent.parent
    assert unfinished_downloads(folder) == []
    done = begin(server, target)
    (found,) = unfinished_downloads(folder)
    assert (found.name, found.done, found.size) == (target.name, done, SIZE)
    assert found.path.parent == target.parent
    assert abs(found.changed_at.timestamp() - time.time()) < 60
    assert unfinished_downloads(target.parent) == [found]

    file = ResumableFile(target, public_url(server.source))  # somebody goes on with it
    assert unfinished_downloads(folder) == []
    with pytest.raises(errors.AlreadyDownloading):
        found.discard()
    file.close()

    sync_fetch(server, target)
    assert unfinished_downloads(folder) == []
    found.discard()  # there is nothing more to do
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_what_was_cut_short_can_be_removed(server: RangeServer, target: Path) -> None:
    begin(server, target)
    (found,) = unfinished_downloads(target.parent)
    found.discard()
    assert list(target.parent.iterdir()) == []


def test_parts_without_notes_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".a.ckpt.0123abcd.part").write_bytes(b"?")
    (tmp_path / "a.part").write_bytes(b"not ours")
    (tmp_path / ".b.0123abcd.part").symlink_to(tmp_path / "a.part")
    (found,) = unfinished_downloads(tmp_path)
    assert (found.name, found.done, found.size) == ("a.ckpt", 0, None)
    found.discard()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".b.0123abcd.part", "a.part"]
    with pytest.raises(FileNotFoundError):
        unfinished_downloads(tmp_path / "nowhere")


def test_what_is_left_of_a_finished_download_is_removed(tmp_path: Path) -> None:
    part = tmp_path / ".a.ckpt.0123abcd.part"
    left = [part.with_name(part.name + ending) for ending in (".lock", ".json", ".recent.json")]
    for path in left:
        path.touch()
    (tmp_path / "own.lock").touch()
    held = ResumableFile(tmp_path / "b.ckpt", "https://somewhere")  # somebody begins this one
    there = sorted(tmp_path.iterdir())
    assert unfinished_downloads(tmp_path) == []
    assert set(there) - set(tmp_path.iterdir()) == set(left)
    held.close()
    assert [path.name for path in tmp_path.iterdir()] == ["own.lock"]


def test_what_killed_saves_left_is_found_after_an_hour(tmp_path: Path) -> None:
    part = PartFile(tmp_path)
    part.write(b"half a picture")
    assert unfinished_downloads(tmp_path) == []  # it may go on
    (path,) = tmp_path.iterdir()
    os.utime(path, (time.time() - 3700,) * 2)
    (found,) = unfinished_downloads(tmp_path)
    assert (found.path, found.name, found.done, found.size) == (path, "", 0, None)
    found.discard()
    assert list(tmp_path.iterdir()) == []
    part.discard()
