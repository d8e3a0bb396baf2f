# Derived from civitai_ext/_async/media_files.py by scripts/unasync.py: change that file, then run `make fix`.
"""Pictures, videos and sounds from where they need no token: each comes as a whole, over one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, get_args
from urllib.parse import urljoin

from civitai_ext._disk import Disk, Exists, PartFile, is_free
from civitai_ext._media import MEDIA_SUFFIXES, START, SUFFIX_BY_KIND, may_be_medium, suffix_for
from civitai_ext._outputs import is_error_page
from civitai_ext._sync.http import Stream
from civitai_ext._sync.signed_urls import refusal, with_retries
from civitai_ext._sync.transport import Transport
from civitai_ext.errors import InvalidRequest, NotAFile, UnexpectedResponse

__all__ = ["Content", "OnProgress", "check_exists", "fetched", "medium_in", "save_medium"]

T = TypeVar("T")

_LONGEST_ERROR: Final = 64 * 1024
_REDIRECTS: Final = 5

OnProgress = Callable[[int, int | None], object]
"""Called with how many bytes came and how many there are, None if the host does not say. A new try begins at 0."""


class Content:
    """The content of a file on its way: known not to be a page in place of it, and in the end to be whole.

    Attributes:
        url: Where it comes from.
        media_type: Its kind, as the host says; may be empty.
        size: How many bytes it has; None if the host does not say.
        start: Its first bytes.
    """

    def __init__(self, stream: Stream, url: str) -> None:
        self.url = url
        self.media_type = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        length = stream.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdecimal() else None
        self.start = b""
        self._status = stream.status
        self._packed = stream.headers.get("content-encoding", "identity").strip().lower() != "identity"
        self._rest = stream.chunks()

    def begin(self) -> None:
        """Read its first bytes.

        Raises:
            NotAFile: It is something else in place of the file.
            UnexpectedResponse: It is empty, or packed.
        """
        for chunk in self._rest:
            self.start += chunk
            if len(self.start) >= START:
                break
        if is_error_page(self.media_type, self.start):
            raise self.no_file("a page or an error came in place of the file")
        if self._packed:
            raise UnexpectedResponse("the file came compressed, which was not asked for", **self._details)
        if not self.start:
            raise UnexpectedResponse("the file is empty", truncated=True, **self._details)

    def chunks(self) -> Iterator[bytes]:
        """Give it piece by piece, its first bytes too.

        Raises:
            UnexpectedResponse: It was cut.
        """
        done = len(self.start)
        yield self.start
        for chunk in self._rest:
            done += len(chunk)
            yield chunk
        if self.size is not None and done != self.size:
            raise UnexpectedResponse(f"{done} bytes came of {self.size}", truncated=True, **self._details)

    def save(self, path: Path, *, exists: Exists, on_progress: OnProgress | None) -> Path:
        """Put it into a file, which has its name only once it is whole; give its path.

        Args:
            path: The file. Folders that are missing are made.
            exists: What to do if there is such a file already.
            on_progress: Called with how many bytes came and how many there are, after every piece.

        Raises:
            FileExistsError: There is such a file already, and `exists` is `error`.
            OSError: The folder or the file cannot be written.
            UnexpectedResponse: It was cut.
        """
        if not Disk.run(is_free, path, exists):
            return path
        part, done = PartFile(path.parent), 0
        try:
            for chunk in self.chunks():
                Disk.run(part.write, chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, self.size)
            if Disk.run(is_free, path, exists):  # it may have come meanwhile
                Disk.run(part.become, path)
            return path
        finally:
            Disk.run(part.discard)

    def no_file(self, message: str) -> NotAFile:
        """Make the exception for something else in place of the file."""
        return NotAFile(message, **self._details)

    @property
    def _details(self) -> dict[str, Any]:
        return {"status": self._status, "media_type": self.media_type, "method": "GET", "url": self.url}


def fetched(
    transport: Transport,
    url: str,
    receive: Callable[[Content], T],
    *,
    timeout: float | None,
    hint: str,
    redirects: int = 0,
) -> T:
    """Fetch a file without the token, once, and give what `receive` makes of its content.

    Args:
        transport: What sends.
        url: Where it is.
        receive: Called with the content, of which the first bytes are there.
        timeout: How many seconds the host may be silent.
        hint: What to do if the URL has run out.
        redirects: How often the host may say that it is somewhere else.

    Raises:
        ApiError: The host refuses to give it.
        ConnectionFailed: The host was not reached.
        NotAFile: Something else came in place of the file.
        UnexpectedResponse: What came cannot be used, or the URL is not one to fetch.
    """
    silence = transport.timeout if timeout is None else timeout
    while True:
        if not transport.config.may_be_fetched(url):
            raise UnexpectedResponse("the URL of the file is not one to fetch", status=200, url=url)
        headers = transport.user_agent
        with transport.http.stream("GET", url, headers=headers, timeout=silence) as stream:
            if stream.status == 200:
                content = Content(stream, url)
                content.begin()
                return receive(content)
            answer = stream.read(_LONGEST_ERROR)
        target = _target(url, answer.headers.get("location", "")) if 300 <= answer.status < 400 else ""
        if not target or not redirects:
            raise refusal(answer, "GET", url, hint)
        url, redirects = target, redirects - 1


def save_medium(
    transport: Transport,
    url: str,
    target: Path,
    *,
    stem: str | None,
    kind: str,
    exists: Exists,
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
) -> Path:
    """Save a picture, a video or a sound of the image CDN in a file, and give its path.

    Args:
        transport: What sends.
        url: Where it is.
        target: The file; with a `stem` the folder of it. Folders that are missing are made.
        stem: The name of the file without its suffix, which depends on what comes.
        kind: `image`, `video` or `audio`, for a suffix if nothing else tells.
        exists: What to do if there is such a file already.
        on_progress: Called with how many bytes came and how many there are, after every piece.
        timeout: How many seconds the host may be silent.

    Raises:
        NotAFile: Something else came in its place.
        CivitaiError: It could not be fetched.
        FileExistsError: There is such a file already, and `exists` is `error`.
        OSError: The folder or the file cannot be written.
    """

    def receive(content: Content) -> Path:
        if not may_be_medium(content.media_type, content.start):
            raise content.no_file(f"it is no picture, video or sound, but {content.media_type or 'something else'}")
        suffix = suffix_for(content.media_type, content.start)
        suffix = suffix or SUFFIX_BY_KIND.get(kind, SUFFIX_BY_KIND["image"])
        path = target if stem is None else target / f"{stem}{suffix}"
        return content.save(path, exists=exists, on_progress=on_progress)

    def once() -> Path:
        return fetched(transport, url, receive, timeout=timeout, hint="Ask for the image again.", redirects=_REDIRECTS)

    return with_retries(transport, once)


def medium_in(folder: Path, stem: str) -> Path | None:
    """Give the picture, video or sound of a name that is in a folder already, whatever its suffix."""
    return next((path for suffix in MEDIA_SUFFIXES if (path := folder / f"{stem}{suffix}").exists()), None)


def _target(url: str, location: str) -> str:
    """Where a redirect leads; nowhere if that cannot be told, or if it would be without encryption from then on."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return ""
    return "" if not location or (url.startswith("https:") and not target.startswith("https:")) else target


def check_exists(exists: Any) -> None:
    """Make sure that a value is one of `Exists`.

    Raises:
        InvalidRequest: It is something else.
    """
    if exists not in get_args(Exists):
        raise InvalidRequest(f"exists is {exists!r}; it takes {', '.join(map(repr, get_args(Exists)))}")
