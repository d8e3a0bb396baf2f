"""What the catalogue consists of, with what people otherwise write themselves.

Every `Model`, `ModelVersion`, `ModelFile`, `Image`… that is read anywhere is one of these classes: they are the
generated ones, with helpers on top. Some fields are shown in one form whatever form the service sent, which has changed
over the years; `to_dict()` still gives what was sent, and keys that are not known are kept.

    model = civitai.models.get(827184)
    file = model.latest.pick_file(format="SafeTensor", fp="fp16")
    print(file.name, file.size_bytes, file.hashes.get("sha256"), file.scans_ok)

Helpers do not raise on what the service sends, however odd: they give None, or nothing, for what cannot be understood.
The errors that they do raise are about what was asked for.
"""

# Fields are shown in other forms than the generated classes declare, on purpose.
# mypy: disable-error-code="assignment, override"
# pyright: reportAssignmentType=false, reportIncompatibleVariableOverride=false
# ruff: noqa: N818  # the names of errors say what happened

from __future__ import annotations

import math
import re
from collections.abc import ItemsView, Iterable, Iterator, KeysView
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from civitai_api.runtime import UNSET, dump, extension, shown
from civitai_api.site import models as site
from civitai_ext._file_names import safe_name
from civitai_ext._picking import NoSuchFile, best, detail, main_file
from civitai_ext._reading import text
from civitai_ext.air import Air
from civitai_ext.errors import CivitaiError, InvalidRequest
from civitai_ext.levels import BrowsingLevel

if TYPE_CHECKING:
    from civitai_api.site.models import (
        CommercialUse,
        ModelFileFormat,
        ModelFileFp,
        ModelFileQuantType,
        ModelFileSize,
        ModelFileType,
    )

__all__ = [
    "Image",
    "ImageCivitaiResource",
    "ImageMeta",
    "ImageResource",
    "Model",
    "ModelFile",
    "ModelFileHashes",
    "ModelImage",
    "ModelVersion",
    "ModelVersionMini",
    "NoSuchFile",
    "NoSuchVersion",
]

_SITE: Final = "https://civitai.com"


class NoSuchVersion(CivitaiError, LookupError):
    """A model has no version of this id or name."""


# --------------------------------------------------------------------------------------------- reading what was sent


def _these(kind: type, raw: Any) -> list[Any]:
    """Give what is of a kind in a list: the list itself if it holds nothing else, so that it can be changed."""
    if not isinstance(raw, (list, tuple)):
        return []
    found = [value for value in raw if isinstance(value, kind)]
    return raw if isinstance(raw, list) and len(found) == len(raw) else found


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


_DECIMAL: Final = re.compile(r"\s*[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?\s*")


