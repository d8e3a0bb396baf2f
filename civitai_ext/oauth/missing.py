"""Whether a refusal is about a scope that the token lacks, and about which. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from civitai_ext._reading import record
from civitai_ext.oauth.scopes import Scope, scopes_in

__all__ = ["missing_scopes"]

_CODE: Final = "insufficient_scope"
# There is no word for it that all parts of the service use.
_SAID: Final = re.compile(
    r"\b(insufficient|missing|lacks?|requires?|required|needs?|without|not have|n't have|grant\w*)\b.{0,60}\bscopes?\b"
    r"|\bscopes?\b.{0,60}\b(insufficient|missing|lack\w*|required|needed|not granted)\b"
    r"|\binsufficient_scope\b",
    re.IGNORECASE,
)
_FIELDS: Final = ("scope", "scopes", "requiredScope", "requiredScopes", "required_scope", "required_scopes")
_CHALLENGE: Final = re.compile(r'\b(error|scope)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', re.IGNORECASE)
_NUMBER: Final = re.compile(r"\bscopes?\W{0,3}(\d{1,18})\b", re.IGNORECASE)


def missing_scopes(code: str | None, message: str, body: Any, headers: Mapping[str, str]) -> Scope | None:
    """Give the scopes that a refusal names, none of them if it names none; None if it is about something else.

    Args:
        code: The name of the error.
        message: The service's words.
        body: The answer's body, parsed.
        headers: Its headers, names in lower case.

    >>> missing_scopes(None, "This needs the scope AIServicesWrite", None, {})
    <Scope.AI_SERVICES_WRITE: 32768>
    >>> missing_scopes(None, "Only its creator may do this", None, {}) is None
    True
    """
    challenge = {
        name.lower(): quoted or bare for name, quoted, bare in _CHALLENGE.findall(headers.get("www-authenticate", ""))
    }
    if _CODE not in (code, challenge.get("error")) and not _SAID.search(message):
        return None
    found = Scope(0)
    for value in (challenge.get("scope"), *_values(body)):
        found |= scopes_in(value) or Scope(0)
    return found or _named_in(message)


def _values(body: Any) -> Iterator[Any]:
    fields = record(body)
    for part in (fields, record(fields.get("error")), record(fields.get("data"))):
        yield from (part[name] for name in _FIELDS if name in part)


def _named_in(message: str) -> Scope:
    found = Scope(0)
    for word in re.findall(r"[A-Za-z_]{5,}", message):
        right = scopes_in(word)
        if right is not None and int(right).bit_count() == 1:  # the names of sets, such as Creator, are words too
            found |= right
    for digits in _NUMBER.findall(message):
        found |= Scope(int(digits))
    return found
