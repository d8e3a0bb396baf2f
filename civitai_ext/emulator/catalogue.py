"""The catalogue: models, versions, files, images, creators and tags, all invented and all following from the seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from civitai_ext.emulator import files
from civitai_ext.emulator.drawing import Picture, generation_data
from civitai_ext.emulator.vocabulary import (
    AIR_TYPES,
    BASE_MODELS,
    CREATOR_TRADES,
    CREATOR_WORDS,
    FIRST_WORDS,
    MANNERS,
    SECOND_WORDS,
    SUBJECTS,
    SUFFIXES,
    TAGS,
)

AS_OF = datetime(2026, 8, 1, tzinfo=UTC)
"""The day on which the catalogue was taken: everything in it is older, and periods count back from here."""

_AIR = re.compile(r"(?:urn:)?(?:air:)?(?:[^:]+:){2}civitai:(\d+)@(\d+)(?:\+\d+)?", re.IGNORECASE)

# Catalogues with more models are for crawling: what is beyond has tiny files, so that hashing them costs nothing.
_USUAL_SIZE = 200

_ARCHIVE_TYPES = frozenset({"Poses", "Wildcards", "Workflows", "ComfyWorkflows"})
_TYPE_WEIGHTS = {
    "LORA": 46, "Checkpoint": 24, "TextualInversion": 7, "LoCon": 5, "Workflows": 3, "Wildcards": 2, "Controlnet": 2,
    "Upscaler": 2, "VAE": 2, "Poses": 2, "DoRA": 2, "MotionModule": 1, "Hypernetwork": 1, "Detection": 1, "Other": 1,
}  # fmt: skip
_BASE_MODEL_WEIGHTS = {
    "SDXL 1.0": 18, "Illustrious": 16, "SD 1.5": 14, "Pony": 12, "Flux.1 D": 10, "Flux.2 Klein 9B": 6, "ZImageTurbo": 6,
    "Qwen": 5, "NoobAI": 4, "Chroma": 3, "Anima": 3, "Wan Video 2.2 T2V-A14B": 2, "Hunyuan Video": 1,
}  # fmt: skip
_NEGATIVE_PROMPT = "blurry, watermark"
_ECOSYSTEMS = {base.name: base.ecosystem for base in BASE_MODELS}


@dataclass(frozen=True)
class Tag:
    """A tag of models and images."""

    id: int
    name: str


@dataclass
class Creator:
    """A user who publishes models."""

    id: int
    username: str
    models: list[Model] = field(default_factory=list, repr=False)


@dataclass
class GalleryImage:
    """An example image of a version."""

    id: int
    key: str
    width: int
    height: int
    level: int
    prompt: str
    seed: int
    steps: int
    cfg_scale: float
    has_meta: bool
    likes: int
    hearts: int
    comments: int
    created_at: datetime
    post_id: int
    version: Version = field(repr=False)
    tags: Sequence[Tag] = ()

    @property
    def meta(self) -> dict[str, object] | None:
        """The generation data, in the free form that uploads have."""
        if not self.has_meta:
            return None
        return {
            "prompt": self.prompt,
            "negativePrompt": _NEGATIVE_PROMPT,
            "steps": self.steps,
            "sampler": "Euler a",
            "cfgScale": self.cfg_scale,
            "seed": self.seed,
            "Size": f"{self.width}x{self.height}",
            "Clip skip": "2",
            "Model": self.version.model.name,
        }

    @property
    def picture(self) -> Picture:
        """What the image shows; its file says how it was made, also where the API does not."""
        caption = f"civitai-ext emulator · image {self.id}"
        facts = {
            "Steps": self.steps,
            "Sampler": "Euler a",
            "CFG scale": self.cfg_scale,
            "Seed": self.seed,
            "Size": f"{self.width}x{self.height}",
            "Clip skip": 2,
            "Model": self.version.model.name,
        }
        parameters = generation_data(self.prompt, _NEGATIVE_PROMPT, facts)
        return Picture(self.width, self.height, self.seed, self.prompt, caption, parameters, "jpeg")


@dataclass
class ModelFile:
    """A file of a version.

    Attributes:
        published: The hashes to publish, where they are not simply those of the content.

    """

    id: int
    name: str
    type: str
    format: str
    size: str | None
    fp: str | None
    length: int
    primary: bool
    scanned_at: datetime | None
    version: Version = field(repr=False)
    quant_type: str | None = None
    pickle_scan: str | None = "Success"
    virus_scan: str | None = "Success"
    published: Callable[[ModelFile], dict[str, str]] | None = field(default=None, repr=False)

    @property
    def is_archive(self) -> bool:
        """Whether the file is a ZIP archive."""
        return self.format == "Other" and self.type != "Config"

    @property
    def is_safetensors(self) -> bool:
        """Whether the file is a safetensors file."""
        return self.format == "SafeTensor"

    def stored(self, revision: int = 0) -> files.Content:
        """Give what a download serves; every revision has other bytes."""
        key = f"file {self.version.model.seed} {self.id}" + (f" {revision}" if revision else "")
        match self.format:
            case "SafeTensor":
                return files.weights(key, self.length, self.name)
            case "GGUF":
                return files.gguf(key, self.length, self.name)
            case "PickleTensor":
                return files.pickled(key, self.length, self.name)
        if self.is_archive:
            return files.Content(files.archive(key, self.length, self.name))
        return files.settings(key, self.length, self.name)

    @property
    def content(self) -> bytes:
        """All bytes that a download serves."""
        return self.stored().read()

    @cached_property
    def size_kb(self) -> float:
        """The size in kibibytes."""
        return len(self.stored()) / 1024

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The hashes that are published, computed when first asked for."""
        if self.published is not None:
            return self.published(self)
        return dict(files.hashes(self.stored(), is_safetensors=self.is_safetensors))


