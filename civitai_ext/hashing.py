"""The hashes by which Civitai knows files, of files on the disk (BLAKE3 needs the extra `hash`).

    hashes = hash_file("models/detail.safetensors")
    print(hashes.auto_v2, hashes.matches(version.primary_file))

    for path, found in hash_files("models/"):
        print(path, found.sha256 if isinstance(found, FileHashes) else f"not hashed: {found}")

All of them are computed in one pass, side by side, in about the time that the SHA-256 takes alone. What was computed is
remembered, where the extra `cache` is installed, until the file changes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import attrs

from civitai_ext._hash_cache import HashCache
from civitai_ext._suffixes import MODEL_SUFFIXES
from civitai_ext.errors import CivitaiError, ConfigurationError, InvalidFile
from civitai_ext.safetensors import PREFIX, SafetensorsHeader, header_length

if TYPE_CHECKING:
    from civitai_ext.catalogue import ModelFile

__all__ = ["MODEL_SUFFIXES", "FileHashes", "Hasher", "hash_file", "hash_files"]

_SAFETENSORS: Final = (".safetensors", ".sft")
_SAMPLE: Final = (0x100000, 0x110000)  # what AutoV1 looks at
_BLOCK: Final = 2 << 20
_BLOCKS: Final = 4
_TICK: Final = 0.2


@attrs.frozen
class FileHashes:
    """The hashes of a file, in hexadecimal and upper case as the service spells them.

    Attributes:
        size: How many bytes the file has.
        sha256: SHA-256 of the whole file.
        crc32: CRC-32 of the whole file, eight digits.
        blake3: BLAKE3 of the whole file; None where it was not computed.
        auto_v1: Eight digits of the SHA-256 of 64 KiB in the second mebibyte; None if the file is too short for that.
        auto_v3: Twelve digits of the SHA-256 of what follows the header of a safetensors file; None for other files.
    """

    size: int
    sha256: str
    crc32: str
    blake3: str | None = None
    auto_v1: str | None = None
    auto_v3: str | None = None

    @property
    def auto_v2(self) -> str:
        """The first ten digits of the SHA-256."""
        return self.sha256[:10]

    def matches(self, file: ModelFile) -> bool | None:
        """Tell whether a file of the catalogue is the same file; None if it lists no hash that can be compared.

        The strongest hash that both have decides. Take None for what it is: the file is not verified.

        >>> from civitai_ext.catalogue import ModelFile
        >>> hashes = FileHashes(size=3, sha256="AB" * 32, crc32="01234567")
        >>> hashes.matches(ModelFile.from_dict({"hashes": {"SHA256": "ab" * 32}}))
        True
        >>> hashes.matches(ModelFile.from_dict({"hashes": {"AutoV2": "CDCDCDCDCD"}}))
        False
        >>> hashes.matches(ModelFile.from_dict({"hashes": {}})) is None
        True
        """
        compared = self.compare({kind: file.hash(kind) or "" for kind in self._by_kind()})
        return None if compared is None else compared[1] == compared[2]

    def compare(self, published: Mapping[str, str]) -> tuple[str, str, str] | None:
        """Compare the strongest hash that both this and what was published have; None if there is no such hash.

        Args:
            published: Hashes by their names in the API, in any case.

        Returns:
            The name of the hash, as it was published, and as it is here: equal if it is the same file.

        >>> hashes = FileHashes(size=3, sha256="AB" * 32, crc32="01234567")
        >>> hashes.compare({"crc32": "89ABCDEF", "AutoV1": "76543210"})
        ('CRC32', '89ABCDEF', '01234567')
        """
        named = {kind.upper(): value.strip().upper() for kind, value in published.items()}
        for kind, ours in self._by_kind().items():
            theirs = named.get(kind.upper(), "")
            # Some AutoV3 are listed with all digits.
            if ours is not None and len(theirs) >= len(ours):
                return kind, theirs[: len(ours)], ours
        return None

    def _by_kind(self) -> dict[str, str | None]:
        """The hashes by their names in the API, the strongest first."""
        return {
            "SHA256": self.sha256,
            "BLAKE3": self.blake3,
            "AutoV2": self.auto_v2,
            "AutoV3": self.auto_v3,
            "CRC32": self.crc32,
            "AutoV1": self.auto_v1,
        }


# ------------------------------------------------------------------------------------------------------- piece by piece


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Hasher:
    """Computes all hashes of a file that comes piece by piece, such as one that is being downloaded.

    They are computed by threads of its own while the next piece is fetched. They end when it is no longer used.

    Args:
        name: How the file will be called: errors name it, and one that ends with `.safetensors` or `.sft` has to be of
            that format. Other files may be.
        blake3: Whether to compute BLAKE3; where the package for it is installed, if that is not said.

    Raises:
        ConfigurationError: BLAKE3 is wanted, and the extra `hash` is not installed.

    >>> hasher = Hasher()
    >>> for piece in (b"a", b"b", b"c"):
    ...     hasher.update(piece)
    >>> hasher.digests().auto_v2
    'BA7816BF8F'
    """

    def __init__(self, name: str | os.PathLike[str] = "", *, blake3: bool | None = None) -> None:
        self._path = Path(name) if name else None
        self._must_be_safetensors = os.fspath(name).lower().endswith(_SAFETENSORS)
        self._size = 0  # of what was given to the threads
        self._start = bytearray()  # of the file, up to where the header of a safetensors file ends
        self._start_size: int | None = PREFIX + 1  # None: it is no safetensors file
        self._header: SafetensorsHeader | None = None
        self._sample = hashlib.sha256()
        self._sha256, self._payload, self._crc32 = hashlib.sha256(), hashlib.sha256(), _Crc32()
        self._blake3 = _new_blake3() if _wants_blake3(blake3) else None
        # The two SHA-256 take longest. The others together take no longer than one of them.
        others: list[_Hash] = [self._crc32] if self._blake3 is None else [self._crc32, self._blake3]
        self._lanes: list[list[_Hash]] = [[self._sha256], [self._payload], others]
        self._threads: list[ThreadPoolExecutor] = []
        self._blocks = [memoryview(bytearray(_BLOCK))]  # more when there is more than one
        self._working: list[list[Future[None]]] = [[]]  # by block: what still reads it
        self._at = self._filled = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next piece of the file, of any size. It can be changed afterwards.

        Raises:
            InvalidFile: The header of a safetensors file is broken.
        """
        rest = memoryview(data).cast("B")
        while rest:
            room = self.room()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self.advance(count)
            rest = rest[count:]

    def room(self) -> memoryview:
        """Give the memory where the next piece can be put instead of copying it there. Tell with `advance` that it is.

        >>> import io
        >>> hasher = Hasher()
        >>> hasher.advance(io.BytesIO(b"abc").readinto(hasher.room()))
        >>> hasher.digests().auto_v2
        'BA7816BF8F'
        """
        for future in self._working[self._at]:
            future.result()
        self._working[self._at] = []
        return self._blocks[self._at][self._filled :]

    def advance(self, count: int) -> None:
        """Take the next `count` bytes, which are where `room` said.

        Raises:
            InvalidFile: The header of a safetensors file is broken.
        """
        self._filled += count
        if self._filled == _BLOCK:
            if not self._threads:
                self._threads = [ThreadPoolExecutor(1, "civitai-hash") for _ in self._lanes]
                self._blocks += [memoryview(bytearray(_BLOCK)) for _ in range(_BLOCKS - 1)]
                self._working += [[] for _ in range(_BLOCKS - 1)]
            self._hand_over()

    def digests(self) -> FileHashes:
        """Give the hashes of what came so far.

        Raises:
            InvalidFile: It should be a safetensors file and is none, or is not all of one.
        """
        self._hand_over()
        for future in [future for working in self._working for future in working]:
            future.result()
        has_begun = self._must_be_safetensors or len(self._start) > PREFIX
        if has_begun and self._start_size is not None and self._header is None:
            raise InvalidFile("it ends within its safetensors header", path=self._path)
        if self._header is not None:
            try:
                self._header.check(self._size)
            except InvalidFile as error:
                raise InvalidFile(error.message, path=self._path) from error
        return FileHashes(
            size=self._size,
            sha256=_digits(self._sha256, 64),
            crc32=_digits(self._crc32, 8),
            blake3=None if self._blake3 is None else _digits(self._blake3, 64),
            auto_v1=_digits(self._sample, 8) if self._size >= _SAMPLE[1] else None,
            auto_v3=_digits(self._payload, 12) if self._header is not None else None,
        )

    def _hand_over(self) -> None:
        """Let the block be hashed, and go on to the next."""
        block = self._blocks[self._at][: self._filled]
        if not block:
            return
        # Before anything else: where it raises, the next call does so too.
        parts = [block, self._after_header(block), block]
        self._sample.update(block[max(0, _SAMPLE[0] - self._size) : max(0, _SAMPLE[1] - self._size)])
        for number, (lane, part) in enumerate(zip(self._lanes, parts, strict=True)):
            if not part:
                continue
            if self._threads:
                self._working[self._at].append(self._threads[number].submit(_update, lane, part))
            else:
                _update(lane, part)
        self._size += len(block)
        self._at, self._filled = (self._at + 1) % len(self._blocks), 0

    def _after_header(self, block: memoryview) -> memoryview:
        """Give what of a block belongs to the payload of a safetensors file."""
        used = 0
        while self._start_size is not None and self._header is None and used < len(block):
            missing = self._start_size - len(self._start)
            self._start += block[used : used + missing]
            used += min(missing, len(block) - used)
            if len(self._start) == self._start_size:
                self._look_at_start()
        return block[used:] if self._header is not None else block[:0]

    def _look_at_start(self) -> None:
        try:
            if len(self._start) > PREFIX + 1:
                self._header = SafetensorsHeader.parse(self._start)
            else:
                length = header_length(self._start)
                if length is None and self._must_be_safetensors:
                    raise InvalidFile("it is no safetensors file, whatever its name says")
                self._start_size = length
        except InvalidFile as error:
            raise InvalidFile(error.message, path=self._path) from error


