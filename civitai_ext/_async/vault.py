"""The vault: versions that Civitai keeps for the caller, even if they are taken down."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack

from civitai_api.runtime import UNSET
from civitai_api.site import models
from civitai_api.site.api.vault import check_vault, get_vault, list_vault_items, toggle_vault_version
from civitai_api.site.models import BaseModel, ModelType, VaultItem, VaultSort
from civitai_ext._async.pager import AsyncPager, Numbered, Page
from civitai_ext._async.transport import AsyncTransport
from civitai_ext._filters import a_number, a_text, as_a_list, ids_in, items_of, one_of
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._reading import models_in, number
from civitai_ext._together import AsyncTogether, in_batches
from civitai_ext.errors import CivitaiError, ConnectionFailed, ServerError, UnexpectedResponse

if TYPE_CHECKING:
    from civitai_api.site.models import VaultToggleResult

__all__ = ["AsyncVault"]

_LARGEST_PAGE: Final = 200
_MOST_IDS: Final = 100
_LOOKS: Final = (0.0, 0.5, 1.5)
"""Seconds before each look at what a toggle did: the service may take a moment to show it."""


class AsyncVault:
    """The caller's vault: `civitai.vault`. All of it needs a token, and putting versions in a membership."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, **options: Unpack[CallOptions]) -> models.Vault | None:
        """Tell how large the vault is and how much of it is used; None if the account has no vault.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
        """
        vault = (await self._transport.call(get_vault.request(), **options)).vault
        return vault if isinstance(vault, models.Vault) else None

    def list(
        self,
        *,
        query: str | None = None,
        types: Sequence[ModelType] | None = None,
        categories: Sequence[str] | None = None,
        base_models: Sequence[BaseModel] | None = None,
        sort: VaultSort | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPager[VaultItem]:
        """List what is in the vault; nothing for an account without one.

        Args:
            query: Only items with this text in a name.
            types: Only models of these types.
            categories: Only models of these categories.
            base_models: Only versions for these base models.
            sort: The order; the service's default is `Recently Added`.
            limit: How many items to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 200.
            options: Options of each request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: A filter has a value that the service would fail at.
        """
        checked_options(options)
        filters: dict[str, Any] = {
            "query": a_text("query", query),
            "types": as_a_list("types", types, ModelType),
            "categories": as_a_list("categories", categories),
            "base_models": as_a_list("base_models", base_models, BaseModel),
            "sort": one_of("sort", sort, VaultSort),
        }

        async def fetch(cursor: str | None, size: int) -> Page[VaultItem]:
            place = Numbered.at(cursor, size)
            request = list_vault_items.request(limit=place.size, page=place.number, **filters)
            page = await self._transport.call(request, **options)
            items = items_of(page)
            last, total = number(page.total_pages), number(page.total_items)
            more = last is not None and place.number < last
            return Page(items, place.next if more else None, None if total is None else int(total))

        return AsyncPager(fetch, limit=limit, cursor=cursor, page_size=page_size, largest=_LARGEST_PAGE)

    async def check(self, ids: Collection[int], **options: Unpack[CallOptions]) -> dict[int, VaultItem | None]:
        """Tell for each version what the vault holds of it; None if it is not in there.

        Args:
            ids: The versions; the keys of the answer, in this order. Any number; a hundred take one request.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            AuthenticationError: There is no token, or it is not valid.
            InvalidRequest: No version can have such an id.
            UnexpectedResponse: The service did not tell it of all of them.
        """

        async def ask(wanted: list[int]) -> dict[int, VaultItem | None]:
            answer = await self._transport.call(check_vault.request(model_version_ids=wanted), **options)
            checks: list[models.VaultCheck] = models_in(answer)
            items: dict[int, Any] = {
                each.model_version_id: each.vault_item for each in checks if isinstance(each.model_version_id, int)
            }
            # Who takes silence for "not in there" and then toggles, removes what may be the last copy.
            if any(not isinstance(items.get(id, UNSET), (VaultItem, type(None))) for id in wanted):
                raise UnexpectedResponse("it does not say of every version whether it is in the vault", status=200)
            return {id: items[id] for id in wanted}

        found: dict[int, VaultItem | None] = {}
        for part in await AsyncTogether(ask).each(in_batches(ids_in("ids", ids), _MOST_IDS)):
            found |= part
        return found

    async def add(self, id: int, **options: Unpack[CallOptions]) -> VaultItem:
        """Put a version into the vault, unless it is in there already, and give what the vault holds of it.

        The service copies it in its own time: `status` is `Pending` until then.

        Raises:
            ServerError: The service refuses: there is no membership, no room left, or no such published version. It
                answers all of these with 500, and `body` may tell which.
            AuthenticationError: There is no token, or it is not valid.
            ConnectionFailed: No answer came, and the version is not in the vault so far.
            InvalidRequest: No version can have such an id.
        """
        item = await self._bring(a_number(id), True, options)
        assert item is not None  # noqa: S101 - what `_bring` is for
        return item

    async def remove(self, id: int, **options: Unpack[CallOptions]) -> None:
        """Take a version out of the vault, if it is in there. A version that was taken down is gone for good then.

        Raises:
            ServerError: The service refuses; `body` may tell why.
            AuthenticationError: There is no token, or it is not valid.
            ConnectionFailed: No answer came, and the version is still in the vault.
            InvalidRequest: No version can have such an id.
        """
        await self._bring(a_number(id), False, options)

    async def toggle(self, id: int, **options: Unpack[CallOptions]) -> VaultToggleResult:
        """Put a version into the vault, or take it out if it is in there. `add` and `remove` are the safe forms.

        Raises:
            ServerError: The service refuses; `body` may tell why.
            AuthenticationError: There is no token, or it is not valid.
            ConnectionFailed: No answer came. It may have been done or not: look with `check` before trying again.
            InvalidRequest: No version can have such an id.
        """
        return await self._transport.call(toggle_vault_version.request(model_version_id=a_number(id)), **options)

    async def _bring(self, id: int, inside: bool, options: CallOptions) -> VaultItem | None:
        """Have a version in the vault, or not in it: look, toggle once at most, and look again."""
        item = (await self.check([id], **options))[id]
        if (item is not None) == inside:
            return item
        failure: CivitaiError | None = None
        try:
            await self.toggle(id, **options)
        except (ConnectionFailed, ServerError, UnexpectedResponse) as error:
            if isinstance(error, ConnectionFailed) and not error.sent:
                raise
            failure = error  # what it did is not known; a second toggle would undo it
        # A failure of the service itself is an answer, and nothing is on its way any more.
        looks = _LOOKS[:1] if isinstance(failure, ServerError) and failure.status == 500 else _LOOKS
        for pause in looks:
            if pause:
                await self._transport.sleep(pause * self._transport.policy.scale)
            item = (await self.check([id], **options))[id]
            if (item is not None) == inside:
                return item
        done = "not in the vault after it was put in" if inside else "still in the vault after it was taken out"
        raise failure or UnexpectedResponse(
            f"version {id} is {done}",
            status=200,
            hint="Something else may have changed the vault at the same time: try again.",
        )