@dataclass
class Version:
    """A version of a model."""

    id: int
    index: int
    name: str
    base_model: str
    published_at: datetime
    trained_words: list[str]
    downloads: int
    likes: int
    requires_auth: bool
    usage_control: str
    early_access_until: datetime | None
    supports_generation: bool
    model: Model = field(repr=False)
    files: list[ModelFile] = field(default_factory=list)
    images: list[GalleryImage] = field(default_factory=list)
    epochs: int = 0
    """How many epochs it was trained for on the site; 0 for a version that was trained elsewhere."""
    restricted: bool = False
    """Whether its files are for those whom the creator has let in, and nobody is."""
    access_is_permanent: bool = False
    """Whether its paid access has no end, whatever `early_access_until` says."""

    @cached_property
    def level(self) -> int:
        """The levels of the images, as a mask."""
        mask = 0
        for image in self.images:
            mask |= image.level
        return mask or 1

    def gated_until(self, now: datetime) -> datetime | None:
        """When paid access ends, if access costs something now."""
        until = self.early_access_until
        return until if until is not None and (self.access_is_permanent or now < until) else None

    def is_gated_for(self, user_id: int | None, now: datetime) -> bool:
        """Whether a user, or somebody anonymous, has to pay for access now."""
        return self.gated_until(now) is not None and self.model.creator.id != user_id

    def epoch(self, number: int) -> bytes | None:
        """The file of an epoch of its training, counted from 1."""
        if not 1 <= number <= self.epochs:
            return None
        return files.safetensors(f"epoch {self.model.seed} {self.id} {number}", 16_000, f"{self.name}, epoch {number}")

    @property
    def details(self) -> bytes:
        """A document about the version, as PDF."""
        return files.document([f"{self.model.name} - {self.name}", f"by {self.model.creator.username}", self.air])

    @property
    def primary_file(self) -> ModelFile:
        """The file that a plain download serves."""
        return next(file for file in self.files if file.primary)

    @property
    def air(self) -> str:
        """The version's AIR URN."""
        type_ = AIR_TYPES[self.model.type]
        return f"urn:air:{_ECOSYSTEMS[self.base_model]}:{type_}:civitai:{self.model.id}@{self.id}"


