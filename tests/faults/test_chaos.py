"""Everything at once goes wrong by chance, at all services: what a program has in the end is whole, and paid once."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

from civitai_ext import Civitai, CivitaiError, RetryPolicy, image_job
from civitai_ext.emulator import Emulator
from civitai_ext.oauth import App, Login, MemoryStore, Scope
from tests._sync.helpers import no_sleep

T = TypeVar("T")

MODEL = "urn:air:sdxl:checkpoint:civitai:101055@128078"
PICTURE = {"$type": "textToImage", "input": {"model": MODEL, "prompt": "a cat", "width": 64, "height": 64}}
COUNT = 6


def at_last(call: Callable[[], T]) -> T:
    """Call again and again, as somebody would who sees the error."""
    for _ in range(50):
        try:
            return call()
        except CivitaiError as error:
            last = error
    raise last


def _hosts(emulator: Emulator) -> dict[str, str]:
    return {
        "site_url": emulator.site_url,
        "orchestration_url": emulator.orchestration_url,
        "auth_url": emulator.auth_url,
    }


def _options(emulator: Emulator) -> dict[str, Any]:
    return {**_hosts(emulator), "timeout": 10, "retry": RetryPolicy.immediate()}


def _met(emulator: Emulator) -> set[str | None]:
    return {exchange.fault for exchange in emulator.journal} - {None}


@pytest.fixture(params=[1, 2])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(models=40, speed=1000, seed=request.param) as emulator:
        emulator.faults.chaos(request.param, 0.3)
        yield emulator


@pytest.fixture
def civitai(emulator: Emulator) -> Iterator[Civitai]:
    with Civitai(emulator.token, **_options(emulator)) as civitai:
        civitai.transport.sleep = no_sleep
        yield civitai


@pytest.mark.parametrize("seed", [1, 2])
def test_who_is_logged_in_stays_so(seed: int) -> None:
    with Emulator(models=1, speed=0) as emulator:
        emulator.oauth.rate_limits = False
        options: dict[str, Any] = {**_hosts(emulator), "retry": RetryPolicy.immediate()}
        with App(emulator.oauth.public.id, "http://127.0.0.1/callback", **options) as app:
            sign_in = app.sign_in(Scope.AI_SERVICES)
            answer = emulator.oauth.approve(sign_in.url)
            emulator.faults.chaos(seed, 0.5)
            login = Login(app, at_last(lambda: app.exchange(answer, sign_in)), store=MemoryStore(), account="chaos")
            with Civitai(auth=login, **_options(emulator)) as civitai, ThreadPoolExecutor(8) as pool:
                for _ in range(4):
                    names = {user.username for user in pool.map(lambda _: at_last(civitai.me), range(8))}
                    assert names == {"emulated"}
                    emulator.clock.advance(3600)
        assert emulator.oauth.refreshes == 3
        assert len(_met(emulator)) >= 3


def test_every_item_comes_once(emulator: Emulator, civitai: Civitai) -> None:
    found = [model.id for model in at_last(lambda: civitai.models.list(nsfw=True, page_size=3).to_list())]
    assert len(found) == len(set(found))
    assert set(found) == {model.id for model in emulator.catalogue.models if model.availability == "Public"}
    assert _met(emulator)


def test_work_is_paid_once_and_comes_whole(emulator: Emulator, civitai: Civitai, tmp_path: Path) -> None:
    def picture(number: int) -> str:
        workflow = at_last(lambda: civitai.workflows.submit(PICTURE, external_id=f"order-{number}"))
        assert at_last(lambda: workflow.wait(timeout=60)).status == "succeeded"
        (path,) = at_last(lambda: workflow.save(tmp_path / str(number)))
        assert path.read_bytes()[-8:-4] == b"IEND"
        return workflow.id

    def job(number: int) -> str:
        template = image_job(MODEL, "a cat", width=64, height=64)
        jobs = at_last(lambda: civitai.jobs.submit(template, submission_id=f"job-{number}"))
        assert at_last(lambda: jobs.wait(timeout=60)).is_final
        (id_,) = jobs.ids
        return id_

    with ThreadPoolExecutor(4) as pool:
        ids = [*pool.map(picture, range(COUNT)), *pool.map(job, range(COUNT))]
    charged = Counter(each.workflow_id for each in emulator.ledger.transactions)
    assert charged == Counter(ids), "each is paid once, and none that nobody knows of"
    assert _met(emulator)


def test_files_come_and_go_whole(emulator: Emulator, civitai: Civitai, tmp_path: Path) -> None:
    version = emulator.oddities["many_files"]
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "png")
    picture = written.getvalue()

    def both_ways(number: int) -> None:
        path = at_last(lambda: civitai.download(version.id, tmp_path / str(number), cache=False)).path
        assert path is not None
        assert path.read_bytes() in [file.content for file in version.files]
        blob = at_last(lambda: civitai.blobs.upload(picture))
        assert at_last(lambda: civitai.blobs.read(blob)) == picture

    for number in range(COUNT):
        both_ways(number)
    assert _met(emulator)


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_a_clock_that_is_wrong_makes_nobody_wait_or_hurry(skew: int) -> None:
    pauses: list[float] = []
    with Emulator(models=1) as emulator, Civitai(emulator.token, site_url=emulator.site_url) as civitai:
        civitai.transport.sleep = pauses.append
        emulator.faults.add("GET /api/v1/me", status=503, retry_after="date", skew=skew, times=1)
        assert civitai.me().username == "emulated"
    (pause,) = pauses
    assert 1 <= pause <= 3
