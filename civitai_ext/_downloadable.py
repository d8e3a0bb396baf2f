"""What somebody wants to download, in any of the forms in which it is known: AIRs, ids, addresses, objects. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from civitai_api.runtime import ApiModel
from civitai_api.site.models import ModelFile
from civitai_ext._config import origin_of
from civitai_ext._filters import a_number
from civitai_ext._picking import DETAILS, detail
from civitai_ext._reading import text
from civitai_ext._redact import public_url
from civitai_ext.air import Air, AirError
from civitai_ext.errors import InvalidRequest

__all__ = [
    "CRITERIA",
    "DOWNLOADS",
    "BlobRef",
    "ModelRef",
    "PictureRef",
    "Reference",
    "RouteRef",
    "VersionRef",
    "address_of",
    "file_route",
    "is_image_page",
    "reference",
]

DOWNLOADS: Final = "/api/download/"
"""How the paths of the service's downloads begin."""

CRITERIA: Final = {"format": "format", "size": "size", "fp": "fp", "quant": "quantType", "type": "type"}
"""What a file can be chosen by, and how the addresses of downloads call it."""

_SITES: Final = frozenset({"civitai.com", "civitai.red", "civitai.green"})
_BLOBS: Final = ".civitai.com"
_PICTURES: Final = "image.civitai.com"
_WITHOUT_SCHEME: Final = re.compile(r"(?:[a-z-]+\.)?civitai\.(?:com|red|green)/", re.ASCII | re.IGNORECASE)
_MODEL_PAGE: Final = re.compile(r"/(?:api/v1/)?models/([0-9]{1,10})(?:/[^/]*)?/?", re.ASCII)
_VERSION_PAGE: Final = re.compile(r"/(?:api/v1/)?model-versions/(?:mini/)?([0-9]{1,10})/?", re.ASCII)
_IMAGE_PAGE: Final = re.compile(r"/images/([0-9]{1,10})/?", re.ASCII)
_DOWNLOAD: Final = re.compile(r"/api/download/(?:models|(training-data))/([0-9]{1,10})/?", re.ASCII)
_OTHER_DOWNLOAD: Final = re.compile(r"/api/download/(?:attachments|vault|training)/[0-9]{1,10}/?", re.ASCII)
_FORMS: Final = (
    "It can be an AIR, a model, a version or a file of the catalogue, the id of a version, the address of a page or of "
    "a download, an image, or a blob."
)


@attrs.frozen
class ModelRef:
    """The newest version of a model.

    Attributes:
        id: The model.
    """

    id: int


@attrs.frozen
class VersionRef:
    """A version of a model, or one of its files.

    Attributes:
        id: The version.
        file_id: The file; None for the one that fits best.
        asked: What the file has to be, by the names of `CRITERIA`.
    """

    id: int
    file_id: int | None = None
    asked: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class RouteRef:
    """A download that is no file of a version: of an article, of the vault, of a training of one's own.

    Attributes:
        route: Its path and query on the site.
    """

    route: str


@attrs.frozen
class PictureRef:
    """An image or video of the gallery.

    Attributes:
        picture: Its id, or its address.
    """

    picture: int | str


@attrs.frozen
class BlobRef:
    """A blob.

    Attributes:
        url: Its signed address.
    """

    url: str = attrs.field(repr=False)


Reference = ModelRef | VersionRef | RouteRef | PictureRef | BlobRef


def reference(
    what: str | int | Air,
    *,
    site: str = "https://civitai.com",
    orchestration: str = "https://orchestration.civitai.com",
) -> Reference:
    """Tell what is meant by an AIR, an address or a number.

    Args:
        what: What is to be downloaded.
        site: The address of the site that is used, whose pages are understood besides the known ones.
        orchestration: Where blobs are, besides the known hosts.

    Raises:
        InvalidRequest: It is nothing that can be downloaded.

    >>> reference(2514310), reference("civitai:827184@2514310+2402203")
    (VersionRef(id=2514310, file_id=None, asked={}), VersionRef(id=2514310, file_id=2402203, asked={}))
    >>> reference("https://civitai.red/models/827184/a-name")
    ModelRef(id=827184)
    >>> reference("https://civitai.com/api/download/models/2514310?type=Model&fp=fp16").asked
    {'fp': 'fp16', 'type': 'Model'}
    """
    if isinstance(what, int):
        return VersionRef(a_number(what, "The id of a version"))
    if isinstance(what, Air):
        return _of_air(what)
    said = what.strip().replace("&amp;", "&")  # as it is in the source of a page
    if _WITHOUT_SCHEME.match(said):
        said = f"https://{said}"
    if said.isascii() and said.isdecimal():
        return VersionRef(a_number(int(said[:20]), "The id of a version"))
    if "://" in said:
        return _of_address(said, site, orchestration)
    try:
        return _of_air(Air.parse(said))
    except AirError as error:
        shown = public_url(said)[:200]
        raise InvalidRequest(f"{shown!r} is nothing that can be downloaded: {error.reason}", hint=_FORMS) from None


