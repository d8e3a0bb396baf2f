"""How mature content is, and which of it to list.

Every image has one level of `BrowsingLevel`, and a model, a version, an article or a collection has all levels of what
is in it: `BrowsingLevel(model.nsfw_level)` reads that number.

**Leaving the level out of a list means PG only**, with a token and without one: a token does not widen what is listed,
and no level needs one. What needs a token is what is about the caller: favourites, hidden models, followed creators.
Some hosts and regions narrow the levels further, whatever is asked for.

    civitai.images.list(model_id=5)                                      # PG only
    civitai.images.list(model_id=5, browsing_level=BrowsingLevel.SFW)    # PG and PG-13
    civitai.images.list(model_id=5, browsing_level=BrowsingLevel.ALL)    # everything that may be shown
    civitai.models.list(nsfw=True)                                       # models know only PG or everything
"""

from __future__ import annotations

from enum import IntFlag, StrEnum

__all__ = ["BrowsingLevel", "NsfwLevel"]


class BrowsingLevel(IntFlag):
    """Levels of maturity, and sets of them.

    `PUBLIC` is what lists show by default, `SFW` what is safe at work, `ALL` everything but what is blocked.

    >>> BrowsingLevel.SFW == BrowsingLevel.PG | BrowsingLevel.PG13
    True
    >>> BrowsingLevel.X in BrowsingLevel(13), BrowsingLevel.XXX in BrowsingLevel(13)
    (True, False)
    """

    PG = 1
    PG13 = 2
    R = 4
    X = 8
    XXX = 16
    BLOCKED = 32

    PUBLIC = PG
    SFW = PG | PG13
    ALL = PG | PG13 | R | X | XXX

    @classmethod
    def parse(cls, text: str) -> BrowsingLevel:
        """Read a level in any spelling that Civitai uses, the orchestrator's too.

        `na`, which the orchestrator says of what was not judged, is no level at all.

        >>> BrowsingLevel.parse("pg13") is BrowsingLevel.parse("PG-13") is BrowsingLevel.PG13
        True
        >>> bool(BrowsingLevel.parse("na"))
        False

        Raises:
            ValueError: No level is spelt like this.
        """
        name = text.strip().upper().replace("-", "")
        if name == "NA":
            return cls(0)
        if name not in _SPELT:
            raise ValueError(f"{text!r} is not a level; those are pg, pg13, r, x, xxx, blocked and na")
        return cls[name]


_SPELT = frozenset({"PG", "PG13", "R", "X", "XXX", "BLOCKED"})


class NsfwLevel(StrEnum):
    """The words for levels that lists of images had before `BrowsingLevel`.

    A word asks for its own level and those below it; `BLOCKED` stands alone. In answers, `X` is said of X and of XXX.

    >>> NsfwLevel("Mature").mask == BrowsingLevel.PG | BrowsingLevel.PG13 | BrowsingLevel.R
    True
    """

    NONE = "None"
    SOFT = "Soft"
    MATURE = "Mature"
    X = "X"
    BLOCKED = "Blocked"

    @property
    def mask(self) -> BrowsingLevel:
        """The levels that the word asks for."""
        return _MASKS[self]


_MASKS = {
    NsfwLevel.NONE: BrowsingLevel.PUBLIC,
    NsfwLevel.SOFT: BrowsingLevel.SFW,
    NsfwLevel.MATURE: BrowsingLevel.SFW | BrowsingLevel.R,
    NsfwLevel.X: BrowsingLevel.ALL,
    NsfwLevel.BLOCKED: BrowsingLevel.BLOCKED,
}
