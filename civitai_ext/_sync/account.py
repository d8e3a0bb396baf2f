# Derived from civitai_ext/_async/account.py by scripts/unasync.py: change that file, then run `make fix`.
"""What the caller may do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Unpack

from civitai_api.runtime import UNSET
from civitai_api.site.api.permissions import check_permissions
from civitai_api.site.models import PermissionName, PermissionVerdicts
from civitai_ext._filters import a_number, ids_in, one_of
from civitai_ext._options import CallOptions
from civitai_ext._sync.transport import Transport
from civitai_ext._together import Together, in_batches

__all__ = ["Permissions"]

_MOST: Final = 100
"""Ids per request: more would make its URL too long for some of the hosts on the way."""


class Permissions:
    """What the caller may do with versions: `civitai.permissions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def check(
        self,
        model_version_ids: Collection[int],
        *,
        permission: PermissionName = "Generate",
        user_id: int | None = None,
        **options: Unpack[CallOptions],
    ) -> dict[int, bool]:
        """Tell for each version whether the caller may use it; False for one that does not exist.

        Without a token that is False for everything gated or private. Any number of ids; a hundred take one request.

        Args:
            model_version_ids: The versions; the keys of the answer, in this order.
            permission: What to use them for; the service knows `Generate` only.
            user_id: Tell it of this account instead of the caller.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: No version or no account can have such an id.
        """
        wanted = ids_in("model_version_ids", model_version_ids)
        one_of("permission", permission, PermissionName)
        user = UNSET if user_id is None else a_number(user_id, "user_id")

        def ask(ids: list[int]) -> dict[int, bool]:
            request = check_permissions.request(
                entity_ids=ids, entity_type="ModelVersion", permission=permission, user_id=user
            )
            answer = self._transport.call(request, **options)
            verdicts = answer.additional_properties if isinstance(answer, PermissionVerdicts) else {}
            return {id: verdicts.get(str(id)) is True for id in ids}

        found: dict[int, bool] = {}
        for part in Together(ask).each(in_batches(wanted, _MOST)):
            found |= part
        return found
