# Derived from civitai_ext/_async/usage.py by scripts/unasync.py: change that file, then run `make fix`.
"""What the Generator API v1 can run, and what was used of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Unpack
from urllib.parse import quote

from civitai_api.generator.api.coverage import get_coverage
from civitai_api.generator.api.usage import get_consumption, query_requests
from civitai_api.generator.models import (
    ConsumptionDetails,
    JobDefinition,
    ProviderAssetAvailability,
    RequestRecord,
    RequestsCursor,
)
from civitai_api.runtime import UNSET
from civitai_ext._options import CallOptions, checked_options
from civitai_ext._reading import models_in, text
from civitai_ext._sync.pager import Page, Pager
from civitai_ext._sync.transport import Transport
from civitai_ext._together import Together
from civitai_ext.air import Air
from civitai_ext.errors import InvalidRequest

__all__ = ["Coverage", "Usage"]

_API: Final = "The Generator API"
_LONGEST_QUERY: Final = 4000
"""Characters of the query of a request; servers refuse request lines that are longer than 8,000."""


class Coverage:
    """Which models can be run: `civitai.coverage`. It needs a token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(
        self, airs: Air | str | Iterable[Air | str], **options: Unpack[CallOptions]
    ) -> dict[str, ProviderAssetAvailability]:
        """Tell for models whether they can be used now, and by how many workers.

        Args:
            airs: One AIR or several; the keys of the answer, as they are written with `str(Air.parse(…))`. Any number:
                they are asked about in as few requests as fit.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            AirError: One of them is no AIR.
            ConfigurationError: There is no token.
        """
        self._transport.config.require_token(_API)
        given = [airs] if isinstance(airs, (Air, str)) else airs
        if not isinstance(given, Iterable):
            raise InvalidRequest(f"airs is {airs!r}; it takes an AIR or several")
        wanted = {str(Air.parse(air)).casefold(): str(Air.parse(air)) for air in given}

        def ask(part: list[str]) -> dict[str, ProviderAssetAvailability]:
            answer = self._transport.call(get_coverage.request(model=part), **options)
            told = answer.to_dict()
            return {wanted.get(air.casefold(), air): _availability(value) for air, value in told.items()}

        found: dict[str, ProviderAssetAvailability] = {}
        for part in Together(ask).each(list(_parts(wanted.values()))):
            found |= part
        return found


class Usage:
    """What the caller had made and what it cost: `civitai.usage`. All of it needs a token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def consumption(
        self, start: datetime | None = None, end: datetime | None = None, **options: Unpack[CallOptions]
    ) -> ConsumptionDetails:
        """Tell how many images were made and what was spent within a time.

        Args:
            start: The beginning; a moment without a zone is UTC. Left to the service by default.
            end: The end.
            options: Options of this call: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            InvalidRequest: The beginning or the end is no moment.
            ConfigurationError: There is no token.
        """
        self._transport.config.require_token(_API)
        for name, moment in (("start", start), ("end", end)):
            if moment is not None and not isinstance(moment, datetime):
                raise InvalidRequest(f"{name} is {moment!r}; it takes a datetime")
        request = get_consumption.request(
            start_date=UNSET if start is None else start, end_date=UNSET if end is None else end
        )
        return self._transport.call(request, **options)

    def requests(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pager[RequestRecord]:
        """List what was submitted before, each with its jobs.

        Nobody has published how the service takes its own cursor back. It is sent as the JSON that the service gave; if
        that is not understood, the list ends after its first page or is refused.

        Args:
            limit: How many to give in all; None for every one.
            cursor: Where to go on, from a pager's `cursor`.
            page_size: How many to ask for at a time, 1 to 100.
            options: Options of every request: `timeout`, `extra_headers`, `extra_query`.

        Raises:
            ConfigurationError: There is no token.
        """
        self._transport.config.require_token(_API)
        options = checked_options(options)

        def fetch(at: str | None, size: int) -> Page[RequestRecord]:
            request = query_requests.request(cursor=UNSET if at is None else at, take=size)
            page = self._transport.call(request, **options)
            return Page(models_in(page.requests), _written(page.cursor))

        return Pager(fetch, limit=limit, cursor=cursor, page_size=page_size, identity=_identity)


def _parts(airs: Iterable[str]) -> Iterator[list[str]]:
    """AIRs in groups whose queries are not too long."""
    part: list[str] = []
    length = 0
    for air in airs:
        added = len("&model=") + len(quote(air, safe=""))
        if part and length + added > _LONGEST_QUERY:
            yield part
            part, length = [], 0
        part.append(air)
        length += added
    if part:
        yield part


def _availability(value: Any) -> ProviderAssetAvailability:
    # A bare word in place of the object says the same.
    return ProviderAssetAvailability.from_dict(value if isinstance(value, Mapping) else {"availability": value})


def _written(cursor: Any) -> str | None:
    """The cursor of the next page as text."""
    if isinstance(cursor, RequestsCursor):
        fields = cursor.to_dict()
        return (
            json.dumps(fields, separators=(",", ":")) if any(value is not None for value in fields.values()) else None
        )
    return text(cursor) or None


def _identity(request: RequestRecord) -> str | None:
    """What two occurrences of a submission have in common: the ids of its jobs."""
    definitions = [job.job for job in models_in(request.jobs)]
    ids = [text(each.id) if isinstance(each, JobDefinition) else "" for each in definitions]
    return " ".join(ids) if ids and all(ids) else None