def _decimal(value: Any) -> float | None:
    """Give a number, also one that was sent as a text."""
    if isinstance(value, str):
        value = float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    """Give a whole number of any size, also one that was sent as a text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and "." not in value and "e" not in value.lower():
        return int(value)
    number = _decimal(value)
    return int(number) if number is not None and number.is_integer() else None


def _shown_text(_: object, raw: Any) -> str | None:
    return raw if isinstance(raw, str) else None


def _shown_whole(_: object, raw: Any) -> int | None:
    return _whole(raw)


def _shown_decimal(_: object, raw: Any) -> float | None:
    return _decimal(raw)


def _shown_air(_: object, raw: Any) -> Air | None:
    return Air.try_parse(raw)


class _Described:
    """What has a description."""

    __slots__ = ()

    def description_text(self) -> str:
        """Give the description as plain text; an empty one if there is none. Needs the extra `text`.

        Raises:
            ImportError: The extra is not installed.

        >>> Model.from_dict({"description": "<p>Weight <b>0.7</b></p><script>alert()</script>"}).description_text()
        'Weight 0.7'
        """
        from civitai_ext._html import to_text  # loaded here: not everybody has the extra

        return to_text(text(getattr(self, "description", "")))

    def description_markdown(self) -> str:
        """Give the description as Markdown; an empty text if there is none. Needs the extra `text`.

        Scripts, and links that would run one, are left out.

        Raises:
            ImportError: The extra is not installed.

        >>> Model.from_dict({"description": "<p>Weight <b>0.7</b></p><script>alert()</script>"}).description_markdown()
        'Weight **0.7**'
        """
        from civitai_ext._html import to_markdown  # loaded here: not everybody has the extra

        return to_markdown(text(getattr(self, "description", "")))


# -------------------------------------------------------------------------------------------------------------- files

_HASH_FIELDS: Final = {
    field.metadata.get("wire") or field.name: getattr(site.ModelFileHashes, field.name)
    for field in attrs.fields(site.ModelFileHashes)
    if field.name != "additional_properties"
}


def _kind(name: Any) -> str:
    return re.sub("[-_ ]", "", text(name)).casefold()


_HASHES_BY_KIND: Final = {_kind(name): field for name, field in _HASH_FIELDS.items()}


@extension
class ModelFileHashes(site.ModelFileHashes):
    """Hashes of a file, by kind in any spelling, and as attributes.

    >>> hashes = ModelFileHashes.from_dict({"SHA256": "AB12", "New4": "CD"})
    >>> hashes["sha-256"], hashes.sha256, hashes.get("blake3"), "new4" in hashes, dict(hashes)
    ('AB12', 'AB12', None, True, {'SHA256': 'AB12', 'New4': 'CD'})
    """

    __slots__ = ()

    def _known(self) -> dict[str, str]:
        """Give the hashes that there are, by the service's own words."""
        values = {name: field.__get__(self) for name, field in _HASH_FIELDS.items()} | self.additional_properties
        return {name: value for name, value in values.items() if isinstance(value, str) and value}

    def get(self, kind: str, default: str | None = None) -> str | None:
        """Give the hash of a kind, such as `SHA256`; `default` if there is none."""
        wanted = _kind(kind)
        return next((value for name, value in self._known().items() if _kind(name) == wanted), default)

    def keys(self) -> KeysView[str]:
        """Give the kinds of hash that there are."""
        return self._known().keys()

    def items(self) -> ItemsView[str, str]:
        """Give the kinds with their hashes."""
        return self._known().items()

    def __getitem__(self, kind: str) -> str:
        found = self.get(kind)
        if found is None:
            raise KeyError(kind)
        return found

    def __setitem__(self, kind: str, value: Any) -> None:
        field = _HASHES_BY_KIND.get(_kind(kind))
        if field is not None:
            field.__set__(self, value)
        else:
            others = (name for name in self.additional_properties if _kind(name) == _kind(kind))
            self.additional_properties[next(others, kind)] = value

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, str) and self.get(kind) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


_SUFFIXES: Final = {
    ".safetensors": "SafeTensor",
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    **dict.fromkeys((".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"), "PickleTensor"),
}


