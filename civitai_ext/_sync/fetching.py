# Derived from civitai_ext/_async/fetching.py by scripts/unasync.py: change that file, then run `make fix`.
"""Downloading one file: over several connections, gone on with where it stopped, and under its name only once it is
known to be whole and the right one.
"""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from civitai_ext._backoff import delay_after
from civitai_ext._disk import Disk, Exists, is_free
from civitai_ext._fetched import CONNECTIONS, Expected, Fetched, Place, Probe
from civitai_ext._hashing_along import HashingAlong
from civitai_ext._pace import Pace
from civitai_ext._part_files import ResumableFile
from civitai_ext._ranges import Claim, Part, Verdict, Version, judge
from civitai_ext._redact import public_url
from civitai_ext._signal import Signal
from civitai_ext._sync.http import DEFAULT_TIMEOUT, Stream
from civitai_ext._sync.locating import LONGEST_ERROR, REFUSED, Locator, probe, unusable, url_has_run_out
from civitai_ext._sync.media_files import OnProgress
from civitai_ext._sync.transport import Transport
from civitai_ext._together import Together
from civitai_ext._verifying import BEGINNING, is_another_size, why_not_a_file
from civitai_ext.errors import (
    ApiError,
    CivitaiError,
    ConnectionFailed,
    HashMismatch,
    Incomplete,
    InvalidFile,
    NotAFile,
    RateLimited,
    ServerError,
    UnexpectedResponse,
)
from civitai_ext.hashing import FileHashes

__all__ = ["Expected", "Fetched", "Probe", "fetch", "probe"]

_BUFFER: Final = 1024 * 1024
_WORTH_WRITING: Final = 64 * 1024
_WRITTEN_EVERY: Final = 0.005  # seconds, where that many bytes came: what was not written is lost with the process
_PROGRESS: Final = 256 * 1024  # bytes after which a range that was cut has not failed
_LOOK_AGAIN: Final = 0.05  # seconds after which a connection that waits looks whether it may go on
_SLOWEST: Final = 1024  # bytes per second; less for as long as a host may be silent counts as silence
_BUSY: Final = frozenset({403, 429, 503})


