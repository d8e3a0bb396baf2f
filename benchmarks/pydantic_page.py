"""The classes of a page of models in pydantic: what the generated ones are measured against.

The same fields, as someone would write them by hand who wants what the generated classes give: nothing required,
everything that may be null so marked, unknown fields kept, words of a growing list as texts, moments parsed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["ModelPage"]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", alias_generator=to_camel, protected_namespaces=())


class CursorListMeta(_Open):
    """How to get the next page."""

    next_cursor: str | None = None
    next_page: str | None = None
    current_page: int | None = None
    page_size: int | None = None


class ModelCreator(_Open):
    """Who published a model."""

    username: str | None = None
    image: str | None = None


class ModelStats(_Open):
    """Counts of a model."""

    download_count: int | None = None
    thumbs_up_count: int | None = None
    thumbs_down_count: int | None = None
    comment_count: int | None = None
    tipped_amount_count: int | None = None
    favorite_count: int | None = None
    rating_count: int | None = None
    rating: float | None = None


class ModelVersionStats(_Open):
    """Counts of a version."""

    download_count: int | None = None
    thumbs_up_count: int | None = None
    thumbs_down_count: int | None = None
    rating_count: int | None = None
    rating: float | None = None


class ModelVersionModel(_Open):
    """What a version tells about its model."""

    name: str | None = None
    type: str | None = None
    nsfw: bool | None = None
    poi: bool | None = None
    mode: str | None = None


class PaidAccess(_Open):
    """Terms of paid access to a version."""

    permanent: bool | None = None
    ends_at: datetime | None = None


class ModelFileHashes(_Open):
    """Hashes of a file."""

    auto_v1: str | None = Field(None, alias="AutoV1")
    auto_v2: str | None = Field(None, alias="AutoV2")
    auto_v3: str | None = Field(None, alias="AutoV3")
    sha256: str | None = Field(None, alias="SHA256")
    sha256_12: str | None = Field(None, alias="SHA256_12")
    crc32: str | None = Field(None, alias="CRC32")
    blake3: str | None = Field(None, alias="BLAKE3")


class ModelFileMetadata(_Open):
    """What a file holds."""

    format: str | None = None
    size: str | None = None
    fp: str | None = None
    quant_type: str | None = None
    is_required: bool | None = None


class ModelFile(_Open):
    """A file of a version."""

    id: int | None = None
    name: str | None = None
    override_name: str | None = None
    type: str | None = None
    size_kb: float | None = Field(None, alias="sizeKB")
    pickle_scan_result: str | None = None
    pickle_scan_message: str | None = None
    virus_scan_result: str | None = None
    virus_scan_message: str | None = None
    scanned_at: datetime | None = None
    metadata: ModelFileMetadata | None = None
    hashes: ModelFileHashes | None = None
    download_url: str | None = None
    primary: bool | None = None


class ImageFileMetadata(_Open):
    """Properties of an image file."""

    hash: str | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None


class ModelImage(_Open):
    """An image in the showcase of a version."""

    id: int | None = None
    url: str | None = None
    nsfw_level: int | None = None
    nsfw: bool | str | None = None
    width: int | None = None
    height: int | None = None
    hash: str | None = None
    type: str | None = None
    minor: bool | None = None
    poi: bool | None = None
    availability: str | None = None
    has_meta: bool | None = None
    has_positive_prompt: bool | None = None
    on_site: bool | None = None
    remix_of_id: int | None = None
    metadata: ImageFileMetadata | None = None
    meta: dict[str, Any] | None = None


class ModelVersion(_Open):
    """A version of a model."""

    id: int | None = None
    model_id: int | None = None
    index: int | None = None
    name: str | None = None
    base_model: str | None = None
    base_model_type: str | None = None
    description: str | None = None
    trained_words: list[str] | None = None
    status: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    published_at: datetime | None = None
    availability: str | None = None
    nsfw_level: int | None = None
    flags: int | None = None
    supports_generation: bool | None = None
    covered: bool | None = None
    air: str | None = None
    upload_type: str | None = None
    usage_control: str | None = None
    licensing_fee: float | None = None
    paid_access: PaidAccess | None = None
    early_access_deadline: datetime | None = None
    early_access_ends_at: datetime | None = None
    early_access_config: dict[str, Any] | None = None
    early_access_time_frame: int | None = None
    vae_id: int | None = None
    training_status: str | None = None
    training_details: dict[str, Any] | None = None
    stats: ModelVersionStats | None = None
    model: ModelVersionModel | None = None
    creator: ModelCreator | None = None
    files: list[ModelFile] | None = None
    images: list[ModelImage] | None = None
    download_url: str | None = None


class TagReference(_Open):
    """A tag with its id."""

    id: int | None = None
    name: str | None = None
    is_category: bool | None = None


class Model(_Open):
    """A model with its versions."""

    id: int | None = None
    name: str | None = None
    description: str | None = None
    type: str | None = None
    nsfw: bool | None = None
    nsfw_level: int | None = None
    minor: bool | None = None
    sfw_only: bool | None = None
    poi: bool | None = None
    availability: str | None = None
    allow_no_credit: bool | None = None
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    allow_commercial_use: str | list[str] | None = None
    user_id: int | None = None
    base_models: list[str] | None = None
    cosmetic: dict[str, Any] | None = None
    supports_generation: bool | None = None
    mode: str | None = None
    stats: ModelStats | None = None
    creator: ModelCreator | None = None
    tags: list[str | TagReference] | None = None
    model_versions: list[ModelVersion] | None = None


class ModelPage(_Open):
    """A page of models."""

    items: list[Model] | None = None
    metadata: CursorListMeta | None = None