def _update(lane: list[_Hash], data: memoryview) -> None:
    for hash in lane:
        hash.update(data)


def _digits(hash: _Hash, count: int) -> str:
    return hash.hexdigest()[:count].upper()


def _wants_blake3(wanted: bool | None) -> bool:
    if wanted is not False:
        try:
            _new_blake3()
        except ConfigurationError:
            if wanted:
                raise
            return False
    return wanted is not False


def _new_blake3() -> _Hash:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise ConfigurationError(
            "BLAKE3 needs a package that is not installed", hint="Install it with pip install 'civitai-ext[hash]'."
        ) from error
    return blake3()


# ---------------------------------------------------------------------------------------------------------- whole files


def hash_file(
    path: str | os.PathLike[str],
    *,
    blake3: bool | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> FileHashes:
    """Compute all hashes of a file, or remember them.

    Args:
        path: The file.
        blake3: Whether to compute BLAKE3; where the package for it is installed, if that is not said.
        cache: The file to remember hashes in, True for one in the user's folder for such files, False to remember
            nothing. Without it they are remembered where the extra `cache` is installed.
        on_progress: Called with the number of bytes that were read and the number that there are, now and then.

    Raises:
        InvalidFile: It is no file, changed meanwhile, or its name ends with `.safetensors` and it is none, or is not
            all of one.
        OSError: The file cannot be read.
        ConfigurationError: BLAKE3 or a cache is wanted, and the extra for it is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "example.bin")
    ...     _ = path.write_bytes(b"abc")
    ...     hash_file(path, cache=False).auto_v2
    'BA7816BF8F'
    """
    with closing(HashCache(cache)) as remembered:
        return _hash_file(Path(path), _wants_blake3(blake3), remembered, on_progress)


def _hash_file(
    path: Path, blake3: bool, cache: HashCache, on_progress: Callable[[int, int], object] | None
) -> FileHashes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for somebody to write into it
        raise InvalidFile("it is no regular file", path=path)
    known = cache.get(path, status)
    if known is not None and (known["blake3"] is not None or not blake3):
        if on_progress is not None:
            on_progress(status.st_size, status.st_size)
        remembered = FileHashes(**known)
        return remembered if blake3 else attrs.evolve(remembered, blake3=None)
    hasher = Hasher(path, blake3=blake3)
    with path.open("rb", buffering=0) as file:
        before, done = os.fstat(file.fileno()), 0
        while done <= before.st_size and (count := file.readinto(hasher.room())):
            hasher.advance(count)
            done += count
            if on_progress is not None:
                on_progress(done, before.st_size)
        hashes = hasher.digests()
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or done != after.st_size:
        raise InvalidFile("it changed while it was hashed", path=path, hint="Hash it again once it is complete.")
    cache.put(path, after, attrs.asdict(hashes))
    return hashes


# ----------------------------------------------------------------------------------------------------------- many files


_Outcome: TypeAlias = FileHashes | OSError | CivitaiError


class _Stopped(Exception):  # noqa: N818  # it is no error
    """The caller wants no more."""


def hash_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    suffixes: Iterable[str] | str | None = MODEL_SUFFIXES,
    at_once: int | None = None,
    blake3: bool | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
) -> Iterator[tuple[Path, FileHashes | OSError | CivitaiError]]:
    """Compute the hashes of many files, and give each path with its hashes, or with what went wrong, as they are ready.

    Args:
        paths: Files, and folders to look for files in, with all that is in them. Each file comes once, and each folder
            too, however many links lead there.
        suffixes: How the names of the files in folders end, in any case; None for all files. A file that is named
            itself is always hashed.
        at_once: How many files to hash at a time: by default half as many as there are processors, and at most 4. One
            file keeps about three of them busy, and a few at a time are what an SSD needs to be fully used. On a disk
            that turns, 1 is best.
        blake3: Whether to compute BLAKE3; where the package for it is installed, if that is not said.
        cache: As for `hash_file`.

    Raises:
        ConfigurationError: BLAKE3 or a cache is wanted, and the extra for it is not installed; or `at_once` is not
            positive.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "example.bin").write_bytes(b"abc")
    ...     [(path.name, hashes.auto_v2) for path, hashes in hash_files(folder, cache=False)]
    [('example.bin', 'BA7816BF8F')]
    """
    found = files_in([paths] if isinstance(paths, (str, os.PathLike)) else paths, suffixes)
    # A generator does nothing before it is asked for the first: what is wrong is told before that.
    return _ready(hash_each(found, at_once=at_once, blake3=blake3, cache=cache))


