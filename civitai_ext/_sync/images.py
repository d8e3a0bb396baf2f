# Derived from civitai_ext/_async/images.py by scripts/unasync.py: change that file, then run `make fix`.
"""Images, videos and audio that people posted."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Unpack

from civitai_api.site import models as site
from civitai_api.site.api.images import list_images
from civitai_api.site.models import BaseModel, ImageSort, MediaType, NsfwLabel, Period
from civitai_ext._arguments import a_path
from civitai_ext._disk import Disk, Exists, is_folder, is_free
from civitai_ext._downloadable import PictureRef, is_image_page, reference
from civitai_ext._file_names import safe_name
from civitai_ext._filters import a_number, items_of, next_of, numbers, one_of, several, switches
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._reading import text
from civitai_ext._redact import public_url
from civitai_ext._sync.media_files import OnProgress, check_exists, medium_in, save_medium
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext.catalogue import Image
from civitai_ext.errors import InvalidRequest, NotFound
from civitai_ext.levels import BrowsingLevel, NsfwLevel

__all__ = ["Images"]

_LARGEST_PAGE = 200
_HINT: Final = "Give an image of the catalogue, its id, its URL or that of its page."
_USERNAME = re.compile(r"[A-Za-z0-9_]+")
_EVERY_BIT = int(BrowsingLevel.ALL | BrowsingLevel.BLOCKED)


class Images:
    """Images, videos and audio: `civitai.images`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, id: int, **options: Unpack[CallOptions]) -> Image:
        """Give an image with its tags and how it was made, whatever its content level.

        Args:
            id: The image.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            NotFound: There is no image with this id, it is not to be shown, or the service was too busy to find it:
                it gives an empty list in all these cases.
            InvalidRequest: No image can have such an id.
        """
        request = list_images.request(
            image_id=a_number(id), browsing_level=int(BrowsingLevel.ALL), with_meta=True, with_tags=True, limit=1
        )
        found: Sequence[Image] = items_of(self._transport.call(request, **options))
        for image in found:
            if image.id == id:
                return image
        url = self._transport.url_of(request)
        raise NotFound(f"an empty list: there is no image with id {id}", status=200, method="GET", url=url)

    def download(
        self,
        image: site.Image | site.ModelImage | int | str,
        to: str | os.PathLike[str],
        *,
        width: int | None = None,
        height: int | None = None,
        exists: Exists | None = None,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> Path:
        """Save an image, a video or a sound in a file, and give its path: as it was uploaded, or at another size.

        The file has its name only once it is whole. Only the original has the generation data in it. The token is sent
        to look up an id, and never to where the file is.

        Args:
            image: The image as the catalogue gave it, its id, its URL or that of its page.
            to: The file, which gets this name whatever it holds; or a folder, which is there or ends with a slash. In a
                folder it is called after the image's id, else after the key in its URL, and after the size if one was
                asked for, with a suffix that fits what came. Folders that are missing are made.
            width: The width to have it in, in pixels; more than 1800 is the same as 1800.
            height: The height to have it in, in pixels; more than 1000 is the same as 1000.
            exists: What to do if there is such a file already: `error`, `skip` (leave it, and give its path) or
                `overwrite`. In a folder it is skipped if nothing else is said, whatever its suffix; else it is an
                error.
            on_progress: Called with how many bytes came and how many there are (None if the host does not say).
            timeout: How many seconds the host may be silent.

        Raises:
            NotFound: There is no such image, or no file of it.
            NotAFile: A page or a message came in place of the image.
            ConnectionFailed: The host was not reached.
            FileExistsError: There is such a file already, and it is to be an error.
            OSError: The file cannot be written.
            UnexpectedResponse: Half an image came.
            InvalidRequest: It is no image that can be fetched, or has no other sizes.
        """
        asked = {name: size for name, size in (("width", width), ("height", height)) if size is not None}
        for name, size in asked.items():
            _check_pixels(name, size)
        wanted = self._wanted(image)
        to = a_path("to", to)
        is_in_folder, target = Disk.run(is_folder, to), Path(to)
        rule: Exists = ("skip" if is_in_folder else "error") if exists is None else exists
        check_exists(rule)
        stem = "-".join([_stem(wanted), *(f"{name[0]}{size}" for name, size in asked.items())])
        present = Disk.run(medium_in, target, stem) if is_in_folder else target
        if present is not None and not Disk.run(is_free, present, rule):
            return present
        if not text(wanted.url):
            options: CallOptions = {} if timeout is None else {"timeout": timeout}
            wanted = self.get(wanted.id, **options)
        url = wanted.url_at(width, height=height) or ""
        if asked and url == wanted.url_at():
            raise InvalidRequest("Only images of Civitai's image host have other sizes", hint="Give neither size.")

        return save_medium(
            self._transport,
            url,
            target,
            stem=stem if is_in_folder else None,
            kind=text(wanted.type),
            exists=rule,
            on_progress=on_progress,
            timeout=timeout,
        )

    def _wanted(self, image: Any) -> Image:
        """Give what is known of an image to fetch: its URL, or its id alone."""
        if isinstance(image, (site.Image, site.ModelImage)):
            if not text(image.url) and not isinstance(image.id, int):
                raise InvalidRequest("The image has neither a URL nor an id", hint=_HINT)
            return image if isinstance(image, Image) else Image.from_dict(image.to_dict())
        if isinstance(image, str):
            if (id := _page_id(image, self._transport.config.site_url)) is not None:
                return Image(id=a_number(id))
            if not self._transport.config.may_be_fetched(image):
                raise InvalidRequest(f"{public_url(image)!r} is no URL to fetch an image from", hint=_HINT)
            return Image(url=image)
        if isinstance(image, int):
            return Image(id=a_number(image))
        raise InvalidRequest(f"{type(image).__name__} is no image", hint=_HINT)

    def list(
        self,
        *,
        model_id: int | None = None,
        model_version_id: int | None = None,
        username: str | None = None,
        user_id: int | None = None,
        post_id: int | None = None,
        image_id: int | None = None,
        nsfw: NsfwLevel | NsfwLabel | bool | None = None,
        browsing_level: BrowsingLevel | int | None = None,
        sort: ImageSort | None = None,
        period: Period | None = None,
        type: MediaType | None = None,
        tags: Sequence[int] | int | None = None,
        base_models: Sequence[BaseModel] | BaseModel | None = None,
        with_meta: bool = False,
        requiring_meta: bool = False,
        with_tags: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[Image]:
        """List the images that fit every filter.

        Without `browsing_level` and `nsfw` only images of level PG are listed, with a token and without one. No level
        needs a token. Images that are marked as showing minors or real people are never listed.

        With `image_id`, or with `model_id` and no `model_version_id`, the sorts by engagement (`Most Reactions`,
        `Most Comments`, `Most Collected`) all give the newest first.

        Args:
            model_id: Only images made with this model.
            model_version_id: Only images made with this version.
            username: Only images of this user; letters, digits and underscores.
            user_id: Only images of the user with this id.
            post_id: Only images of this post.
            image_id: Only this image.
            nsfw: The older way to choose levels: a word, which stands for the levels of `NsfwLevel.mask`; True for the
                levels from R on without those below; False for PG only.
            browsing_level: The levels to list, such as `BrowsingLevel.SFW`, or the sum of their numbers.
            sort: The order; the service's default is `Most Reactions`.
            period: How far back to look; the service's default is `AllTime`.
            type: Only media of this kind.
            tags: Only images with the tags of these ids.
            base_models: Only images made with one of these, such as `SDXL 1.0`; the service refuses what it does not
                know.
            with_meta: Whether to give how each image was made, where that is known: `meta` is None otherwise.
            requiring_meta: Only images of which it is known how they were made.
            with_tags: Whether to give the tags of each image.
            limit: How many images to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 200.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would refuse or misread.
        """
        checked_options(options)
        if nsfw is not None and browsing_level is not None:
            raise InvalidRequest("nsfw and browsing_level are both given: the service ignores nsfw then")
        if username is not None and not (isinstance(username, str) and _USERNAME.fullmatch(username)):
            raise InvalidRequest(f"username is {username!r}; it takes letters, digits and underscores")
        from_database = image_id is not None or (model_id is not None and model_version_id is None)
        if sort == "Random" and from_database:
            raise InvalidRequest("sort is 'Random', which the service refuses beside image_id, and model_id alone")
        filters: dict[str, Any] = {
            "username": username,
            "nsfw": _label(nsfw),
            "browsing_level": _mask(browsing_level),
            "sort": one_of("sort", sort, ImageSort),
            "period": one_of("period", period, Period),
            "type": one_of("type", type, MediaType),
            "tags": numbers("tags", tags),
            "base_models": several("base_models", base_models, BaseModel),
        }
        ids = {
            "model_id": model_id,
            "model_version_id": model_version_id,
            "user_id": user_id,
            "post_id": post_id,
            "image_id": image_id,
        }
        filters |= {name: a_number(id, name) for name, id in ids.items() if id is not None}
        filters |= switches(with_meta=with_meta, requiring_meta=requiring_meta, with_tags=with_tags)

        def fetch(at: str | None, size: int) -> Page[Image]:
            page = self._transport.call(list_images.request(limit=size, cursor=at, **filters), **options)
            return Page(items_of(page), next_of(page))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)


def _check_pixels(name: str, size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidRequest(f"{name} is {size!r}; it takes a number of pixels, at least 1")


def _page_id(url: str, site_url: str) -> int | None:
    """The id of the image whose page this is, on any host of the site; None if it is no such page."""
    try:
        meant = reference(url, site=site_url)
    except InvalidRequest:
        if is_image_page(url):
            raise
        return None
    return meant.picture if isinstance(meant, PictureRef) and isinstance(meant.picture, int) else None


def _stem(image: Image) -> str:
    """What the file of an image is called, without its suffix."""
    if isinstance(image.id, int):
        return str(image.id)
    last = text(image.url).partition("?")[0].rpartition("/")[2]
    return image.key or Path(safe_name(last, fallback="image")).stem


def _label(nsfw: Any) -> str | bool | None:
    """The levels to ask for in the older way; those of the default are not asked for."""
    if nsfw is None or nsfw is False:
        return None
    if nsfw is True:
        return True
    try:
        return NsfwLevel(nsfw).value
    except ValueError:
        words = ", ".join(word.value for word in NsfwLevel)
        raise InvalidRequest(
            f"nsfw is {nsfw!r}; it takes True, False or one of {words}", hint="A BrowsingLevel goes in browsing_level."
        ) from None


def _mask(level: Any) -> int | None:
    if level is None:
        return None
    if isinstance(level, bool) or not isinstance(level, int) or not 0 < level <= _EVERY_BIT:
        raise InvalidRequest(
            f"browsing_level is {level!r}; it takes levels of BrowsingLevel, or a number from 1 to {_EVERY_BIT}"
        )
    return int(level)
