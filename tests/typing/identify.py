"""What files are, as users ask for it. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_type

from civitai_ext import Air, AsyncCivitai, Civitai, CivitaiError, FileHashes, Match, MatchProgress
from civitai_ext.catalogue import Model, ModelFile, ModelVersion
from civitai_ext.matches import MatchStatus


def show(progress: MatchProgress) -> None:
    assert_type(progress.files_done, int)
    if progress.phase == "hashing":
        assert_type(progress.bytes, int)


def several(civitai: Civitai) -> None:
    found = civitai.identify(
        "models",
        Path("a.pt"),
        suffixes=[".pt"],
        thorough=True,
        max_age=timedelta(hours=1),
        max_unknown_age=None,
        at_once=1,
        cache="cache.db",
        on_progress=show,
        timeout=5.0,
    )
    assert_type(found, Iterator[Match])
    for match in found:
        assert_type(match.path, Path)
        assert_type(match.status, MatchStatus)
        assert_type(match.hashes, FileHashes | None)
        assert_type(match.model, Model | None)
        assert_type(match.version, ModelVersion | None)
        assert_type(match.file, ModelFile | None)
        assert_type(match.air, Air | None)
        assert_type(match.update, ModelVersion | None)
        assert_type(match.checked_at, datetime | None)
        assert_type(match.error, OSError | CivitaiError | None)


async def one_after_the_other(civitai: AsyncCivitai) -> None:
    assert_type(civitai.identify("models"), AsyncIterator[Match])
    async for match in civitai.identify("models"):
        assert_type(match, Match)
