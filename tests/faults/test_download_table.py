"""What `download` makes of everything that can go wrong on the way: each case begun anew and gone on with, both halves.

A row says how it ends: with the right file, or with an error. Nothing wrong is under the name of the file in any case,
and after an error that passes, the next call ends right, without what is there already coming once more.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from civitai_ext import AsyncCivitai, Civitai, Download, DownloadProgress, RetryPolicy, errors
from civitai_ext.emulator import Emulator

SIZE = 3 * 1024 * 1024 + 321
"""Of the large file: enough for several connections."""
EARLIER = 300_000
"""Bytes of it that came of an earlier call."""
SILENCE = 0.2
"""Seconds after which a host that says nothing is given up; nothing else takes time."""
GIGABYTE = 1 << 30
SIGNATURE = re.compile(r"sig=(?!\*)")

EXPIRED = (
    b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired</Message></Error>"
)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
QUOTA = {"error": "Too many downloads", "message": "You have been downloading an unusual amount of files"}
LOGIN = "/login?returnUrl=/model-versions/1&reason=download-auth"
NEVER_STORED = {"Cache-Control": "private, no-store"}

Fault = Mapping[str, Any]
Keeps = Literal["nothing", "what was there", "all that came"]


def storage(**fault: Any) -> Fault:
    """A fault of where the file lies. The first request there only looks at the file."""
    return {"route": "GET /storage/*", **fault}


def service(**fault: Any) -> Fault:
    """A fault of the service, when it is asked where the file lies."""
    return {"route": "GET /api/download/models/*", **fault}


def catalogue(**fault: Any) -> Fault:
    """A fault of the service, when it is asked about the version."""
    return {"route": "GET /api/v1/model-versions/*", **fault}


@attrs.frozen
class Case:
    """A row of the table.

    Attributes:
        faults: What goes wrong.
        error: How it ends; None: with the right file.
        odd: Which file.
        revision: Which revision of it is the right one.
        passes: Whether the next call ends right once nothing goes wrong any more.
        keeps: What of the bytes the next call needs not fetch again.
        verified: Whether there is a hash to compare.
        token: Whether the client has one.
        options: Of the call.
    """

    faults: tuple[Fault, ...]
    error: type[Exception] | None = None
    odd: str = "large"
    revision: int = 0
    passes: bool = True
    keeps: Keeps = "what was there"
    verified: bool = True
    token: bool = True
    options: Mapping[str, Any] = {}


def right(*faults: Fault, **more: Any) -> Case:
    """A case that ends with the right file."""
    return Case(faults, **more)


def wrong(error: type[Exception], *faults: Fault, **more: Any) -> Case:
    """A case that ends with an error."""
    return Case(faults, error, **more)


TABLE: dict[str, Case] = {
    "nothing": right(),
    # Connections that break
    "cut before the first byte": right(storage(cut_body=0, after=1, times=1)),
    "cut after the first byte": right(storage(cut_body=1, after=1, times=1)),
    "cut in the middle": right(storage(cut_body=True, after=1, times=1)),
    "cut before the last byte": right(storage(cut_body=SIZE - 1, after=1, times=1), options={"connections": 1}),
    "every connection cut once": right(storage(cut_body=True, after=1, times=4)),
    "every second connection cut": right(storage(cut_body=True, every=2)),
    "cut each time, a bit further": right(storage(cut_body=600_000, after=1)),
    "cut each time, at once": wrong(errors.Incomplete, storage(cut_body=0, after=1)),
    "cut each time, after little": wrong(errors.Incomplete, storage(cut_body=10_000, after=1), keeps="all that came"),
    "cut while it is looked at": right(storage(cut_body=0, times=1)),
    "reset at once": right(storage(cut_body=0, end="reset", after=1, times=1)),
    "reset in the middle": right(storage(cut_body=True, end="reset", after=1, times=1)),
    "reset each time": wrong(errors.Incomplete, storage(cut_body=0, end="reset", after=1)),
    "an answer that is lost": right(storage(lost_answer=True, after=1, times=1)),
    "answers that are lost": wrong(errors.Incomplete, storage(lost_answer=True, after=1)),
    "the answer of the service is lost": right(service(lost_answer=True, times=2)),
    "the answers of the service are lost": wrong(errors.ConnectionFailed, service(lost_answer=True)),
    "the answer of the catalogue is cut": right(catalogue(cut_body=True, times=2)),
    # Hosts that take their time
    "stalls at once": right(storage(cut_body=0, end="stall", after=1, times=1)),
    "stalls in the middle": right(storage(cut_body=True, end="stall", after=1, times=1)),
    "stalls while it is looked at": right(storage(cut_body=0, end="stall", times=1)),
    "stalls each time": wrong(errors.Incomplete, storage(cut_body=10_000, end="stall", after=1), keeps="all that came"),
    "a slow loris once": right(storage(rate=40, after=1, times=1)),
    "slow lorises": wrong(errors.Incomplete, storage(rate=40, after=1), odd="many_files"),
    "delays": right(storage(delay=0.02), service(delay=0.02)),
    "a delay that is too long": right(storage(delay=SILENCE * 2, after=1, times=1)),
    # Lengths that lie
    "a longer length": right(storage(headers={"Content-Length": str(SIZE + 99)}, after=1, times=1)),
    "a longer length, each time": wrong(errors.Incomplete, storage(headers={"Content-Length": str(2 * SIZE)}, after=1)),
    "a shorter length": right(storage(headers={"Content-Length": "1000"}, after=1, times=1)),
    "no length": right(storage(headers={"Content-Length": None})),
    "no length and no ranges": right(
        storage(headers={"Content-Length": None, "ETag": None, "Accept-Ranges": "none"}, ignore_range=True),
        keeps="nothing",
    ),
    "no length, and cut once": right(
        storage(headers={"Content-Length": None}, ignore_range=True, cut_body=True, times=2),
        storage(headers={"Content-Length": None}, ignore_range=True),
    ),
    "no length, and cut each time": wrong(
        errors.Incomplete,
        storage(headers={"Content-Length": None}, ignore_range=True, cut_body=SIZE // 2),
        keeps="nothing",
    ),
    # Ranges
    "no ranges at all": right(storage(ignore_range=True, headers={"Accept-Ranges": "none"})),
    "no ranges, and cut once": right(
        storage(ignore_range=True, cut_body=True, after=1, times=1), storage(ignore_range=True)
    ),
    "no ranges, and cut each time": wrong(
        errors.Incomplete, storage(ignore_range=True, cut_body=SIZE // 2), keeps="what was there"
    ),
    "the range ignored for the first time": right(storage(ignore_range=True, after=1, times=1)),
    "the range ignored the second time": right(storage(ignore_range=True, after=2, times=1)),
    "all ranges ignored but the first": right(storage(ignore_range=True, after=1)),
    "ranges ignored while it is looked at": right(storage(ignore_range=True, times=1)),
    "another range once": right(storage(shift_range=10, after=1, times=1)),
    "an earlier range once": right(storage(shift_range=-10, after=2, times=1)),
    "another range each time": right(storage(shift_range=10, after=1)),
    "416 once": right(storage(status=416, after=1, times=1)),
    "416 the second time": right(storage(status=416, after=2, times=1)),
    "416 while it is looked at": right(storage(status=416, times=1)),
    "416 each time": wrong(errors.ApiError, storage(status=416, after=1)),
    "no entity tag": right(storage(headers={"ETag": None})),
    "a weak entity tag": right(storage(headers={"ETag": 'W/"a"'})),
    # Files that change
    "the file changes": wrong(errors.HashMismatch, storage(changed=True, after=2, times=1), keeps="nothing"),
    "the file changed before": wrong(errors.HashMismatch, storage(changed=True, times=1), keeps="nothing"),
    "the file changes under the same tag": wrong(
        errors.HashMismatch,
        storage(headers={"ETag": '"same"'}, times=2),
        storage(changed=True, headers={"ETag": '"same"'}, times=1),
        storage(headers={"ETag": '"same"'}),
        keeps="nothing",
    ),
    "the file changes without a tag": wrong(
        errors.HashMismatch,
        storage(headers={"ETag": None}, cut_body=True, times=2),
        storage(changed=True, headers={"ETag": None}, times=1),
        storage(headers={"ETag": None}),
        keeps="nothing",
    ),
    "a file without hashes changes": right(
        storage(cut_body=20_000, after=1, times=1),
        storage(changed=True, after=1, times=1),
        odd="no_hashes",
        revision=1,
        verified=False,
    ),
    "the tag changes and the file does not": right(
        storage(cut_body=True, after=1, times=1), storage(headers={"ETag": '"another"'}, after=1)
    ),
    "the tag changes each time": wrong(errors.Incomplete, storage(changed=True), keeps="nothing"),
    # URLs that run out
    "the URL runs out": right(storage(advance=901, after=1, times=1)),
    "the URL runs out half-way": right(
        storage(advance=901, after=3, times=1), storage(cut_body=True, after=1, times=2)
    ),
    "the URL runs out before it is used": right(storage(advance=901, times=1)),
    "400 since its time is over": right(storage(status=400, body=EXPIRED, after=1, times=1)),
    "400 at the first request": right(storage(status=400, body=EXPIRED, times=1)),
    "403 since its time is over": right(storage(status=403, body=DENIED, after=2, times=1)),
    "403 at the first request": right(storage(status=403, body=DENIED, times=1)),
    "401 once": right(storage(status=401, after=1, times=1)),
    "410 once": right(storage(status=410, after=1, times=1)),
    "400 each time": wrong(errors.BadRequest, storage(status=400, body=EXPIRED)),
    "403 each time": wrong(errors.PermissionDenied, storage(status=403, body=DENIED)),
    "403 for every range": wrong(errors.PermissionDenied, storage(status=403, body=DENIED, after=1)),
    # Hosts that want fewer connections
    # Only twice: with a third one, a busy machine may have all of them refused to the first connection, too.
    "403 for further connections": right(storage(status=403, after=2, times=2)),
    "429 for further connections": right(storage(status=429, retry_after="30", after=2, times=3)),
    "503 for further connections": right(storage(status=503, after=2, times=3)),
    # What comes in place of the file
    "a page": wrong(errors.NotAFile, storage(html_page=True, status=200)),
    "a page for the ranges": wrong(errors.NotAFile, storage(html_page=True, status=200, after=1)),
    "a page with 502 once": right(storage(html_page=True, times=1), storage(html_page=True, after=1, times=1)),
    "a page that does not say so": wrong(
        errors.NotAFile, storage(status=200, body=b"<!DOCTYPE html><html><title>Sign in</title>"), keeps="nothing"
    ),
    "another file": wrong(errors.NotAFile, storage(status=200, body=b"PK\x03\x04" * 5000), keeps="nothing"),
    "nothing at all": wrong(errors.NotAFile, storage(status=200, body=b""), keeps="nothing"),
    "a storage error with 200": wrong(errors.NotAFile, storage(status=200, body=EXPIRED), keeps="nothing"),
    "JSON": wrong(errors.NotAFile, storage(status=200, body={"error": "Unauthorized"})),
    "JSON of the service": wrong(errors.NotAFile, service(status=200, body={"error": "Unauthorized"})),
    "a page of the service": wrong(errors.NotAFile, service(html_page=True, status=200)),
    "the login page": wrong(errors.LoginRequired, service(status=307, headers={"Location": LOGIN})),
    "the login page of the storage": wrong(errors.LoginRequired, storage(status=302, headers={"Location": LOGIN})),
    "a redirect that does not end": wrong(
        errors.UnexpectedResponse, service(status=307, headers={"Location": "/api/download/models/1"})
    ),
    "a redirect to a forbidden place": wrong(
        errors.UnexpectedResponse, service(status=307, headers={"Location": "file:///etc/passwd"})
    ),
    "compressed": wrong(errors.UnexpectedResponse, storage(gzip=True)),
    "compressed once": right(storage(gzip=True, after=1, times=1)),
    "compressed while it is looked at": right(storage(gzip=True, times=1)),
    "compressed by a proxy of the whole": wrong(errors.UnexpectedResponse, storage(gzip=True, ignore_range=True)),
    # What the service answers
    "404 for a moment": right(service(status=404, body={"error": "File not found"}, headers=NEVER_STORED, times=1)),
    "404": wrong(errors.NotFound, service(status=404, body={"error": "File not found"})),
    "404 of the catalogue": wrong(errors.NotFound, catalogue(status=404)),
    "401": wrong(errors.AuthenticationError, service(status=401)),
    "403 without a reason": wrong(errors.PermissionDenied, service(status=403)),
    "403 of the quick": wrong(
        errors.EarlyAccess, service(status=403, body={"error": "Early Access", "deadline": "2030-01-01T00:00:00.000Z"})
    ),
    "403 of the chosen": wrong(
        errors.AccessDenied, service(status=403, body={"error": "You do not have access to download this file"})
    ),
    "410": wrong(errors.Archived, service(status=410, body={"error": "Model archived, not available for download"})),
    "400": wrong(errors.BadRequest, service(status=400, body={"error": "Missing modelVersionId"})),
    "the quota": wrong(errors.QuotaExceeded, service(status=429, body=QUOTA)),
    "429 with seconds": right(service(status=429, retry_after="30", times=2)),
    "429 with a date": right(service(status=429, retry_after="date", times=2)),
    "429 with a long time": wrong(errors.RateLimited, service(status=429, retry_after="3600", times=1)),
    "429 each time": wrong(errors.RateLimited, service(status=429, retry_after="1")),
    "429 of the storage": right(storage(status=429, retry_after="1", times=1), storage(status=429, after=1, times=1)),
    "500 of the service": right(service(status=500, times=3)),
    "500 of the service, each time": wrong(errors.ServerError, service(status=500)),
    "503 of the service": right(service(status=503, retry_after="1", times=3)),
    "503 of the catalogue": right(catalogue(status=503, times=3)),
    "a page of the catalogue": wrong(errors.UnexpectedResponse, catalogue(html_page=True, status=200)),
    "500 of the storage": right(storage(status=500, after=1, times=1)),
    "503 of the storage": right(storage(status=503, times=3)),
    "503 of the storage, each time": wrong(errors.Incomplete, storage(status=503, after=1)),
    "404 of the storage": wrong(errors.NotFound, storage(status=404)),
    "404 of the storage for the ranges": wrong(errors.NotFound, storage(status=404, after=1)),
    # Odd files
    "a wrong hash": wrong(errors.HashMismatch, odd="wrong_hash", passes=False),
    "no hash": right(storage(cut_body=1000, after=1, times=1), odd="no_hashes", verified=False),
    "a file that is cut for good": wrong(
        errors.NotAFile, storage(status=200, body=b"\x10" + b"\0" * 7 + b"{" + b" " * 5000), keeps="nothing"
    ),
    "an empty file": right(odd="empty"),
    "one for those who are logged in": wrong(errors.LoginRequired, odd="needs_login", token=False, passes=False),
    "one for the quick": wrong(errors.EarlyAccess, odd="early_access", passes=False),
    "one for the chosen": wrong(errors.AccessDenied, odd="restricted", passes=False),
    "one that is not given": wrong(errors.DownloadsDisabled, odd="downloads_disabled", passes=False),
    "one of an archived model": wrong(errors.Archived, odd="archived", passes=False),
}

Have = Callable[..., Download]


def have(emulator: Emulator, to: Path, odd: str = "large", **options: Any) -> Download:
    """Download the file that is odd in some way."""
    what = emulator.oddities[odd].id
    with Civitai(**_of_client(emulator, options)) as civitai:
        done: Download = civitai.download(what, to, **options)
        return done


def have_async(emulator: Emulator, to: Path, odd: str = "large", **options: Any) -> Download:
    """Do the same in a task."""
    what = emulator.oddities[odd].id

    async def run() -> Download:
        async with AsyncCivitai(**_of_client(emulator, options)) as civitai:
            done: Download = await civitai.download(what, to, **options)
            return done

    return asyncio.run(run())


def _of_client(emulator: Emulator, options: dict[str, Any]) -> dict[str, Any]:
    """Take what is for the client from the options of a call."""
    options.update({"timeout": SILENCE, "cache": False} | options)
    url = emulator.url
    urls = {"site_url": url, "orchestration_url": url, "auth_url": url, "verify": False}
    token = emulator.token if options.pop("token", True) else False
    return urls | {"token": token, "retry": options.pop("retry", RetryPolicy.immediate())}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=1, speed=0, large_file=SIZE) as emulator:
        yield emulator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def names_in(folder: Path) -> list[str]:
    """What is to be seen in the folder."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []


