"""Blobs and what lies beside them as users write it. Never run: two type checkers read it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, assert_type

from civitai_api.orchestration.models import (
    Blob,
    BlobArchiveOutput,
    ConsumerBlobPresignResponse,
    EchoInput,
    EchoOutput,
    LoadingResourceAvailability,
    ResourceInfo,
    ServiceResponse,
)
from civitai_ext import Air, AsyncCivitai, AsyncPager, Civitai, Estimate, Pager, errors


def blobs(civitai: Civitai, blob: Blob, archive: BlobArchiveOutput, file: BinaryIO) -> None:
    def watch(so_far: int, size: int | None) -> None:
        print(so_far, size)

    assert_type(civitai.blobs.upload("cat.png", on_progress=lambda sent, size: print(sent / size)), Blob)
    civitai.blobs.upload(Path("cat.png"), content_type="image/png", timeout=300)
    civitai.blobs.upload(file)
    permission = civitai.blobs.presign()
    assert_type(permission, ConsumerBlobPresignResponse)
    civitai.blobs.upload(b"...", presigned=permission)
    civitai.blobs.upload(b"...", presigned=permission.upload_url)
    assert_type(civitai.blobs.download(blob, "out/", exists="skip", on_progress=watch), Path)
    civitai.blobs.download(archive, Path("all.zip"), on_progress=print)
    civitai.blobs.download(blob.id, "cat.png")
    assert_type(civitai.blobs.read(blob, limit=1_000_000), bytes)
    assert_type(civitai.blobs.exists(blob.id), bool)
    assert_type(civitai.blobs.refresh(blob.id), Blob)
    assert_type(civitai.blobs.url(blob.id, download=True), str)
    try:
        civitai.blobs.read(blob)
    except errors.BlobUnavailable as error:
        assert_type(error.reason, str)


def catalogue(civitai: Civitai, air: Air) -> None:
    services = civitai.services.list(category="image", status="available", limit=5)
    assert_type(services, Pager[ServiceResponse])
    for service in services:
        if service.metrics:
            print(service.id, service.metrics.cost_buzz)
    assert_type(civitai.services.get("image/textToImage", window="7d"), ServiceResponse)
    assert_type(civitai.resources.list(), Pager[ResourceInfo])
    resource = civitai.resources.get(air)
    assert_type(resource, ResourceInfo)
    if resource.availability:
        assert_type(resource.availability.status, str)
    if isinstance(resource.availability, LoadingResourceAvailability):
        print(resource.availability.progress)


def recipes(civitai: Civitai) -> None:
    output: EchoOutput = civitai.recipes.invoke(EchoInput(message="hello"), timeout=30)
    print(output.message)
    civitai.recipes.invoke({"message": "hello"}, type="echo", experimental=True)
    assert_type(civitai.recipes.estimate(EchoInput(message="hello")), Estimate)


async def asynchronous(civitai: AsyncCivitai, blob: Blob) -> None:
    assert_type(await civitai.blobs.download(blob, "out/"), Path)
    assert_type(civitai.services.list(), AsyncPager[ServiceResponse])
    assert_type(await civitai.recipes.estimate(EchoInput(message="hello")), Estimate)


def mistakes(civitai: Civitai, blob: Blob) -> None:
    """Each line is wrong, and a type checker has to say so."""
    civitai.blobs.download(blob, "out/", exists="ask")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    civitai.blobs.upload(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    civitai.blobs.download(blob)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    civitai.recipes.invoke()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
