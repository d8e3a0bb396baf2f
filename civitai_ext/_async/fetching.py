"""Downloading one file: over several connections, gone on with where it stopped, and under its name only once it is
known to be whole and the right one.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import urljoin, urlsplit

import attrs

from civitai_api.runtime import Response
from civitai_ext._answers import error_for, unexpected
from civitai_ext._async.http import AsyncStream
from civitai_ext._async.media_files import OnProgress
from civitai_ext._async.signed_urls import refusal, with_retries
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._backoff import delay_after
from civitai_ext._config import origin_of
from civitai_ext._disk import AsyncDisk, Exists, is_free
from civitai_ext._part_files import ResumableFile
from civitai_ext._ranges import Claim, Part, Verdict, Version, judge
from civitai_ext._redact import public_url
from civitai_ext._signal import AsyncSignal
from civitai_ext._together import AsyncTogether
from civitai_ext._verifying import BEGINNING, Hashes, StandardHashes, comparable, mismatch, why_not_a_file
from civitai_ext.errors import (
    ApiError,
    CivitaiError,
    ConnectionFailed,
    HashMismatch,
    Incomplete,
    NotAFile,
    RateLimited,
    ServerError,
    UnexpectedResponse,
)

__all__ = ["Fetched", "Expected", "fetch"]

CONNECTIONS: Final = 4

_MOST_HOPS: Final = 5
_LONGEST_ERROR: Final = 64 * 1024
_BUFFER: Final = 256 * 1024
_BLOCK: Final = 8 * 1024 * 1024
_SLOWEST: Final = 1024  # bytes per second; less for as long as a host may be silent counts as silence
_SAVED_EVERY: Final = 1.0  # seconds
_REFUSED: Final = frozenset({401, 403, 410})
_BUSY: Final = frozenset({403, 429, 503})


@attrs.frozen(kw_only=True)
class Expected:
    """What is known of a file before it comes.

    Attributes:
        size: How many bytes it has, if that is known exactly: `sizeKB` of the service is an estimate.
        hashes: Its published hashes, by their names in the API.
    """

    size: int | None = None
    hashes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Fetched:
    """A file that is there as a whole.

    Attributes:
        path: Where it is.
        size: How many bytes it has.
        verified: Whether a published hash was compared, and agreed.
        hashes: Its hashes; none of a file that was there before and left as it was.
    """

    path: Path
    size: int
    verified: bool
    hashes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class _Place:
    """Where a file lies at the moment, and which version of it.

    `ranged` is whether the host gives ranges of it.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    version: Version
    ranged: bool


