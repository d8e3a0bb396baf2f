# Derived from civitai_ext/_async/downloads.py by scripts/unasync.py: change that file, then run `make fix`.
"""Downloading whatever somebody names: finding the files that are meant, where they go, and having them fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from civitai_api.orchestration.models import Blob, BlobArchiveOutput
from civitai_api.runtime import ApiModel
from civitai_api.site import models as site
from civitai_ext._arguments import a_count, a_path, a_switch
from civitai_ext._choosing import check_safety, chosen_files
from civitai_ext._disk import Disk, Exists, is_folder
from civitai_ext._download_settings import Settings
from civitai_ext._downloadable import (
    DOWNLOADS,
    BlobRef,
    ModelRef,
    PictureRef,
    RouteRef,
    VersionRef,
    address_of,
    file_route,
    reference,
)
from civitai_ext._fetched import Expected, Fetched
from civitai_ext._hash_cache import HashCache
from civitai_ext._meter import Meter
from civitai_ext._options import CallOptions
from civitai_ext._placing import Names, Placement, place, target_in
from civitai_ext._reading import text
from civitai_ext._sync.blobs import Blobs
from civitai_ext._sync.fetching import fetch
from civitai_ext._sync.images import Images
from civitai_ext._sync.locating import probe
from civitai_ext._sync.model_versions import ModelVersions
from civitai_ext._sync.models import Models
from civitai_ext._sync.output import Output
from civitai_ext._sync.sidecars import is_beside, write_sidecars
from civitai_ext._sync.transport import Transport
from civitai_ext._together import Together, in_batches
from civitai_ext.air import Air
from civitai_ext.catalogue import Model, ModelFile, ModelVersion, ModelVersionMini, NoSuchVersion
from civitai_ext.downloads import Download, OnDownload
from civitai_ext.errors import CivitaiError, DownloadsFailed, InvalidRequest

__all__ = ["Downloads", "Downloadable", "download", "download_many"]

Downloadable = (
    str
    | int
    | Air
    | Model
    | ModelVersion
    | ModelVersionMini
    | ModelFile
    | site.Image
    | site.ModelImage
    | site.ImageCivitaiResource
    | Blob
    | BlobArchiveOutput
    | Output
)
"""What can be downloaded: an AIR; a model, which means its newest version; a version, or its id; a file of one; the
address of a page or of a download, on any host of the site; an image; a blob, or an output of a workflow.
"""

_ASKING_AT_ONCE: Final = 4
_LOOKED_UP: Final = 100
_MOST_AT_ONCE: Final = 16


@attrs.define(eq=False)
class _Job:
    """One file to download.

    Attributes:
        what: What was asked for.
        key: The same for what is the same file.
        name: What it is called.
        file: What the catalogue says about it.
        version: The version it is of.
        model: The model it is of.
        route: Path and query of its download; None for what `media` fetches.
        media: What is fetched otherwise: an image or a blob.
        refused: Why it must not be downloaded, if so.
        number: Its number for the meter.
        target: The path that it is to have.
        is_named: Whether the caller named that.
    """

    what: Any
    key: Any
    name: str = ""
    file: ModelFile | None = None
    version: ModelVersion | None = None
    model: Model | None = None
    route: str | None = None
    media: Any = None
    refused: CivitaiError | None = None
    number: int = 0
    target: Path = attrs.field(factory=Path)
    is_named: bool = False

    def outcome(self, status: Literal["downloaded", "kept", "planned", "failed"], **more: Any) -> Download:
        """Say what came of it."""
        return Download(what=self.what, status=status, model=self.model, version=self.version, file=self.file, **more)


class _Stopped(Exception):  # noqa: N818  # it is no error
    """The caller wants no more."""


def download(
    transport: Transport,
    what: Downloadable,
    to: str | os.PathLike[str],
    settings: Settings,
    *,
    all_files: bool = False,
    dry_run: bool = False,
    progress: bool | OnDownload = False,
) -> list[Download]:
    """Download what somebody names, and say what came of it: of one file, or of all with `all_files`.

    Args:
        transport: What sends.
        what: Anything that `reference` understands, or an object of the catalogue or of a workflow.
        to: The folder or file.
        settings: The options.
        all_files: Whether all files of a version are meant.
        dry_run: Whether to say only what would come of it.
        progress: Whether to draw a bar, or what to tell how far it is.

    Raises:
        CivitaiError: It failed.
        OSError: It cannot be written.
    """
    if isinstance(what, Iterable) and not isinstance(what, (str, bytes, ApiModel)):
        raise InvalidRequest(f"{type(what).__name__} holds several things", hint="Give them to download_many.")
    _check(all_files, dry_run, progress)
    with _told(progress) as tell:
        run = Downloads(transport, to, settings, Meter(tell), all_files=all_files, dry_run=dry_run)
        found = run.all_of([what], at_once=1)
    errors = [each.error for each in found if each.error is not None]
    if dry_run or not errors:
        return found
    if len(found) == 1:
        raise errors[0]
    raise _failed(found, errors)


def download_many(
    transport: Transport,
    whats: Iterable[Downloadable] | Iterable[Downloadable],
    to: str | os.PathLike[str],
    settings: Settings,
    *,
    all_files: bool = False,
    dry_run: bool = False,
    progress: bool | OnDownload = False,
    at_once: int = 2,
) -> list[Download]:
    """Download several things, `at_once` at a time, and say what came of each.

    Raises:
        DownloadsFailed: Some of them failed, after all of them were tried.
    """
    if isinstance(whats, (str, bytes, ApiModel)) or not isinstance(whats, (Iterable, Iterable)):
        raise InvalidRequest(f"{type(whats).__name__} is one thing", hint="Give it to download, or in a list.")
    a_count("at_once", at_once, 1, _MOST_AT_ONCE)
    _check(all_files, dry_run, progress)
    given = _listed(whats)
    with _told(progress) as tell:
        run = Downloads(transport, to, settings, Meter(tell), all_files=all_files, dry_run=dry_run, many=True)
        found = run.all_of(given, at_once=at_once)
    errors = [each.error for each in found if each.error is not None]
    if errors and not dry_run:
        raise _failed(found, errors)
    return found


def _check(all_files: Any, dry_run: Any, progress: Any) -> None:
    a_switch("all_files", all_files)
    a_switch("dry_run", dry_run)
    if not isinstance(progress, bool) and not callable(progress):
        raise InvalidRequest(f"progress is {progress!r}; it takes True, False or a function")


def _listed(whats: Iterable[Any] | Iterable[Any]) -> list[Any]:
    if isinstance(whats, Iterable):
        return list(whats)
    return list(whats)


def _failed(found: Sequence[Download], errors: Sequence[Exception]) -> DownloadsFailed:
    return DownloadsFailed(
        f"{len(errors)} of {len(found)} downloads failed; the first: {errors[0]}",
        downloads=found,
        hint="`downloads` of this error says what came of each. Asking again goes on with what is missing.",
    )


@contextmanager
def _told(progress: bool | OnDownload) -> Iterator[OnDownload | None]:
    """Give what is told how far it is."""
    if progress is not True:
        yield None if progress is False else progress
        return
    from civitai_ext._bar import Bar

    with closing(Bar()) as bar:
        yield bar


class Downloads:
    """The downloads of one call.

    Args:
        transport: What sends.
        to: The folder or file.
        settings: The options.
        meter: What counts.
        all_files: Whether all files of versions are meant.
        dry_run: Whether to say only what would come of it.
        many: Whether `to` has to be a folder.
    """

    def __init__(
        self,
        transport: Transport,
        to: str | os.PathLike[str],
        settings: Settings,
        meter: Meter,
        *,
        all_files: bool,
        dry_run: bool,
        many: bool = False,
    ) -> None:
        self._transport = transport
        self._to = a_path("to", to)
        self._settings = settings
        self._meter = meter
        self._all_files = all_files
        self._dry_run = dry_run
        self._folder = many or all_files
        self._models = Models(transport)
        self._versions = ModelVersions(transport)
        self._names = Names()
        self._options: CallOptions = {} if settings.timeout is None else {"timeout": settings.timeout}
        self._status_of_failures: Literal["planned", "failed"] = "planned" if dry_run else "failed"
        self._is_stopped = False

    def all_of(self, whats: Sequence[Any], *, at_once: int) -> list[Download]:
        """Download all of them, and say what came of each file, in their order."""
        entries: list[_Job | Download] = []
        outcomes: dict[Any, Download] = {}
        left = len(whats)
        try:
            # Batch by batch, so that the first file does not wait until thousands are looked up.
            for batch in in_batches(whats, _LOOKED_UP):
                left -= len(batch)
                found = [entry for each in self._looked_up(batch) for entry in each]
                jobs: dict[Any, _Job] = {}
                for entry in found:
                    if isinstance(entry, _Job) and entry.key not in outcomes:
                        jobs.setdefault(entry.key, entry)
                for job in jobs.values():
                    job.number = self._meter.add(job.name, None if job.file is None else job.file.size_bytes)
                self._meter.expect(left)
                self._had(list(jobs.values()), outcomes, at_once)
                entries += found
        finally:
            self._is_stopped = True  # in threads that nobody waits for any more
        return [
            attrs.evolve(outcomes[entry.key], what=entry.what) if isinstance(entry, _Job) else entry
            for entry in entries
        ]

    def _looked_up(self, whats: Sequence[Any]) -> list[list[_Job | Download]]:
        return Together(self._found, most=_ASKING_AT_ONCE).each(whats)

    def _had(self, jobs: Sequence[_Job], outcomes: dict[Any, Download], at_once: int) -> None:
        """Do them, and note what came of each."""

        def work(job: _Job) -> None:
            outcomes[job.key] = self._done(job)

        if len(jobs) == 1:
            work(jobs[0])
            return
        together = Together[_Job, None](work, most=at_once)
        with closing(together.as_completed(jobs)) as ended:
            for _, failure in ended:
                if failure is not None:
                    raise failure

    # ------------------------------------------------------------------------------------------------ what is meant

    def _found(self, what: Any) -> list[_Job | Download]:
        try:
            jobs: list[_Job] = self._jobs(what)
            for job in jobs:
                below = self._below(job)
                if job.media is None:
                    job.target, job.is_named = Disk.run(target_in, self._to, job.name, below=below, folder=self._folder)
        except (CivitaiError, OSError) as error:
            return [Download(what=what, status=self._status_of_failures, error=error)]
        return list(jobs)

    def _jobs(self, what: Any) -> list[_Job]:
        config = self._transport.config
        meant = what
        if isinstance(what, (str, int, Air)) and not isinstance(what, bool):
            meant = reference(what, site=config.site_url, orchestration=config.orchestration_url)
        asked = self._settings.asked
        match meant:
            case ModelRef():
                return self._of_model(what, self._models.get(meant.id, **self._options), asked)
            case VersionRef():
                version = self._versions.get(meant.id, **self._options)
                return self._of_version(what, version, None, {**meant.asked, **asked}, meant.file_id)
            case RouteRef():
                return [self._of_route(what, meant.route)]
            case PictureRef():
                name = str(meant.picture).rpartition("/")[2]
                return [_Job(what, ("picture", meant.picture), name, media=meant)]
            case BlobRef():
                return [_Job(what, ("blob", meant.url), "blob", media=meant)]
            case Model():
                return self._of_model(what, meant, asked)
            case ModelVersion():
                return self._of_version(what, meant, None, asked, None)
            case ModelVersionMini() if isinstance(meant.air, Air):
                return self._jobs_again(what, meant.air)
            case ModelFile():
                return self._of_file(what, meant)
            case site.ImageCivitaiResource() if isinstance(meant.model_version_id, int):
                return self._jobs_again(what, meant.model_version_id)
            case site.Image() | site.ModelImage():
                id = getattr(meant, "id", None)
                name = str(id) if isinstance(id, int) else text(meant.url).rpartition("/")[2]
                return [_Job(what, ("picture", text(meant.url) or name), name, media=meant)]
            case Output() | Blob() | BlobArchiveOutput():
                name = text(getattr(meant, "id", None)) or "blob"
                return [_Job(what, ("blob", name, text(getattr(meant, "url", None))), name, media=meant)]
            case _:
                raise InvalidRequest(
                    f"{type(what).__name__} is nothing that can be downloaded",
                    hint="Give an AIR, a model, a version, a file, an image, a blob, or the address or id of one.",
                )

    def _jobs_again(self, what: Any, meant: Any) -> list[_Job]:
        jobs: list[_Job] = self._jobs(meant)
        for job in jobs:
            job.what = what
        return jobs

    def _of_model(self, what: Any, model: Model, asked: dict[str, str]) -> list[_Job]:
        version = model.latest
        if version is None:
            raise NoSuchVersion(f"Model {text(model.name) or model.id!r} has no version")
        return self._of_version(what, version, model, asked, None)

    def _of_version(
        self, what: Any, version: ModelVersion, model: Model | None, asked: dict[str, str], file_id: int | None
    ) -> list[_Job]:
        id = version.id
        if not isinstance(id, int):
            raise InvalidRequest("The version has no id", hint="Read it from the service again.")
        if "quant" in asked and model is None and isinstance(version.model_id, int):
            # A version that was read by its id does not say how its files are quantised; inside its model it does.
            model = self._models.get(version.model_id, **self._options)
            version = next((each for each in model.model_versions if each.id == id), version)
        if not version.files:
            job = self._of_route(what, file_route(id, None, asked))  # it says why there is nothing
            job.version, job.model = version, model
            return [job]
        model_type = text(getattr(model, "type", None)) or text(getattr(version.model, "type", None))
        files = chosen_files(
            version,
            model_type,
            asked=asked,
            file_id=file_id,
            all_files=self._all_files,
            allow_pickle=self._settings.allow_pickle,
        )
        return [self._job(what, file, version, model) for file in files]

    def _of_file(self, what: Any, file: ModelFile) -> list[_Job]:
        own = address_of(file)
        if own is None:
            raise InvalidRequest(
                f"The file {text(file.name)!r} does not say which version it is of", hint="Give the version instead."
            )
        needs_version = self._settings.layout is not None or bool(self._settings.sidecars)
        version = self._versions.get(own.id, **self._options) if needs_version else None
        return [self._job(what, file, version, None, version_id=own.id)]

    def _job(
        self,
        what: Any,
        file: ModelFile,
        version: ModelVersion | None,
        model: Model | None,
        *,
        version_id: int | None = None,
    ) -> _Job:
        id = version_id if version_id is not None else getattr(version, "id", 0)
        route = file_route(id, file)
        refused = self._refusal(file)
        return _Job(what, route, text(file.name) or str(id), file, version, model, route, refused=refused)

    def _of_route(self, what: Any, route: str) -> _Job:
        """Ask what a download is about which the catalogue says nothing."""
        found = probe(self._transport, self._url(route), timeout=self._settings.timeout)
        file = ModelFile.from_dict({"name": found.name or "file"})
        is_own = route.startswith((f"{DOWNLOADS}vault/", f"{DOWNLOADS}training/"))  # which is not scanned
        return _Job(what, route, text(file.name), file, route=route, refused=self._refusal(file, is_own=is_own))

    def _refusal(self, file: ModelFile, *, is_own: bool = False) -> CivitaiError | None:
        """Give why a file must not be downloaded, if so."""
        allow_unscanned = self._settings.allow_unscanned or is_own
        try:
            check_safety(file, allow_pickle=self._settings.allow_pickle, allow_unscanned=allow_unscanned)
        except CivitaiError as error:
            return error
        return None

    def _url(self, route: str) -> str:
        return f"{self._transport.config.site_url}{route}"

    def _below(self, job: _Job) -> Path | None:
        """Give the path below the folder that the layout gives."""
        layout = self._settings.layout
        if layout is None or job.file is None or job.version is None:
            return None
        self._complete(job, with_model="{creator}" in layout.pattern)
        return Path(layout.path_for(job.model, job.version, job.file, to=self._to))

    def _complete(self, job: _Job, *, with_model: bool = False, by_itself: bool = False) -> None:
        """Read what is not known yet of the version and the model.

        Args:
            job: What is to be completed.
            with_model: Whether the model is needed, too.
            by_itself: Whether the version has to say itself which model it is of, which one inside a model does not.
        """
        version = job.version
        if version is None or not isinstance(version.id, int):
            return
        is_bare = (by_itself or job.model is None) and not isinstance(version.model, ApiModel)
        if is_bare or (with_model and job.model is None and not isinstance(version.model_id, int)):
            job.version = version = self._versions.get(version.id, **self._options)
        if with_model and job.model is None and isinstance(version.model_id, int):
            job.model = self._models.get(version.model_id, **self._options)

    # ---------------------------------------------------------------------------------------------------- having it

    def _done(self, job: _Job) -> Download:
        self._meter.begins(job.number)
        try:
            outcome = self._transferred(job) if job.media is None else self._media(job)
        except (CivitaiError, OSError) as error:
            path = None if job.media is not None else job.target
            outcome = job.outcome(self._status_of_failures, path=path, error=error)
        phase: Any = {"downloaded": "done", "planned": "done"}.get(outcome.status, outcome.status)
        self._meter.is_over(job.number, phase, outcome.size if outcome.error is None else None)
        return outcome

    def _transferred(self, job: _Job) -> Download:
        settings = self._settings
        if job.refused is not None:
            raise job.refused
        spot = Disk.run(
            place,
            job.target,
            job.file,
            exists=settings.exists,
            is_named=job.is_named,
            names=self._names,
            cache=settings.cache,
        )
        if spot.is_there:
            there = (Disk.run(spot.path.stat)).st_size
            outcome = job.outcome("kept", path=spot.path, size=there, verified=spot.verified, hashes=spot.hashes)
        elif self._dry_run:
            found = probe(self._transport, self._url(job.route or ""), timeout=settings.timeout)
            size = found.size if found.size is not None or job.file is None else job.file.size_bytes
            return job.outcome("planned", path=spot.path, size=size)
        else:
            outcome = self._fetched(job, spot)
        if not settings.sidecars or self._dry_run:
            return outcome
        replace = spot.replaces and outcome.status == "downloaded"
        return self._with_sidecars(job, outcome, spot.path, replace=replace)

    def _with_sidecars(self, job: _Job, outcome: Download, path: Path, *, replace: bool) -> Download:
        """Put beside a file what is wanted there: what goes wrong with that is no reason to lose the file."""
        wanted, failures = set(self._settings.sidecars), list[CivitaiError | OSError]()
        for kind in sorted(wanted & {"json", "readme"}):
            if replace or not Disk.run(is_beside, path, kind):
                try:
                    self._complete(job, with_model=kind == "readme", by_itself=kind == "json")
                except CivitaiError as error:
                    wanted.discard(kind)  # half of one would stay for good
                    failures.append(error)
        written, problems = write_sidecars(self._transport, path, wanted, job.version, job.model, replace=replace)
        return attrs.evolve(
            outcome,
            sidecars=tuple(written),
            problems=(*failures, *problems),
            version=job.version,
            model=job.model,
        )

    def _fetched(self, job: _Job, spot: Placement) -> Download:
        settings = self._settings
        fetched = fetch(
            self._transport,
            self._url(job.route or ""),
            spot.path,
            expected=Expected()
            if job.file is None
            else Expected(listed=job.file.size_bytes, hashes=dict(job.file.hashes.items())),
            connections=settings.connections,
            exists="overwrite" if spot.replaces else "error",
            on_progress=self._on_progress(job),
            timeout=settings.timeout,
        )
        Disk.run(self._remember, fetched)
        return job.outcome(
            "downloaded", path=fetched.path, size=fetched.size, verified=fetched.verified, hashes=fetched.hashes
        )

    def _remember(self, fetched: Fetched) -> None:
        """Keep its hashes, so that nobody has to read the file again for them."""
        if fetched.hashes is not None and fetched.status is not None:
            with closing(HashCache(self._settings.cache)) as cache:
                cache.put(fetched.path, fetched.status, attrs.asdict(fetched.hashes))

    def _media(self, job: _Job) -> Download:
        """Download what is called after its id, and has no hash: there is no other of its name."""
        path = Path(self._to)
        in_folder = self._folder or not path.suffix or Disk.run(is_folder, self._to)
        to = f"{path}{os.sep}" if in_folder else path
        asked = self._settings.exists
        exists = asked if asked in get_args(Exists) else "skip" if in_folder else "error"
        media = job.media
        if self._dry_run:
            if isinstance(media, PictureRef) and isinstance(media.picture, int):
                Images(self._transport).get(media.picture, **self._options)  # tells it if there is none
            return job.outcome("planned", path=None if in_folder else path)
        came = False

        def moved(done: int, size: int | None) -> None:
            nonlocal came
            came = True
            on_progress(done, size)

        on_progress = self._on_progress(job)
        options: Any = {"exists": exists, "on_progress": moved, "timeout": self._settings.timeout}
        if isinstance(media, (Output, Blob, BlobArchiveOutput, BlobRef)):
            wanted = media.url if isinstance(media, BlobRef) else media
            path = Blobs(self._transport).download(wanted, to, **options)
        else:
            picture = media.picture if isinstance(media, PictureRef) else media
            path = Images(self._transport).download(picture, to, **options)
        size = (Disk.run(path.stat)).st_size
        return job.outcome("downloaded" if came else "kept", path=path, size=size)

    def _on_progress(self, job: _Job) -> Callable[[int, int | None], None]:
        def moved(done: int, size: int | None) -> None:
            if self._is_stopped:
                raise _Stopped
            self._meter.moved(job.number, done, size)

        return moved
