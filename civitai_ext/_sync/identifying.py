# Derived from civitai_ext/_async/identifying.py by scripts/unasync.py: change that file, then run `make fix`.
"""Finding out what the files on the disk are: `civitai.identify`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import attrs

from civitai_ext._config import is_loopback
from civitai_ext._disk import Disk
from civitai_ext._findings import SHA256, Finding, Ids, an_id, found, ids_of, missed, other_hash
from civitai_ext._match_store import MatchStore
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._sync.model_versions import ModelVersions
from civitai_ext._sync.models import Models
from civitai_ext._sync.transport import Transport
from civitai_ext._together import in_batches
from civitai_ext.catalogue import Model, ModelVersion
from civitai_ext.errors import ApiError, CivitaiError, ConfigurationError, ConnectionFailed, UnexpectedResponse
from civitai_ext.hashing import FileHashes, files_in, hash_each
from civitai_ext.matches import Match, MatchProgress

__all__ = ["identify"]

logger: Final = logging.getLogger("civitai_ext")

_MOST_HASHES: Final = 10_000
_AT_ONCE: Final = 100

_Outcome: TypeAlias = tuple[Path, FileHashes | OSError | CivitaiError]
_Files: TypeAlias = dict[str, list[tuple[Path, FileHashes]]]
"""Files of each content."""


def identify(
    transport: Transport,
    paths: Sequence[str | os.PathLike[str]],
    *,
    suffixes: Iterable[str] | str | None,
    thorough: bool,
    max_age: timedelta | None,
    max_unknown_age: timedelta | None,
    at_once: int | None,
    cache: str | os.PathLike[str] | bool | None,
    on_progress: Callable[[MatchProgress], object] | None,
    options: CallOptions,
) -> Generator[Match, None]:
    """Give the match of every file, as `Civitai.identify` says.

    Raises:
        ConfigurationError: An argument cannot be used.
    """
    for name, age in (("max_age", max_age), ("max_unknown_age", max_unknown_age)):
        if age is not None and not isinstance(age, timedelta):
            raise ConfigurationError(f"{name} is {age!r}, which is no time", hint="Give a datetime.timedelta, or None.")
    given = [Path(path) for path in paths]
    walk = _Walk(on_progress)
    # What is wrong with the other arguments is told here too; nothing is opened before there is a file.
    hashing = hash_each(walk.files(), at_once=at_once, cache=cache, on_read=walk.read)
    if cache is None and is_loopback(urlsplit(transport.config.site_url).hostname or ""):
        cache = False  # what a stand-in says is not to be taken for the service's word later
    run = _Run(transport, MatchStore(cache), thorough, max_age, max_unknown_age, checked_options(options))
    return run.matches(given, suffixes, walk, hashing)


class _Walk:
    """The files to hash, and how far that is.

    Args:
        on_progress: Is told.
    """

    def __init__(self, on_progress: Callable[[MatchProgress], object] | None) -> None:
        self._on_progress = on_progress
        self._found: list[tuple[Path, OSError | None]] = []
        self._sizes: dict[Path, int] = {}
        self._under_way: dict[Path, int] = {}
        self._size = self._size_done = 0
        self._hashed = self._matched = 0

    def look(self, paths: Sequence[Path], suffixes: Iterable[str] | str | None) -> None:
        """Find the files.

        Raises:
            OSError: One of the paths is not there, or cannot be looked at.
        """
        for path in paths:
            path.stat()
        self._found = list(files_in(paths, suffixes))
        for path, error in self._found:
            if error is None:
                with suppress(OSError):  # hashing it will tell
                    self._sizes[path] = path.stat().st_size
        self._size = sum(self._sizes.values())

    def files(self) -> Iterator[tuple[Path, OSError | None]]:
        """Give what was found."""
        yield from self._found

    def read(self, path: Path, done: int) -> None:
        """Note how much of a file was read, from any thread."""
        self._under_way[path] = done

    def hashed(self, path: Path) -> None:
        """Note that a file is done with."""
        self._under_way.pop(path, None)
        self._size_done += self._sizes.get(path, 0)
        self._hashed += 1

    def matched(self, match: Match) -> Match:
        """Note that a file has its match, and give that."""
        self._matched += 1
        return match

    def tell(self, phase: Literal["hashing", "asking"]) -> None:
        """Tell how far it is."""
        if self._on_progress is not None:
            done = self._hashed if phase == "hashing" else self._matched
            size_done = self._size_done + sum(list(self._under_way.values()))
            self._on_progress(MatchProgress(phase, done, len(self._found), min(size_done, self._size), self._size))


class _Run:
    """One time that files are identified.

    Once asking fails it is left at that, so that a service which is down is not asked for every file.
    """

    def __init__(
        self,
        transport: Transport,
        store: MatchStore,
        thorough: bool,
        max_age: timedelta | None,
        max_unknown_age: timedelta | None,
        options: CallOptions,
    ) -> None:
        self._models = Models(transport)
        self._versions = ModelVersions(transport)
        self._store = store
        self._thorough = thorough
        self._max_age = max_age
        self._max_unknown_age = max_unknown_age
        self._options = options
        self._failure: CivitaiError | None = None

    def matches(
        self,
        paths: Sequence[Path],
        suffixes: Iterable[str] | str | None,
        walk: _Walk,
        hashing: Generator[_Outcome | None, None, None],
    ) -> Generator[Match, None]:
        """Give what is remembered as soon as it is hashed, and ask for the rest when everything is, or is too much."""
        waiting: _Files = {}
        with closing(self._store):
            try:
                Disk.run(walk.look, paths, suffixes)
                goes_on = True
                while goes_on:
                    step = Disk.run(_step, hashing)
                    goes_on = bool(step)
                    for path, hashes in filter(None, step):
                        walk.hashed(path)
                        if not isinstance(hashes, FileHashes):
                            yield walk.matched(Match(path, "failed", error=hashes))
                        elif (finding := Disk.run(self._fresh, hashes.sha256)) is not None:
                            yield walk.matched(finding.match(path, hashes))
                        else:
                            waiting.setdefault(hashes.sha256, []).append((path, hashes))
                    walk.tell("hashing")
                    if waiting and (not goes_on or len(waiting) == _MOST_HASHES):
                        with closing(self._ask(waiting, walk)) as matches:
                            yield from matches
            finally:
                Disk.run(hashing.close)

    def _fresh(self, sha256: str) -> Finding | None:
        finding = self._store.get(sha256)
        if finding is None:
            return None
        now = datetime.now(UTC)
        fresh = finding.is_fresh(now, self._max_age, self._max_unknown_age, thorough=self._thorough)
        return finding if fresh else None

    def _ask(self, waiting: _Files, walk: _Walk) -> Generator[Match, None]:
        """Give the matches of files that have to be asked for, and what is remembered where that fails."""
        walk.tell("asking")
        if self._failure is None:
            try:
                with closing(self._answers({sha256: files[0][1] for sha256, files in waiting.items()})) as each:
                    for findings in each:
                        for sha256, finding in findings.items():
                            for path, hashes in waiting.pop(sha256):
                                yield walk.matched(finding.match(path, hashes))
                        walk.tell("asking")
            except (ApiError, ConnectionFailed, UnexpectedResponse) as error:
                logger.warning("files that could not be asked for: %d: %s", sum(map(len, waiting.values())), error)
                self._failure = error
        while waiting:
            sha256, files = waiting.popitem()
            known = Disk.run(self._store.get, sha256)
            for path, hashes in files:
                if known is not None:
                    yield walk.matched(known.match(path, hashes, self._failure))
                else:
                    yield walk.matched(Match(path, "failed", hashes, error=self._failure))
        walk.tell("asking")

    def _answers(self, wanted: Mapping[str, FileHashes]) -> Generator[dict[str, Finding], None]:
        """Ask, and give what is known then, part by part, all of it once."""
        matches = self._versions.ids_by_hashes(wanted, **self._options)
        ids = {sha256: each for sha256, match in matches.items() if (each := ids_of(match, SHA256, sha256))}
        others = [sha256 for sha256 in wanted if sha256 not in ids]
        gone: dict[str, Finding] = {}
        for batch in in_batches(others, _AT_ONCE if self._thorough else _MOST_HASHES):
            if self._thorough:
                ids |= self._ids_by_others({sha256: wanted[sha256] for sha256 in batch})
            findings = Disk.run(self._missed, [sha256 for sha256 in batch if sha256 not in ids])
            gone |= {sha256: each for sha256, each in findings.items() if each.status == "deleted"}
            yield {sha256: each for sha256, each in findings.items() if sha256 not in gone}
        with closing(self._details(ids, gone)) as details:
            for findings in details:
                yield findings

    def _details(self, ids: Mapping[str, Ids], gone: dict[str, Finding]) -> Generator[dict[str, Finding], None]:
        """Ask for what is to be told of what was found, and of what is deleted, whose model may be there still."""
        by_model: dict[int, list[str]] = {}
        owners: dict[str, int | None] = {sha256: each.model_id for sha256, each in ids.items()}
        owners |= {sha256: each.model_id for sha256, each in gone.items()}
        for sha256, model_id in owners.items():
            if model_id is not None:
                by_model.setdefault(model_id, []).append(sha256)
        if not by_model:  # without ids, the list is one of all models
            yield gone
            return
        left: dict[str, Model | None] = dict.fromkeys(ids)
        # This gives all versions of each model, and so tells what is new too.
        with closing(self._models.list(ids=list(by_model), nsfw=True, **self._options)) as pager:
            for page in pager.pages():
                listed, outlived = [], {}
                for model in page:
                    for sha256 in by_model.pop(an_id(model.id) or 0, ()):
                        if sha256 in gone:
                            outlived[sha256] = attrs.evolve(gone.pop(sha256), model=model)
                            continue
                        version_id = ids[sha256].version_id
                        version = next((each for each in model.model_versions if each.id == version_id), None)
                        if version is None:
                            left[sha256] = model
                        else:
                            del left[sha256]
                            listed.append((sha256, ids[sha256], model, version))
                yield Disk.run(self._found, listed)
                yield Disk.run(self._noted, outlived)
        yield gone
        # Some models are in no list, and some versions in no model.
        for batch in in_batches(list(left), _AT_ONCE):
            hashes = {sha256: ids[sha256].hash for sha256 in batch}
            # Those that were found by another hash are asked for by it again.
            versions = self._versions.by_hashes(hashes.values(), try_other_kinds=self._thorough, **self._options)
            shown = [(sha256, ids[sha256], left[sha256], versions[hash]) for sha256, hash in hashes.items()]
            yield Disk.run(self._found, shown)

    def _ids_by_others(self, wanted: Mapping[str, FileHashes]) -> dict[str, Ids]:
        """Ask by another hash than the SHA-256, which takes a request for each."""
        others = {sha256: other for sha256, hashes in wanted.items() if (other := other_hash(hashes))}
        asked = [hash for _, hash in others.values()]
        matches = self._versions.ids_by_hashes(asked, try_other_kinds=True, **self._options)
        ids = {sha256: ids_of(matches[hash], kind, hash) for sha256, (kind, hash) in others.items()}
        return {sha256: each for sha256, each in ids.items() if each is not None}

    def _found(self, shown: Sequence[tuple[str, Ids, Model | None, ModelVersion | None]]) -> dict[str, Finding]:
        now, get = datetime.now(UTC), self._store.get
        return self._noted(
            {
                sha256: found(get(sha256), ids, model, version, now, thorough=self._thorough)
                for sha256, ids, model, version in shown
            }
        )

    def _missed(self, hashes: Sequence[str]) -> dict[str, Finding]:
        now, get = datetime.now(UTC), self._store.get
        return self._noted({sha256: missed(get(sha256), now, thorough=self._thorough) for sha256 in hashes})

    def _noted(self, findings: dict[str, Finding]) -> dict[str, Finding]:
        self._store.put(findings)
        return findings


def _step(hashing: Iterator[_Outcome | None]) -> list[_Outcome | None]:
    """Give what comes next, in a list of one; an empty one at the end."""
    return list(islice(hashing, 1))
