"""The client: one object that everything else hangs on."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast, overload

from civitai_ext._config import Config
from civitai_ext._credentials import with_login
from civitai_ext._logging import show_logs
from civitai_ext._suffixes import MODEL_SUFFIXES

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
    from typing import Unpack

    from civitai_api.site.models import EnumLists
    from civitai_ext._async.account import AsyncPermissions
    from civitai_ext._async.blobs import AsyncBlobs
    from civitai_ext._async.community import AsyncArticles, AsyncCollections, AsyncCreators, AsyncTags, AsyncUsers
    from civitai_ext._async.directory import AsyncApps, AsyncBugs, AsyncContent
    from civitai_ext._async.downloads import Downloadable
    from civitai_ext._async.images import AsyncImages
    from civitai_ext._async.jobs import AsyncJobs
    from civitai_ext._async.model_files import AsyncModelFiles
    from civitai_ext._async.model_versions import AsyncModelVersions
    from civitai_ext._async.models import AsyncModels
    from civitai_ext._async.recipes import AsyncRecipes
    from civitai_ext._async.services import AsyncResources, AsyncServices
    from civitai_ext._async.transport import AsyncTransport
    from civitai_ext._async.uploads import AsyncUploads
    from civitai_ext._async.usage import AsyncCoverage, AsyncUsage
    from civitai_ext._async.vault import AsyncVault
    from civitai_ext._async.workflows import AsyncWorkflows
    from civitai_ext._backoff import RetryPolicy
    from civitai_ext._options import CallOptions
    from civitai_ext.account import CurrentUser
    from civitai_ext.downloads import Download, DownloadOptions, OnDownload
    from civitai_ext.matches import Match, MatchProgress
    from civitai_ext.oauth.logins import Login

__all__ = ["AsyncCivitai"]


class AsyncCivitai:
    """Everything that Civitai's APIs offer, in one client.

    It keeps its connections open between calls: use it in a `with` block, or call `aclose` when done. Parts are loaded
    when they are first used.

    Args:
        token: A personal API key or an OAuth access token. Else the environment variables `CIVITAI_TOKEN`,
            `CIVITAI_API_TOKEN` and `CIVITAI_API_KEY` are looked at, and then the login that is stored for these hosts;
            without any the client is anonymous. False makes it anonymous whatever they say.
        auth: Who is logged in, in place of a token: a `civitai_ext.oauth.Login`, or the name of an account whose login
            is stored. It is renewed when it has to be.
        site_url: Where the Site API is; else `CIVITAI_SITE_URL`, else the real one.
        orchestration_url: Where the Orchestration and Generator APIs are; else `CIVITAI_ORCHESTRATION_URL`, else the
            real one.
        auth_url: Where OAuth is; else `CIVITAI_AUTH_URL`, else the real one.
        app: Your program, as `name` or `name/version`, to be named in the user agent.
        timeout: How many seconds the service may be silent before a request is given up.
        retry: When to send again what failed: `RetryPolicy(attempts=2)`, or `RetryPolicy.off()`.
        cache: Where to keep public answers for as long as they say: a file, or True for one in your folder for such
            files. Needs the extra `cache`; what is asked with a token is never kept.
        verify: Which certificates to trust: True for the usual ones, a file or folder of others, an `ssl.SSLContext`,
            or False for any at all.
        proxy: The URL of a proxy for all requests; else the environment says (`HTTPS_PROXY`, `NO_PROXY`…).
        transport: What sends, instead of the network: a transport of the HTTP library, httpx.

    Attributes:
        config: What the arguments and the environment came to.

    Raises:
        ConfigurationError: A token, a URL or `CIVITAI_LOG` cannot be used, or nobody is logged in as `auth`.
        TokenStoreError: The login that is stored cannot be read.
    """

    def __init__(
        self,
        token: str | Literal[False] | None = None,
        *,
        auth: Login | str | None = None,
        site_url: str | None = None,
        orchestration_url: str | None = None,
        auth_url: str | None = None,
        app: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        cache: bool | str | os.PathLike[str] = False,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
        transport: Any = None,
    ) -> None:
        show_logs()
        self.config = with_login(
            Config.load(
                token=token if auth is None else False,
                site_url=site_url,
                orchestration_url=orchestration_url,
                auth_url=auth_url,
                app=app,
            ),
            token,
            auth,
        )
        self._retry = retry
        self._http_options: dict[str, Any] = {
            "cache": cache,
            "verify": verify,
            "proxy": proxy,
            "transport": transport,
        } | ({} if timeout is None else {"timeout": timeout})
        self._transport: AsyncTransport | None = None
        self._is_copy = False
        self._lock = threading.Lock()

    @property
    def transport(self) -> AsyncTransport:
        """What all calls run on; the operations of `civitai_api` take it as their first argument."""
        with self._lock:  # two threads at once must not make two, each with connections of its own
            if self._transport is None:
                from civitai_ext._async.http import AsyncHttp
                from civitai_ext._async.transport import AsyncTransport

                self._transport = AsyncTransport(self.config, AsyncHttp(**self._http_options), policy=self._retry)
            return self._transport

    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        token: str | Literal[False] | None = None,
        auth: Login | str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Give a client with other settings that shares this one's connections, limiter and cache.

        What is left out stays as it is. The connections stay this client's: closing the copy does nothing, and when
        this one is closed the copy cannot be used either.

        Args:
            timeout: How many seconds the service may be silent before a request is given up.
            retry: When to send again what failed.
            token: Another token; False for none.
            auth: Who is logged in, in place of a token.
            extra_headers: Headers to send with every request, besides those of copies before.

        Raises:
            ConfigurationError: The token cannot be used, or nobody is logged in as `auth`.
            InvalidRequest: A header is not for callers to set, such as `authorization`.
        """
        config = self.config
        if token is not None:
            config = config.with_token(token)
        if auth is not None:
            config = with_login(config, token, auth)
        transport = self.transport.with_options(
            timeout=timeout, policy=retry, config=config, extra_headers=extra_headers
        )
        other = type(self).__new__(type(self))
        # Parts that were loaded stay behind: they run on this client's transport.
        kept = {name: value for name, value in vars(self).items() if name not in _parts(type(self))}
        vars(other).update(kept, config=transport.config, _transport=transport, _is_copy=True)
        return other

    @cached_property
    def models(self) -> AsyncModels:
        """Models of the catalogue."""
        from civitai_ext._async.models import AsyncModels

        return AsyncModels(self.transport)

    @cached_property
    def model_versions(self) -> AsyncModelVersions:
        """Versions of models."""
        from civitai_ext._async.model_versions import AsyncModelVersions

        return AsyncModelVersions(self.transport)

    @cached_property
    def images(self) -> AsyncImages:
        """Images, videos and audio that people posted."""
        from civitai_ext._async.images import AsyncImages

        return AsyncImages(self.transport)

    @cached_property
    def creators(self) -> AsyncCreators:
        """People who publish models."""
        from civitai_ext._async.community import AsyncCreators

        return AsyncCreators(self.transport)

    @cached_property
    def tags(self) -> AsyncTags:
        """Tags of models."""
        from civitai_ext._async.community import AsyncTags

        return AsyncTags(self.transport)

    @cached_property
    def users(self) -> AsyncUsers:
        """Accounts, by id or name."""
        from civitai_ext._async.community import AsyncUsers

        return AsyncUsers(self.transport)

    @cached_property
    def articles(self) -> AsyncArticles:
        """Articles."""
        from civitai_ext._async.community import AsyncArticles

        return AsyncArticles(self.transport)

    @cached_property
    def collections(self) -> AsyncCollections:
        """Collections."""
        from civitai_ext._async.community import AsyncCollections

        return AsyncCollections(self.transport)

    @cached_property
    def vault(self) -> AsyncVault:
        """The vault of the caller: versions kept even if they are taken down."""
        from civitai_ext._async.vault import AsyncVault

        return AsyncVault(self.transport)

    @cached_property
    def permissions(self) -> AsyncPermissions:
        """What the caller may do with versions."""
        from civitai_ext._async.account import AsyncPermissions

        return AsyncPermissions(self.transport)

    @cached_property
    def apps(self) -> AsyncApps:
        """The directory of apps (not documented by Civitai)."""
        from civitai_ext._async.directory import AsyncApps

        return AsyncApps(self.transport)

    @cached_property
    def bugs(self) -> AsyncBugs:
        """Known bugs of the site (not documented by Civitai)."""
        from civitai_ext._async.directory import AsyncBugs

        return AsyncBugs(self.transport)

    @cached_property
    def content(self) -> AsyncContent:
        """Texts of the site, such as its terms (not documented by Civitai)."""
        from civitai_ext._async.directory import AsyncContent

        return AsyncContent(self.transport)

    @cached_property
    def model_files(self) -> AsyncModelFiles:
        """What is inside files of models (not documented by Civitai)."""
        from civitai_ext._async.model_files import AsyncModelFiles

        return AsyncModelFiles(self.transport)

    @cached_property
    def uploads(self) -> AsyncUploads:
        """Uploads of images (not documented by Civitai)."""
        from civitai_ext._async.uploads import AsyncUploads

        return AsyncUploads(self.transport)

    @cached_property
    def workflows(self) -> AsyncWorkflows:
        """Workflows: pricing, submitting, waiting."""
        from civitai_ext._async.workflows import AsyncWorkflows

        return AsyncWorkflows(self.transport)

    @cached_property
    def recipes(self) -> AsyncRecipes:
        """One step run by itself."""
        from civitai_ext._async.recipes import AsyncRecipes

        return AsyncRecipes(self.transport)

    @cached_property
    def blobs(self) -> AsyncBlobs:
        """The media that go into workflows and come out of them."""
        from civitai_ext._async.blobs import AsyncBlobs

        return AsyncBlobs(self.transport)

    @cached_property
    def services(self) -> AsyncServices:
        """What can be run, with prices and waiting times."""
        from civitai_ext._async.services import AsyncServices

        return AsyncServices(self.transport)

    @cached_property
    def resources(self) -> AsyncResources:
        """Models as workflows use them, and whether they are loaded."""
        from civitai_ext._async.services import AsyncResources

        return AsyncResources(self.transport)

    @cached_property
    def jobs(self) -> AsyncJobs:
        """Jobs of the older Generator API: pricing, submitting, waiting."""
        from civitai_ext._async.jobs import AsyncJobs

        return AsyncJobs(self.transport)

    @cached_property
    def coverage(self) -> AsyncCoverage:
        """Which models the older Generator API can run."""
        from civitai_ext._async.usage import AsyncCoverage

        return AsyncCoverage(self.transport)

    @cached_property
    def usage(self) -> AsyncUsage:
        """What was used of the older Generator API."""
        from civitai_ext._async.usage import AsyncUsage

        return AsyncUsage(self.transport)

    @overload
    async def download(
        self,
        what: Downloadable,
        to: str | os.PathLike[str],
        *,
        all_files: Literal[False] = False,
        dry_run: bool = False,
        progress: bool | OnDownload = False,
        **options: Unpack[DownloadOptions],
    ) -> Download: ...

    @overload
    async def download(
        self,
        what: Downloadable,
        to: str | os.PathLike[str],
        *,
        all_files: Literal[True],
        dry_run: bool = False,
        progress: bool | OnDownload = False,
        **options: Unpack[DownloadOptions],
    ) -> list[Download]: ...

    async def download(
        self,
        what: Downloadable,
        to: str | os.PathLike[str],
        *,
        all_files: bool = False,
        dry_run: bool = False,
        progress: bool | OnDownload = False,
        **options: Unpack[DownloadOptions],
    ) -> Download | list[Download]:
        """Download a file: over several connections, going on where an earlier call stopped, and checked by its hash.

        Nothing is under its name before all of it is there and is the file that was published. Of a version it is the
        file that the version is about, a SafeTensor if there is one.

        Args:
            what: An AIR; a model, which means its newest version; a version, or its id; a file of one; the address of
                a page or of a download, on any host of the site; an image; a blob, or an output of a workflow.
            to: A folder: one that is there, or a path that ends with a slash or has no suffix. Otherwise the file.
                Folders that are missing are made.
            all_files: Whether to download all files of a version; then all that came of it are given.
            dry_run: Whether to download nothing, and say only what would come of it: `path`, `size`, and `error` if the
                service does not give it, or the file is not safe.
            progress: Whether to draw a bar (needs the extra `cli`), or what to call with how far it is, as a
                `DownloadProgress`.
            options: `format`, `fp`, `size`, `quant` and `type` choose the file. `allow_pickle` lets it be a pickle,
                `allow_unscanned` one that the scans did not find clean. `layout` puts it where a program looks for it,
                or into folders by a pattern; `exists` says what to do if there is a file of the name, `sidecars` what
                to put beside it. See `DownloadOptions` for these and for `connections`, `cache` and `timeout`.

        Raises:
            UnsafeFile: It is a pickle, or the scans did not find it clean.
            NoSuchFile: The version has no such file.
            NotFound: There is no such thing.
            LoginRequired: It is for those who are logged in.
            EarlyAccess: It has to be bought, or waited for until `deadline`.
            AccessDenied: It is for those whom its creator lets have it.
            DownloadsDisabled: Its creator does not offer it for download.
            Archived: The model is archived.
            QuotaExceeded: Too much was downloaded in the last 24 hours.
            HashMismatch: What came is not what was published; it was removed.
            NotAFile: A page or a message came in place of the file.
            Incomplete: It did not come as a whole; what came is kept, and the next call goes on with it.
            AlreadyDownloading: Another process or thread is at it.
            NoSpace: The disk is full.
            FileExistsError: There is another file of the name, and it is to stay.
            OSError: It cannot be written.
            DownloadsFailed: With `all_files`, some of them failed.
            InvalidRequest: An argument cannot be like that.
        """
        from civitai_ext._async.downloads import download
        from civitai_ext._download_settings import Settings

        found = await download(
            self.transport,
            what,
            to,
            Settings.of(options),
            all_files=all_files,
            dry_run=dry_run,
            progress=progress,
        )
        return found if all_files else found[0]

    async def download_many(
        self,
        whats: Iterable[Downloadable] | AsyncIterable[Downloadable],
        to: str | os.PathLike[str],
        *,
        at_once: int = 2,
        all_files: bool = False,
        dry_run: bool = False,
        progress: bool | OnDownload = False,
        **options: Unpack[DownloadOptions],
    ) -> list[Download]:
        """Download several things into a folder, and give what came of each file, in their order.

        What is named twice is fetched once. All of them are tried, whatever happens to the others. They share one bar.

        Args:
            whats: What `download` takes; also a pager, such as `civitai.models.list(…)`.
            to: The folder.
            at_once: How many files come at the same time, 1 to 16, each over `connections`.
            all_files: As for `download`.
            dry_run: As for `download`.
            progress: As for `download`.
            options: As for `download`.

        Raises:
            DownloadsFailed: Some of them failed; `downloads` of the error says what came of each.
            InvalidRequest: An argument cannot be like that.
        """
        from civitai_ext._async.downloads import download_many
        from civitai_ext._download_settings import Settings

        return await download_many(
            self.transport,
            whats,
            to,
            Settings.of(options),
            all_files=all_files,
            dry_run=dry_run,
            progress=progress,
            at_once=at_once,
        )

    async def me(self, **options: Unpack[CallOptions]) -> CurrentUser:
        """Tell whose token it is, what the token may do, and what may be spent with it.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
        """
        from civitai_api.site.api.account import get_current_user
        from civitai_ext.account import CurrentUser

        return cast(CurrentUser, await self.transport.call(get_current_user.request(), **options))

    async def enums(self, **options: Unpack[CallOptions]) -> EnumLists:
        """Give the lists of values that the site knows now: model types, file types, base models.

        They are open: any of these values, and ones that come up later, can be given to filters as text.
        """
        from civitai_api.site.api.enums import get_enums

        return await self.transport.call(get_enums.request(), **options)

    def identify(
        self,
        *paths: str | os.PathLike[str],
        suffixes: Iterable[str] | str | None = MODEL_SUFFIXES,
        thorough: bool = False,
        max_age: timedelta | None = timedelta(days=1),
        max_unknown_age: timedelta | None = timedelta(days=7),
        at_once: int | None = None,
        cache: str | os.PathLike[str] | bool | None = None,
        on_progress: Callable[[MatchProgress], object] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[Match]:
        """Tell of files on the disk which models they are, and what is new; give a match for each of them.

        They are hashed, and found by that whatever they are called. What is remembered comes at once; the rest is asked
        for when all files are hashed, in as few requests as that takes: one for ten thousand files, and one more for
        every hundred models. Nothing that goes wrong with a file, or with asking, ends it: the match has the error.

        Args:
            paths: Files, and folders to look for files in, with all that is in them.
            suffixes: How the names of the files in folders end, in any case; None for all files.
            thorough: Whether to ask for those that are not found by their SHA-256 by another hash too, such as the
                AutoV3, which stays the same when the metadata in a file is changed. This takes a request for each of
                them; what was found so is asked for again only with this.
            max_age: For how long what was found holds before it is asked for again; None for good.
            max_unknown_age: For how long it holds that something was not found.
            at_once: How many files to hash at a time, as for `hash_files`.
            cache: The file to remember hashes and matches in, True for files in the user's folder for such files, False
                to remember nothing. Without it they are remembered where the extra `cache` is installed, and matches
                only if the site is not on this machine, where it is a stand-in.
            on_progress: Called now and then with how far it is.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            FileNotFoundError: At the first step: one of the paths is not there. Nothing was asked.
            ConfigurationError: An argument cannot be used, or a cache is wanted, and the extra `cache` is not
                installed.
        """
        from civitai_ext._async.identifying import identify

        return identify(
            self.transport,
            paths,
            suffixes=suffixes,
            thorough=thorough,
            max_age=max_age,
            max_unknown_age=max_unknown_age,
            at_once=at_once,
            cache=cache,
            on_progress=on_progress,
            options=options,
        )

    async def aclose(self) -> None:
        """Close the connections; the client cannot be used after that. A copy of `with_options` does not close them.

        What is under way, or waits for something, in other threads or tasks ends with a `ConfigurationError`.
        """
        if self._transport is not None and not self._is_copy:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        source = self.config.token_source
        who = "anonymous" if self.config.is_anonymous else source if self.config.login else f"token from {source}"
        return f"<{type(self).__name__} {self.config.site_url}, {who}>"


def _parts(client: type) -> set[str]:
    """The names under which a client keeps its parts once they are loaded."""
    return {name for base in client.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)}
