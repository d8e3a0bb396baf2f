"""What a token may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import KEEP, IntFlag
from typing import TypeAlias

__all__ = ["Scope", "Scopes", "scopes_in"]


class Scope(IntFlag, boundary=KEEP):
    """Rights of a token, and sets of them.

    Civitai adds `USER_READ` to whatever is asked for. `READ_ONLY`, `CREATOR`, `AI_SERVICES` and `FULL` are its own
    sets; `FULL` leaves out what has to be asked for by name (`APP_BLOCKS_SUBMIT` and what follows). Bits that are not
    known here are kept.

    The rights are checked where Buzz is spent and things are generated, not by the Site API.

    >>> Scope.AI_SERVICES == Scope.USER_READ | Scope.AI_SERVICES_READ | Scope.AI_SERVICES_WRITE | Scope.BUZZ_READ
    True
    >>> Scope.parse(["114689"]) is Scope.parse("114689") is Scope.AI_SERVICES
    True
    >>> Scope.AI_SERVICES.names
    ['UserRead', 'AIServicesRead', 'AIServicesWrite', 'BuzzRead']
    """

    USER_READ = 1 << 0
    """Profile, settings, e-mail address."""
    USER_WRITE = 1 << 1
    """Changing profile and settings."""
    MODELS_READ = 1 << 2
    """Browsing and downloading models."""
    MODELS_WRITE = 1 << 3
    """Uploading and changing models."""
    MODELS_DELETE = 1 << 4
    """Deleting models."""
    MEDIA_READ = 1 << 5
    """Images, videos, posts."""
    MEDIA_WRITE = 1 << 6
    """Uploading media, making posts."""
    MEDIA_DELETE = 1 << 7
    """Deleting media and posts."""
    ARTICLES_READ = 1 << 8
    """Articles."""
    ARTICLES_WRITE = 1 << 9
    """Making and changing articles."""
    ARTICLES_DELETE = 1 << 10
    """Deleting articles."""
    BOUNTIES_READ = 1 << 11
    """Bounties."""
    BOUNTIES_WRITE = 1 << 12
    """Making and changing bounties, which spends Buzz."""
    BOUNTIES_DELETE = 1 << 13
    """Deleting bounties."""
    AI_SERVICES_READ = 1 << 14
    """What was generated and trained."""
    AI_SERVICES_WRITE = 1 << 15
    """Generating, training, scanning, which spends Buzz up to the limits of the token."""
    BUZZ_READ = 1 << 16
    """Balance and history of Buzz."""
    COLLECTIONS_READ = 1 << 17
    """Collections."""
    COLLECTIONS_WRITE = 1 << 18
    """Changing collections."""
    SOCIAL_WRITE = 1 << 19
    """Following, reacting, commenting, reviewing."""
    SOCIAL_TIP = 1 << 20
    """Reserved: no token may tip."""
    NOTIFICATIONS_READ = 1 << 21
    """Notifications."""
    NOTIFICATIONS_WRITE = 1 << 22
    """What to be notified of."""
    VAULT_READ = 1 << 23
    """The vault."""
    VAULT_WRITE = 1 << 24
    """Changing the vault."""
    APP_BLOCKS_SUBMIT = 1 << 25
    """Submitting app blocks; not in `FULL`."""
    APP_BLOCKS_DEV_TUNNEL = 1 << 26
    """Developing app blocks; not in `FULL`."""
    LINK_CONNECT = 1 << 27
    """For Civitai's own desktop program; not in `FULL`."""

    READ_ONLY = (
        USER_READ | MODELS_READ | MEDIA_READ | ARTICLES_READ | BOUNTIES_READ | AI_SERVICES_READ | BUZZ_READ
        | COLLECTIONS_READ | NOTIFICATIONS_READ | VAULT_READ
    )  # fmt: skip
    CREATOR = (
        READ_ONLY | MODELS_WRITE | MEDIA_WRITE | ARTICLES_WRITE | BOUNTIES_WRITE | COLLECTIONS_WRITE | SOCIAL_WRITE
    )
    AI_SERVICES = USER_READ | AI_SERVICES_READ | AI_SERVICES_WRITE | BUZZ_READ
    FULL = (1 << 25) - 1

    @classmethod
    def parse(cls, value: object) -> Scope:
        """Read a set of rights in any form in which Civitai writes it, or by the names of its rights.

        Args:
            value: A number, its digits, names (`AIServicesWrite`, `ai_services_write`, `AIServices`) separated by
                spaces or commas, or a list of any of these.

        Raises:
            ValueError: It is none of these.

        >>> Scope.parse("AIServicesRead, buzz_read") == Scope.AI_SERVICES_READ | Scope.BUZZ_READ
        True
        """
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                raise ValueError(f"a set of scopes is a sum of bits, and so not negative: {value}")
            return cls(value)
        if isinstance(value, str):
            return cls.parse([cls._word(word) for word in re.split(r"[\s,]+", value) if word])
        if isinstance(value, Iterable):
            found = cls(0)
            for item in value:
                found |= cls.parse(item)
            return found
        raise ValueError(f"{value!r} is no set of scopes: those are numbers, or names such as AIServicesWrite")

    @classmethod
    def _word(cls, word: str) -> int:
        if word.isascii() and word.isdecimal() and len(word) < 20:
            return int(word)
        found = _BY_NAME.get(word.lower().replace("_", "").replace("-", ""))
        if found is None:
            raise ValueError(f"there is no scope {word!r}; there are {', '.join(cls.FULL.names)}")
        return found

    @property
    def names(self) -> list[str]:
        """The rights in it, as Civitai spells them; a bit that has no name here is given as its number."""
        return list(self._names())

    def _names(self) -> Iterator[str]:
        bit = 1
        while bit <= int(self):
            if self & bit:
                yield _NAMES.get(bit, str(bit))
            bit <<= 1


def _as_civitai_spells(name: str) -> str:
    return "".join(part if part == "AI" else part.title() for part in name.split("_"))


Scopes: TypeAlias = Scope | int | str | Iterable[Scope | int | str]
"""What `Scope.parse` reads, for the arguments of functions."""

_MOST_BITS = 63
_NAMES = {scope.value: _as_civitai_spells(scope.name or "") for scope in Scope}
_BY_NAME = {name.lower().replace("_", ""): value.value for name, value in Scope.__members__.items()}


def scopes_in(value: object) -> Scope | None:
    """Read what a service says about scopes, in any form in which it does; None if that cannot be told.

    >>> scopes_in(["114689"]), scopes_in("everything")
    (<Scope.AI_SERVICES: 114689>, None)
    """
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, (str, int)) and item != "" for item in items):
        return None
    try:
        found = Scope.parse(items)
    except ValueError:
        return None
    return found if int(found).bit_length() <= _MOST_BITS else None
