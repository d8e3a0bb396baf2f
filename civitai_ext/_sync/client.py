# Derived from civitai_ext/_async/client.py by scripts/unasync.py: change that file, then run `make fix`.
"""The client: one object that everything else hangs on."""

from __future__ import annotations

import threading
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from civitai_ext._config import Config

if TYPE_CHECKING:
    from civitai_api.site.models import CurrentUser
    from civitai_ext._backoff import RetryPolicy
    from civitai_ext._sync.model_versions import ModelVersions
    from civitai_ext._sync.models import Models
    from civitai_ext._sync.transport import Transport
    from civitai_ext._sync.workflows import Workflows

__all__ = ["Civitai"]


class Civitai:
    """Everything that Civitai's APIs offer, in one client.

    It keeps its connections open between calls: use it in a `with` block, or call `close` when done. Parts are loaded
    when they are first used.

    Args:
        token: A personal API key or an OAuth access token. Else the environment variables `CIVITAI_TOKEN`,
            `CIVITAI_API_TOKEN` and `CIVITAI_API_KEY` are looked at; without any the client is anonymous.
        site_url: Where the Site API is; else `CIVITAI_SITE_URL`, else the real one.
        orchestration_url: Where the Orchestration and Generator APIs are; else `CIVITAI_ORCHESTRATION_URL`, else the
            real one.
        auth_url: Where OAuth is; else `CIVITAI_AUTH_URL`, else the real one.
        app: Your program, as `name` or `name/version`, to be named in the user agent.
        timeout: How many seconds the service may be silent before a request is given up.
        retry: When to send again what failed.
        http_options: For the HTTP client: `verify` (an `ssl.SSLContext`, or False), `proxy` (a URL) and `transport`.

    Attributes:
        config: What the arguments and the environment came to.

    Raises:
        ConfigurationError: A token or a URL cannot be used.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        site_url: str | None = None,
        orchestration_url: str | None = None,
        auth_url: str | None = None,
        app: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        **http_options: Any,
    ) -> None:
        self.config = Config.load(
            token=token, site_url=site_url, orchestration_url=orchestration_url, auth_url=auth_url, app=app
        )
        if unknown := sorted(http_options.keys() - {"verify", "proxy", "transport"}):
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {unknown[0]!r}")
        self._retry = retry
        self._http_options = http_options | ({} if timeout is None else {"timeout": timeout})
        self._transport: Transport | None = None
        self._lock = threading.Lock()

    @property
    def transport(self) -> Transport:
        """What all calls run on; the operations of `civitai_api` take it as their first argument."""
        with self._lock:  # two threads at once must not make two, each with connections of its own
            if self._transport is None:
                from civitai_ext._sync.http import Http
                from civitai_ext._sync.transport import Transport

                self._transport = Transport(self.config, Http(**self._http_options), policy=self._retry)
            return self._transport

    @cached_property
    def models(self) -> Models:
        """Models of the catalogue."""
        from civitai_ext._sync.models import Models

        return Models(self.transport)

    @cached_property
    def model_versions(self) -> ModelVersions:
        """Versions of models."""
        from civitai_ext._sync.model_versions import ModelVersions

        return ModelVersions(self.transport)

    @cached_property
    def workflows(self) -> Workflows:
        """Workflows: pricing, submitting, waiting."""
        from civitai_ext._sync.workflows import Workflows

        return Workflows(self.transport)

    def me(self) -> CurrentUser:
        """Tell whose token it is.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
        """
        from civitai_api.site.api.account import get_current_user

        return self.transport.call(get_current_user.request())

    def close(self) -> None:
        """Close the connections; the client cannot be used after that."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        who = f"token from {self.config.token_source}" if self.config.token is not None else "anonymous"
        return f"<{type(self).__name__} {self.config.site_url}, {who}>"
