"""Pictures as users write them. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, assert_type

from civitai_ext import AsyncCivitai, Civitai, read_image_meta
from civitai_ext.catalogue import ImageMeta, ModelVersion


def downloads(civitai: Civitai, version: ModelVersion) -> None:
    for image in civitai.images.list(limit=5):
        assert_type(civitai.images.download(image, "pictures/"), Path)
    for shown in version.images:
        civitai.images.download(shown, Path("pictures"), width=450, exists="skip", on_progress=print, timeout=5)
    civitai.images.download(5, "5.png")
    civitai.images.download("https://civitai.com/images/5", "pictures/", height=600)


def metadata(civitai: Civitai, file: BinaryIO) -> None:
    image = civitai.images.get(5)
    meta = image.meta or read_image_meta("5.png")
    assert_type(meta, ImageMeta | None)
    for source in ("5.png", Path("5.png"), b"...", bytearray(), file):
        read_image_meta(source)
    if meta:
        assert_type(meta.seed, int | None)
        assert_type([used.weight for used in meta.resources], list[float | None])


async def asynchronous(civitai: AsyncCivitai) -> None:
    assert_type(await civitai.images.download(5, "pictures/"), Path)


def mistakes(civitai: Civitai) -> None:
    """Each line is wrong, and a type checker has to say so."""
    civitai.images.download(5, "pictures/", exists="ask")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    civitai.images.download(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    civitai.images.download(None, "pictures/")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    read_image_meta(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