def _of_air(air: Air) -> ModelRef | VersionRef:
    if air.source != "civitai" or air.model_id is None:
        raise InvalidRequest(
            f"{air} is not kept by Civitai", hint="Only resources whose source is civitai can be downloaded."
        )
    if air.version is None:
        return ModelRef(a_number(air.model_id, "The id of a model"))
    if air.version_id is None:
        raise InvalidRequest(f"{air} names no version by a number", hint="As in urn:air:sdxl:lora:civitai:1@2.")
    return VersionRef(a_number(air.version_id, "The id of a version"), air.file_id)


def _of_address(url: str, site: str, orchestration: str) -> Reference:
    try:
        parts = urlsplit(url)
        host, own = (parts.netloc or "").lower(), urlsplit(site)
    except ValueError:
        raise InvalidRequest("The address cannot be read", hint=_FORMS) from None
    if parts.scheme not in ("http", "https"):
        raise InvalidRequest(f"{public_url(url)} is no address of a page", hint=_FORMS)
    is_own = origin_of(url) is not None and origin_of(url) == origin_of(site)
    if host == _PICTURES:
        return PictureRef(url)
    if not is_own and host.removeprefix("www.") not in _SITES:
        if origin_of(url) == origin_of(orchestration) or host.endswith(_BLOBS):
            return BlobRef(url)
        raise InvalidRequest(f"{public_url(url)} is no address of Civitai", hint=_FORMS)
    path = parts.path.removeprefix(own.path.rstrip("/")) if is_own else parts.path
    query = dict(parse_qsl(parts.query))
    if found := _DOWNLOAD.fullmatch(path):
        asked = {name: query[spelled] for name, spelled in CRITERIA.items() if query.get(spelled)}
        if found[1]:
            asked["type"] = "Training Data"
        return VersionRef(_number(found[2], "version"), _optional(query, "fileId", "file"), asked)
    if found := _MODEL_PAGE.fullmatch(path):
        version = _optional(query, "modelVersionId", "version")
        return ModelRef(_number(found[1], "model")) if version is None else VersionRef(version)
    if found := _VERSION_PAGE.fullmatch(path):
        return VersionRef(_number(found[1], "version"), _optional(query, "modelFileId", "file"))
    if found := _IMAGE_PAGE.fullmatch(path):
        return PictureRef(_number(found[1], "image"))
    if _OTHER_DOWNLOAD.fullmatch(path):
        query.pop("token", None)  # it goes in a header, to where it may
        return RouteRef(path + (f"?{urlencode(query)}" if query else ""))
    if is_own and path.startswith("/v2/consumer/"):  # one host for all of it, as that of tests
        return BlobRef(url)
    raise InvalidRequest(f"There is nothing to download at {public_url(url)}", hint=_FORMS)


def is_image_page(url: str) -> bool:
    """Tell whether a URL looks like that of the page of an image, which is no file, on any known host of the site."""
    origin = origin_of(url)
    return origin is not None and origin[1].removeprefix("www.") in _SITES and urlsplit(url).path.startswith("/images/")


def _number(digits: str, name: str) -> int:
    return a_number(int(digits), f"The id of a {name}")


def _optional(query: Mapping[str, str], name: str, kind: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", value):  # passed over, it would lead to something else than what is meant
        raise InvalidRequest(
            f"{name} in the address is {value[:50]!r}, which is no id of a {kind}", hint="Copy the address again."
        )
    return _number(value, kind)


def file_route(version_id: int, file: ApiModel | None, asked: Mapping[str, str] | None = None) -> str:
    """Give path and query of the download of a file, by its id where it has one.

    A file that another version lends, such as a VAE, is downloaded from that.

    Args:
        version_id: The version that lists the file.
        file: The file; None for the one that the service takes for the right one.
        asked: What that has to be, by the names of `CRITERIA`.

    >>> from civitai_ext.catalogue import ModelFile
    >>> url = "https://undefined/api/download/models/7?type=VAE"
    >>> file_route(5, ModelFile.from_dict({"id": 6, "downloadUrl": url})), file_route(5, None)
    ('/api/download/models/7?fileId=6', '/api/download/models/5')
    """
    own = address_of(file)
    id = getattr(file, "id", None)
    if isinstance(id, int) and not isinstance(id, bool) and 0 < id < 2**31:
        query = {"fileId": str(id)}
    else:
        said = own.asked if own else _described(file) if file is not None else asked or {}
        query = {CRITERIA[name]: value for name, value in said.items()}
    return f"{DOWNLOADS}models/{own.id if own else version_id}" + (f"?{urlencode(query)}" if query else "")


def _described(file: ApiModel | None) -> dict[str, str]:
    """What tells a file from others of its version, as far as it says so itself."""
    if not isinstance(file, ModelFile):
        return {}
    said = {"type": text(file.type), **{name: detail(file, name) for name in DETAILS}}
    return {name: value for name, value in said.items() if value}


def address_of(file: ApiModel | None) -> VersionRef | None:
    """Tell what the address of a file says, whatever its host, which the service has been seen to get wrong."""
    try:
        parts = urlsplit(text(getattr(file, "download_url", None)))
        found = reference(f"https://civitai.com{parts.path}?{parts.query}")
    except (InvalidRequest, ValueError):
        return None
    return found if isinstance(found, VersionRef) and parts.path.startswith(DOWNLOADS) else None
