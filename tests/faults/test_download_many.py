"""Many downloads at once while everything goes wrong by chance, and after ends that nobody planned."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civitai_ext import AsyncCivitai, Civitai, Download, RetryPolicy, errors
from civitai_ext.emulator import Emulator
from civitai_ext.emulator.catalogue import Version
from civitai_ext.emulator.faults import CHAOS, Kind

COUNT = 60
KINDS: tuple[int | Kind, ...] = (*CHAOS, "gzip", "ignore_range", "shift_range", 403, 404, 429)
"""What goes wrong with the storage."""
SERVICE: tuple[int | Kind, ...] = (429, 500, 502, 503, "lost_answer", "cut_body", "html_page")
"""What goes wrong with the service."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(models=60, speed=0) as emulator:
        yield emulator


def given_away(emulator: Emulator) -> list[Version]:
    """Versions that everybody may have, and whose file is no pickle."""
    return [
        version
        for model in emulator.catalogue.models
        for version in model.versions
        if not model.mode and version.usage_control == "Download" and version.early_access_until is None
        if not version.requires_auth and not version.restricted
        if version.files and version.primary_file.format == "SafeTensor"
    ][:COUNT]


Have = Callable[..., list[Download]]


def have(emulator: Emulator, whats: list[int], to: Path) -> list[Download]:
    with Civitai(**_of_client(emulator)) as civitai:
        return civitai.download_many(whats, to, **_OPTIONS)


def have_async(emulator: Emulator, whats: list[int], to: Path) -> list[Download]:
    async def run() -> list[Download]:
        async with AsyncCivitai(**_of_client(emulator)) as civitai:
            return await civitai.download_many(whats, to, **_OPTIONS)

    return asyncio.run(run())


RANGES: tuple[int | Kind, ...] = (*KINDS, 400, 401, 410, 416)
"""What goes wrong with the ranges of one large file."""

_OPTIONS: dict[str, Any] = {
    "at_once": 4, "layout": "{version_id}/{file_name}", "cache": False, "timeout": 5, "allow_unscanned": True
}  # fmt: skip


def _of_client(emulator: Emulator) -> dict[str, Any]:
    url = emulator.url
    urls = {"site_url": url, "orchestration_url": url, "auth_url": url}
    return {"token": emulator.token, "retry": RetryPolicy.immediate(), "verify": False, **urls}


def tried(download: Have, emulator: Emulator, versions: list[Version], to: Path) -> list[Download]:
    """What came of each."""
    try:
        return download(emulator, [version.id for version in versions], to)
    except errors.DownloadsFailed as error:
        return list(error.downloads)


def seen_in(folder: Path) -> dict[str, bytes]:
    """What stands under the names of files."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize(("download", "seed"), [(have, 1), (have_async, 2)])
def test_chaos(download: Have, emulator: Emulator, tmp_path: Path, seed: int) -> None:
    versions = given_away(emulator)
    assert len(versions) == COUNT
    right = {f"{each.id}/{each.primary_file.name}": each.primary_file.content for each in versions}
    # So much that some of 60 fail even after their retries, in whatever order they are asked for.
    emulator.faults.chaos(seed, 0.75, KINDS, route="GET /storage/*")
    emulator.faults.chaos(seed, 0.5, SERVICE, route="GET /api/*")
    failed = 0
    for _ in range(12):
        found = tried(download, emulator, versions, tmp_path)
        assert len(found) == COUNT
        for each in found:
            if each.error is None:
                assert each.path is not None
                assert each.path.read_bytes() == right[each.path.relative_to(tmp_path).as_posix()]
            else:
                assert isinstance(each.error, errors.CivitaiError)
                assert emulator.token not in f"{each.error!r} {each.error}"
        seen = seen_in(tmp_path)
        assert [name for name, content in seen.items() if content != right[name]] == []
        failed += sum(each.error is not None for each in found)
        if len(seen) == COUNT:
            break
    assert seen_in(tmp_path) == right
    assert not list(tmp_path.rglob(".*"))
    assert failed  # else it was no chaos
    stored = [each for each in emulator.journal if each.path.startswith("/storage/")]
    assert {each.credential for each in stored} == {None}
    # Once the rest of a file came as it should, nobody asks for it again, in whatever call.
    came = [each.path for each in stored if each.status in (200, 206) and not each.fault and each.range != "bytes=0-0"]
    assert max(Counter(came).values()) == 1


@pytest.mark.parametrize("seed", range(10))
def test_chaos_of_ranges(tmp_path: Path, seed: int) -> None:
    download = (have, have_async)[seed % 2]
    with Emulator(models=1, speed=0, large_file=6_000_000) as emulator:
        version = emulator.oddities["large"]
        right = {f"{version.id}/{version.primary_file.name}": version.primary_file.content}
        emulator.faults.chaos(seed, 0.5, RANGES, route="GET /storage/*")
        emulator.faults.chaos(seed, 0.3, SERVICE, route="GET /api/*")
        for _ in range(12):
            (each,) = tried(download, emulator, [version], tmp_path)
            # Nothing was changed, so that what came has to be right.
            assert not isinstance(each.error, errors.HashMismatch)
            assert seen_in(tmp_path) == ({} if each.error else right)
            if not each.error:
                break
        assert seen_in(tmp_path) == right
        assert not list(tmp_path.rglob(".*"))
