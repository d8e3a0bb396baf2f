"""Where the services differ from their documentation, or from what one would expect: each by a name of its own.

`docs/emulator.md` says what each of them is. Without one, the emulator does what the documentation says.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Quirk(StrEnum):
    """A quirk of the services, by the name that `Emulator(quirks={…})` takes."""

    # Site API: lists
    MODELS_TYPES_COMMA = "models-types-comma"
    MODELS_QUERY_PAGE = "models-query-page"
    MODELS_FAVORITES_401 = "models-favorites-401"
    MODELS_YES_WORDS = "models-yes-words"
    MODELS_UNKNOWN_TAG = "models-unknown-tag"
    MODELS_SEARCH_CUT = "models-search-cut"
    MODELS_CHECKPOINT_STANDARD = "models-checkpoint-standard"
    DEEP_PAGES_429 = "deep-pages-429"
    IMAGES_BY_MODEL = "images-by-model"
    IMAGES_LIMIT = "images-limit"
    IMAGES_USERNAME = "images-username"
    CREATORS_TOTALS = "creators-totals"
    CREATORS_ORDER = "creators-order"
    TAGS_TOTALS = "tags-totals"
    COLLECTIONS_CURSOR = "collections-cursor"
    NEXT_PAGE_TOKEN = "next-page-token"  # noqa: S105 - the name of a quirk

    # Site API: what is shown
    MODEL_DETAIL = "model-detail"
    VERSION_FIELDS = "version-fields"
    VERSION_ID_500 = "version-id-500"
    BY_HASH_HOST = "by-hash-host"
    MINI_EPOCH = "mini-epoch"
    BARE_IMAGE_KEYS = "bare-image-keys"
    ME_TIER = "me-tier"
    ARTICLE_COUNTS = "article-counts"
    PERMISSIONS_LIST = "permissions-list"
    CONTENT_500 = "content-500"
    ERROR_SHAPES = "error-shapes"

    # Site API: vault and downloads
    VAULT_500 = "vault-500"
    VAULT_FILTERS = "vault-filters"
    TOGGLE_500 = "toggle-500"
    TOGGLE_VAULT_ID = "toggle-vault-id"
    HEAD_401 = "head-401"
    ATTACHMENT_TEXT = "attachment-text"
    SECOND_CREDENTIAL = "second-credential"

    # Orchestration API
    PREVIEW_EXTERNAL_ID = "preview-external-id"
    V2_NULLS = "v2-nulls"

    # The accounts service
    OAUTH_SCOPE_CEILING = "oauth-scope-ceiling"
    OAUTH_ERROR_PAGES = "oauth-error-pages"
    OAUTH_SCOPE_LIST = "oauth-scope-list"
    OAUTH_REFRESH_SCOPE = "oauth-refresh-scope"
    OAUTH_JSON = "oauth-json"
    OAUTH_RATE_KEY = "oauth-rate-key"
    OAUTH_CODE_LIFETIME = "oauth-code-lifetime"
    OAUTH_DEVICE_TOKEN = "oauth-device-token"  # noqa: S105 - the name of a quirk
    OAUTH_SLOW_DOWN = "oauth-slow-down"
    OAUTH_FORMER_ADDRESS = "oauth-former-address"


def choose_quirks(quirks: bool | Iterable[str]) -> frozenset[Quirk]:
    """Read which quirks there are to be: all, none, or some by name.

    >>> sorted(choose_quirks({"vault-500"})), len(choose_quirks(False))
    ([<Quirk.VAULT_500: 'vault-500'>], 0)

    Raises:
        ValueError: There is no quirk of such a name.

    """
    if isinstance(quirks, bool):
        return frozenset(Quirk) if quirks else frozenset()
    if isinstance(quirks, str) or not isinstance(quirks, Iterable):
        raise ValueError(f"quirks is True, False or a set of names such as {{'vault-500'}}, not {quirks!r}")
    names = set(quirks)
    if unknown := sorted(map(str, names - {*Quirk})):
        raise ValueError(f"there is no quirk {', '.join(unknown)}; there are {', '.join(Quirk)}")
    return frozenset(map(Quirk, names))