async def fetch(
    transport: AsyncTransport,
    source: str,
    target: Path,
    *,
    expected: Expected | None = None,
    connections: int = CONNECTIONS,
    exists: Exists = "error",
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
    hashes: Callable[[], Hashes] = StandardHashes,
) -> Fetched:
    """Download a file; where an earlier call was cut short, go on from there.

    Nothing is under the name of the file before all of it is there, and its hashes are those that were published.

    Args:
        transport: What sends.
        source: The URL that the service gives for the file. The token goes there, not to where that leads.
        target: What the file will be called.
        expected: What is known of it.
        connections: Over how many connections it comes at most.
        exists: What to do if there is a file of the name.
        on_progress: Called with how many bytes came and how many there are.
        timeout: How many seconds the host may be silent.
        hashes: Makes what computes the hashes.

    Raises:
        AlreadyDownloading: Somebody else is at it.
        ApiError: The service does not give the file: `LoginRequired`, `DownloadsDisabled`, `EarlyAccess`, `Archived`,
            `NotFound`, `QuotaExceeded` and others.
        ConnectionFailed: The service was not reached.
        FileExistsError: There is a file of the name, and it is to stay.
        HashMismatch: What came is not what was published; it was removed.
        Incomplete: The file did not come as a whole; what came is kept for the next call.
        NoSpace: The disk is full; what came is kept.
        NotAFile: Something else came in place of the file.
        OSError: It cannot be written.
        UnexpectedResponse: The answer cannot be used, or leads where nothing should be fetched from.
    """
    expected = Expected() if expected is None else expected
    if not await AsyncDisk.run(is_free, target, exists):
        return await AsyncDisk.run(_kept, target)
    file = await AsyncDisk.run(ResumableFile, target, public_url(source))
    try:
        download = AsyncDownload(transport, source, target, file, expected, connections, on_progress, timeout)
        await download.run()
        found = await _hashed(file, hashes(), download.size)
        wrong = mismatch(expected.hashes, found)
        verified = bool(comparable(expected.hashes, found)) and wrong is None
        start = await AsyncDisk.run(file.read, 0, BEGINNING)
        if not verified and (reason := why_not_a_file(target.name, "", start, download.size)):
            await AsyncDisk.run(file.discard)
            raise NotAFile(reason, status=200, method="GET", url=source)
        if wrong is not None:
            await AsyncDisk.run(file.discard)
            name, should, is_ = wrong
            raise HashMismatch(
                f"{target} came with the {name} {is_}, but {should} was published",
                path=str(target),
                name=name,
                expected=should,
                found=is_,
            )
        if not await AsyncDisk.run(is_free, target, exists):  # it may have come meanwhile
            await AsyncDisk.run(file.discard)
            return await AsyncDisk.run(_kept, target)
        await AsyncDisk.run(file.become_target)
        return Fetched(path=target, size=download.size, verified=verified, hashes=dict(found))
    finally:
        await AsyncDisk.run(file.close)