def hash_each(
    found: Iterator[tuple[Path, OSError | None]],
    *,
    at_once: int | None = None,
    blake3: bool | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    on_read: Callable[[Path, int], object] | None = None,
) -> Generator[tuple[Path, _Outcome] | None, None, None]:
    """Compute the hashes of files as `hash_files` does, and give None now and then while nothing is ready.

    Args:
        found: The files, from `files_in`.
        at_once: As for `hash_files`.
        blake3: As for `hash_files`.
        cache: As for `hash_file`.
        on_read: Called with a path and how many bytes of it were read, in other threads.

    Raises:
        ConfigurationError: BLAKE3 or a cache is wanted, and the extra for it is not installed; or `at_once` is not
            positive.
    """
    if at_once is None:
        at_once = max(1, min(4, (os.cpu_count() or 1) // 2))
    if at_once < 1:
        raise ConfigurationError(f"at_once is {at_once}, and no file can be hashed like that", hint="Give 1 or more.")
    return _hash_each(found, at_once, _wants_blake3(blake3), HashCache(cache), on_read)


def _hash_each(
    found: Iterator[tuple[Path, OSError | None]],
    at_once: int,
    blake3: bool,
    cache: HashCache,
    on_read: Callable[[Path, int], object] | None,
) -> Generator[tuple[Path, _Outcome] | None, None, None]:
    stop = threading.Event()

    def hashes_of(path: Path) -> FileHashes:
        def go_on(done: int, _: int) -> None:
            if stop.is_set():
                raise _Stopped
            if on_read is not None:
                on_read(path, done)

        return _hash_file(path, blake3, cache, go_on)

    working: dict[Future[FileHashes], Path] = {}
    pool = ThreadPoolExecutor(at_once, "civitai-hash-files")
    try:
        for path, error in found:
            if error is not None:
                yield path, error
                continue
            working[pool.submit(hashes_of, path)] = path
            while len(working) == at_once:
                yield from _finished(working)
        while working:
            yield from _finished(working)
    finally:
        stop.set()
        pool.shutdown()
        cache.close()


def _finished(working: dict[Future[FileHashes], Path]) -> Iterator[tuple[Path, _Outcome] | None]:
    done = wait(working, timeout=_TICK, return_when=FIRST_COMPLETED).done
    if not done:
        yield None
    for future in done:
        path = working.pop(future)
        try:
            yield path, future.result()
        except (OSError, CivitaiError) as error:
            yield path, error
        except ValueError as error:  # no path can be like that
            yield path, InvalidFile(str(error), path=path)


def _ready(each: Generator[tuple[Path, _Outcome] | None, None, None]) -> Iterator[tuple[Path, _Outcome]]:
    with closing(each):
        for outcome in each:
            if outcome is not None:
                yield outcome


def files_in(
    paths: Iterable[str | os.PathLike[str]], suffixes: Iterable[str] | str | None
) -> Iterator[tuple[Path, OSError | None]]:
    """Find the files that `hash_files` is about, and the folders that cannot be looked into.

    Args:
        paths: As for `hash_files`.
        suffixes: As for `hash_files`.
    """
    if isinstance(suffixes, str):
        suffixes = (suffixes,)
    ends = None if suffixes is None else tuple(suffix.lower() for suffix in suffixes)
    return _files_in([Path(path) for path in paths], ends)


def _files_in(paths: list[Path], suffixes: tuple[str, ...] | None) -> Iterator[tuple[Path, OSError | None]]:
    seen: set[Any] = set()

    def is_new(key: Any) -> bool:
        new = key not in seen
        seen.add(key)
        return new

    waiting = paths[::-1]
    named = set(paths)
    while waiting:
        path = waiting.pop()
        try:
            if path.is_dir():
                status = path.stat()
                if is_new((status.st_dev, status.st_ino)):
                    waiting += sorted(path.iterdir(), reverse=True)
                continue
        except OSError as error:
            yield path, error
            continue
        if (path in named or suffixes is None or path.name.lower().endswith(suffixes)) and is_new(path.absolute()):
            yield path, None