def asked_for(emulator: Emulator) -> int:
    """How many bytes of files the last call asked for, whether they came or not; looking at a file does not count.

    What two connections asked for counts once: the second one takes over what the first one has not got to yet.
    """
    asked = [each for each in emulator.journal if each.path.startswith("/storage/") and each.range != "bytes=0-0"]
    # Of the call before, some requests may still have been under way. They have another signed URL.
    latest = max(dict(each.query)["expires"] for each in asked)
    found = [
        re.fullmatch(r"bytes=(\d+)-(\d+)", each.range or "") for each in asked if ("expires", latest) in each.query
    ]
    asked_bytes, reached = 0, 0
    for start, end in sorted((0, GIGABYTE) if each is None else (int(each[1]), int(each[2]) + 1) for each in found):
        asked_bytes += max(0, end - max(start, reached))
        reached = max(reached, end)
    return asked_bytes


def begin(emulator: Emulator, folder: Path, case: Case) -> None:
    """Let an earlier call be cut short."""
    if case.odd == "empty":  # there is nothing to cut
        emulator.faults.add("GET /storage/*", lost_answer=True)
    emulator.faults.add("GET /storage/*", cut_body=EARLIER if case.odd == "large" else EARLIER // 100, after=1)
    options = {"connections": 1, "retry": RetryPolicy.off(), "token": case.token}
    with pytest.raises(errors.CivitaiError):
        have(emulator, folder, case.odd, **options)
    assert names_in(folder) == []
    emulator.faults.clear()
    emulator.journal.clear()
    emulator.clock.advance(1)


def each_case() -> pytest.MarkDecorator:
    """Each case begun anew and gone on with, the two halves in turns: one is derived from the other."""
    params = []
    for number, name in enumerate(TABLE):
        for resumed in (False, True):
            download = (have, have_async)[(number + resumed) % 2]
            id = f"{name}-{'resumed' if resumed else 'fresh'}-{'sync' if download is have else 'async'}"
            params.append(pytest.param(download, name, resumed, id=id))
    return pytest.mark.parametrize(("download", "name", "resumed"), params)


@each_case()
def test_table(download: Have, emulator: Emulator, folder: Path, name: str, resumed: bool) -> None:
    case = TABLE[name]
    file = emulator.oddities[case.odd].primary_file
    content, target = file.stored(case.revision).read(), folder / file.name
    folder.mkdir()
    if resumed:
        begin(emulator, folder, case)
    for fault in case.faults:
        emulator.faults.add(**fault)
    options = {"token": case.token, **case.options}
    if case.error is None:
        done = download(emulator, folder, case.odd, **options)
        assert (done.status, done.path, done.size, done.verified) == ("downloaded", target, len(content), case.verified)
    else:
        with pytest.raises(case.error) as caught:
            download(emulator, folder, case.odd, **options)
        assert emulator.token not in f"{caught.value!r} {caught.value}"
        assert not SIGNATURE.search(f"{caught.value!r} {caught.value}")
        assert names_in(folder) == []
        assert_secret(emulator)
        emulator.faults.clear()
        emulator.journal.clear()
        emulator.clock.advance(1)
        if not case.passes:
            with pytest.raises(case.error):
                download(emulator, folder, case.odd, **options)
            assert names_in(folder) == []
            return
        download(emulator, folder, case.odd, **options)
        came = asked_for(emulator)
        if case.keeps == "nothing":
            assert came == len(content)
        elif resumed or case.keeps == "all that came":
            assert 0 < came < len(content)
        if resumed and case.keeps != "nothing" and case.odd == "large":
            assert came <= len(content) - EARLIER
    assert_secret(emulator)
    assert target.read_bytes() == content
    assert [path.name for path in folder.iterdir()] == [target.name]  # and none that is hidden


def assert_secret(emulator: Emulator) -> None:
    """The token goes to no storage."""
    assert {each.credential for each in emulator.journal if each.path.startswith("/storage/")} <= {None}


# -------------------------------------------------------------------------------------------------- what no row can say


@pytest.mark.parametrize("download", [have, have_async])
@pytest.mark.parametrize("resumed", [False, True])
def test_the_quota_of_a_day(download: Have, folder: Path, resumed: bool) -> None:
    with Emulator(models=1, speed=0, large_file=SIZE, download_quota=int(resumed)) as emulator:
        folder.mkdir()
        if resumed:
            begin(emulator, folder, TABLE["nothing"])
        with pytest.raises(errors.QuotaExceeded):
            download(emulator, folder)
        assert names_in(folder) == []
        asked = [each for each in emulator.journal if each.path.startswith("/api/download/")]
        assert len(asked) == 1  # asking again would only count
        if resumed:
            emulator.clock.advance(25 * 3600)
            download(emulator, folder)
            assert asked_for(emulator) == len(emulator.oddities["large"].primary_file.content) - EARLIER


@pytest.mark.parametrize("download", [have, have_async])
@pytest.mark.parametrize("resumed", [False, True])
def test_two_threads_at_one_file(download: Have, emulator: Emulator, folder: Path, resumed: bool) -> None:
    file = emulator.oddities["large"].primary_file
    folder.mkdir()
    if resumed:
        begin(emulator, folder, TABLE["nothing"])
    emulator.faults.add("GET /storage/*", rate=8e6)
    outcomes: list[Download | Exception] = []
    together = threading.Barrier(2)

    def work() -> None:
        together.wait()
        try:
            outcomes.append(download(emulator, folder, exists="verify"))
        except (errors.AlreadyDownloading, FileExistsError) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert [each.status for each in outcomes if isinstance(each, Download)].count("downloaded") == 1
    assert (folder / file.name).read_bytes() == file.content
    assert [path.name for path in folder.iterdir()] == [file.name]


PROGRAM = """
import resource, sys
from civitai_ext import Civitai, RetryPolicy
from civitai_ext.errors import CivitaiError

what, folder, most = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if most:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with Civitai(retry=RetryPolicy.immediate(), verify=False) as civitai:
    try:
        done = civitai.download(what, folder, cache=False, exists="verify")
        print(done.status, done.verified)
    except CivitaiError as error:
        print(type(error).__name__)
"""


def start(emulator: Emulator, folder: Path, most: int = 0) -> subprocess.Popen[str]:
    """Download the large file in a process of its own, where files may be of a certain size at most."""
    command = [sys.executable, "-c", PROGRAM, str(emulator.oddities["large"].id), str(folder), str(most)]
    return subprocess.Popen(command, env={**os.environ, **emulator.environment}, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
@pytest.mark.parametrize("resumed", [False, True])
def test_two_processes_at_one_file(emulator: Emulator, folder: Path, resumed: bool) -> None:
    file = emulator.oddities["large"].primary_file
    folder.mkdir()
    if resumed:
        begin(emulator, folder, TABLE["nothing"])
    emulator.faults.add("GET /storage/*", rate=8e6)
    processes = [start(emulator, folder) for _ in range(2)]
    said = sorted(process.communicate(timeout=30)[0].strip() for process in processes)
    assert said in (["AlreadyDownloading", "downloaded True"], ["downloaded True", "kept True"])
    assert (folder / file.name).read_bytes() == file.content
    assert [path.name for path in folder.iterdir()] == [file.name]


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("ranges", [False, True])
def test_a_full_disk(emulator: Emulator, folder: Path, resumed: bool, ranges: bool) -> None:
    file = emulator.oddities["large"].primary_file
    folder.mkdir()
    if resumed:
        begin(emulator, folder, TABLE["nothing"])
    if not ranges:  # so that it cannot be known before
        emulator.faults.add(**storage(headers={"Content-Length": None}, ignore_range=True))
    said, _ = start(emulator, folder, SIZE // 2).communicate(timeout=30)
    assert said.strip() == "NoSpace"
    assert names_in(folder) == []
    emulator.faults.clear()
    emulator.journal.clear()
    emulator.clock.advance(1)
    have(emulator, folder)
    assert (folder / file.name).read_bytes() == file.content
    assert [path.name for path in folder.iterdir()] == [file.name]
    if resumed and ranges:
        assert asked_for(emulator) <= len(file.content) - EARLIER


@pytest.mark.parametrize("download", [have, have_async])
@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(("length", "error"), [(20_000, errors.NotAFile), (80_000, errors.NotAFile), (40_000, None)])
def test_a_file_of_another_length_without_a_hash(
    download: Have, emulator: Emulator, folder: Path, resumed: bool, length: int, error: type[Exception] | None
) -> None:
    file = emulator.oddities["gguf"].primary_file
    file.hashes.clear()
    folder.mkdir()
    if resumed:
        begin(emulator, folder, Case((), odd="gguf"))
    came = (file.content * 2)[:length]
    emulator.faults.add(**storage(status=200, body=came))
    if error is None:  # the service rounds
        assert download(emulator, folder, "gguf").verified is False
        assert (folder / file.name).read_bytes() == came
    else:
        with pytest.raises(error, match=f"{length} bytes, and about {len(file.content)} "):
            download(emulator, folder, "gguf")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("download", [have, have_async])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_function_for_progress_that_fails(download: Have, emulator: Emulator, folder: Path, resumed: bool) -> None:
    file = emulator.oddities["large"].primary_file
    folder.mkdir()
    if resumed:
        begin(emulator, folder, TABLE["nothing"])

    def fail(progress: DownloadProgress) -> None:
        if progress.file_done > 2 * EARLIER:
            raise ArithmeticError

    emulator.faults.add(**storage(rate=4e6))
    with pytest.raises(ArithmeticError):
        download(emulator, folder, connections=1, progress=fail)
    assert names_in(folder) == []
    emulator.faults.clear()
    emulator.journal.clear()
    emulator.clock.advance(1)
    download(emulator, folder)
    assert (folder / file.name).read_bytes() == file.content
    assert asked_for(emulator) <= len(file.content) - EARLIER
