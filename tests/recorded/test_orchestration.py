"""Every method of blobs, services, resources and recipes, as it was recorded: a test and a cassette for each.

The tests are called after the methods: `test_blobs__upload` is about `civitai.blobs.upload`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from civitai_api.orchestration.models import EchoInput, EchoOutput, ImageBlob
from civitai_ext import Civitai

if TYPE_CHECKING:
    from civitai_ext.emulator import Emulator

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_blobs__upload(civitai: Civitai) -> None:
    blob = civitai.blobs.upload(PIXEL)
    assert isinstance(blob, ImageBlob)
    assert (blob.available, blob.width, blob.height) == (True, 1, 1)


def test_blobs__presign(civitai: Civitai) -> None:
    permission = civitai.blobs.presign()
    assert civitai.blobs.upload(PIXEL, presigned=permission).available


def test_blobs__exists(civitai: Civitai) -> None:
    blob = civitai.blobs.upload(PIXEL)
    assert [civitai.blobs.exists(blob.id), civitai.blobs.exists("none.png")] == [True, False]


def test_blobs__refresh(civitai: Civitai, advance: Callable[[float], None]) -> None:
    blob = civitai.blobs.upload(PIXEL)
    advance(3600)
    fresh = civitai.blobs.refresh(blob.id)
    assert blob.url_expires_at
    assert fresh.url_expires_at
    assert fresh.url_expires_at > blob.url_expires_at


def test_blobs__url(civitai: Civitai) -> None:
    url = civitai.blobs.url(civitai.blobs.upload(PIXEL).id, filename="pixel.png")
    assert civitai.blobs.read(url) == PIXEL


def test_blobs__download(civitai: Civitai, tmp_path: Path) -> None:
    path = civitai.blobs.download(civitai.blobs.upload(PIXEL), tmp_path)
    assert path.suffix == ".png"
    assert path.read_bytes() == PIXEL


def test_blobs__read(civitai: Civitai) -> None:
    assert civitai.blobs.read(civitai.blobs.upload(PIXEL).id) == PIXEL


def test_services__list(civitai: Civitai) -> None:
    assert {service.category for service in civitai.services.list(category="image", page_size=3)} == {"image"}


def test_services__get(civitai: Civitai) -> None:
    (listed,) = civitai.services.list(prefix="image/", limit=1)
    service = civitai.services.get(listed.id)
    assert service.id == listed.id
    assert service.history


def test_resources__list(civitai: Civitai) -> None:
    assert all(resource.availability for resource in civitai.resources.list(limit=2))


def test_resources__get(civitai: Civitai) -> None:
    (listed,) = civitai.resources.list(limit=1)
    resource = civitai.resources.get(listed.air)
    assert resource.availability
    assert resource.availability.status == "loading"


def test_recipes__invoke(civitai: Civitai, emulator: Emulator | None) -> None:
    if emulator is not None:
        emulator.clock.speed = 1000  # the request is held until the step is done
    assert civitai.recipes.invoke(EchoInput(message="hello")) == EchoOutput(message="hello")


def test_recipes__estimate(civitai: Civitai) -> None:
    assert civitai.recipes.estimate(EchoInput(message="hello")).total is not None