@extension
class ModelFile(site.ModelFile):
    """A file of a version.

    >>> file = ModelFile.from_dict({"name": "a.safetensors", "sizeKB": 1.5, "metadata": {"fp": "fp16"}})
    >>> file.format, file.precision, file.size_bytes, file.is_pickle, file.scans_ok
    ('SafeTensor', 'fp16', 1536, False, False)
    """

    __slots__ = ()

    @shown
    def hashes(self, raw: Any) -> ModelFileHashes:
        """Its hashes; empty before they are computed."""
        if isinstance(raw, ModelFileHashes):
            return raw
        return ModelFileHashes.from_dict(raw.to_dict() if isinstance(raw, site.ModelFileHashes) else {})

    def hash(self, kind: str = "SHA256") -> str | None:
        """Give the hash of a kind, named in any spelling, as the service gave it; None if it is not known.

        >>> ModelFile.from_dict({"hashes": {"AutoV2": "CD2A512003"}}).hash("autov2")
        'CD2A512003'
        """
        return self.hashes.get(kind)

    def matches(self, hash: str) -> bool:
        """Tell whether a hash of any kind, in upper or lower case, is one of this file's.

        The short kinds are compared with the long ones that they are the beginning of: AutoV2 has the first ten digits
        of the SHA-256, and an AutoV3 of twelve digits is the beginning of one of 64.

        >>> file = ModelFile.from_dict({"hashes": {"SHA256": "CD2A5120031B" + "0" * 52}})
        >>> file.matches("cd2a512003"), file.matches("cd2a512004")
        (True, False)
        """
        given = text(hash).strip().casefold()
        known = {_kind(name): value.casefold() for name, value in self.hashes.items()}
        if not given:
            return False
        if given in known.values():
            return True
        long, auto_v2, auto_v3 = (known.get(kind, "") for kind in ("sha256", "autov2", "autov3"))
        if len(given) in (10, 12):
            return long.startswith(given) or (len(given) == 12 and auto_v3.startswith(given))
        return len(given) == 64 and (
            (len(auto_v3) == 12 and given.startswith(auto_v3))
            or (not long and len(auto_v2) == 10 and given.startswith(auto_v2))
        )

    @property
    def size_bytes(self) -> int | None:
        """About how large it is, in bytes. The service rounds: do not check a download by it."""
        kibibytes = _decimal(self.size_kb)
        size = None if kibibytes is None or kibibytes < 0 else kibibytes * 1024
        return round(size) if size is not None and math.isfinite(size) else None

    @property
    def format(self) -> ModelFileFormat | None:
        """Its format, such as `SafeTensor`: what the metadata says, else what the end of its name says."""
        return detail(self, "format") or _SUFFIXES.get(self._suffix)

    @property
    def precision(self) -> ModelFileFp | None:
        """The precision of its weights, such as `fp16`; None if that is not known."""
        return detail(self, "fp") or None

    @property
    def quant(self) -> ModelFileQuantType | None:
        """Its quantisation, such as `Q4_K_M`; None if it has none, or that is not known."""
        said = detail(self, "quant")
        return said if said and said != "None" else None

    @property
    def is_pickle(self) -> bool:
        """Whether loading it can run code that is in it: its format, or the end of its name, says that it is a pickle.

        A file of another kind, such as an archive, may still hold one.
        """
        return "PickleTensor" in (detail(self, "format"), _SUFFIXES.get(self._suffix))

    @property
    def scans_ok(self) -> bool:
        """Whether both scans, for viruses and for dangerous pickles, are done and found nothing."""
        return text(self.virus_scan_result) == text(self.pickle_scan_result) == "Success"

    @property
    def _suffix(self) -> str:
        # Of the name that it gets on the disk: `a.ckpt.` becomes `a.ckpt` there.
        dot, ending = safe_name(text(self.name)).rpartition(".")[1:]
        return f"{dot}{ending}".casefold()


# ------------------------------------------------------------------------------------------------------------- images


@extension
class ImageResource(site.ImageResource):
    """A resource as the generating program named it; its weight is a number."""

    __slots__ = ()

    weight: shown[float | None] = shown(_shown_decimal)


@extension
class ImageCivitaiResource(site.ImageCivitaiResource):
    """A resource of the site that an image was made with; its weight is a number."""

    __slots__ = ()

    weight: shown[float | None] = shown(_shown_decimal)


