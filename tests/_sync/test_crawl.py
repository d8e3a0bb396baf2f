# Derived from tests/_async/test_crawl.py by scripts/unasync.py: change that file, then run `make fix`.
"""The whole catalogue through a service that is not well: every id, exactly once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from civitai_ext import Civitai, RetryPolicy
from civitai_ext.emulator import Emulator

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """A Civitai of some size."""
    with Emulator(models=2200, speed=1000) as emulator:
        yield emulator


@pytest.fixture
def crawler(service: Emulator) -> Iterator[Civitai]:
    """A client of it that waits for nothing; the service is well again afterwards."""
    with Civitai(service.token, site_url=service.url, retry=RetryPolicy.immediate()) as civitai:
        yield civitai
    service.faults.clear()


@pytest.mark.parametrize(("what", "least"), [("models", 2000), ("images", 5000)])
def test_every_id_comes_exactly_once(crawler: Civitai, service: Emulator, what: str, least: int) -> None:
    def ids() -> list[int]:
        if what == "models":
            return [model.id for model in crawler.models.list(nsfw=True)]
        return [image.id for image in crawler.images.list(browsing_level=31)]

    wanted = ids()
    assert len(set(wanted)) == len(wanted) >= least
    service.journal.clear()
    service.faults.chaos(
        seed=7, rate=0.4, kinds=[429, 503, "lost_answer", "cut_body", "duplicate_items", "repeat_cursor"]
    )
    assert ids() == wanted
    hit = {exchange.fault for exchange in service.journal} - {None}
    assert len(hit) >= 4, hit