@dataclass
class Model:
    """A model: what a creator publishes versions of; `number` is its place in the catalogue."""

    id: int
    number: int
    seed: int
    name: str
    description: str
    type: str
    nsfw: bool
    mode: str | None
    availability: str
    commercial_use: tuple[str, ...]
    checkpoint_type: str | None
    comments: int
    tips: int
    collected: int
    creator: Creator
    tags: list[Tag]
    versions: list[Version] = field(default_factory=list)

    @cached_property
    def level(self) -> int:
        """The levels of the versions, as a mask."""
        mask = 0
        for version in self.versions:
            mask |= version.level
        return mask

    @cached_property
    def downloads(self) -> int:
        """Downloads of all versions."""
        return sum(version.downloads for version in self.versions)

    @cached_property
    def likes(self) -> int:
        """Likes of all versions."""
        return sum(version.likes for version in self.versions)

    @cached_property
    def published_at(self) -> datetime:
        """When the newest version came out."""
        return max(version.published_at for version in self.versions)


@dataclass(frozen=True)
class _Removed:
    """A model that was taken away, and where it was."""

    model: Model
    siblings: list[Model]
    place: int
    own_place: int


class Catalogue:
    """All there is to find; the same for the same seed and size.

    Args:
        seed: Chooses everything.
        size: The number of models.
        owner: A user who has a model beyond that number: one that was trained on the site and that only its id and its
            creator's name lead to.

    >>> Catalogue(1, 5).models[0].name == Catalogue(1, 5).models[0].name
    True
    """

    KEPT = ("changes",)

    def __init__(self, seed: int, size: int, owner: Creator | None = None) -> None:
        if size < 1:
            raise ValueError("a catalogue has at least one model")
        self.seed = seed
        self.tags = [Tag(1000 + number, name) for number, name in enumerate(TAGS)]
        maker = _Maker(seed, self.tags)
        self.creators = maker.creators(max(5, size // 8))
        self.models = [maker.model(number, self.creators) for number in range(size)]
        if owner is not None:
            self.creators.append(owner)
            self.models.append(maker.own_model(size, owner))
        self.unlisted: list[Model] = []
        """Models that only their ids and the name of their creator lead to."""
        self._removed: list[_Removed] = []
        self._access_before: dict[int, tuple[datetime | None, bool]] = {}
        self._index()
        self.stored_files = dict(self.file_by_id)
        """The files that the storage has, those of models that were removed too."""
        self.stored_versions = dict(self.version_by_id)
        """The versions of those files."""

    def _index(self) -> None:
        models = [*self.models, *self.unlisted]
        self.model_by_id = {model.id: model for model in models}
        self.version_by_id = {version.id: version for model in models for version in model.versions}
        self.file_by_id = {file.id: file for version in self.version_by_id.values() for file in version.files}
        self.image_by_id = {image.id: image for version in self.version_by_id.values() for image in version.images}
        self.image_by_key = {image.key: image for image in self.image_by_id.values()}

    def add(self, model: Model) -> None:
        """Add an unlisted model; nothing else changes by that."""
        self.unlisted.append(model)
        self.model_by_id[model.id] = model
        for version in model.versions:
            self.version_by_id[version.id] = self.stored_versions[version.id] = version
            added = {file.id: file for file in version.files}
            self.file_by_id |= added
            self.stored_files |= added

    @cached_property
    def files_by_hash(self) -> dict[str, list[ModelFile]]:
        """Files by each of their hashes, oldest first. Computed when first asked for: it reads every file."""
        index: dict[str, list[ModelFile]] = {}
        for file in sorted(self.file_by_id.values(), key=lambda file: file.version.published_at):
            for value in file.hashes.values():
                index.setdefault(value, []).append(file)
        return index

    def remove(self, model_id: int) -> None:
        """Take a model away with all that belongs to it, as if its creator had deleted it.

        What lies in the storage stays there: vaults outlast the versions.

        Raises:
            KeyError: There is no such model.

        """
        model = self.model_by_id.pop(model_id)
        siblings, own = (self.unlisted if model in self.unlisted else self.models), model.creator.models
        self._removed.append(_Removed(model, siblings, siblings.index(model), own.index(model)))
        siblings.remove(model)
        own.remove(model)
        for version in model.versions:
            del self.version_by_id[version.id]
            for file in version.files:
                del self.file_by_id[file.id]
            for image in version.images:
                del self.image_by_id[image.id], self.image_by_key[image.key]
        self.__dict__.pop("files_by_hash", None)

    def set_access(self, version: Version, until: datetime | None, *, permanent: bool) -> None:
        """Let a version be for those who pay, until a moment or for good, or for everybody (`None`)."""
        self._access_before.setdefault(version.id, (version.early_access_until, version.access_is_permanent))
        version.early_access_until, version.access_is_permanent = until, permanent

    @property
    def changes(self) -> dict[str, Any]:
        """What is not as the seed has made it. Setting it first undoes what there was."""
        changed = (self.version_by_id[id_] for id_ in self._access_before if id_ in self.version_by_id)
        return {
            "removed": [removed.model.id for removed in self._removed],
            "access": [(version.id, version.early_access_until, version.access_is_permanent) for version in changed],
        }

    @changes.setter
    def changes(self, changes: Mapping[str, Any]) -> None:
        if self._removed:
            while self._removed:
                removed = self._removed.pop()
                removed.siblings.insert(removed.place, removed.model)
                removed.model.creator.models.insert(removed.own_place, removed.model)
            self.__dict__.pop("files_by_hash", None)
            self._index()
        for id_, (until, permanent) in self._access_before.items():
            version = self.version_by_id[id_]
            version.early_access_until, version.access_is_permanent = until, permanent
        self._access_before.clear()
        for id_, until, permanent in changes["access"]:
            self.set_access(self.version_by_id[id_], until, permanent=permanent)
        for id_ in changes["removed"]:
            self.remove(id_)

    def version_of(self, air: str) -> Version | None:
        """Find the version that an AIR names.

        Raises:
            ValueError: The text is no AIR of this site.

        """
        match = _AIR.fullmatch(air)
        if match is None:
            raise ValueError(f"{air!r} is not an AIR of this catalogue")
        version = self.version_by_id.get(int(match[2]))
        return version if version is not None and version.model.id == int(match[1]) else None

    def creator(self, username: str) -> Creator | None:
        """Find a creator by name, whatever its case."""
        creators = [*self.creators, *(model.creator for model in self.unlisted)]
        return next((creator for creator in creators if creator.username.lower() == username.lower()), None)


class _Maker:
    """Draws everything from one seeded source, in one order."""

    def __init__(self, seed: int, tags: Sequence[Tag]) -> None:
        self._seed = seed
        self._random = random.Random(f"catalogue {seed}")  # noqa: S311 - reproducible on purpose
        self._tags = tags
        self._names: set[str] = set()
        self._version_id = 500_000
        self._file_id = 800_000
        self._image_id = 9_000_000

    def creators(self, count: int) -> list[Creator]:
        """Make creators, the platform's busiest first."""
        pairs = [f"{word}{trade}" for word in CREATOR_WORDS for trade in CREATOR_TRADES]
        self._random.shuffle(pairs)
        names = [pairs[number % len(pairs)] + ("" if number < len(pairs) else str(number)) for number in range(count)]
        return [Creator(2_000 + 7 * number, name) for number, name in enumerate(names)]

    def model(self, number: int, creators: Sequence[Creator], type_: str | None = None) -> Model:
        """Make the model of a place in the catalogue, with all that belongs to it."""
        choose = self._random
        type_ = type_ or choose.choices(list(_TYPE_WEIGHTS), list(_TYPE_WEIGHTS.values()))[0]
        nsfw = choose.random() < 0.04
        # Some creators are busier than others.
        creator = creators[int(len(creators) * choose.random() ** 1.6)]
        name = self._name(type_)
        model = Model(
            id=100_000 + 13 * number + choose.randrange(13),
            number=number,
            seed=self._seed,
            name=name,
            description=f"<p>{name}: {choose.choice(SUBJECTS)}, {choose.choice(MANNERS)}.</p>",
            type=type_,
            nsfw=nsfw,
            mode={37: "Archived", 73: "TakenDown"}.get(number % 97),
            availability="Unsearchable" if number % 89 == 53 else "Public",
            commercial_use=choose.choice((("Image", "RentCivit"), ("Image", "RentCivit", "Rent", "Sell"), ("None",))),
            checkpoint_type=choose.choice(("Trained", "Merge")) if type_ == "Checkpoint" else None,
            comments=int(choose.paretovariate(0.9)),
            tips=choose.choice((0, 0, 0, 50, 120, 600)),
            collected=int(choose.paretovariate(0.8)),
            creator=creator,
            tags=choose.sample(self._tags, choose.randint(2, 5)),
        )
        creator.models.append(model)
        base_model = choose.choices(list(_BASE_MODEL_WEIGHTS), list(_BASE_MODEL_WEIGHTS.values()))[0]
        published_at = AS_OF - timedelta(seconds=int(choose.random() ** 2 * 900 * 86_400))
        for index in range(choose.choices((1, 2, 3), (55, 30, 15))[0]):
            # Newest first, as the site lists them.
            moment = published_at - timedelta(days=40 * index, milliseconds=choose.randrange(86_400_000))
            model.versions.append(self._version(model, index, base_model, moment))
        return model

    def own_model(self, number: int, owner: Creator) -> Model:
        """Make the model of the user whom the emulator serves: free of what would keep it from being used."""
        model = self.model(number, [owner], type_="LORA")
        model.mode, model.nsfw, model.availability = None, False, "Unsearchable"
        for version in model.versions:
            version.usage_control, version.requires_auth, version.early_access_until = "Download", False, None
        model.versions[0].epochs = 5
        return model

    def _name(self, type_: str) -> str:
        while True:
            suffix = self._random.choice(SUFFIXES.get(type_, ("",)))
            words = (self._random.choice(FIRST_WORDS), self._random.choice(SECOND_WORDS), suffix)
            name = " ".join(filter(None, words))
            if name in self._names:
                name = f"{name} {self._random.randint(2, 99)}"
            if name not in self._names:
                self._names.add(name)
                return name

    def _version(self, model: Model, index: int, base_model: str, published_at: datetime) -> Version:
        choose = self._random
        self._version_id += choose.randint(1, 40)
        has_words = model.type in ("LORA", "LoCon", "DoRA", "TextualInversion")
        gated = index == 0 and choose.random() < 0.03
        version = Version(
            id=self._version_id,
            index=index,
            name=f"v{3 - index}.0" if index else choose.choice(("v3.0", "v3.1", "Final")),
            base_model=base_model,
            published_at=published_at,
            trained_words=[_slug(model.name)] if has_words else [],
            downloads=int(40 * choose.paretovariate(0.7)),
            likes=int(4 * choose.paretovariate(0.8)),
            requires_auth=choose.random() < 0.3,
            usage_control="Generation" if choose.random() < 0.02 else "Download",
            early_access_until=AS_OF + timedelta(days=36_500) if gated else None,
            supports_generation=model.type not in _ARCHIVE_TYPES and choose.random() < 0.8,
            model=model,
        )
        version.files = self._files(version)
        version.images = [self._image(version) for _ in range(choose.randint(2, 4))]
        return version

    def _files(self, version: Version) -> list[ModelFile]:
        choose = self._random
        type_ = version.model.type
        if type_ in _ARCHIVE_TYPES:
            wanted: list[tuple[str, str, str | None, str | None]] = [("Archive", "Other", None, None)]
        elif type_ == "Checkpoint":
            wanted = [("Model", "SafeTensor", "pruned", "fp16")]
            if choose.random() < 0.4:
                wanted.append(("Model", "SafeTensor", "full", "fp32"))
            if choose.random() < 0.2:
                wanted.append(("VAE", "SafeTensor", None, None))
        else:
            wanted = [("Model", "SafeTensor", None, None)]
            if type_ == "LORA" and choose.random() < 0.25:
                wanted.append(("Training Data", "Other", None, None))
        return [self._file(version, *kind, primary=place == 0) for place, kind in enumerate(wanted)]

    def _file(
        self, version: Version, type_: str, format_: str, size: str | None, fp: str | None, *, primary: bool
    ) -> ModelFile:
        choose = self._random
        self._file_id += choose.randint(1, 9)
        stem = _file_stem(version)
        suffix = {"VAE": "_vae", "Training Data": "_trainingData"}.get(type_, "_full" if size == "full" else "")
        large = choose.random() < 0.06
        length = 2 * choose.randint(600_000, 900_000) if large else 2 * choose.randint(4_000, 40_000)
        if version.model.number >= _USUAL_SIZE:
            length = 2 * choose.randint(500, 2_000)
        return ModelFile(
            id=self._file_id,
            name=f"{stem}{suffix}.{'zip' if format_ == 'Other' else 'safetensors'}",
            type=type_,
            format=format_,
            size=size,
            fp=fp,
            length=length,
            primary=primary,
            scanned_at=version.published_at + timedelta(minutes=9),
            version=version,
        )

    def _image(self, version: Version) -> GalleryImage:
        choose = self._random
        self._image_id += choose.randint(1, 50)
        width, height = choose.choice(((512, 512), (416, 608), (608, 416), (512, 640)))
        levels = ((1, 2, 4, 8), (10, 20, 40, 30)) if version.model.nsfw else ((1, 2, 4), (93, 5, 2))
        return GalleryImage(
            id=self._image_id,
            key=f"{choose.getrandbits(32):08x}-{choose.getrandbits(16):04x}-4000-8000-{choose.getrandbits(48):012x}",
            width=width,
            height=height,
            level=choose.choices(*levels)[0],
            prompt=f"{choose.choice(SUBJECTS)}, {choose.choice(MANNERS)}, {choose.choice(MANNERS)}",
            seed=choose.getrandbits(32),
            steps=choose.choice((20, 24, 30)),
            cfg_scale=choose.choice((5, 6.5, 7)),
            has_meta=choose.random() < 0.85,
            likes=int(choose.paretovariate(0.7)),
            hearts=int(choose.paretovariate(0.9)) - 1,
            comments=choose.choice((0, 0, 0, 1, 2)),
            created_at=version.published_at + timedelta(minutes=choose.randint(1, 600)),
            post_id=self._image_id // 3,
            version=version,
            tags=choose.sample(self._tags, 3),
        )


def _slug(text: str) -> str:
    return "_".join(text.lower().replace("-", " ").split())


def _file_stem(version: Version) -> str:
    """Name a file as the site does: LORA and LoCon keep their uploaded name, others are called by their model."""
    number = version.name.lower().replace(".", "")
    if version.model.type in ("LORA", "LoCon"):
        return f"{_slug(version.model.name)}_{number}"
    if version.model.type == "TextualInversion":
        return version.trained_words[0]
    words = version.model.name.split()
    return f"{words[0].lower()}{''.join(word.capitalize() for word in words[1:])}_{number}"
