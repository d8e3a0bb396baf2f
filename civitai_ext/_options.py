"""What every call takes besides its own arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

__all__ = ["CallOptions"]


class CallOptions(TypedDict, total=False):
    """Options of a single call, which go before those of the client."""

    timeout: float
    """How many seconds the service may be silent before the request is given up."""
    extra_headers: Mapping[str, str]
    """Headers to send besides; they cannot replace the token."""
    extra_query: Mapping[str, Any]
    """Query parameters to send besides: lists as repeated keys, None left out."""