_META_FIELDS: Final = {
    field.metadata.get("wire") or field.name: getattr(site.ImageMeta, field.name)
    for field in attrs.fields(site.ImageMeta)
    if field.name != "additional_properties"
}
_SIZE: Final = re.compile(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*")


@extension
class ImageMeta(site.ImageMeta):
    """How an image was generated, as the generating program wrote it.

    What is known by name has its type, or is None: numbers are numbers also when they were written as texts. Under its
    own name every key is there, as it was sent. Without any key the object is falsy.

    Attributes:
        prompt (str | None): What to show.
        negative_prompt (str | None): What to avoid.
        steps (int | None): Sampling steps.
        sampler (str | None): Name of the sampler.
        schedule_type (str | None): Name of the noise schedule.
        cfg_scale (float | None): Strength of the guidance by the prompt.
        seed (int | None): Seed of the noise: of any size, and negative too.
        size (tuple[int, int] | None): Width and height.
        clip_skip (int | None): Layers of the text encoder that are left out.
        denoising_strength (float | None): How much of the input image is replaced, from 0 to 1.
        model (str | None): Name of the checkpoint.
        model_hash (str | None): Short hash of the checkpoint.
        vae (str | None): Name of the VAE.
        version (str | None): Version of the generating program.
        resources (list[ImageResource]): Resources that the generating program named.
        civitai_resources (list[ImageCivitaiResource]): Resources of the site that were used.

    >>> meta = ImageMeta.from_dict({"steps": "30", "Size": "832x1216", "Clip skip": "2", "Hires upscale": "1.5"})
    >>> meta.steps, meta.size, meta.clip_skip, meta.seed, meta["Hires upscale"]
    (30, (832, 1216), 2, None, '1.5')
    >>> list(meta)
    ['steps', 'Size', 'Clip skip', 'Hires upscale']
    """

    __slots__ = ()

    prompt: shown[str | None] = shown(_shown_text)
    negative_prompt: shown[str | None] = shown(_shown_text)
    steps: shown[int | None] = shown(_shown_whole)
    sampler: shown[str | None] = shown(_shown_text)
    schedule_type: shown[str | None] = shown(_shown_text)
    cfg_scale: shown[float | None] = shown(_shown_decimal)
    seed: shown[int | None] = shown(_shown_whole)
    denoising_strength: shown[float | None] = shown(_shown_decimal)
    model: shown[str | None] = shown(_shown_text)
    model_hash: shown[str | None] = shown(_shown_text)
    vae: shown[str | None] = shown(_shown_text)
    version: shown[str | None] = shown(_shown_text)

    @shown
    def size(self, raw: Any) -> tuple[int, int] | None:
        """Width and height."""
        match = _SIZE.fullmatch(text(raw))
        width, height = map(_whole, match.groups() if match else (self.get("width"), self.get("height")))
        return (width, height) if width and height and min(width, height) > 0 else None

    @shown
    def clip_skip(self, raw: Any) -> int | None:
        """Layers of the text encoder that are left out."""
        found = _whole(raw)
        return _whole(self.get("Clip skip")) if found is None else found

    @shown
    def resources(self, raw: Any) -> list[ImageResource]:
        """Resources that the generating program named."""
        return _these(site.ImageResource, raw)

    @shown
    def civitai_resources(self, raw: Any) -> list[ImageCivitaiResource]:
        """Resources of the site that were used."""
        return _these(site.ImageCivitaiResource, raw)

    def get(self, name: str, default: Any = None) -> Any:
        """Give what was sent under a name, such as `Hires upscale`; `default` if there is no such key."""
        field = _META_FIELDS.get(name)
        found = self.additional_properties.get(name, UNSET) if field is None else dump(field.__get__(self))
        return default if found is UNSET else found

    def keys(self) -> KeysView[str]:
        """Give the names of all keys."""
        return dict.fromkeys(
            [name for name, field in _META_FIELDS.items() if field.__get__(self) is not UNSET]
            + [name for name, value in self.additional_properties.items() if value is not UNSET]
        ).keys()

    def items(self) -> ItemsView[str, Any]:
        """Give the names of all keys, and what was sent under them."""
        return {name: self.get(name) for name in self.keys()}.items()

    def __getitem__(self, name: str) -> Any:
        found = self.get(name, UNSET)
        if found is UNSET:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        field = _META_FIELDS.get(name)
        if field is None:
            self.additional_properties[name] = value
        else:
            field.__set__(self, value)

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


def _one_shape(raw: Any) -> ImageMeta | None:
    """Give the metadata itself, whether it came as such or within an object of `id` and `meta`."""
    if not isinstance(raw, site.ImageMeta):
        return None
    if not isinstance(raw, ImageMeta):
        return ImageMeta.from_dict(raw.to_dict())
    inner: Any = raw.meta
    if inner is UNSET or not raw.keys() <= {"id", "meta"}:
        return raw
    if isinstance(inner, dict):
        # Put in its place, so that what is changed in it is written back; it is written as it was read.
        inner = ImageMeta.from_dict(inner)
        _META_FIELDS["meta"].__set__(raw, inner)
    return inner if isinstance(inner, ImageMeta) else None


_CDN: Final = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
_KEY: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_BARE_KEY: Final = re.compile(_KEY)
_CDN_URL: Final = re.compile(rf"(https?://[^/?#]+/[^/?#]+/{_KEY})(?:/[^/?#]*=[^/?#]*)?(?:/([^/?#]*))?")
_WIDEST, _HIGHEST = 1800, 1000
_ENDINGS: Final = {"video": "mp4", "audio": "mp3"}

_BY_LABEL: Final = {
    "None": BrowsingLevel.PG,
    "Soft": BrowsingLevel.PG13,
    "Mature": BrowsingLevel.R,
    "X": BrowsingLevel.X,
    "Blocked": BrowsingLevel.BLOCKED,
}


def _level(number: Any, label: Any) -> BrowsingLevel | None:
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**31:
        return BrowsingLevel(number)
    return _BY_LABEL.get(text(label))


class _Medium:
    """What has a URL of the image CDN."""

    __slots__ = ()

    @property
    def is_video(self) -> bool:
        """Whether it is a video: its type, or for want of that the end of its URL, says so."""
        kind = text(getattr(self, "type", ""))
        return kind == "video" if kind else _path(getattr(self, "url", "")).endswith((".mp4", ".webm"))

    @property
    def key(self) -> str | None:
        """The key of its file on the image CDN, which looks like a UUID; None if its URL is another.

        >>> url = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b2e2bdc0-e20d-4c6f-9570-570ff47af635/width=600/1.jpeg"
        >>> Image.from_dict({"url": url}).key
        'b2e2bdc0-e20d-4c6f-9570-570ff47af635'
        """
        url = text(getattr(self, "url", ""))
        match = _CDN_URL.fullmatch(url)
        return url if _BARE_KEY.fullmatch(url) else match[1].rpartition("/")[2] if match else None

    def url_at(
        self, width: int | None = None, *, height: int | None = None, original: bool = False, still: bool = False
    ) -> str | None:
        """Give the URL of another size of the image, which the image CDN makes on demand; it needs no token.

        A URL of another host is given as it is. None if the image has no URL.

        Args:
            width: The width in pixels; more than 1800 is the same as 1800.
            height: The height in pixels; more than 1000 is the same as 1000.
            original: Whether to give the file as it was uploaded; so it is too if no size is given.
            still: Whether to give the first frame of a video as a picture.

        Raises:
            InvalidRequest: A size is not positive.

        >>> url = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b2e2bdc0-e20d-4c6f-9570-570ff47af635/width=600/1.jpeg"
        >>> Image.from_dict({"url": url}).url_at(450)
        'https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA/b2e2bdc0-e20d-4c6f-9570-570ff47af635/width=450/1.jpeg'
        """
        if any(size is not None and size < 1 for size in (width, height)):
            raise InvalidRequest("A size of an image is at least one pixel")
        url = text(getattr(self, "url", ""))
        if _BARE_KEY.fullmatch(url):
            base, name = f"{_CDN}/{url}", url
        elif match := _CDN_URL.fullmatch(url):
            base, name = match[1], match[2] or match[1].rpartition("/")[2]
        else:
            return url or None
        stem, dot, ending = name.rpartition(".")
        if not dot:
            stem, ending = name, "mp4" if self.is_video else _ENDINGS.get(text(getattr(self, "type", "")), "jpeg")
        sized = not original and (width or height)
        params = {
            "anim": "false" if still else None,
            "transcode": "true" if self.is_video and (still or sized) else None,
            "width": min(width, _WIDEST) if width and sized else None,
            "height": min(height, _HIGHEST) if height and sized else None,
            "original": None if sized else "true",
        }
        asked = ",".join(f"{name}={value}" for name, value in params.items() if value is not None)
        return f"{base}/{asked}/{stem}.{'jpeg' if still else ending}"


def _path(url: Any) -> str:
    try:
        return urlsplit(text(url)).path.casefold()
    except ValueError:
        return ""


@extension
class Image(site.Image, _Medium):
    """An image or video of the gallery.

    >>> image = Image.from_dict({"browsingLevel": 4, "meta": {"id": 5, "meta": {"prompt": "a cat", "steps": "8"}}})
    >>> image.browsing_level, image.meta.prompt, image.meta.steps, image.is_video
    (<BrowsingLevel.R: 4>, 'a cat', 8, False)
    """

    __slots__ = ()

    @shown
    def meta(self, raw: Any) -> ImageMeta | None:
        """How it was generated, in one shape; None unless it was asked for and is known."""
        return _one_shape(raw)

    @shown
    def browsing_level(self, raw: Any) -> BrowsingLevel | None:
        """Its content level; None if that is not known."""
        return _level(raw, self.nsfw_level)


@extension
class ModelImage(site.ModelImage, _Medium):
    """An image in the showcase of a version."""

    __slots__ = ()

    @shown
    def meta(self, raw: Any) -> ImageMeta | None:
        """How it was generated, in one shape; None unless that is known. Only by id or hash."""
        return _one_shape(raw)

    @property
    def browsing_level(self) -> BrowsingLevel | None:
        """Its content level; None if that is not known.

        >>> ModelImage.from_dict({"nsfwLevel": 2}).browsing_level, ModelImage.from_dict({"nsfw": "Soft"}).browsing_level
        (<BrowsingLevel.PG13: 2>, <BrowsingLevel.PG13: 2>)
        """
        return _level(self.nsfw_level, self.nsfw)


# ------------------------------------------------------------------------------------------------- models and versions


@extension
class ModelVersionMini(site.ModelVersionMini):
    """What generation and download tools need to know of a version; its AIR is an `Air`."""

    __slots__ = ()

    air: shown[Air | None] = shown(_shown_air)


@extension
class ModelVersion(site.ModelVersion, _Described):
    """A version of a model.

    >>> version = ModelVersion.from_dict({
    ...     "id": 2514310,
    ...     "air": "urn:air:sdxl:checkpoint:civitai:827184@2514310",
    ...     "files": [
    ...         {"name": "a.ckpt", "type": "Model", "metadata": {"format": "PickleTensor"}},
    ...         {"name": "a.safetensors", "type": "Model", "metadata": {"format": "SafeTensor", "fp": "fp16"}},
    ...     ],
    ... })
    >>> version.air.model_id, version.primary_file.name, version.pick_file(format="PickleTensor").name
    (827184, 'a.safetensors', 'a.ckpt')
    """

    __slots__ = ()

    air: shown[Air | None] = shown(_shown_air)
    """Its AIR; None where the service sent none, as inside a model: see `air_of`."""

    @shown
    def trained_words(self, raw: Any) -> list[str]:
        """Words that trigger what it was trained on; empty if there are none."""
        return _these(str, raw)

    @shown
    def files(self, raw: Any) -> list[ModelFile]:
        """Its files; empty when the model is archived."""
        return _these(site.ModelFile, raw)

    @shown
    def images(self, raw: Any) -> list[ModelImage]:
        """Its showcase, at most ten by id or hash; empty when the model is taken down."""
        return _these(site.ModelImage, raw)

    def air_of(self, model: site.Model) -> Air:
        """Give its AIR where the service sent none, by what the model that it is a version of says.

        Raises:
            AirError: The model, or the version, lacks something that is in an AIR.

        >>> version = {"id": 2514310, "baseModel": "Illustrious"}
        >>> model = Model.from_dict({"id": 827184, "type": "Checkpoint", "modelVersions": [version]})
        >>> model.latest.air, str(model.latest.air_of(model))
        (None, 'urn:air:sdxl:checkpoint:civitai:827184@2514310')
        """
        return self.air or Air.for_version(self, model_type=model.type, model_id=model.id)

    @property
    def url(self) -> str | None:
        """The address of its page; None if its id is not known."""
        if (id := _whole(self.id)) is None:
            return None
        model_id = _whole(self.model_id)
        if model_id is None:  # the site knows which model it is of
            return f"{_SITE}/model-versions/{id}"
        return f"{_SITE}/models/{model_id}?modelVersionId={id}"

    @property
    def primary_file(self) -> ModelFile | None:
        """The file that it is about; None if it has no files.

        The service marks it. Where it did not, it is what `pick_file` prefers among the files that models of this type
        are about, or among all where those are not known.
        """
        return main_file(self.files, text(getattr(self.model, "type", None)))

    def pick_file(
        self,
        *,
        format: ModelFileFormat | None = None,
        fp: ModelFileFp | None = None,
        size: ModelFileSize | None = None,
        quant: ModelFileQuantType | None = None,
        type: ModelFileType | None = None,
    ) -> ModelFile:
        """Choose the file that fits best, as the platform would choose it for a download.

        What is asked for is what the file's metadata says, or does not say otherwise. Of those files it is the one that
        holds the model rather than something beside it, and then the one that is nearest to `SafeTensor`, `pruned`,
        `fp16` and `Q4_K_M`, in this order, where nothing else was asked for. The platform itself gives up when the file
        that it likes best contradicts what was asked for; here the next one is taken. Download it by its id.

        Args:
            format: The format, such as `SafeTensor` or `GGUF`.
            fp: The precision, such as `fp16`.
            size: `full` or `pruned`.
            quant: The quantisation, such as `Q4_K_M`.
            type: What the file is, such as `VAE`.

        Raises:
            NoSuchFile: Every file contradicts what was asked for, or there is none.
        """
        wanted = {"format": format, "fp": fp, "size": size, "quant": quant}
        asked = {name: value for name, value in wanted.items() if value is not None}
        found = best(self.files, asked, () if type is None else (type,))
        if found is None:
            raise NoSuchFile(
                f"No file of version {text(self.name) or self.id!r} is what was asked for",
                wanted=asked if type is None else {"type": type, **asked},
                names=[text(file.name) for file in self.files],
            )
        return found

    @property
    def early_access_ends(self) -> datetime | None:
        """When it becomes, or became, free for all; None if it always was, never will be, or that is not known.

        >>> version = {"publishedAt": "2023-05-01T00:00:00Z", "earlyAccessTimeFrame": 14}
        >>> ModelVersion.from_dict(version).early_access_ends.isoformat()
        '2023-05-15T00:00:00+00:00'
        """
        paid_until = getattr(self.paid_access, "ends_at", None)
        for said in (self.early_access_deadline, paid_until, self.early_access_ends_at):
            if (end := _moment(said)) is not None:
                return end
        days, start = _whole(self.early_access_time_frame), _moment(self.published_at) or _moment(self.created_at)
        if start is None or days is None or not 0 < days < 10_000:
            return None
        try:
            return start + timedelta(days=days)
        except OverflowError:
            return None

    @property
    def is_early_access(self) -> bool:
        """Whether only those who bought it have it now: until `early_access_ends`, or for good if that is None."""
        end = self.early_access_ends
        if end is not None:
            return end > datetime.now(UTC)
        return isinstance(self.paid_access, site.PaidAccess) or self.availability == "EarlyAccess"


_OPEN_STATUS: Final = (UNSET, None, "Published")


@extension
class Model(site.Model, _Described):
    """A model with its versions.

    >>> model = Model.from_dict({
    ...     "id": 827184,
    ...     "allowCommercialUse": "{Image,RentCivit}",
    ...     "tags": ["anime", {"id": 4, "name": "style"}],
    ...     "modelVersions": [{"id": 2, "name": "v2"}, {"id": 1, "name": "v1"}],
    ... })
    >>> sorted(model.allow_commercial_use), model.tag_names, model.latest.name, model.version("v1").id
    (['Image', 'RentCivit'], ['anime', 'style'], 'v2', 1)
    """

    __slots__ = ()

    @shown
    def allow_commercial_use(self, raw: Any) -> frozenset[CommercialUse]:
        """The commercial uses that are permitted; empty if there are none, or that is not known.

        What is sent is a list, the text of one, or a single word; the word `None` is no use.
        """
        words: Iterable[Any] = raw.strip(" {}").split(",") if isinstance(raw, str) else ()
        if isinstance(raw, (list, tuple, set, frozenset)):
            words = raw
        uses = {text(word).strip(' "') for word in words}
        return frozenset(uses - {"", "None"})

    @shown
    def model_versions(self, raw: Any) -> list[ModelVersion]:
        """Its versions, in the creator's order."""
        return _these(site.ModelVersion, raw)

    @property
    def latest(self) -> ModelVersion | None:
        """The version that the site shows first, which as a rule is the newest; None if none is published."""
        published = (version for version in self.model_versions if version.status in _OPEN_STATUS)
        return min(published, key=_place, default=None)

    def version(self, which: int | str) -> ModelVersion:
        """Give the version of an id, or of a name.

        A name in another case is taken if no version has it in this one, and the first of several.

        Raises:
            NoSuchVersion: There is none.
        """
        versions = self.model_versions
        if isinstance(which, str):
            exact = [version for version in versions if version.name == which]
            found = exact or [version for version in versions if text(version.name).casefold() == which.casefold()]
        else:
            found = [version for version in versions if version.id == which]
        if not found:
            names = ", ".join(f"{version.id!r} ({text(version.name)})" for version in versions[:20]) or "none"
            raise NoSuchVersion(f"Model {self.id!r} has no version {which!r}", hint=f"It has {names}.")
        return found[0]

    @property
    def tag_names(self) -> list[str]:
        """The names of its tags, which in answers of 2023 are objects."""
        tags: Any = self.tags
        names = (text(getattr(tag, "name", tag)) for tag in (tags if isinstance(tags, (list, tuple)) else ()))
        return [name for name in names if name]

    @property
    def url(self) -> str | None:
        """The address of its page; None if its id is not known."""
        return None if (id := _whole(self.id)) is None else f"{_SITE}/models/{id}"


def _place(version: site.ModelVersion) -> float:
    """Give the place of a version in the creator's order; versions without one stay where they are, before others."""
    index: Any = version.index
    return index if isinstance(index, (int, float)) and not isinstance(index, bool) else -math.inf
