"""What stands beside the catalogue: apps, known bugs and texts of the site, all invented."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from civitai_ext.emulator.catalogue import AS_OF, Catalogue, Creator
from civitai_ext.emulator.vocabulary import APP_CATEGORIES, APP_NAMES, BUG_STATUSES, BUG_TITLES, TAGS

CLOSED = frozenset({"Fixed", "Closed"})
"""The states of bugs that are listed on request only."""

_BUGS = 40


@dataclass
class App:
    """An app of the directory; `onsite` ones run on the site, others behind a link of theirs."""

    number: int
    slug: str
    name: str
    onsite: bool
    category: str
    creator: Creator
    recommended: int
    not_recommended: int
    users: int
    published_at: datetime

    @property
    def share(self) -> float | None:
        """Which part of its reviews recommends it."""
        reviews = self.recommended + self.not_recommended
        return round(100 * self.recommended / reviews, 1) if reviews else None


@dataclass
class Bug:
    """A known bug of the site."""

    id: int
    title: str
    status: str
    tags: list[str]
    domains: list[str]
    reports: int
    seen_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Text:
    """A text of the site."""

    title: str
    description: str
    content: str
    changed: str | None = None


TEXTS = {
    "tos": Text("Terms", "What you agree to.", "# Terms\n\nThere is nothing to agree to.\n", "2026-05-01"),
    "privacy": Text("Privacy", "What is kept.", "# Privacy\n\nNothing is kept once the emulator ends.\n"),
    "rules/minors": Text("Minors", "What is not allowed.", "# Minors\n\nHere are patterns only.\n", "2026-02-01"),
    "guides/getting-started": Text("Getting started", "How to begin.", "# Getting started\n\nAsk it something.\n"),
}
"""The texts by their slugs."""


class Directory:
    """Apps and bugs, following from the seed of the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        choose = random.Random(f"directory {catalogue.seed}")  # noqa: S311 - reproducible on purpose
        self.apps = [
            App(
                number=number,
                slug=name.lower().replace(" ", "-"),
                name=name,
                onsite=number % 3 != 0,
                category=choose.choice(APP_CATEGORIES),
                creator=choose.choice(catalogue.creators),
                recommended=choose.choice((0, 3, 12, 40)),
                not_recommended=choose.choice((0, 1, 5)),
                users=choose.randrange(5000),
                published_at=AS_OF - timedelta(hours=choose.randrange(9000)),
            )
            for number, name in enumerate(APP_NAMES, start=1)
        ]
        self.app_by_slug = {app.slug: app for app in self.apps}
        self.bugs = []
        for number in range(_BUGS, 0, -1):
            seen_at = AS_OF - timedelta(days=3 * (_BUGS - number), minutes=choose.randrange(1440))
            status = choose.choice(BUG_STATUSES)
            self.bugs.append(
                Bug(
                    id=number,
                    title=BUG_TITLES[number % len(BUG_TITLES)],
                    status=status,
                    tags=choose.sample(TAGS, 2),
                    domains=choose.choice((["all"], ["red"], ["green", "blue"])),
                    reports=choose.randrange(60),
                    seen_at=seen_at,
                    resolved_at=seen_at + timedelta(days=2) if status in CLOSED else None,
                )
            )
        self.bug_by_id = {bug.id: bug for bug in self.bugs}
