"""What people make of the catalogue: articles and collections, invented and following from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from civitai_ext.emulator import files
from civitai_ext.emulator.catalogue import AS_OF, Catalogue, Creator, GalleryImage, Tag
from civitai_ext.emulator.vocabulary import ARTICLE_TITLES, COLLECTION_NAMES, MANNERS, SUBJECTS

_COUNTS = ("favorite", "collected", "comment", "like", "dislike", "heart", "laugh", "cry", "view", "tippedAmount")


@dataclass
class Attachment:
    """A file that hangs on an article."""

    id: int
    name: str
    seed: int

    @property
    def content(self) -> bytes:
        """The bytes that a download serves."""
        return files.archive(f"attachment {self.seed} {self.id}", 2000, self.name)


@dataclass
class Article:
    """A text that a user wrote.

    Attributes:
        level: Its level, one bit.
        counts: Reactions and the like by the first word of their key; empty for a text that nobody saw.

    """

    id: int
    title: str
    paragraphs: list[str]
    creator: Creator
    tags: list[Tag]
    cover: GalleryImage
    level: int
    published_at: datetime
    updated_at: datetime
    counts: dict[str, int]
    attachments: list[Attachment] = field(default_factory=list)


@dataclass
class Collection:
    """Something that a user collects.

    Attributes:
        level: The levels of the items as a mask, `None` where it is not known yet.
        read: Who may see it: `Public`, `Unlisted` or `Private`.

    """

    id: int
    name: str
    description: str | None
    type: str | None
    level: int | None
    read: str
    items: int
    followers: int
    cover: GalleryImage | None
    creator: Creator | None
    tags: list[Tag]


class Community:
    """Articles and collections of a catalogue, newest first; there are half as many of each as models."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._random = random.Random(f"community {catalogue.seed}")  # noqa: S311 - reproducible on purpose
        self._catalogue = catalogue
        self._images = list(catalogue.image_by_id.values())
        count = max(12, len(catalogue.models) // 2)
        moments = sorted(AS_OF - timedelta(seconds=self._random.randrange(40_000_000)) for _ in range(count))
        self.articles = [self._article(number, moment) for number, moment in enumerate(moments)][::-1]
        self.collections = [self._collection(number) for number in range(count)][::-1]
        self.article_by_id = {article.id: article for article in self.articles}
        self.collection_by_id = {collection.id: collection for collection in self.collections}
        self.attachment_by_id = {file.id: file for article in self.articles for file in article.attachments}

    def _article(self, number: int, published_at: datetime) -> Article:
        choose = self._random
        subject, manner = choose.choice(SUBJECTS), choose.choice(MANNERS)
        seen = choose.random() < 0.9
        id_ = 3_000 + 3 * number + choose.randrange(3)
        return Article(
            id=id_,
            title=choose.choice(ARTICLE_TITLES).format(subject=subject, manner=manner),
            paragraphs=[f"What it takes to draw {subject}.", f"Begin with {manner}, and go on from there."],
            creator=choose.choice(self._catalogue.creators),
            tags=choose.sample(self._catalogue.tags, choose.randint(1, 3)),
            cover=choose.choice(self._images),
            level=choose.choices((1, 2, 4), (85, 9, 6))[0],
            published_at=published_at,
            updated_at=min(published_at + timedelta(hours=choose.choice((0, 0, 5, 900))), AS_OF),
            counts={name: int(choose.paretovariate(0.9)) - 1 for name in _COUNTS} if seen else {},
            attachments=[Attachment(70_000 + id_, f"attachment_{id_}.zip", self._catalogue.seed)]
            if number % 3 == 0
            else [],
        )

    def _collection(self, number: int) -> Collection:
        choose = self._random
        cover = choose.choice(self._images)
        return Collection(
            id=40_000 + 5 * number + choose.randrange(5),
            name=choose.choice(COLLECTION_NAMES).format(manner=choose.choice(MANNERS).capitalize()),
            description=choose.choice((None, "Found on long evenings.", "For later.")),
            type=choose.choice(("Model", "Image", "Image", "Post", "Article", None)),
            level=choose.choices((1, 3, 31, None), (70, 12, 10, 8))[0],
            # A few that lists leave out: the first two, and now and then another one.
            read={0: "Private", 1: "Unlisted"}.get(number % 23, "Public"),
            items=int(choose.paretovariate(0.6)),
            followers=int(choose.paretovariate(0.8)) - 1,
            cover=cover if choose.random() < 0.8 else None,
            creator=choose.choice(self._catalogue.creators) if choose.random() < 0.95 else None,
            tags=choose.sample(self._catalogue.tags, choose.randint(0, 2)),
        )
