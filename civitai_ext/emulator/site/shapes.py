"""The catalogue as the Site API shows it: one shape in lists, another in detail, a third for a single version."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from civitai_ext.emulator.answers import site_time
from civitai_ext.emulator.catalogue import Creator, GalleryImage, Model, ModelFile, Version
from civitai_ext.emulator.vocabulary import AVAILABILITIES

Json = dict[str, Any]


def listed_model(
    model: Model, origin: str, *, now: datetime, versions: list[Version], level: int | None, primary_only: bool = False
) -> Json:
    """Show a model as an item of a list.

    Args:
        model: The model.
        origin: Where URLs start.
        now: The present moment: early access ends.
        versions: The versions to show.
        level: Mask of the image levels to show, `None` for all.
        primary_only: Whether files other than the primary ones are left out.

    """
    shown = _model(model, origin)
    shown["modelVersions"] = [_listed_version(version, origin, now, level, primary_only) for version in versions]
    return shown


def detailed_model(model: Model, origin: str, *, now: datetime, complete: bool = False) -> Json:
    """Show a model on its own.

    Its versions differ from those of a list: nulls and empty lists are missing, images have no id, and `covered` stands
    for `supportsGeneration`; unless everything is to be there that a list shows.
    """
    shown = _model(model, origin)
    versions = []
    for version in model.versions:
        item = _listed_version(version, origin, now, None, primary_only=False)
        if not version.files:
            continue
        if not complete:
            item["covered"] = item.pop("supportsGeneration")
            for image in item["images"]:
                del image["id"]
        item["createdAt"] = site_time(version.published_at)
        item["status"] = "Published"
        versions.append(item if complete else _without_nothing(item))
    shown["modelVersions"] = versions
    return shown


def single_version(
    version: Version, origin: str, *, now: datetime, by_hash: bool = False, download_origin: str | None = None
) -> Json:
    """Show a version on its own; found by its hash, it tells a little more."""
    model = version.model
    files = []
    for file in version.files if model.mode != "Archived" else ():
        shown = _file(file, download_origin or origin)
        shown["primary"] = file.primary
        # As the database prints it, without a zone.
        shown["scannedAt"] = shown["scannedAt"] and shown["scannedAt"].removesuffix("Z")
        shown["metadata"] = {
            name: value for name, value in shown["metadata"].items() if value is not None and name != "quantType"
        }
        if not by_hash:
            del shown["overrideName"]
        files.append(shown)
    images = [_version_image(image, origin) for image in version.images[:10] if model.mode != "TakenDown"]
    shown = {
        "id": version.id,
        "modelId": model.id,
        "name": version.name,
        "nsfwLevel": version.level,
        "createdAt": site_time(version.published_at),
        "updatedAt": site_time(version.published_at),
        "status": "Published",
        "publishedAt": site_time(version.published_at),
        "trainedWords": version.trained_words,
        "trainingStatus": "Approved" if version.epochs else None,
        "trainingDetails": {"type": "Style", "mediaType": "image"} if version.epochs else None,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "description": None,
        "uploadType": "Trained" if version.epochs else "Created",
        "usageControl": version.usage_control,
        "licensingFee": 0 if by_hash else None,
        "paidAccess": paid_access(version, now),
        "air": version.air,
        "stats": {"downloadCount": version.downloads, "thumbsUpCount": version.likes},
        "model": {"name": model.name, "type": model.type, "nsfw": model.nsfw, "poi": False},
        "files": files,
        "images": images,
    }
    if model.mode:
        shown["model"]["mode"] = model.mode
    if model.mode != "Archived":
        shown["downloadUrl"] = download_url(version.primary_file, download_origin or origin)
    return shown


def listed_image(image: GalleryImage, origin: str) -> Json:
    """Show an image as an item of `/images`, without its generation data."""
    return {
        "id": image.id,
        "url": image_url(image, origin),
        "hash": _BLUR_HASH,
        "width": image.width,
        "height": image.height,
        "nsfwLevel": {1: "None", 2: "Soft", 4: "Mature"}.get(image.level, "X"),
        "nsfw": image.level != 1,
        "browsingLevel": image.level,
        "type": "image",
        "createdAt": site_time(image.created_at),
        "postId": image.post_id,
        "stats": {
            "cryCount": 0,
            "laughCount": 0,
            "likeCount": image.likes,
            "dislikeCount": 0,
            "heartCount": image.hearts,
            "commentCount": image.comments,
        },
        "meta": None,
        "username": image.version.model.creator.username,
        "baseModel": image.version.base_model,
        "modelVersionIds": [image.version.id],
    }


def image_url(image: GalleryImage, origin: str) -> str:
    """Build the URL of an image at its own size, in the manner of the image CDN."""
    return f"{origin}/media/{image.key}/original=true/{image.id}.jpeg"


def avatar_url(creator: Creator, origin: str) -> str:
    """Build the URL of the picture of a user."""
    return f"{origin}/media/avatars/{creator.id}.png"


def avatar_key(creator: Creator) -> str:
    """Build the key under which the image CDN would have the picture of a user."""
    return f"00000000-0000-4000-8000-{creator.id:012x}"


def thumbnail_url(image: GalleryImage, origin: str, width: int) -> str:
    """Build the URL of an image at a width."""
    return f"{origin}/media/{image.key}/width={width}/{image.id}.jpeg"


def download_url(file: ModelFile, origin: str) -> str:
    """Build the URL that the site hands out for a file: bare for the primary one, described for the others."""
    url = f"{origin}/api/download/models/{file.version.id}"
    if file.primary:
        return url
    query = {"type": file.type}
    if file.type != "Training Data":
        query["format"] = file.format
    described = (("size", file.size), ("fp", file.fp), ("quantType", file.quant_type))
    query |= {name: value for name, value in described if value}
    return f"{url}?{urlencode(query)}"


_PICKLE_MESSAGES = {"Success": "No Pickle imports", "Danger": "**Detected Pickle imports (1)**\n\n```\nos.system\n```"}
_BLUR_HASH = "U5IiO6s-4Vn+0~EO^5xa00VsL#IU_O?E7yWC"


def _model(model: Model, origin: str) -> Json:
    shown: Json = {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "allowNoCredit": True,
        # An array of the database, printed: a string and not a list.
        "allowCommercialUse": "{" + ",".join(model.commercial_use) + "}",
        "allowDerivatives": True,
        "allowDifferentLicense": True,
        "type": model.type,
        "minor": False,
        "sfwOnly": False,
        "poi": False,
        "nsfw": model.nsfw,
        "nsfwLevel": model.level,
        "availability": model.availability,
        "userId": model.creator.id,
        "baseModels": sorted({version.base_model for version in model.versions}),
        "cosmetic": None,
        "supportsGeneration": any(version.supports_generation for version in model.versions),
        "stats": {
            "downloadCount": model.downloads,
            "thumbsUpCount": model.likes,
            "thumbsDownCount": model.likes // 60,
            "commentCount": model.comments,
            "tippedAmountCount": model.tips,
        },
        "creator": {"username": model.creator.username, "image": avatar_url(model.creator, origin)},
        "tags": [tag.name for tag in model.tags],
    }
    if model.mode:
        shown["mode"] = model.mode
    return shown


def _listed_version(version: Version, origin: str, now: datetime, level: int | None, primary_only: bool) -> Json:
    mode = version.model.mode
    files = []
    for file in version.files if mode != "Archived" else ():
        if primary_only and not file.primary:
            continue
        shown_file = _file(file, origin)
        if file.primary:
            shown_file["primary"] = True
        files.append(shown_file)
    images = [
        _listed_version_image(image, origin)
        for image in version.images
        if mode != "TakenDown" and (level is None or image.level & level)
    ]
    shown: Json = {
        "id": version.id,
        "index": version.index,
        "name": version.name,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "publishedAt": site_time(version.published_at),
        "flags": 0,
        "availability": AVAILABILITIES[0],
        "nsfwLevel": version.level,
        "description": None,
        "trainedWords": version.trained_words,
        "vaeId": None,
        "paidAccess": paid_access(version, now),
        "stats": {
            "downloadCount": version.downloads,
            "thumbsUpCount": version.likes,
            "thumbsDownCount": version.likes // 60,
        },
        "supportsGeneration": version.supports_generation,
        "files": files,
        "images": images,
    }
    if (until := version.gated_until(now)) and not version.access_is_permanent:
        shown["earlyAccessDeadline"] = site_time(until)
    if mode != "Archived":
        shown["downloadUrl"] = download_url(version.primary_file, origin)
    return shown


def _file(file: ModelFile, origin: str) -> Json:
    metadata: Json = {"format": file.format}
    if not file.is_archive:
        metadata |= {"size": file.size, "fp": file.fp}
    if file.quant_type:
        metadata["quantType"] = file.quant_type
    return {
        "id": file.id,
        "sizeKB": file.size_kb,
        "name": file.name,
        "overrideName": None,
        "type": file.type,
        "pickleScanResult": file.pickle_scan,
        "pickleScanMessage": _PICKLE_MESSAGES.get(file.pickle_scan or ""),
        "virusScanResult": file.virus_scan,
        "virusScanMessage": None,
        "scannedAt": file.scanned_at and site_time(file.scanned_at),
        "metadata": metadata,
        "hashes": file.hashes,
        "downloadUrl": download_url(file, origin),
    }


def _listed_version_image(image: GalleryImage, origin: str) -> Json:
    return {
        "id": image.id,
        "url": image_url(image, origin),
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": _BLUR_HASH,
        "type": "image",
        "minor": False,
        "poi": False,
        "hasMeta": image.has_meta,
        "hasPositivePrompt": image.has_meta,
        "onSite": False,
        "remixOfId": None,
    }


def _version_image(image: GalleryImage, origin: str) -> Json:
    shown = _listed_version_image(image, origin)
    del shown["id"]
    metadata = {"hash": _BLUR_HASH, "size": image.width * image.height, "width": image.width, "height": image.height}
    return shown | {"metadata": metadata, "meta": image.meta, "availability": AVAILABILITIES[0]}


def paid_access(version: Version, now: datetime) -> Json | None:
    """Show until when access to a version costs something, `None` where it is free."""
    until = version.gated_until(now)
    if until is None:
        return None
    permanent = version.access_is_permanent
    return {"permanent": permanent, "endsAt": None if permanent else site_time(until)}


def _without_nothing(value: Any) -> Any:
    """Drop nulls, empty lists and empty objects, all the way down."""
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    if isinstance(value, dict):
        kept = {name: _without_nothing(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None and item != [] and item != {}}
    return value
