"""The catalogue as its users write it. Never run: two type checkers read it, and every error here is one for them."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from civitai_api.site.models import CommercialUse, ModelFileFormat, ModelFileFp, ModelFileQuantType
from civitai_ext import Air
from civitai_ext.catalogue import (
    Image,
    ImageCivitaiResource,
    ImageMeta,
    ImageResource,
    Model,
    ModelFile,
    ModelFileHashes,
    ModelImage,
    ModelVersion,
    ModelVersionMini,
    NoSuchFile,
    NoSuchVersion,
)
from civitai_ext.levels import BrowsingLevel


def models(model: Model) -> None:
    assert_type(model.allow_commercial_use, frozenset[CommercialUse])
    assert_type(model.model_versions, list[ModelVersion])
    assert_type(model.latest, ModelVersion | None)
    assert_type(model.version("v1.0"), ModelVersion)
    assert_type(model.version(5), ModelVersion)
    assert_type(model.tag_names, list[str])
    assert_type(model.url, str | None)
    assert_type(model.description_text(), str)
    assert_type(Model.from_dict({}), Model)
    assert_type(model.name, str)


def versions(version: ModelVersion, mini: ModelVersionMini, model: Model) -> None:
    assert_type(version.air, Air | None)
    assert_type(mini.air, Air | None)
    assert_type(version.air_of(model), Air)
    assert_type(version.trained_words, list[str])
    assert_type(version.files, list[ModelFile])
    assert_type(version.images, list[ModelImage])
    assert_type(version.primary_file, ModelFile | None)
    assert_type(version.pick_file(format="GGUF", quant="Q4_K_M", fp="of next year"), ModelFile)
    assert_type(version.is_early_access, bool)
    assert_type(version.early_access_ends, datetime | None)
    version.trained_words = ["word"]


def files(file: ModelFile) -> None:
    assert_type(file.hashes, ModelFileHashes)
    assert_type(file.hashes["sha256"], str)
    assert_type(file.hashes.get("sha256"), str | None)
    assert_type(dict(file.hashes), dict[str, str])
    assert_type([kind for kind in file.hashes], list[str])  # noqa: C416  # how it is iterated is what is checked
    assert_type(file.hash("AutoV2"), str | None)
    assert_type(file.matches("CD2A512003"), bool)
    assert_type(file.size_bytes, int | None)
    assert_type(file.format, ModelFileFormat | None)
    assert_type(file.precision, ModelFileFp | None)
    assert_type(file.quant, ModelFileQuantType | None)
    assert_type(file.is_pickle, bool)


def images(image: Image, shown: ModelImage) -> None:
    assert_type(image.meta, ImageMeta | None)
    assert_type(shown.meta, ImageMeta | None)
    assert_type(image.browsing_level, BrowsingLevel | None)
    assert_type(shown.browsing_level, BrowsingLevel | None)
    assert_type(image.url_at(450), str | None)
    assert_type(shown.url_at(original=True), str | None)
    assert_type(image.is_video, bool)
    if meta := image.meta:
        assert_type(meta.prompt, str | None)
        assert_type(meta.steps, int | None)
        assert_type(meta.cfg_scale, float | None)
        assert_type(meta.seed, int | None)
        assert_type(meta.size, tuple[int, int] | None)
        assert_type(meta.clip_skip, int | None)
        assert_type(meta.resources, list[ImageResource])
        assert_type(meta.resources[0].weight, float | None)
        assert_type(meta.civitai_resources, list[ImageCivitaiResource])
        print(meta["Hires upscale"], list(meta.keys()), "seed" in meta)


def mistakes(model: Model, version: ModelVersion) -> None:
    """Each line is wrong, and a type checker has to say so: an ignore that is not needed is an error itself."""
    _ = model.latest.name  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    version.pick_file("GGUF")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    version.pick_file(fp=16)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    try:
        print(version.pick_file().nmae)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    except (NoSuchFile, NoSuchVersion) as error:
        assert_type(error.message, str)
