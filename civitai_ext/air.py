"""AIR: the names that Civitai's services give to models, files, images and other resources.

An AIR (AI resource identifier) is a URN such as `urn:air:sdxl:checkpoint:civitai:827184@2514310`:

    urn:air: ecosystem : type : source : id [@ version] [+ file id] [. format]

Several grammars for it are in use and disagree at the edges. `Air.parse` reads what any of them reads:

- `urn:` and `air:` may be left out, and so may the type, or the ecosystem and the type. A single part before the
  source is the ecosystem: `lora:civitai:1@2` names an ecosystem `lora`.
- Letters may be of either case. Prefix, ecosystem, type and source mean the same in both and are kept in lower case;
  id, version and format are kept as given, because paths in them are case-sensitive.
- An id may hold letters, digits and `_ - / .`; a version also `= , % + :`, which covers digests (`sha256:…`), build
  suffixes (`1.2.3+a1b2c3`) and the layer of older AIRs (`2:layer`). A layer therefore is part of `Air.version`.
- When prefix, ecosystem, type and source are all written, an id may hold anything except `@` and white space, and a
  version anything except white space; only characters that cannot be printed are refused.
- `+digits` and `+digits.format` at the end are a file id, and a format, only when the source is `civitai`. Elsewhere
  they belong to the version. A format without a file id cannot be told from the version or the id: both may hold dots.

Two texts that a grammar would let through are refused, since they are always mistakes: a URL (`https://…` would be the
source `https`) and a prefix without a source (`urn:air:1@2` would be the source `air`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, TypedDict, Unpack

import attrs

from civitai_ext._base_models import (
    BASE_MODELS,
    ECOSYSTEM_WORDS,
    FILE_TYPES,
    MODEL_TYPES,
    ROOT_ECOSYSTEMS,
    UNKNOWN_TYPE,
)
from civitai_ext._redact import public_text, public_url
from civitai_ext.errors import CivitaiError

__all__ = ["MAX_LENGTH", "Air", "AirError", "air_type_of", "ecosystem_of"]

MAX_LENGTH: Final = 2048
"""The longest text that is read as an AIR, in characters."""

_CIVITAI: Final = "civitai"

# Every pattern is one run of a character class with at most a tail that cannot overlap it: matching takes linear time.
_NAME: Final = re.compile(r"[A-Za-z0-9_/-]+")
_ID: Final = re.compile(r"[A-Za-z0-9_/.-]+(?:\+[0-9]+(?:\.[A-Za-z0-9_-]+)?)?")
_VERSION: Final = re.compile(r"[A-Za-z0-9_/.=,%+:-]+")
_FILE: Final = re.compile(r"(.+)\+([0-9]+)(?:\.([A-Za-z0-9_-]+))?")
_NUMBER: Final = re.compile(r"([0-9]+)(?:[.:][A-Za-z].*)?")
_DIGITS: Final = re.compile(r"([0-9]+)")

_Parts: TypeAlias = tuple[str | None, str | None, str, str, str | None, int | None, str | None]
_FIELDS: Final = ("ecosystem", "type", "source", "id", "version", "file_id", "format")
# The names before the id, by how many of them are written.
_NAMED: Final = ((), ("source",), ("ecosystem", "source"), ("ecosystem", "type", "source"))


class AirError(CivitaiError, ValueError):
    """A text is not an AIR, or an AIR cannot be built from what was given.

    Attributes:
        reason: What is wrong.
        text: The text that was read, without surrounding white space and with the secrets of URLs in it masked; empty
            when there was none to read.
        position: Index into `text` of the place that is wrong; `None` when there is no text.

    >>> Air.parse("urn:air:sd1:checkpoint:civitai:@2")
    Traceback (most recent call last):
    civitai_ext.air.AirError: not an AIR: 'urn:air:sd1:checkpoint:civitai:@2' (at 31: the id is missing)
      urn:air:sd1:checkpoint:civitai:@2
                                     ^
    """

    def __init__(self, reason: str, text: str = "", position: int | None = None) -> None:
        self.reason = reason
        self.text = public_text(text) if "://" in text else text
        self.position = None if position is None else min(position, len(self.text))
        super().__init__(reason if self.position is None else _explain(reason, self.text, self.position))


class _Changes(TypedDict, total=False):
    """What `Air.replace` can change."""

    ecosystem: str | None
    type: str | None
    source: str
    id: str | int
    version: str | int | None
    file_id: int | None
    format: str | None


@functools.total_ordering
@attrs.frozen(init=False, repr=False, order=False)
class Air:
    """The name of a resource: where it lives (`source`, `id`, `version`) and what it is (`ecosystem`, `type`).

    Instances are immutable and hashable. Two are equal when `str` writes them alike, so that case of the prefix and a
    format make no difference. They sort part by part, a missing part first, and runs of digits by their value.

    The constructor takes the parts by keyword and accepts only those that `parse` would read back unchanged.

    Attributes:
        ecosystem: The family of models, in lower case (`sdxl`, `flux1`).
        type: The kind of resource, in lower case (`checkpoint`, `lora`); needs an ecosystem.
        source: Who keeps the resource, in lower case (`civitai`, `huggingface`, `orchestrator`).
        id: The resource at the source; at `civitai` the model id.
        version: Its version, with the layer of older AIRs; at `civitai` the model version id.
        file_id: One file of the version; only at `civitai`.
        format: The file format that followed the file id. It is read but never written or compared.

    Raises:
        AirError: A part is missing, or holds what an AIR cannot hold there.

    >>> air = Air.parse("sdxl:checkpoint:civitai:827184@2514310+2402203.safetensor")
    >>> air
    Air('urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203')
    >>> air.ecosystem, air.version, air.file_id, air.format
    ('sdxl', '2514310', 2402203, 'safetensor')
    >>> Air(source="civitai", id=1, version=2) == Air.parse("URN:AIR:CIVITAI:1@2")
    True
    """

    ecosystem: str | None
    type: str | None
    source: str
    id: str
    version: str | None
    file_id: int | None
    format: str | None = attrs.field(eq=False)

    def __init__(
        self,
        *,
        source: str,
        id: str | int,
        ecosystem: str | None = None,
        type: str | None = None,
        version: str | int | None = None,
        file_id: int | None = None,
        format: str | None = None,
    ) -> None:
        given: _Parts = (
            None if ecosystem is None else _as_text("ecosystem", ecosystem).lower(),
            None if type is None else _as_text("type", type).lower(),
            _as_text("source", source).lower(),
            _as_text("id", id),
            None if version is None else _as_text("version", version),
            file_id,
            format,
        )
        _check(given)
        self._fill(given)

    @classmethod
    def parse(cls, value: str | Air) -> Air:
        """Read an AIR; white space around it is ignored and an `Air` is returned as it is.

        Raises:
            AirError: The value is not an AIR; says where.

        >>> Air.parse("urn:air:oci:image:ghcr:civitai/training-toolkit@sha256:abc123").version
        'sha256:abc123'
        """
        if isinstance(value, Air):
            return value
        if not isinstance(value, str):
            raise AirError(f"not an AIR: expected text, not {value.__class__.__name__}")
        air = cls.__new__(cls)
        air._fill(_read(value.strip()))
        return air

    @classmethod
    def try_parse(cls, value: object) -> Air | None:
        """Read an AIR, or return `None` for anything that is none; never raises.

        >>> Air.try_parse("pony diffusion") is None
        True
        """
        if not isinstance(value, str | Air):
            return None
        try:
            return cls.parse(value)
        except AirError:
            return None

    @classmethod
    def for_version(
        cls,
        version: object,
        *,
        model_type: str | None = None,
        model_id: int | None = None,
        file: object = None,
        file_id: int | None = None,
    ) -> Air:
        """Build the AIR that the platform gives to a model version, or to one file of it.

        Versions that come inside a model know neither its id nor its type: pass `model_id` and `model_type`. The type
        of the chosen file, or of the primary one, can override that of the model. Not for private training results:
        their source is `orchestrator` and their id a job, which a version does not tell.

        Args:
            version: A model version of the Site API, or its JSON as a mapping.
            model_type: The type of the model, when the version does not hold it.
            model_id: The id of the model, when the version does not hold it.
            file: A file of the version, as an object or mapping; the AIR then names it.
            file_id: The id of a file of the version; the AIR then names it.

        Raises:
            AirError: Something needed is not known, or the file is not one of the version's.

        >>> version = {"id": 2514310, "modelId": 827184, "baseModel": "Illustrious", "model": {"type": "Checkpoint"}}
        >>> str(Air.for_version(version))
        'urn:air:sdxl:checkpoint:civitai:827184@2514310'
        >>> str(Air.for_version(version, file={"id": 2402203, "type": "Model"}))
        'urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203'
        """
        model = _get(version, "model")
        version_id = _whole(_get(version, "id"))
        base_model = _text(_get(version, "base_model", "baseModel"))
        model_type = _text(model_type) or _text(_get(model, "type_", "type"))
        if model_id is None:
            model_id = _whole(_get(version, "model_id", "modelId")) or _whole(_get(model, "id"))
        known = {
            "id": version_id,
            "base_model": base_model,
            "model_id (pass model_id=…)": model_id,
            "model.type (pass model_type=…)": model_type,
        }
        if version_id is None or base_model is None or model_id is None or model_type is None:
            lacking = ", ".join(name for name, value in known.items() if value is None)
            raise AirError(f"cannot build an AIR: the version lacks {lacking}")
        ecosystem = ecosystem_of(base_model)
        if not _NAME.fullmatch(ecosystem):
            raise AirError(f"cannot build an AIR: the base model {base_model!r} is not known to this release")
        chosen, chosen_id = _choose_file(version, file, file_id)
        return cls(
            ecosystem=ecosystem,
            type=air_type_of(model_type, _text(_get(chosen, "type_", "type"))),
            source=_CIVITAI,
            id=model_id,
            version=version_id,
            file_id=chosen_id,
        )

    @property
    def model_id(self) -> int | None:
        """The model id when the source is `civitai`, also where a format hangs on it; else `None`."""
        return self._number(self.id)

    @property
    def version_id(self) -> int | None:
        """The model version id when the source is `civitai`, also where a format or layer hangs on it; else `None`.

        >>> Air.parse("urn:air:sdxl:checkpoint:civitai:827184@2514310.safetensor").version_id
        2514310
        """
        return self._number(self.version)

    @property
    def url(self) -> str | None:
        """The page of the model, or of its version, when the source is `civitai`; else `None`.

        >>> Air.parse("civitai:827184@2514310").url
        'https://civitai.com/models/827184?modelVersionId=2514310'
        """
        if self.model_id is None:
            return None
        page = f"https://civitai.com/models/{self.model_id}"
        return page if self.version_id is None else f"{page}?modelVersionId={self.version_id}"

    def replace(self, **changes: Unpack[_Changes]) -> Air:
        """Return a copy with some parts changed.

        Raises:
            AirError: The parts do not make an AIR.

        >>> Air.parse("sd1:lora:civitai:1@2").replace(ecosystem="sdxl")
        Air('urn:air:sdxl:lora:civitai:1@2')
        """
        return attrs.evolve(self, **changes)

    def with_version(self, version: str | int | None) -> Air:
        """Return a copy with another version, or none; file id and format go, as they belong to the old one.

        Raises:
            AirError: The version holds what a version cannot hold.

        >>> Air.parse("sd1:lora:civitai:1@2+3").with_version(4)
        Air('urn:air:sd1:lora:civitai:1@4')
        """
        return self.replace(version=version, file_id=None, format=None)

    def to_wire(self) -> str:
        """Return the form in which the AIR is sent to a service, which is that of `str`."""
        return str(self)

    def __str__(self) -> str:
        return _write(self.ecosystem, self.type, self.source, self.id, self.version, self.file_id)

    def __repr__(self) -> str:
        return f"Air({str(self)!r})"

    def __lt__(self, other: Air) -> bool:
        if not isinstance(other, Air):
            return NotImplemented
        return self._sort_key() < other._sort_key()

    def _fill(self, parts: _Parts) -> None:
        put = object.__setattr__
        ecosystem, type, source, id, version, file_id, format = parts
        put(self, "ecosystem", ecosystem)
        put(self, "type", type)
        put(self, "source", source)
        put(self, "id", id)
        put(self, "version", version)
        put(self, "file_id", file_id)
        put(self, "format", format)

    def _sort_key(self) -> tuple[object, ...]:
        parts = (self.ecosystem, self.type, self.source, self.id, self.version)
        # The text decides between parts that differ only in leading zeros, which are different AIRs.
        return (*map(_natural, parts), -1 if self.file_id is None else self.file_id, str(self))

    def _number(self, text: str | None) -> int | None:
        if self.source != _CIVITAI or text is None:
            return None
        match = _NUMBER.fullmatch(text)
        return int(match[1]) if match else None


def ecosystem_of(base_model: str) -> str:
    """Return the word by which AIRs name the ecosystem of a base model.

    Takes a base model or an ecosystem key, spelled as the platform spells it. Like the platform it returns other text
    in lower case, so that a base model newer than this release comes out right if it is named like its ecosystem.

    >>> ecosystem_of("SD 1.5"), ecosystem_of("Pony"), ecosystem_of("Flux.2 Klein 4B"), ecosystem_of("NextModel")
    ('sd1', 'sdxl', 'flux2', 'nextmodel')
    """
    key = BASE_MODELS.get(base_model, base_model)
    root = ROOT_ECOSYSTEMS.get(key, key)
    return ECOSYSTEM_WORDS.get(root, root.lower())


def air_type_of(model_type: str, file_type: str | None = None) -> str:
    """Return the word by which AIRs name a model type, given the type of the file that is meant.

    >>> air_type_of("TextualInversion"), air_type_of("Checkpoint", "Diffusion Model"), air_type_of("Wildcards")
    ('embedding', 'diffusionmodel', 'unknown')
    """
    if file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    return MODEL_TYPES.get(model_type, UNKNOWN_TYPE)


def _read(text: str) -> _Parts:
    """Take an AIR apart, or raise `AirError`."""
    if len(text) > MAX_LENGTH:
        raise AirError(f"it is longer than {MAX_LENGTH} characters", text, MAX_LENGTH)
    head, at, tail = text.partition("@")
    parts = head.split(":", 5)  # urn, air, ecosystem, type, source, id: more colons belong to the id
    first = 1 if parts[0].lower() == "urn" else 0
    if len(parts) > first and parts[first].lower() == "air":
        first += 1
    names, id = parts[first:-1], parts[-1]
    strict = first == 2 and len(names) == 3  # everything is written: the widest characters are allowed
    if not strict and "://" in head:
        raise AirError("a URL is not an AIR", public_url(text), head.index("://"))
    if not names:
        raise AirError("the source is missing", text, len(head) - len(id))
    if len(names) > 3:
        raise AirError("more parts than ecosystem:type:source:id", text, len(head) - len(id))
    for name in names:
        if not _NAME.fullmatch(name):
            _blame_name(text, parts, first)
    if not (_ID.fullmatch(id) or (strict and _is_plain(id))):
        _blame("id", id, _ID, strict, text, len(head) - len(id))
    if at and not (_VERSION.fullmatch(tail) or (strict and _is_plain(tail))):
        _blame("version", tail, _VERSION, strict, text, len(head) + 1)

    source = names[-1].lower()
    ecosystem = names[0].lower() if len(names) > 1 else None
    type = names[1].lower() if len(names) > 2 else None
    version = tail if at else None
    file_id = format = None
    last = id if version is None else version
    if source == _CIVITAI and "+" in last and (match := _FILE.fullmatch(last)):
        last, digits, format = match.groups()
        file_id = int(digits)
        if version is None:
            id = last
        else:
            version = last
    return ecosystem, type, source, id, version, file_id, format


def _write(
    ecosystem: str | None, type: str | None, source: str, id: str, version: str | None, file_id: int | None
) -> str:
    """Put an AIR together as the platform does."""
    names = source if ecosystem is None else f"{ecosystem}:{source}" if type is None else f"{ecosystem}:{type}:{source}"
    text = f"urn:air:{names}:{id}" if version is None else f"urn:air:{names}:{id}@{version}"
    return text if file_id is None else f"{text}+{file_id}"


def _as_text(label: str, value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # a member of a text enumeration would print as its name
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise AirError(f"cannot build an AIR: the {label} must be text or a number, not {value.__class__.__name__}")


def _check(given: _Parts) -> None:
    """Refuse parts that would not come back from the text they make."""
    ecosystem, type, source, id, version, file_id, format = given
    if type is not None and ecosystem is None:
        raise AirError("cannot build an AIR: a type needs an ecosystem")
    if file_id is not None and source != _CIVITAI:
        raise AirError(f"cannot build an AIR: a file id needs the source {_CIVITAI}")
    if format is not None and file_id is None:
        raise AirError("cannot build an AIR: a format needs a file id")
    text = _write(ecosystem, type, source, id, version, file_id)
    # The text without the format is what is sent; it is read as well, so that its length counts.
    read = _read(text) if format is None else _read(text)[:6] + _read(f"{text}.{format}")[6:]
    for label, wanted, found in zip(_FIELDS, given, read, strict=True):
        if wanted != found:
            raise AirError(f"cannot build an AIR: the {label} {wanted!r} would be read as {found!r}")


def _is_plain(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text


def _blame_name(text: str, parts: list[str], first: int) -> NoReturn:
    """Raise for the first bad part before the id."""
    names = parts[first:-1]
    start = sum(len(part) + 1 for part in parts[:first])
    for label, name in zip(_NAMED[len(names)], names, strict=True):
        if not _NAME.fullmatch(name):
            _blame(label, name, _NAME, False, text, start)
        start += len(name) + 1
    raise AssertionError("every name is good")


def _blame(label: str, part: str, pattern: re.Pattern[str], strict: bool, text: str, start: int) -> NoReturn:
    """Raise for a bad part, pointing at its first bad character."""
    if not part:
        raise AirError(f"the {label} is missing", text, start)
    if strict:
        bad = next(index for index, character in enumerate(part) if not _is_plain(character))
    else:
        match = pattern.match(part)
        bad = match.end() if match else 0
    raise AirError(f"the {label} cannot hold {part[bad]!r}", text, start + bad)


def _explain(reason: str, text: str, position: int) -> str:
    """Describe what is wrong with a text in one line, and show the place in two more."""
    start, end = max(0, position - 60), position + 30
    shown = ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
    caret = position - start + bool(start)
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
    return f"not an AIR: {shown!r} (at {position}: {reason})\n  {line}\n  {' ' * caret}^"


def _natural(text: str | None) -> tuple[str | int, ...]:
    """Return a sort key that compares runs of digits as numbers; `None` comes first."""
    if text is None:
        return ()
    # The split alternates text and digits and begins with text: equal places hold equal types.
    return tuple(int(piece) if index % 2 else piece for index, piece in enumerate(_DIGITS.split(text)))


def _choose_file(version: object, file: object, file_id: int | None) -> tuple[object, int | None]:
    """Return the file whose type counts, and the id to write if a file was asked for."""
    listed = _get(version, "files")
    files = listed if isinstance(listed, Sequence) else ()
    if file is not None:
        own_id = _whole(_get(file, "id"))
        if own_id is None:
            raise AirError("cannot build an AIR: the file lacks id")
        if file_id not in (None, own_id):
            raise AirError(f"cannot build an AIR: file_id is {file_id} but the file's id is {own_id}")
        return file, own_id
    if file_id is not None:
        found = next((each for each in files if _get(each, "id") == file_id), None)
        if files and found is None:
            raise AirError(f"cannot build an AIR: the version has no file {file_id}")
        return found, file_id
    primary = next((each for each in files if _get(each, "primary") is True), None)
    return (files[0] if primary is None and len(files) == 1 else primary), None


def _get(holder: object, *names: str) -> object:
    """Return the first of the named attributes or keys that is there."""
    for name in names:
        value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        if value is not None:
            return value
    return None


def _text(value: object) -> str | None:
    """Return a text or the text of an enumeration's member; `None` for the markers of absence."""
    value = getattr(value, "value", value)
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
