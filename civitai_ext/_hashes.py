"""Looking files up by hash: what can be asked for how, and which answer belongs to which hash. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from math import inf
from typing import Any, Final

from civitai_api.runtime import ApiModel
from civitai_api.site.models import ModelFile, ModelVersionHashMatch
from civitai_ext._reading import models_in, number, text
from civitai_ext.catalogue import ModelVersion
from civitai_ext.errors import InvalidRequest

__all__ = ["assign", "assign_ids", "assign_rest", "is_long", "match_of", "normal", "repair_downloads", "spellings"]

_KINDS: Final = {8: "AutoV1 or CRC32", 10: "AutoV2", 12: "AutoV3", 64: "SHA-256, BLAKE3 or AutoV3"}
_HEX: Final = re.compile(r"[0-9A-F]+", re.ASCII)
_BROKEN_HOST: Final = re.compile(r"\Ahttps?://undefined(?=/|\Z)", re.IGNORECASE)


def normal(hash: Any) -> str:
    """Give a hash as the service spells it: in upper case, without white space around it.

    Raises:
        InvalidRequest: It is not hexadecimal, or no kind of hash has its length.

    >>> normal(" cd2a512003 ")
    'CD2A512003'
    """
    spelled = text(hash).strip().upper()
    if not _HEX.fullmatch(spelled):
        raise InvalidRequest(f"{hash!r} is not a hash in hexadecimal")
    if len(spelled) not in _KINDS:
        kinds = ", ".join(f"{length} ({kind})" for length, kind in _KINDS.items())
        raise InvalidRequest(
            f"{hash!r} has {len(spelled)} digits, which no kind of hash has",
            hint=f"Hashes of files have {kinds} digits.",
        )
    return spelled


def spellings(hashes: Iterable[str] | str) -> dict[str, str]:
    """Give every hash as the service spells it, by the caller's own spelling and in the caller's order.

    Raises:
        InvalidRequest: One of them is no hash.
    """
    return {hash: normal(hash) for hash in ([hashes] if isinstance(hashes, str) else hashes)}


def is_long(hash: str) -> bool:
    """Tell whether a hash can be a SHA-256, which is what many can be asked for at once by."""
    return len(hash) == 64


def assign(
    versions: list[ModelVersion | None], wanted: Collection[str]
) -> tuple[dict[str, ModelVersion], list[ModelVersion]]:
    """Tell which version belongs to which hash, and which versions were given for a hash that they do not show.

    Where several show a hash, a version's own file goes before one that is merely linked to it, then the oldest first.

    Args:
        versions: As the service gave them: one per file, so the same one several times, in any order, None in between.
        wanted: The hashes, in upper case.
    """
    found: dict[str, tuple[tuple[bool, float, float], ModelVersion]] = {}
    unexplained: list[ModelVersion] = []
    shown: dict[float, set[str]] = {}
    for version in versions:
        if not isinstance(version, ModelVersion):
            continue
        ranks = {
            hash: (file.type == "VAE", *_age(version))
            for file in _files(version)
            for hash in _hashes_of(file).intersection(wanted)
        }
        for hash, rank in ranks.items():
            if hash not in found or rank < found[hash][0]:
                found[hash] = rank, version
        # Each time that a version is given stands for one of the hashes that it shows, as long as there are any left.
        left = shown.setdefault(_id(version.id), set(ranks))
        if left:
            left.pop()
        else:
            unexplained.append(version)
    return {hash: version for hash, (_, version) in found.items()}, unexplained


def assign_ids(matches: list[ModelVersionHashMatch], wanted: Collection[str]) -> dict[str, ModelVersionHashMatch]:
    """Tell which match belongs to which hash; of several the one with the lowest id, which is the oldest version.

    Args:
        matches: As the service gave them: in any order, several per hash, None in between.
        wanted: The hashes, in upper case.
    """
    found: dict[str, ModelVersionHashMatch] = {}
    for match in matches:
        if not isinstance(match, ModelVersionHashMatch):
            continue
        hash = text(match.hash).upper()
        if hash in wanted and (hash not in found or _id(match.model_version_id) < _id(found[hash].model_version_id)):
            found[hash] = match
    return found


def assign_rest(
    unexplained: list[ModelVersion], matches: Mapping[str, ModelVersionHashMatch]
) -> dict[str, ModelVersion]:
    """Tell which of the versions that do not show their hash belongs to which, by the matches of the other route.

    Args:
        unexplained: The versions, from `assign`.
        matches: The ids by hash, from `assign_ids`.
    """
    by_id = {_id(version.id): version for version in unexplained if _id(version.id) != inf}
    found = {hash: by_id.get(_id(match.model_version_id)) for hash, match in matches.items()}
    return {hash: version for hash, version in found.items() if version is not None}


def match_of(version: ModelVersion, hash: str) -> ModelVersionHashMatch:
    """Give a version that was found by a hash in the form in which many are found at once."""
    model_id: Any = version.model_id
    return ModelVersionHashMatch(model_version_id=version.id, model_id=model_id, hash=hash)


def repair_downloads(version: ModelVersion, site_url: str) -> ModelVersion:
    """Put the site's address in place of a host called `undefined`, which routes by hash give in download URLs.

    Args:
        version: Changed in place, and given back.
        site_url: Where the Site API is, without a slash at the end.
    """
    if isinstance(version, ModelVersion):
        version.download_url = _repaired(version.download_url, site_url)
        for file in _files(version):
            file.download_url = _repaired(file.download_url, site_url)
    return version


def _repaired(url: Any, site_url: str) -> Any:
    return _BROKEN_HOST.sub(lambda _: site_url, url, count=1) if isinstance(url, str) else url


def _files(version: ModelVersion) -> list[ModelFile]:
    return models_in(version.files)


def _hashes_of(file: ModelFile) -> set[str]:
    hashes: Any = file.hashes
    if isinstance(hashes, ApiModel):
        hashes = hashes.to_dict()
    return {text(value).upper() for value in hashes.values()} if isinstance(hashes, Mapping) else set()


def _age(version: ModelVersion) -> tuple[float, float]:
    published: Any = version.published_at
    known = isinstance(published, datetime) and published.tzinfo is not None
    return published.timestamp() if known else inf, _id(version.id)


def _id(value: Any) -> float:
    found = number(value)
    return inf if found is None else found