class AsyncDownload:
    """One download under way: rounds of connections to where the file lies, which is found anew before each round."""

    def __init__(
        self,
        transport: AsyncTransport,
        source: str,
        target: Path,
        file: ResumableFile,
        expected: Expected,
        connections: int,
        on_progress: OnProgress | None,
        timeout: float | None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._target = target
        self._file = file
        self._expected = expected
        self._connections = max(1, connections)
        self._on_progress = on_progress
        self._timeout = transport.timeout if timeout is None else timeout
        self._part: Part | None = None
        self._lock = threading.Lock()  # guards the part; never held while anything is waited for
        self._ignored = False  # whether the host gave the whole file for a range
        self._saved = 0
        self._saved_at = monotonic()

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self._known.version.size

    @property
    def _known(self) -> Part:
        assert self._part is not None, "nothing was asked yet"  # noqa: S101
        return self._part

    async def run(self) -> None:
        """Fetch what is missing."""
        fruitless = 0
        while True:
            place = await self._resolve()
            await self._prepare(place)
            part = self._known
            if part.is_whole:
                return
            before = part.present
            round_ = _AsyncRound(place)
            try:
                await self._run_round(round_)
            except BaseException:  # a task that is canceled keeps what it has, too
                with suppress(OSError):
                    await (self._save() if part.present else AsyncDisk.run(self._file.discard))
                raise
            await self._save()
            if part.is_whole:
                return
            failure = round_.failure
            assert failure is not None, "a round ends whole or with a failure"  # noqa: S101
            fruitless = fruitless + 1 if part.present <= before or round_.changed else 1
            if fruitless >= self._transport.policy.attempts:
                raise failure
            await self._transport.sleep(self._transport.policy.longest(fruitless) * self._transport.policy.scale)

    # ---------------------------------------------------------------------------------------------- where the file is

    async def _resolve(self) -> _Place:
        """Ask the service where the file lies, and that place what is there."""
        return await with_retries(self._transport, self._follow)

    async def _follow(self) -> _Place:
        url, again = self._source, True
        hops = 0
        while True:
            if not self._transport.config.may_be_fetched(url):
                raise UnexpectedResponse("the URL of the file is not one to fetch", status=200, url=url)
            headers = self._transport.headers_for(url, authenticated=self._is_own(url))
            # HEAD is not understood everywhere, and where it is, the answer may differ from that to GET.
            asking = {**headers, "range": "bytes=0-0"}
            async with self._transport.http.stream("GET", url, headers=asking, timeout=self._timeout) as stream:
                if stream.status in (200, 206, 416):
                    return self._found(stream, url, headers)
                answer = await stream.read(_LONGEST_ERROR)
            location = answer.headers.get("location", "")
            if answer.status == 404 and again and "private" in answer.headers.get("cache-control", ""):
                # So it answers when it could not find out where the file lies, which passes.
                again = False
                await self._transport.sleep(self._transport.policy.longest(1) * self._transport.policy.scale)
            elif 300 <= answer.status < 400 and location and hops < _MOST_HOPS:
                hops += 1
                url = self._next(answer, url, location)
            else:
                raise self._refused(answer, url)

    def _next(self, answer: Response, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            path = urlsplit(target).path
        except ValueError:
            raise unexpected(answer, method="GET", url=url) from None
        if path == "/login" or path.startswith("/login/"):
            login = Response(401, {}, b'{"message": "It leads to the login page"}')
            raise error_for(login, method="GET", url=url, token_source=self._token_source(url))
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise UnexpectedResponse("it redirects to an address without encryption", status=answer.status, url=url)
        return target

    def _is_own(self, url: str) -> bool:
        """Whether the token may go with a request: to the service's own routes for downloads.

        Signed URLs can be on its own hosts too, and refuse a second credential.
        """
        site = self._transport.config.base_url("site")
        return origin_of(url) == origin_of(site) and urlsplit(url).path.startswith("/api/download/")

    def _token_source(self, url: str) -> str | None:
        own = self._is_own(url) and self._transport.config.may_receive_token(url)
        return self._transport.config.token_source if own else None

    def _refused(self, answer: Response, url: str) -> CivitaiError:
        if answer.status < 400:
            return unexpected(answer, method="GET", url=url)
        if not self._is_own(url):
            return refusal(answer, "GET", url, "Download it again.")
        token = self._transport.config.token
        return error_for(
            answer,
            method="GET",
            url=url,
            token_source=self._token_source(url),
            secrets=() if token is None else (token,),
        )

    def _found(self, stream: AsyncStream, url: str, headers: Mapping[str, str]) -> _Place:
        version = Version.of(stream.status, stream.headers)
        self._check(stream, url)
        if version is None:
            raise self._not_usable(stream, url, "it does not say how long the file is")
        if self._expected.size not in (None, version.size):
            raise self._no_file(stream, url, f"it has {version.size} bytes, and {self._expected.size} were expected")
        return _Place(url, headers, version, stream.status == 206)

    def _check(self, stream: AsyncStream, url: str) -> None:
        media_type = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        if reason := why_not_a_file(self._target.name, media_type, b"", 1):
            raise self._no_file(stream, url, reason)
        if stream.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise self._not_usable(stream, url, "the file came compressed, which was not asked for")

    def _no_file(self, stream: AsyncStream, url: str, message: str) -> NotAFile:
        media_type = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        return NotAFile(message, status=stream.status, media_type=media_type, method="GET", url=url)

    def _not_usable(
        self, stream: AsyncStream, url: str, message: str, *, truncated: bool = False
    ) -> UnexpectedResponse:
        return UnexpectedResponse(message, status=stream.status, truncated=truncated, method="GET", url=url)

    # ------------------------------------------------------------------------------------------------- what is there

    async def _prepare(self, place: _Place) -> None:
        """Make the part one of the version that lies there now: go on with it, or begin it anew."""
        part = await AsyncDisk.run(self._file.load) if self._part is None else self._part
        keep = part is not None and part.version.is_surely(place.version)
        self._part = part if part is not None and keep else Part(place.version)
        await AsyncDisk.run(self._file.begin, place.version.size, keep=keep, present=self._part.present)
        self._saved = self._part.present
        self._tell()

    async def _save(self, *, wait: bool = True) -> None:
        """Note on the disk what is there."""
        with self._lock:
            part = self._known
            present, notes = part.present, json.dumps(part.to_dict())
        if await AsyncDisk.run(self._file.save, notes, wait=wait):
            self._saved, self._saved_at = present, monotonic()

    def _is_save_due(self) -> bool:
        every = max(1024 * 1024, min(16 * 1024 * 1024, self.size // 128))
        return self._known.present - self._saved >= every or monotonic() - self._saved_at >= _SAVED_EVERY

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._known.present, self.size)

    # --------------------------------------------------------------------------------------------------------- rounds

    async def _run_round(self, round_: _AsyncRound) -> None:
        """Fetch over several connections until all is there, or the place is of no more use."""
        # Pieces can only be put together if it is known that they are of the same version.
        ranged = round_.place.ranged and not self._ignored and self._known.version.validator is not None
        workers = range(self._connections if ranged else 1)
        together = AsyncTogether[int, None](lambda number: self._work(round_, number, ranged), most=len(workers))
        try:
            async with aclosing(together.as_completed(workers)) as ended:
                async for _, failure in ended:
                    if failure is not None:
                        round_.is_over = True
                        raise failure
        except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
            if isinstance(error, NotAFile) or not _passes(error):
                raise
            raise Incomplete(
                f"{self._known.present} bytes of {self.size} came of {self._target}: {error.describe()}",
                path=str(self._target),
                done=self._known.present,
                size=self.size,
            ) from error
        finally:
            round_.is_over = True
        if round_.ignored:
            self._ignored = True
        self._connections = max(1, self._connections - round_.left)

    async def _work(self, round_: _AsyncRound, number: int, ranged: bool) -> None:
        """Fetch one range after the other. The first connection shows whether others have a chance."""
        attempt = 1
        accepted = number == 0
        try:
            if number:
                await round_.begun.wait()
            while not round_.is_over:
                claim = self._take(ranged)
                if claim is None:
                    return
                began, delay = claim.at, None
                try:
                    accepted = await self._fetch(round_, claim, ranged) or accepted
                    attempt = 1
                except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
                    if isinstance(error, ApiError) and number and not accepted and error.status in _BUSY | _REFUSED:
                        round_.leave(error)  # the host does not want that many connections
                        return
                    if isinstance(error, ApiError) and error.status in _REFUSED:
                        round_.end(error)  # the URL has run out
                        return
                    if ranged and claim.at - began >= _BUFFER:
                        attempt = 1
                    delay = delay_after(error, self._transport.policy, attempt, idempotent=True)
                    if delay is None:
                        raise
                    attempt += 1
                finally:
                    with self._lock:
                        self._known.release(claim)
                if delay is not None:
                    await self._transport.sleep(delay)
        finally:
            if number == 0:
                round_.begun.set()

    def _take(self, ranged: bool) -> Claim | None:
        with self._lock:
            if self._known.is_whole:
                return None
            return self._known.take(self._connections) if ranged else self._known.take_all()

    async def _fetch(self, round_: _AsyncRound, claim: Claim, ranged: bool) -> bool:
        """Fetch a range; tell whether the host gave something of it."""
        place, version = round_.place, self._known.version
        headers = dict(place.headers)
        if ranged:
            headers["range"] = f"bytes={claim.at}-{claim.end - 1}"
            headers["if-range"] = version.validator or ""
        async with self._transport.http.stream("GET", place.url, headers=headers, timeout=self._timeout) as stream:
            if stream.status >= 300 and stream.status != 416:
                raise self._refused(await stream.read(_LONGEST_ERROR), place.url)
            verdict = judge(stream.status, stream.headers, claim.at, claim.end, version)
            if verdict is Verdict.CHANGED:
                self._check(stream, place.url)  # or it is a page
                round_.changed = True
                round_.end(self._not_usable(stream, place.url, "the file changed meanwhile", truncated=True))
                return False
            self._check(stream, place.url)
            if verdict is Verdict.UNUSABLE or (verdict is Verdict.WHOLE and ranged):
                round_.ignored = True
                round_.end(self._not_usable(stream, place.url, "it gave another range than asked", truncated=True))
                return False
            round_.begun.set()
            if version.validator is None:  # what is there may be of another version
                with self._lock:
                    self._known.done = []
            await self._receive(round_, stream, claim, place.url)
        return True

    async def _receive(self, round_: _AsyncRound, stream: AsyncStream, claim: Claim, url: str) -> None:
        began, buffer = claim.at, bytearray()
        window, in_window = monotonic(), 0
        try:
            async for chunk in stream.chunks():
                buffer += chunk
                in_window += len(chunk)
                if round_.is_over or claim.at + len(buffer) >= claim.end:
                    break
                if len(buffer) >= _BUFFER or self._is_save_due():
                    await self._put(claim, buffer)
                    buffer = bytearray()
                now, silence = monotonic(), self._timeout or 60.0
                if now - window >= silence:
                    if in_window < _SLOWEST * silence:
                        raise self._not_usable(stream, url, "almost nothing comes any more", truncated=True)
                    window, in_window = now, 0
        finally:
            await self._put(claim, buffer)
        if claim.at == began and not round_.is_over:
            raise self._not_usable(stream, url, "nothing came", truncated=True)

    async def _put(self, claim: Claim, buffer: bytearray) -> None:
        """Write what came where it belongs, as far as nobody else took that over."""
        with self._lock:
            at, count = claim.at, max(0, min(len(buffer), claim.end - claim.at))
        if not count:
            return
        await AsyncDisk.run(self._file.write, at, bytes(buffer[:count]))
        with self._lock:
            self._known.add(claim, count)
        if self._is_save_due():
            await self._save(wait=False)
        self._tell()


class _AsyncRound:
    """What the connections of one round know of each other.

    Attributes:
        place: Where they fetch from.
        begun: Happens when the first of them gets something.
        is_over: Whether they are to stop.
        failure: Why, if not everything is there.
        changed: Whether the file is another one now.
        ignored: Whether the host does not give ranges.
        left: How many gave up, since the host wants fewer.
    """

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.begun = AsyncSignal()
        self.is_over = False
        self.failure: CivitaiError | None = None
        self.changed = False
        self.ignored = False
        self.left = 0

    def leave(self, failure: CivitaiError) -> None:
        """Note that one of them gave up. What it was to fetch is for the next round, if no other takes it."""
        self.left += 1
        self.failure = self.failure or failure

    def end(self, failure: CivitaiError) -> None:
        """Let all of them stop."""
        self.failure = failure
        self.is_over = True


def _passes(error: CivitaiError) -> bool:
    """Whether an error is one that may be over the next time, so that it pays to keep what came."""
    if isinstance(error, UnexpectedResponse):
        return error.truncated
    return isinstance(error, (ConnectionFailed, RateLimited, ServerError))


async def _hashed(file: ResumableFile, hashes: Hashes, size: int) -> Mapping[str, str]:
    """Compute the hashes of what is on the disk.

    Not while it comes: the pieces come in no order, after a restart the first ones would have to be read anyway, and
    only this sees what was really written.
    """

    def take(at: int) -> int:
        block = file.read(at, _BLOCK)
        hashes.update(block)
        return len(block)

    at = 0
    while at < size:
        count = await AsyncDisk.run(take, at)
        if not count:
            raise OSError(errno.EIO, "The part file became shorter", str(file.path))
        at += count
    return hashes.digests()


def _kept(path: Path) -> Fetched:
    return Fetched(path=path, size=path.stat().st_size, verified=False)