def fetch(
    transport: Transport,
    source: str,
    target: Path,
    *,
    expected: Expected | None = None,
    connections: int = CONNECTIONS,
    exists: Exists = "error",
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
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
        on_progress: Called with how many bytes came and how many there are, None if the host does not say.
        timeout: How many seconds the host may be silent.

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
    if not Disk.run(is_free, target, exists):
        return Disk.run(_kept, target)
    file = Disk.run(ResumableFile, target, public_url(source))
    download = Download(transport, source, target, file, expected, connections, on_progress, timeout)
    try:
        try:
            hashes = download.run()
        except InvalidFile as error:
            why_not = Disk.run(_why_not, file, target.name, 1)
            Disk.run(file.discard)
            raise NotAFile(why_not or error.message, status=200, method="GET", url=source) from error
        compared = hashes.compare(expected.hashes)
        verified = compared is not None and compared[1] == compared[2]
        if not verified and (reason := Disk.run(_why_not, file, target.name, hashes.size)):
            Disk.run(file.discard)
            raise NotAFile(reason, status=200, method="GET", url=source)
        if compared is None and is_another_size(hashes.size, expected.listed):
            Disk.run(file.discard)
            message = f"it has {hashes.size} bytes, and about {expected.listed} were published"
            raise NotAFile(message, status=200, method="GET", url=source)
        if compared is not None and not verified:
            Disk.run(file.discard)
            name, published, found = compared
            raise HashMismatch(
                f"{target} came with the {name} {found}, but {published} was published",
                path=str(target),
                name=name,
                expected=published,
                found=found,
            )
        if not Disk.run(is_free, target, exists):  # it may have come meanwhile
            Disk.run(file.discard)
            return Disk.run(_kept, target)
        Disk.run(file.become_target)
        status = Disk.run(target.stat)
        return Fetched(path=target, size=hashes.size, verified=verified, hashes=hashes, status=status)
    finally:
        Disk.run(download.stop)
        Disk.run(file.close)


class Download:
    """One download under way: rounds of connections to where the file lies, which is found anew before each round."""

    def __init__(
        self,
        transport: Transport,
        source: str,
        target: Path,
        file: ResumableFile,
        expected: Expected,
        connections: int,
        on_progress: OnProgress | None,
        timeout: float | None,
    ) -> None:
        self._transport = transport
        self._target = target
        self._file = file
        self._expected = expected
        self._connections = max(1, connections)
        self._pace = Pace()
        self._on_progress = on_progress
        self._timeout = transport.timeout if timeout is None else timeout
        self._locator = Locator(transport, source, target.name, self._timeout)
        self._part: Part | None = None
        self._hashing: HashingAlong | None = None
        self._lock = threading.Lock()  # guards the part; never held while anything is waited for
        self._ignored = False  # whether the host gave the whole file for a range
        self._noted = 0

    @property
    def _known(self) -> Part:
        assert self._part is not None, "nothing was asked yet"  # noqa: S101
        return self._part

    def run(self) -> FileHashes:
        """Fetch what is missing; give the hashes of the whole.

        Raises:
            InvalidFile: It is not what its name says.
            CivitaiError: See `fetch`.
        """
        fruitless, attempt = 0, 0
        while True:
            place = self._locator.locate()
            if place.version is None:
                attempt += 1
                size = self._fetch_unmeasured(place, attempt)
                if size is not None:
                    return self._hashes_of(place, size)
                continue
            size = place.version.size
            self._prepare(place, place.version)
            part = self._known
            if part.is_whole:
                return self._hashes_of(place, size)
            before = part.present
            round_ = _Round(place)
            try:
                self._run_round(round_)
            except BaseException:  # a task that is canceled keeps what it has, too
                with suppress(OSError):
                    (Disk.run(self._file.save, part) if part.present else Disk.run(self._file.discard))
                raise
            if part.is_whole:
                return self._hashes_of(place, size)
            Disk.run(self._file.save, part)
            failure = round_.failure
            assert failure is not None, "a round ends whole or with a failure"  # noqa: S101
            fruitless = fruitless + 1 if part.present <= before or round_.changed else 1
            if fruitless >= self._transport.policy.attempts:
                raise self._incomplete(part.present, size, failure) if _passes(failure) else failure
            self._transport.sleep(self._transport.policy.longest(fruitless) * self._transport.policy.scale)

    def _hashes_of(self, place: Place, size: int) -> FileHashes:
        """Give the hashes of the whole file."""
        self._check_size(place, size)
        return Disk.run(self._hashed.finish, size)

    def _check_size(self, place: Place, size: int) -> None:
        if self._expected.size not in (None, size):
            raise NotAFile(
                f"it has {size} bytes, and {self._expected.size} were expected",
                status=200,
                media_type=place.media_type,
                method="GET",
                url=place.url,
            )

    def stop(self) -> None:
        """End what goes on beside it."""
        if self._hashing is not None:
            self._hashing.stop()
            self._hashing = None

    # ------------------------------------------------------------------------------------------------- what is there

    def _prepare(self, place: Place, version: Version) -> None:
        """Make the part one of the version that lies there now: go on with it, or begin it anew."""
        self._check_size(place, version.size)
        old, part = self._part, Disk.run(self._file.load) if self._part is None else self._part
        keep = part is not None and part.version.is_surely(version)
        self._part = part = part if part is not None and keep else Part(version)
        Disk.run(self._file.begin, version.size, keep=keep, present=part.present)
        self._noted = part.present
        if part is not old:
            Disk.run(self._hash_anew)
        self._hashed.reach(part.front)
        self._tell(part.present, version.size)

    def _hash_anew(self) -> None:
        self.stop()
        self._hashing = HashingAlong(self._file, self._target.name)

    @property
    def _hashed(self) -> HashingAlong:
        assert self._hashing is not None, "it begins when the file does"  # noqa: S101
        return self._hashing

    def _tell(self, done: int, size: int | None) -> None:
        if self._on_progress is not None:
            self._on_progress(done, size)

    # --------------------------------------------------------------------------------------------------------- rounds

    def _run_round(self, round_: _Round) -> None:
        """Fetch over several connections until all is there, or the place is of no more use."""
        # Pieces can only be put together if it is known that they are of the same version.
        ranged = round_.place.ranged and not self._ignored and self._known.version.validator is not None
        workers = range(self._connections if ranged else 1)
        self._pace.begin(len(workers), size=self._known.version.size)
        together = Together[int, None](lambda number: self._work(round_, number, ranged), most=len(workers))
        try:
            with closing(together.as_completed(workers)) as ended:
                for _, failure in ended:
                    if failure is not None:
                        round_.stop()
                        raise failure
        except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
            if not _passes(error):
                raise
            raise self._incomplete(self._known.present, self._known.version.size, error) from error
        finally:
            round_.stop()
        if round_.ignored:
            self._ignored = True
        self._connections = max(1, self._connections - round_.left)

    def _incomplete(self, done: int, size: int | None, error: CivitaiError) -> Incomplete:
        of = "" if size is None else f" of {size}"
        message = f"{done} bytes{of} came of {self._target}: {error.describe()}"
        return Incomplete(message, path=str(self._target), done=done, size=size)

    def _work(self, round_: _Round, number: int, ranged: bool) -> None:
        """Fetch one range after the other. The first connection shows whether others have a chance."""
        attempt = 1
        accepted = number == 0
        try:
            if number:
                round_.begun.wait()
            while not round_.is_over:
                claim = self._take(number, ranged)
                if claim is None and self._known.is_whole:
                    round_.stop()
                    return
                if claim is None:  # others may leave something
                    round_.over.wait(_LOOK_AGAIN)
                    continue
                began, delay = claim.at, None
                try:
                    accepted = self._fetch(round_, number, claim, ranged) or accepted
                    attempt = 1
                except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
                    if isinstance(error, ApiError) and number and not accepted and error.status in _BUSY | REFUSED:
                        round_.leave(error)  # the host does not want that many connections
                        return
                    if url_has_run_out(error):
                        round_.end(error)
                        return
                    if ranged and claim.at - began >= _PROGRESS:
                        attempt = 1
                    delay = delay_after(error, self._transport.policy, attempt, idempotent=True)
                    if delay is None:
                        round_.stop()  # before others take over what this one leaves
                        raise
                    attempt += 1
                finally:
                    with self._lock:
                        self._known.release(claim)
                if delay is not None:
                    self._transport.sleep(delay)
        finally:
            if number == 0:
                round_.begun.set()

    def _take(self, number: int, ranged: bool) -> Claim | None:
        with self._lock:
            if self._known.is_whole:
                return None
            if not ranged:
                return self._known.take_all()
            return self._known.take(self._connections) if number < self._pace.limit else None

    def _fetch(self, round_: _Round, number: int, claim: Claim, ranged: bool) -> bool:
        """Fetch a range; tell whether the host gave something of it."""
        place, version = round_.place, self._known.version
        headers = dict(place.headers)
        start, end = claim.at, claim.end  # the end may come nearer while the host thinks
        if ranged:
            headers["range"] = f"bytes={start}-{end - 1}"
            headers["if-range"] = version.validator or ""
        with self._transport.http.stream("GET", place.url, headers=headers, timeout=self._timeout) as stream:
            if stream.status >= 300 and stream.status != 416:
                raise self._locator.refused(stream.read(LONGEST_ERROR), place.url)
            verdict = judge(stream.status, stream.headers, start, end, version)
            if stream.status != 416:  # which comes with a message
                self._locator.check(stream, place.url)
            if verdict is Verdict.CHANGED:
                round_.changed = True
                round_.end(unusable(stream, place.url, "the file changed meanwhile", truncated=True))
                return False
            if verdict is Verdict.UNUSABLE or (verdict is Verdict.WHOLE and ranged):
                round_.ignored = True
                round_.end(unusable(stream, place.url, "it gave another range than asked", truncated=True))
                return False
            round_.begun.set()
            if version.validator is None and self._known.done:  # what is there may be of another version
                with self._lock:
                    self._known.done = []
                Disk.run(self._hash_anew)
            self._receive(round_, number, stream, claim, end)
        return True

    def _receive(self, round_: _Round, number: int, stream: Stream, claim: Claim, end: int) -> None:
        """Receive what was asked for, up to `end`, as far as it is still this connection's to fetch."""
        began = came = claim.at
        chunks, held, written = list[bytes](), 0, monotonic()
        flow = _Flow(self._timeout)
        try:
            for chunk in stream.chunks():
                chunks.append(chunk)
                held += len(chunk)
                came += len(chunk)
                # An answer that is read to its end leaves a connection that can be used again.
                if round_.is_over or (came >= claim.end and came != end) or number >= self._pace.limit:
                    break
                now = monotonic()
                if held >= _BUFFER or (held >= _WORTH_WRITING and now - written >= _WRITTEN_EVERY):
                    # Given away first: if this is interrupted, they are written, and must not be once more.
                    ready, chunks, held, written = chunks, [], 0, now
                    self._put(claim, ready)
                if flow.has_stopped(len(chunk), now):
                    raise unusable(stream, round_.place.url, "almost nothing comes any more", truncated=True)
        finally:
            self._put(claim, chunks)
        if claim.at == began and not round_.is_over:
            raise unusable(stream, round_.place.url, "nothing came", truncated=True)

    def _put(self, claim: Claim, chunks: list[bytes]) -> None:
        Disk.run(self._store, claim, chunks)
        self._tell(self._known.present, self._known.version.size)

    def _store(self, claim: Claim, chunks: list[bytes]) -> None:
        """Write what came where it belongs, as far as nobody else took that over."""
        part, count = self._known, 0
        for chunk in chunks:
            with self._lock:
                left = claim.end - claim.at - count
            if left > 0:
                self._file.write(claim.at + count, memoryview(chunk)[:left])
                count += min(left, len(chunk))
        with self._lock:
            part.add(claim, count)
            self._pace.note(part.present, now=monotonic())
            is_due = part.present - self._noted >= max(1024 * 1024, part.version.size // 256)
            if is_due:
                self._noted = part.present
        if is_due:
            self._file.note(part)
        self._hashed.reach(part.front)

    # -------------------------------------------------------------------------------------------- files of any length

    def _fetch_unmeasured(self, place: Place, attempt: int) -> int | None:
        """Fetch a file whose host does not say how long it is: over one connection, each time from its beginning.

        Gives how many bytes it has; None if it did not come as a whole, and another try may help.
        """
        self._part = None
        try:
            return self._receive_all(place)
        except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
            delay = delay_after(error, self._transport.policy, attempt, idempotent=True)
            if delay is None and url_has_run_out(error) and attempt < self._transport.policy.attempts:
                delay = 0.0
            if delay is None:
                Disk.run(self._file.discard)
                if _passes(error):
                    raise self._incomplete(0, None, error) from error
                raise
        except InvalidFile:
            raise
        except BaseException:  # nobody could go on with it
            with suppress(OSError):
                Disk.run(self._file.discard)
            raise
        self._transport.sleep(delay)
        return None

    def _receive_all(self, place: Place) -> int:
        Disk.run(self._file.begin, 0, keep=False)
        Disk.run(self._hash_anew)
        done, flow = 0, _Flow(self._timeout)
        url, headers = place.url, place.headers
        with self._transport.http.stream("GET", url, headers=headers, timeout=self._timeout) as stream:
            if stream.status != 200:
                raise self._locator.refused(stream.read(LONGEST_ERROR), url)
            self._locator.check(stream, url)
            for chunk in stream.chunks():
                Disk.run(self._file.write, done, chunk)
                done += len(chunk)
                self._hashed.reach(done)
                self._tell(done, None)
                if flow.has_stopped(len(chunk), monotonic()):
                    raise unusable(stream, url, "almost nothing comes any more", truncated=True)
        return done


class _Round:
    """What the connections of one round know of each other.

    Attributes:
        place: Where they fetch from.
        begun: Happens when the first of them gets something.
        over: Happens when they are to stop.
        failure: Why, if not everything is there.
        changed: Whether the file is another one now.
        ignored: Whether the host does not give ranges.
        left: How many gave up, since the host wants fewer.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.begun = Signal()
        self.over = Signal()
        self.failure: CivitaiError | None = None
        self.changed = False
        self.ignored = False
        self.left = 0

    @property
    def is_over(self) -> bool:
        """Whether they are to stop."""
        return self.over.is_set

    def leave(self, failure: CivitaiError) -> None:
        """Note that one of them gave up. What it was to fetch is for the next round, if no other takes it."""
        self.left += 1
        self.failure = self.failure or failure

    def end(self, failure: CivitaiError) -> None:
        """Let all of them stop."""
        self.failure = failure
        self.stop()

    def stop(self) -> None:
        """Let all of them stop, whatever there is."""
        self.over.set()


class _Flow:
    """Tells when a host only pretends to send: read timeouts do not see single bytes that come now and then."""

    def __init__(self, timeout: float | None) -> None:
        self._silence = DEFAULT_TIMEOUT if timeout is None else timeout
        self._began, self._count = monotonic(), 0

    def has_stopped(self, count: int, now: float) -> bool:
        """Take note of bytes that came; tell whether they were too few for too long."""
        self._count += count
        if now - self._began < self._silence:
            return False
        stopped = self._count < _SLOWEST * self._silence
        self._began, self._count = now, 0
        return stopped


def _passes(error: CivitaiError) -> bool:
    """Whether an error is one that may be over the next time, so that it pays to keep what came."""
    if isinstance(error, UnexpectedResponse):
        return error.truncated
    return isinstance(error, (ConnectionFailed, RateLimited, ServerError))


def _why_not(file: ResumableFile, name: str, size: int) -> str | None:
    """Tell by its beginning why it is not the file."""
    start = bytearray(BEGINNING)
    count = file.read(0, memoryview(start))
    return why_not_a_file(name, "", bytes(start[:count]), size)


def _kept(path: Path) -> Fetched:
    return Fetched(path=path, size=path.stat().st_size, verified=False)
